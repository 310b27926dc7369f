"""The scenarios as a whole: complete, named apart, and as the documentation shows them."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest

from asyncdl.testing import Content, Fault
from asyncdl.testing.scenarios import ALL, Row, Scenario, __main__, staged
from asyncdl.testing.scenarios.specification import markdown

ROOT = Path(__file__).parents[2]


def test_names_are_unique() -> None:
    """A name is how a scenario is asked for."""
    names = [str(scenario) for scenario in ALL]

    assert sorted(set(names)) == sorted(names)


def test_scenarios_say_what_they_are_about() -> None:
    """Each row reads as a sentence, and says where it comes from."""
    for scenario in ALL:
        assert all((scenario.server, scenario.client, scenario.source)), scenario
        assert not scenario.server.endswith("."), scenario


def test_a_row_has_one_meaning() -> None:
    """The same id never stands for two behaviours."""
    meanings = {(scenario.row, scenario.server, scenario.client) for scenario in ALL}

    assert len({row for row, _, _ in meanings}) == len(meanings)


def test_documentation_is_up_to_date() -> None:
    """`python -m asyncdl.testing.scenarios --markdown > docs/scenarios.md` was not forgotten."""
    assert markdown(ALL) == (ROOT / "docs" / "scenarios.md").read_text(encoding="utf-8")


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    """Without an argument, all names, one in each line."""
    assert 0 == __main__.main([])
    assert [str(scenario) for scenario in ALL] == capsys.readouterr().out.splitlines()


def test_unknown_name(capsys: pytest.CaptureFixture[str]) -> None:
    """A name that is none is a mistake of usage."""
    with pytest.raises(SystemExit) as ended:
        __main__.main(["A99 nothing"])

    assert 2 == ended.value.code
    assert "A99 nothing" in capsys.readouterr().err


async def test_scenario_in_a_process_of_its_own(may_block: None) -> None:
    """What a client in another language gets: one line of JSON, and a server behind it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "asyncdl.testing.scenarios",
        "A02 and says so",
        "--size",
        "64K",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    assert process.stdout is not None
    async with asyncio.timeout(100):
        line = json.loads(await process.stdout.readline())
        with urlopen(line["url"]) as response:
            body = response.read()
        await process.communicate(b"")

    assert Content(1, 64 << 10).read(0, 64 << 10) == body
    assert Content(1, 64 << 10).sha256() == line["sha256"]
    assert 0 == process.returncode


async def test_what_a_client_brought_is_judged(tmp_path: Path, may_block: None) -> None:
    """Whole, wrong, nothing; a second version is as good as the first, a mixture is not."""
    scenario = Row("A36", "replaces", "notices")("once", Fault(seed=2))
    path = tmp_path / "file"

    async with staged(scenario, tmp_path) as stage:
        found = [stage.brought(path)]
        for content in (Content(1, stage.size), Content(2, stage.size)):
            path.write_bytes(content.read(0, stage.size))
            found.append(stage.brought(path))
        path.write_bytes(Content(1, 1000).read(0, 1000) + Content(2, stage.size).read(1000, stage.size))
        found.append(stage.brought(path))

    assert ["nothing", "whole", "whole", "wrong"] == found


@pytest.mark.parametrize("scenario", [next(scenario for scenario in ALL if scenario.skin)], ids=str)
async def test_first_url_of_the_provider_is_the_url(scenario: Scenario, tmp_path: Path) -> None:
    """A client with renewal and one without begin alike."""
    async with staged(scenario, tmp_path) as stage:
        assert stage.url == await stage.provider()
        assert stage.url != await stage.provider()
