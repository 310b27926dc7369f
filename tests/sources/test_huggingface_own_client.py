"""The Hub of these tests, asked by huggingface_hub itself: what its client takes from it is what is there."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from asyncdl.options import Options
from asyncdl.sources.huggingface import HubRepo
from asyncdl.testing import Content, Origin
from tests.support.flow import PART, QUICK, fetch
from tests.support.hub import TOKEN, running

_SCRIPT = """
import sys
from huggingface_hub import hf_hub_download, snapshot_download
where = sys.argv[1]
print(hf_hub_download("org/model", "weights/model.bin", local_dir=where + "/one"))
print(snapshot_download("org/data", repo_type="dataset", revision="feature/x", local_dir=where + "/all"))
"""


@pytest.mark.parametrize("cached", [False, True], ids=["straight", "cached"])
async def test_its_own_client_takes_the_same_bytes(
    origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cached: bool
) -> None:
    """One file and a whole repository, with a token; and asyncdl brings the same."""
    async with running(origin) as hub:
        model, data = hub.large(5 * PART + 7), hub.large(3 * PART, seed=2)
        hub.repo("models/org/model", readers={TOKEN}).commit({"weights/model.bin": model, "config.json": b"{}"})
        files: dict[str, bytes | Content] = {
            "a b/c.bin": data,
            "README.md": b"read me\n",
            **{f"n/{n}.txt": b"%d" % n for n in range(20)},
        }
        hub.repo("datasets/org/data", readers={TOKEN}).commit(files, "feature/x")
        hub.page, hub.cached = 7, cached
        environment = os.environ | {
            "HF_ENDPOINT": hub.url,
            "HF_TOKEN": TOKEN,
            "HF_HOME": str(tmp_path / "home"),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "NO_PROXY": "127.0.0.1",
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _SCRIPT, str(tmp_path), env=environment, stderr=asyncio.subprocess.PIPE
        )
        _, said = await process.communicate()
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        repo = HubRepo(
            "org/data", revision="feature/x", kind="datasets", token=TOKEN, options=Options(use_environment=False)
        )
        async for file in repo.files():
            path = tmp_path / "ours" / file.name
            path.parent.mkdir(parents=True, exist_ok=True)
            await fetch(file.source, path, checksum=file.checksum, size=file.size, timeouts=QUICK)
        await repo.aclose()

    def tree(root: Path) -> dict[str, bytes]:
        found = {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        return {name: content for name, content in found.items() if not name.startswith(".cache/")}

    assert 0 == process.returncode, said.decode()
    assert model.first_difference(tmp_path / "one/weights/model.bin") is None
    assert {name: each if isinstance(each, bytes) else each.read(0, each.size) for name, each in files.items()} == tree(
        tmp_path / "all"
    )
    assert tree(tmp_path / "all") == tree(tmp_path / "ours")
