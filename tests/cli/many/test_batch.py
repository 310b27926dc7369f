"""Batches from lists, as a process against a real server: every format, what fails, what is refused, what is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from asyncdl.testing import Fault, Origin
from tests.support.command import run, start

_SIZE = 100_000
_NAMES = ("a.bin", "d/b.bin", "d/e/c d.bin")


def _files(origin: Origin, *names: str) -> dict[str, str]:
    """Objects under these names, and their URLs."""
    for name in names:
        origin.add("/" + name.replace(" ", "%20"), _SIZE + len(name))
    return {name: origin.url("/" + name.replace(" ", "%20")) for name in names}


def _there(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def _assert_complete(origin: Origin, folder: Path, *names: str) -> None:
    differences = {
        name: origin.content("/" + name.replace(" ", "%20")).first_difference(folder / name) for name in names
    }
    assert dict.fromkeys(names) == differences


def _as_list(kind: str, origin: Origin, urls: dict[str, str]) -> tuple[str, str]:
    """A list in that format, and the name that it goes by."""
    sums = {name: origin.content("/" + name.replace(" ", "%20")).sha256() for name in urls}
    match kind:
        case "aria2":
            rows = (f"{url}\n  out={name}\n  checksum=sha-256={sums[name]}\n" for name, url in urls.items())
            return "list.txt", "".join(rows)
        case "jsonl":
            rows = (json.dumps({"url": url, "out": name, "sha256": sums[name]}) + "\n" for name, url in urls.items())
            return "list.jsonl", "".join(rows)
        case "csv":
            rows = (f'{url},"{name}",{sums[name]}\n' for name, url in urls.items())
            return "list.csv", "url,out,sha256\n" + "".join(rows)
        case "checksums":
            return "SHA256SUMS", "".join(f"{digest}  {name}\n" for name, digest in sums.items())
        case _:
            rows = (
                f'<file name="{name}"><hash type="sha-256">{sums[name]}</hash><url>{url}</url></file>\n'
                for name, url in urls.items()
            )
            return "list.meta4", f'<metalink xmlns="urn:ietf:params:xml:ns:metalink">{"".join(rows)}</metalink>'


@pytest.mark.parametrize("kind", ["aria2", "jsonl", "csv", "checksums", "metalink"])
async def test_every_format(kind: str, origin: Origin, tmp_path: Path) -> None:
    """B8: the files are there, whole and verified, in the directories that their names say."""
    urls = _files(origin, *_NAMES)
    name, text = _as_list(kind, origin, urls)
    (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "to").mkdir()
    base = ("--base-url", origin.base_url) if kind == "checksums" else ()
    ended = await run("-i", tmp_path / name, "-d", tmp_path / "to", "--json", *base)

    assert (0, "") == (ended.code, ended.err)
    assert sorted(_NAMES) == _there(tmp_path / "to")
    _assert_complete(origin, tmp_path / "to", *_NAMES)
    assert 3 == sum(event["checksum"].startswith("sha256:") for event in ended.of("finished"))


async def test_plain_urls(origin: Origin, tmp_path: Path) -> None:
    """Names are made from the URLs, and a table says what was done; a second run skips all."""
    _files(origin, "a.bin", "b.bin")
    signed = [origin.presign(path, ttl=60) for path in ("/a.bin", "/b.bin")]
    (tmp_path / "list").write_text("# both\n" + "\n".join(signed))
    first = await run("-i", "list", "-d", tmp_path, cwd=tmp_path)
    second = await run("-i", "list", "-d", tmp_path, cwd=tmp_path)

    first.assert_silent_on(*signed)
    assert (0, 0) == (first.code, second.code)
    _assert_complete(origin, tmp_path, "a.bin", "b.bin")
    assert ["files     2 files: 2 downloaded", "bytes     195.3 KiB"] == first.err.splitlines()[-4:-2]
    assert "files     2 files: 2 skipped" in second.err.splitlines()


async def test_rows_that_fail(origin: Origin, tmp_path: Path) -> None:
    """Each for itself, by name and line, and the others come; the table names them again."""
    urls = _files(origin, "a.bin", "b.bin", "c.bin")
    text = f"{urls['a.bin']}\nnonsense\n{origin.url('/missing')}\n{urls['b.bin']}\n x=y\n{urls['c.bin']}\n split=2\n"
    (tmp_path / "list").write_text(text)
    ended = await run("-i", "list", cwd=tmp_path)
    lines = ended.err.splitlines()

    assert 1 == ended.code
    assert ["a.bin", "c.bin", "list"] == _there(tmp_path)
    assert "asyncdl: note: list: split is not heeded" in lines
    assert "asyncdl: error: list: line 2: the URL is malformed" in lines
    assert "asyncdl: error: list: line 4: option x is none that is heeded here" in lines
    assert any(line.startswith("asyncdl: error: missing: the server answered 404") for line in lines)
    assert "files     5 files: 2 downloaded, 3 failed" in lines
    assert any(line.startswith("  http-status  missing (line 3): ") for line in lines[lines.index("failed") :])


async def test_events(origin: Origin, tmp_path: Path) -> None:
    """Each with its line; the last one is the summary."""
    urls = _files(origin, "a.bin")
    signed = origin.presign("/missing", ttl=60)
    ended = await run("-i", "-", "--json", "-d", tmp_path, stdin=f"{urls['a.bin']}\n{signed}\nnonsense\n")
    (finished,), failed, (summary,) = ended.of("finished"), ended.of("failed"), ended.of("summary")

    ended.assert_silent_on(signed)
    assert summary == ended.events[-1]
    assert (1, str(tmp_path / "a.bin"), "downloaded") == (finished["line"], finished["path"], finished["outcome"])
    assert {(2, "http-status", 3, str(tmp_path / "missing")), (3, "options", 2, None)} == {
        (event["line"], event["code"], event["exit_code"], event["path"]) for event in failed
    }
    assert (3, 1, 0, 2, _SIZE + 5, 1) == tuple(
        summary[key] for key in ("files", "downloaded", "skipped", "failed", "size", "exit_code")
    )


@pytest.mark.parametrize(
    ("text", "argv", "code"),
    [
        ("{base}/missing\n{base}/gone\n", [], 3),
        ("{base}/missing\nnonsense\n", [], 1),
        ("nonsense\n", [], 2),
        ("", [], 0),
        ("{base}/a.bin\n out=x/a\n{base}/a.bin\n out=x/b\n", ["--if-exists", "error"], 0),
        ("[", [], 2),
        ("{base}/silent\n", ["--max-time", "0.5"], 5),
        ("{base}/silent\n{base}/silent\n out=b\n", ["--batch-time", "0.5", "-j", "1"], 5),
        ('{{"url": "{base}/a.bin", "size": 17}}\n', [], 7),
        ("{base}/a.bin\n dir=obstacle\n", [], 6),
    ],
)
async def test_exit_codes(text: str, argv: list[str], code: int, origin: Origin, tmp_path: Path) -> None:
    """That of all, where they share one; otherwise 1."""
    _files(origin, "a.bin", "silent")
    origin.script(Fault(path="/silent", stall_headers=True))
    (tmp_path / "list").write_text(text.format(base=origin.base_url))
    (tmp_path / "obstacle").write_text("no directory")
    ended = await run("-i", "list", "-q", *argv, cwd=tmp_path)

    assert code == ended.code, ended.err
    assert ("" == ended.err) == (code == 0)


async def test_no_list(tmp_path: Path) -> None:
    """One line, and nothing is made of it."""
    ended = await run("-i", "missing", "--json", "-d", tmp_path, cwd=tmp_path)

    assert 2 == ended.code
    assert ["asyncdl: error: missing: the list cannot be read: No such file or directory"] == ended.err.splitlines()
    assert ["failed"] == [event["event"] for event in ended.events]


async def test_a_list_that_breaks_off(origin: Origin, tmp_path: Path) -> None:
    """What came before is downloaded; then the list's fault is told, and it counts."""
    urls = _files(origin, "a.bin")
    text = (
        f'<metalink xmlns="urn:ietf:params:xml:ns:metalink">\n<file name="a.bin"><url>{urls["a.bin"]}</url></file>\n<'
    )
    (tmp_path / "list.meta4").write_text(text)
    ended = await run("-i", "list.meta4", cwd=tmp_path)

    assert 1 == ended.code
    _assert_complete(origin, tmp_path, "a.bin")
    assert "asyncdl: error: list.meta4: line 3: not well-formed XML: unclosed token" in ended.err.splitlines()
    assert "files     1 file: 1 downloaded" in ended.err.splitlines()


