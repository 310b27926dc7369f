"""Fetches one file with wandb's multipart download, in the way its storage policy calls it."""

from __future__ import annotations

import importlib
import json
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

_THREADS = 8
_PART = 256 << 10
#: Seconds, first and longest; the library's own are 1 and 120, with which its 16 tries take twenty minutes.
_BACKOFF = (0.1, 1)


def fresh(errand: dict[str, Any]) -> str:
    """Another URL of the same object, or the same again where there is no other."""
    if errand["renewal"] is None:
        url: str = errand["url"]
        return url
    with socket.create_connection(("127.0.0.1", errand["renewal"]), timeout=10) as connection:
        return b"".join(iter(lambda: connection.recv(4096), b"")).decode()


def main() -> None:
    errand: dict[str, Any] = json.loads(sys.argv[1])
    policies = "wandb.sdk.artifacts.storage_policies"
    cache: Any = importlib.import_module("wandb.sdk.artifacts.artifact_file_cache")
    multipart: Any = importlib.import_module(f"{policies}._multipart")
    session = importlib.import_module(f"{policies}._factories").make_http_session()
    for adapter in session.adapters.values():
        adapter.max_retries.backoff_factor, adapter.max_retries.backoff_max = _BACKOFF
    if errand["ca_file"]:
        session.verify = errand["ca_file"]
    size = errand["size"] if errand["declared"] is None else errand["declared"]
    files = cache.get_artifact_file_cache()
    files._override_cache_path = errand["dest"]
    _, _, opener = files.check_digest_obj_path("00000000000000000000000=", size)
    if not size:
        response = session.get(errand["url"], stream=True)
        with opener(mode="wb") as file:
            for data in response.iter_content(chunk_size=16384):
                file.write(data)
        return
    with ThreadPoolExecutor(_THREADS) as executor:
        multipart.multipart_download(
            executor,
            session,
            size,
            opener,
            initial_url=errand["url"],
            fetch_fn=lambda: fresh(errand),
            part_size=_PART,
        )


if __name__ == "__main__":
    main()
