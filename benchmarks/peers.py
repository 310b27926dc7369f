"""The clients that are Python libraries, each as the child process that is measured.

python -m benchmarks.peers NAME '{"url": …, "dest": …, …}'
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypedDict

_MIB = 1 << 20


class Order(TypedDict, total=False):
    """What a child is told; see `benchmarks.clients.Task`."""

    url: str
    dest: str
    ca_file: str | None
    checksum: str | None
    options: dict[str, Any]
    loop: str
    presign: str


def asyncdl(order: Order) -> None:
    """The engine itself."""
    import asyncdl as engine

    options = engine.Options(use_environment=False, ca_file=order.get("ca_file"), **order.get("options", {}))

    download = engine.download  # loads what it needs
    began = time.perf_counter()

    async def bring() -> engine.Result:
        source = partial(_presigned, order["presign"]) if "presign" in order else order["url"]
        return await download(source, order["dest"], checksum=order.get("checksum"), options=options)

    if order.get("loop") == "uvloop":
        import uvloop

        result = uvloop.run(bring())
    else:
        result = asyncio.run(bring())
    took = time.perf_counter() - began
    facts = {"seconds": took, "requests": result.requests, "retries": result.retries, "refreshes": result.refreshes}
    print(json.dumps(facts | {"bound": options.memory_bound}))


def _presigned(where: str, _rejected: object) -> str:
    """A fresh URL from an origin that hands them out."""
    from urllib.request import ProxyHandler, build_opener

    with build_opener(ProxyHandler({})).open(where, timeout=10) as answer:
        url: str = answer.read().decode()
    return url


def hf_transfer(order: Order) -> None:
    """The Rust accelerator that huggingface_hub had: parts of 10 MiB, as there, and 16 at a time."""
    from hf_transfer import download

    url, dest = order["url"], order["dest"]
    download(url=url, filename=dest, max_files=16, chunk_size=10 * _MIB, parallel_failures=3, max_retries=5)


def wandb(order: Order) -> None:
    """The multipart download of wandb's artifacts, as its storage policy calls it."""
    import requests
    from wandb.sdk.artifacts.storage_policies._multipart import multipart_download

    url, dest = order["url"], Path(order["dest"])
    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, requests.adapters.HTTPAdapter(pool_connections=64, pool_maxsize=64))
    with session.get(url, headers={"Range": "bytes=0-0"}, timeout=60) as response:
        size = int(response.headers["Content-Range"].rpartition("/")[2])
    # Both pools are as large as its own (_factories.HTTP_POOL_MAXSIZE, artifact._MP_EXECUTOR_WORKERS).
    with ThreadPoolExecutor(32) as pool:
        opener: Any = dest.open  # its types are stricter than what it does
        multipart_download(pool, session, size, opener, initial_url=url, fetch_fn=lambda: url)


def obstore(order: Order) -> None:
    """The Rust object store, one stream of it to a file."""
    from obstore import get
    from obstore.store import HTTPStore

    base, _, name = order["url"].rpartition("/")
    options: dict[str, Any] = {"allow_http": True, "timeout": "600s"}
    if order.get("ca_file"):
        options["allow_invalid_certificates"] = True  # it cannot be told of an authority
    store = HTTPStore(base, client_options=options)  # type: ignore[arg-type, unused-ignore]
    with Path(order["dest"]).open("wb") as file:
        file.writelines(memoryview(chunk) for chunk in get(store, name).stream(min_chunk_size=_MIB))


def awscrt(order: Order) -> None:
    """The S3 client of the AWS common runtime, unsigned, receiving into a file by itself."""
    from urllib.parse import urlsplit

    from awscrt.http import HttpHeaders, HttpRequest
    from awscrt.io import ClientBootstrap, ClientTlsContext, DefaultHostResolver, EventLoopGroup, TlsContextOptions
    from awscrt.s3 import S3Client, S3RequestTlsMode, S3RequestType

    split = urlsplit(order["url"])
    group = EventLoopGroup(1)
    bootstrap = ClientBootstrap(group, DefaultHostResolver(group))
    tls = None
    if split.scheme == "https":
        context = TlsContextOptions()
        context.override_default_trust_store_from_path(ca_filepath=order.get("ca_file"))
        tls = ClientTlsContext(context).new_connection_options()
        tls.set_server_name(split.hostname)
    client = S3Client(
        bootstrap=bootstrap,
        region="us-east-1",
        tls_mode=S3RequestTlsMode.ENABLED if tls else S3RequestTlsMode.DISABLED,
        tls_connection_options=tls,
        throughput_target_gbps=10,
    )
    request = HttpRequest("GET", split.path, HttpHeaders([("host", split.netloc)]))
    asked = client.make_request(type=S3RequestType.GET_OBJECT, request=request, recv_filepath=order["dest"])
    asked.finished_future.result(600)


def pypdl(order: Order) -> None:
    """Segments over aiohttp."""
    from pypdl import Pypdl

    kwargs = {}
    if order.get("ca_file"):
        import ssl

        kwargs["ssl"] = ssl.create_default_context(cafile=order["ca_file"])
    if not Pypdl().start(order["url"], file_path=order["dest"], segments=8, display=False, block=True, **kwargs):
        raise SystemExit("pypdl failed")


def parfive(order: Order) -> None:
    """Splits over aiohttp."""
    from parfive import Downloader

    dest = Path(order["dest"])
    loader = Downloader(max_conn=1, max_splits=8, progress=False)
    loader.enqueue_file(order["url"], path=dest.parent, filename=dest.name)
    found = loader.download()
    if found.errors:
        raise SystemExit(str(found.errors[0].exception))


_CHILDREN = {child.__name__: child for child in (asyncdl, hf_transfer, wandb, obstore, awscrt, pypdl, parfive)}

if __name__ == "__main__":
    _CHILDREN[sys.argv[1]](json.loads(sys.argv[2]))
    sys.stdout.flush()
    # What libraries do at their end, such as joining threads that poll, is not part of a download that is complete.
    os._exit(0)
