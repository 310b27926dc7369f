"""What failed, fed back: the list of failures, what it never holds, and batches that are run until they are done."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path

import pytest

from asyncdl.testing import Fault, Origin
from tests.support.command import WITHIN, run, start

_SIZE = 100_000


def _records(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


async def test_failures_are_fed_back(origin: Origin, tmp_path: Path) -> None:
    """With all that the rows said; and when nothing fails any more the list is empty."""
    content = origin.add("/a", _SIZE)
    origin.add("/b", _SIZE)
    row = {"url": origin.url("/a"), "out": "x/a", "size": _SIZE, "checksum": f"sha256:{content.sha256()}"}
    origin.script(Fault(path="/a", status=404, times=1))
    command = ("--failed", "failed.jsonl", "-q")
    first = await run(
        "-i", "-", *command, cwd=tmp_path, stdin=f"{json.dumps(row)}\n" + json.dumps({"url": origin.url("/b")})
    )
    (record,) = _records(tmp_path / "failed.jsonl")
    second = await run("-i", "failed.jsonl", *command, cwd=tmp_path)

    assert (1, 0) == (first.code, second.code)
    assert row == {name: record[name] for name in row}
    assert ("-", 1, "http-status") == (record["input"], record["line"], record["code"])
    assert content.first_difference(tmp_path / "x/a") is None
    assert [] == _records(tmp_path / "failed.jsonl")


async def test_lists_are_no_destinations(origin: Origin, tmp_path: Path) -> None:
    """A row does not replace the list it is in, nor is a file replaced by the list of failures."""
    origin.add("/a", _SIZE)
    names = ["list.jsonl", "Failed.jsonl", "x/../failed.jsonl.new", "failed.jsonl.new", "a"]
    rows = [{"url": origin.url("/a"), "out": name, "if_exists": "replace"} for name in names]
    text = "\n".join(map(json.dumps, rows))
    (tmp_path / "list.jsonl").write_text(text)

    done = await run("-i", "list.jsonl", "--failed", "failed.jsonl", "-q", cwd=tmp_path)

    assert (1, text) == (done.code, (tmp_path / "list.jsonl").read_text())
    assert [1, 2, 3, 4] == [record["line"] for record in _records(tmp_path / "failed.jsonl")]
    assert {"a", "failed.jsonl", "list.jsonl"} == {path.name for path in tmp_path.iterdir()}


async def test_a_key_is_not_written(origin: Origin, tmp_path: Path) -> None:
    """Neither a signed URL nor a row's headers; `--only` takes those lines from the list itself."""
    origin.add("/a", _SIZE)
    origin.add("/b", _SIZE)
    origin.add("/c", _SIZE)
    origin.script(Fault(path="/a", status=404, times=1), Fault(path="/b", status=404, times=1))
    signed = origin.presign("/a", ttl=60)
    rows = [
        {"url": origin.url("/c")},
        {"url": signed, "out": "x"},
        {"url": origin.url("/b"), "headers": {"X-Token": "hunter2secret"}},
        {"url": "https://user:hunter2secret@127.0.0.1:1/", "out": "y"},
        {"url": "nonsense?sig=hunter2secret"},
    ]
    (tmp_path / "list.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    command = ("-i", "list.jsonl", "--failed", "failed", "--json", "--retries", "0")
    first = await run(*command, cwd=tmp_path)
    written = (tmp_path / "failed").read_text()
    records = _records(tmp_path / "failed")
    refed = await run("-i", "failed", "--input-format", "jsonl", "-q", cwd=tmp_path)
    again = await run(*command, "--only", "failed", cwd=tmp_path)

    first.assert_silent_on(signed, files=(tmp_path / "failed",))
    assert "hunter2secret" not in written + first.out + first.err + refed.err
    assert {(2, "x"), (3, "b"), (4, "y"), (5, None)} == {(record["line"], record.get("out")) for record in records}
    assert [] == [record for record in records if "url" in record]
    assert (2, 4) == (refed.code, refed.err.count("the URL was left out of this list"))
    assert {2, 3, 4, 5} == {event["line"] for event in again.of("finished") + again.of("failed")}
    assert {2, 3} == {event["line"] for event in again.of("finished")}


@pytest.mark.parametrize("text", ["nonsense", "[1]", '{"line": "x"}', '{"line": true}', "7", '{"out": "a"}'])
async def test_only_reads_such_lists(text: str, tmp_path: Path) -> None:
    """Any other file is a slip, and nothing is downloaded instead."""
    (tmp_path / "list").write_text("https://h/a\n")
    (tmp_path / "failed").write_text(text + "\n")
    ended = await run("-i", "list", "--only", "failed", "-q", cwd=tmp_path)

    assert (2, True) == (ended.code, "failed, line 1: names no line of a list" in ended.err)


@pytest.mark.parametrize("place", ["no/such/directory/failed", "."])
async def test_a_list_of_failures_that_cannot_be_written(place: str, origin: Origin, tmp_path: Path) -> None:
    """It is known before anything begins."""
    ended = await run("-i", "-", "--failed", place, "-q", cwd=tmp_path, stdin=origin.url("/a"))

    assert (6, []) == (ended.code, origin.ledger.requests)
    assert ended.err.startswith("asyncdl: error: cannot write ")


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
@pytest.mark.parametrize(("number", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
async def test_interrupted_and_run_again(number: str, code: int, origin: Origin, tmp_path: Path) -> None:
    """B9: in the middle of several files; no file looks complete that is not, and none is fetched twice."""
    for name in range(20):
        origin.add(f"/{name}", _SIZE)
    origin.add("/large", 24 << 20)
    rows = [json.dumps({"url": origin.url(f"/{name}"), "size": _SIZE}) for name in range(20)]
    rows.insert(10, json.dumps({"url": origin.url("/large"), "size": 24 << 20}))
    origin.script(Fault(path="/large", stall_after=1 << 20))
    (tmp_path / "list.jsonl").write_text("\n".join(rows))
    (tmp_path / "to").mkdir()
    command = ("-i", "list.jsonl", "-d", "to", "--json", "--failed", "failed")
    process = await start(*command, cwd=tmp_path)
    finished = 0
    while finished < 20:
        finished += json.loads(await process.line())["event"] == "finished"
    async with asyncio.timeout(WITHIN):
        await origin.ledger.until(lambda: origin.ledger.bytes_sent("/large") >= 1 << 20)
    process.process.send_signal(signal.Signals[number])
    interrupted = await process.end()
    names = sorted(path.name for path in (tmp_path / "to").iterdir() if ".part" not in path.name)

    assert (code, False) == (interrupted.code, "Traceback" in interrupted.err)
    assert sorted(map(str, range(20))) == names
    assert [] == _records(tmp_path / "failed")
    assert ("summary", 20, code) == tuple(interrupted.events[-1][key] for key in ("event", "downloaded", "exit_code"))
    assert ["interrupted"] == [event["code"] for event in interrupted.of("failed")]
    assert f"asyncdl: interrupted by {number}" in interrupted.err.splitlines()

    origin.faults.clear()
    before = len(origin.ledger.requests)
    ended = await run(*command, cwd=tmp_path)

    assert (0, 1, 20) == (ended.code, ended.of("summary")[0]["downloaded"], ended.of("summary")[0]["skipped"])
    assert {"/large"} == {record.path for record in origin.ledger.requests[before:]}
    assert origin.content("/large").first_difference(tmp_path / "to/large") is None


async def test_run_until_done(origin: Origin, tmp_path: Path) -> None:
    """Files that are complete, and whose size the list says, cost no request the next time."""
    for name in range(8):
        origin.add(f"/{name}", _SIZE)
    origin.script(*(Fault(path=f"/{name}", status=404, times=1) for name in range(0, 8, 2)))
    rows = [json.dumps({"url": origin.url(f"/{name}"), "size": _SIZE}) for name in range(8)]
    (tmp_path / "list.jsonl").write_text("\n".join(rows))
    codes = [(await run("-i", "list.jsonl", "-q", cwd=tmp_path)).code for _ in range(3)]

    assert [1, 0, 0] == codes
    assert dict.fromkeys((f"/{name}" for name in range(8)), _SIZE) == {
        f"/{name}": origin.ledger.bytes_sent(f"/{name}") for name in range(8)
    }