async def test_names_that_leave_the_directory(origin: Origin, tmp_path: Path) -> None:
    """E07: in whatever way; nothing is written outside, and what is right comes."""
    (url,) = _files(origin, "a.bin").values()
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    (inside / "link").symlink_to("../outside")
    names = ["../x", f"{outside}/x", "link/x", "a/../../x", "C:x", "..\\x", "link", "ok/x"]
    rows = [json.dumps({"url": url, "out": name}) for name in names]
    rows += [json.dumps({"url": url, "out": "x", "dir": folder}) for folder in ("..", str(outside), "link")]
    rows += [json.dumps({"url": url, "out": "y", "dir": str(inside / "ok")})]
    ended = await run("-i", "-", "--json", "-d", inside, stdin="\n".join(rows))

    assert 1 == ended.code
    assert [] == list(outside.iterdir())
    assert ["ok/x", "ok/y"] == _there(inside)
    assert len(rows) - 2 == len(ended.of("failed"))


async def test_names_that_meet(origin: Origin, tmp_path: Path) -> None:
    """The first keeps its name, the later rows fail, and the first is whole."""
    urls = _files(origin, "first", "second")
    names = ["x", "X", "x.part", "x/y", "./x", "x.part.journal"]
    rows = [
        json.dumps({"url": urls["second" if number else "first"], "out": name}) for number, name in enumerate(names)
    ]
    ended = await run("-i", "-", "-q", "-d", tmp_path, stdin="\n".join(rows))

    assert 1 == ended.code
    assert ["x"] == _there(tmp_path)
    assert origin.content("/first").first_difference(tmp_path / "x") is None
    assert 5 == ended.err.count("asyncdl: error: standard input: line ")


