"""Every scenario once more, when an earlier download left some of the object: the same ends, and never a wrong byte."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import pytest

import asyncdl
from asyncdl.model import RemoteObject
from asyncdl.rules.head import Head
from asyncdl.rules.held import Held
from asyncdl.rules.journal import State, compacted
from asyncdl.testing.objects import LAST_MODIFIED, etag_of
from asyncdl.testing.scenarios import ALL, Scenario, Stage, staged
from tests.hostile.test_rows import attempt, everybody_left, told
from tests.support.flow import PART

#: What is there, in parts of 64 KiB: the first bytes, so that one byte is fetched to see whose they are; or later ones,
#: so that whatever comes first is of use.
LEFT = {"its beginning": [(0, 3)], "its middle": [(2, 5), (7, 8)]}
#: Rows with servers that have no ranges, or no strong validator.
WHOLE = {"A01", "A02", "A12", "A13", "A17", "A21", "A22", "A26", "A37", "A81"}
#: So many the smallest object must have.
ENOUGH = 9


def leave(stage: Stage, dest: Path, parts: list[tuple[int, int]]) -> None:
    """What a download that was killed leaves: the bytes, zeros where none came, and what speaks of them."""
    content = stage.versions[0]
    part = dest.with_name(dest.name + ".part")
    held = tuple(Held(start * PART, stop * PART) for start, stop in parts)
    with part.open("wb") as file:
        file.truncate(content.size)
        for span in held:
            file.seek(span.start)
            file.write(content.read(span.start, span.stop))
    remote = RemoteObject(
        content.size,
        stage.scenario.object.get("etag", etag_of(content)),
        stage.scenario.object.get("last_modified", LAST_MODIFIED),
    )
    if remote.etag and remote.etag.startswith("W/"):
        remote = RemoteObject(content.size, None, remote.last_modified, weak_etag=remote.etag)
    head = Head.of(remote, inode=part.stat().st_ino)
    part.with_name(part.name + ".journal").write_bytes(compacted(State(head=head, owner="earlier", held=held)))


@pytest.mark.parametrize("left", LEFT)
@pytest.mark.parametrize(
    "scenario", [scenario for scenario in ALL if scenario.size is None or scenario.size >= ENOUGH * PART], ids=str
)
async def test_scenario(scenario: Scenario, left: str, tmp_path: Path, no_leaks: object) -> None:
    """The object byte for byte, or an error that the scenario allows; which it is may depend on what was there."""
    folder = tmp_path / "download"
    folder.mkdir()
    dest = folder / "file"

    async with staged(scenario, tmp_path) as stage:
        await asyncio.to_thread(leave, stage, dest, LEFT[left])
        ended = await attempt(stage, dest, 4)
        for origin in stage.origins.values():
            await origin.ledger.until(partial(everybody_left, origin))
        brought = await asyncio.to_thread(stage.brought, dest)
        poisoned = await asyncio.to_thread(stage.poisoned, folder)
        leaks = told(stage)

    assert [] == poisoned
    assert set() == leaks
    if isinstance(ended, asyncdl.Result):
        assert "whole" == brought
        assert ["file"] == [path.name for path in folder.iterdir()]
        assert stage.size <= ended.fetched + ended.resumed
        assert ended.resumed or scenario.row in WHOLE
        assert not scenario.errors or scenario.harmless
    else:
        assert ended.code in scenario.errors, repr(ended)
        assert "nothing" == brought
