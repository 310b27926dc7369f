"""The test server is what W&B's own SDK takes for W&B: both download the same artifact from it, and get equal bytes."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import signal
import sys
from pathlib import Path

import pytest

from asyncdl.sources.wandb import WandbArtifact
from asyncdl.testing import Origin
from tests.support.flow import KIB, QUICK, fetch, small
from tests.support.process import unavailable
from tests.support.wandb_schema import Flavour
from tests.support.wandb_server import KEY, WandbTestServer

#: Seconds for a process that starts another one, in Go, and asks it everything.
_WITHIN = 100.0
#: One of the last versions that ask old servers in their way.
OLD = "0.22.3"
_OLD = Path(__file__).parents[2] / ".servers/wandb/bin/python"
_DOWNLOAD = """
import sys, wandb
artifact = wandb.Api(timeout=30).artifact(sys.argv[1])
artifact.download(root=sys.argv[2], skip_cache=True)
print(",".join(file.name for file in artifact.files(names=[sys.argv[3]])))
"""


def _interpreter(sdk: str) -> str:
    """The Python that has that SDK: this one, or the one that tests/servers/install.sh makes."""
    if sdk == OLD:
        if not list(_OLD.parents[1].glob(f"lib/python3*/site-packages/wandb-{OLD}.*")):
            unavailable(f"wandb {OLD} is not installed: run tests/servers/install.sh")
        return str(_OLD)
    if importlib.util.find_spec("wandb") is None:
        unavailable("W&B's SDK is not installed: pip install wandb")
    return sys.executable


async def _download(
    python: str, server: WandbTestServer, artifact: str, folder: Path, name: str, home: Path
) -> list[str]:
    """What the SDK printed; it keeps all its files in `home` and reaches nobody but this machine."""
    kept = {key: value for key, value in os.environ.items() if not key.upper().endswith("_PROXY")}
    kept = {key: value for key, value in kept.items() if not key.startswith("WANDB") and key != "NETRC"}
    places = ("HOME", "WANDB_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR", "XDG_CACHE_HOME", "TMPDIR")
    home.mkdir()
    process = await asyncio.create_subprocess_exec(
        *(python, "-c", _DOWNLOAD, artifact, str(folder), name),
        cwd=home,
        env={
            **kept,
            **dict.fromkeys(places, str(home)),
            "WANDB_BASE_URL": server.base_url,
            "WANDB_API_KEY": KEY,
            "WANDB_SILENT": "true",
            "WANDB_ERROR_REPORTING": "false",
            "WANDB_ARTIFACT_FETCH_FILE_URL_BATCH_SIZE": "3",
            # Whatever else it wants to talk to finds a closed door.
            "HTTP_PROXY": "http://127.0.0.1:9",
            "HTTPS_PROXY": "http://127.0.0.1:9",
            "NO_PROXY": "127.0.0.1,localhost",
        },
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(_WITHIN):
            out, errors = await process.communicate()
    finally:
        # Its service runs in a process of its own, which is in the same group.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()

    assert 0 == process.returncode, errors.decode(errors="replace")[-4000:]
    return out.decode().splitlines()


def _tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.timeout(400)
@pytest.mark.skipif(sys.platform == "win32", reason="the process group is killed the POSIX way")
@pytest.mark.parametrize(
    ("flavour", "sdk"),
    [
        ("new", "current"),
        pytest.param("new", OLD, marks=pytest.mark.server),
        pytest.param("old", OLD, marks=pytest.mark.server),
    ],
)
async def test_equal_bytes(origin: Origin, tmp_path: Path, flavour: Flavour, sdk: str) -> None:
    """The SDK and asyncdl bring the same files, name by name and byte by byte, from the same server."""
    python = _interpreter(sdk)
    sizes = {"config.json": 321, "weights/a.bin": 3000 * KIB, "weights/deep/b c.bin": 70 * KIB, "empty": 0}
    async with WandbTestServer(origin, flavour=flavour) as server:
        server.add("team/vision/model", {"config.json": 5})
        version = server.add("team/vision/model", sizes, "best")
        theirs, ours = tmp_path / "theirs", tmp_path / "ours"

        printed = await _download(python, server, "team/vision/model:best", theirs, "weights/a.bin", tmp_path / "home")
        asked = [operation.name for operation in server.asked]
        collection = WandbArtifact(
            "team/vision/model:best", base_url=server.base_url, api_key=KEY, options=small(), timeouts=QUICK
        )
        async for file in collection.files():
            (ours / file.name).parent.mkdir(parents=True, exist_ok=True)
            await fetch(file.source, ours / file.name, size=file.size, checksum=file.checksum)
        await collection.aclose()

    assert ["weights/a.bin"] == printed
    assert _tree(theirs) == _tree(ours)
    assert {file.path: file.content.read(0, file.content.size) for file in version.files} == _tree(ours)
    # Two pages, so the SDK followed a cursor.
    assert 2 == sum("fileurls" in name.lower() for name in asked)