async def test_standard_input_is_read_as_it_comes(origin: Origin, tmp_path: Path) -> None:
    """A file is there while the list is still being written, and several are under way meanwhile."""
    urls = _files(origin, "a.bin", "b.bin")
    command = await start("-i", "-", "--json", "-d", tmp_path)
    for name in ("a.bin", "b.bin"):
        await command.write(urls[name] + "\n#\n")
        await command.write("# the row above has ended when another begins\nnonsense\n")
        while json.loads(await command.line())["event"] != "finished":
            pass
        _assert_complete(origin, tmp_path, name)
    ended = await command.end()

    assert (1, 2) == (ended.code, len(ended.of("finished")))


async def test_so_many_at_a_time(origin: Origin, tmp_path: Path) -> None:
    """`-j`; a host is asked for no more at once than that, where each file is one request."""
    urls = _files(origin, *(f"{number}.bin" for number in range(12)))
    origin.latency = 0.25
    text = "\n".join(urls.values())
    ended = await run("-i", "-", "-j", "3", "-q", "-d", tmp_path, stdin=text)

    assert 0 == ended.code
    assert 3 == origin.ledger.max_in_flight()


async def test_options_of_rows(origin: Origin, tmp_path: Path) -> None:
    """Headers of the row win over those of the command line, and `if_exists` over the command's."""
    urls = _files(origin, "a.bin", "b.bin")
    for name in ("a.bin", "b.bin"):
        (tmp_path / name).write_bytes(b"old")
    rows = [
        json.dumps({"url": urls["a.bin"], "headers": {"x-a": "row"}, "if_exists": "replace"}),
        json.dumps({"url": urls["b.bin"]}),
    ]
    ended = await run("-i", "-", "--json", "-H", "X-A: all", "-H", "X-B: all", "-d", tmp_path, stdin="\n".join(rows))
    seen = {
        (record.path, record.headers.get("X-A"), record.headers.get("X-B")) for record in origin.ledger.data_requests()
    }

    assert 1 == ended.code
    assert {("/a.bin", "row", "all"), ("/b.bin", "all", "all")} == seen
    assert ["destination-exists"] == [event["code"] for event in ended.of("failed")]
    _assert_complete(origin, tmp_path, "a.bin")


async def test_several_urls_and_a_list(origin: Origin, tmp_path: Path) -> None:
    """The command line goes first, and has a list of checksums for itself alone; both are one batch."""
    urls = _files(origin, "a.bin", "b.bin")
    digest = origin.content("/a.bin").sha256()
    (tmp_path / "SUMS").write_text(f"{digest}  a.bin\n")
    argv = (urls["a.bin"], "-i", "-", "--json", "--checksum", "@SUMS")
    ended = await run(*argv, cwd=tmp_path, stdin=urls["b.bin"])

    assert 0 == ended.code
    assert {("a.bin", f"sha256:{digest}"), ("b.bin", None)} == {
        (event["path"], event["checksum"]) for event in ended.of("finished")
    }


async def test_many_rows_and_few_descriptors(origin: Origin, tmp_path: Path) -> None:
    """A thousand small files in deep directories, compressed with gzip, over one pool."""
    import gzip

    origin.add("/x", 1000)
    rows = "".join(f"{origin.url('/x')}\n out={number % 7}/{number % 11}/{number}\n" for number in range(1000))
    (tmp_path / "list.gz").write_bytes(gzip.compress(rows.encode()))
    (tmp_path / "to").mkdir()
    ended = await run("-i", "list.gz", "--json", "-d", "to", cwd=tmp_path)

    assert 0 == ended.code
    assert 1000 == len(_there(tmp_path / "to")) == ended.of("summary")[0]["downloaded"]
    assert 32 >= len({record.connection for record in origin.ledger.requests})


@pytest.mark.parametrize("argv", [["--only", "x"], ["--base-url", "https://h/"], ["--input-format", "csv"]])
async def test_options_of_lists_need_one(argv: list[str]) -> None:
    """They would be without effect."""
    ended = await run("https://h/a", *argv)

    assert (2, True) == (ended.code, "-i gives none" in ended.err)
