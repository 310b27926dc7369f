"""The command as a function, with a download that is not the engine's: what it is asked, what is made of its end."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from asyncdl.cli import jobs
from asyncdl.cli.main import main
from asyncdl.errors import ConnectError, DestinationExistsError, OptionsError
from asyncdl.model import Mirrors, Outcome, Phase, Progress, Result, SignedUrl

if TYPE_CHECKING:
    from collections.abc import Callable

_URL = "https://host/a.bin?X-Amz-Signature=hunter2secret"


class _Engine:
    """Remembers what it was asked and ends as told, file by file."""

    def __init__(self, *ends: Exception | None) -> None:
        self.ends = list(ends)
        self.asked: list[tuple[Any, Path, dict[str, Any]]] = []

    async def __call__(self, source: Any, dest: Path, **options: Any) -> Result:
        self.asked.append((source, dest, options))
        error = self.ends.pop(0) if self.ends else None
        phase = Phase.FAILED if error else Phase.FINISHED
        options["on_progress"](Progress(done=3, total=3, rate=1.0, eta=None, elapsed=1.0, phase=phase))
        if error:
            raise error
        return Result(path=dest, outcome=Outcome.DOWNLOADED, size=3, elapsed=1.0, requests=1)


def test_one_file(capsys: pytest.CaptureFixture[str]) -> None:
    """Source, path and options as given; a summary on standard error, nothing on standard output."""
    engine = _Engine()
    code = main([_URL, "-d", "dir", "-x", "3", "-H", "A: b", "--size", "3"], download=engine, environ={})
    source, dest, options = engine.asked[0]
    said = capsys.readouterr()

    assert (0, _URL, Path("dir/a.bin")) == (code, source, dest)
    assert (3, 3, (("A", "b"),), "skip") == (
        options["options"].connections,
        options["size"],
        options["headers"],
        options["if_exists"],
    )
    assert "" == said.out
    assert said.err.endswith("dir/a.bin: 3 B in 1.0 s, 0 B/s, 1 request, 0 retries, 0 refreshes\n")


def test_mirrors() -> None:
    """Other places of the file are given along with its URL, which names it."""
    engine = _Engine()
    code = main([_URL, "--mirror", "https://b/x", "--mirror", "https://c/y"], download=engine, environ={})
    source, dest, _ = engine.asked[0]

    assert (0, Path("a.bin")) == (code, dest)
    assert Mirrors([_URL, "https://b/x", "https://c/y"]) == source


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ((None, None), 0),
        ((ConnectError("x"), None), 1),
        ((ConnectError("x"), ConnectError("y")), 3),
        ((ConnectError("x"), DestinationExistsError("y")), 1),
        ((RuntimeError("bug"), None), 1),
    ],
)
def test_several_files(ends: tuple[Exception | None, ...], expected: int) -> None:
    """One after the other; one that fails does not stop the next."""
    engine = _Engine(*ends)
    code = main(["https://host/a", "https://host/b", "-q"], download=engine, environ={})

    assert (expected, ["a", "b"]) == (code, [dest.name for _, dest, _ in engine.asked])


def test_a_fault_of_our_own_is_told_without_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 70, one line, no signature."""
    code = main([_URL], download=_Engine(RuntimeError(f"bug with {_URL}")), environ={})
    said = capsys.readouterr().err

    assert 70 == code
    assert "asyncdl: error: unexpected RuntimeError: bug with https://host/a.bin" in said
    assert "Traceback" not in said
    assert "hunter2secret" not in said


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["https://host/a", "https://host/b", "-d", "dir"], "asyncdl: error: dir/b: lost\n"),
        (["https://host/b", "-d", "dir"], "asyncdl: error: lost\n"),
    ],
)
def test_an_error_names_its_file(argv: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Where there are several; with one there is no question."""
    ends = [None, ConnectError("lost")][-len(argv) + 2 :]
    main([*argv, "-q"], download=_Engine(*ends), environ={})

    assert expected == capsys.readouterr().err


@pytest.mark.parametrize(
    "argv", [["https://host/a", "https://other/a"], ["https://host/"], ["https://host/a", "https://h/.."]]
)
def test_names_are_settled_before_anything_starts(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Two files with one name, or none, are wrong usage."""
    engine = _Engine()

    assert (2, []) == (main(argv, download=engine, environ={}), engine.asked)
    assert capsys.readouterr().err.startswith("asyncdl: error: ")


def test_the_engine_may_find_wrong_usage_too() -> None:
    """Its OptionsError has the same code."""
    assert 2 == main([_URL, "-q"], download=_Engine(OptionsError("x")), environ={})


async def _calls(source: Callable[..., Any]) -> list[str]:
    return [await source(None), await source(SignedUrl("https://host/dead"))]


_SUMS = "".join(f"{digit * 32}  {name}\n" for digit, name in (("1", "a.bin"), ("2", "b.bin"), ("3", "o")))


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ([_URL], ["md5:" + "1" * 32]),
        ([_URL, "https://host/b.bin"], ["md5:" + "1" * 32, "md5:" + "2" * 32]),
        ([_URL, "-o", "x/o"], ["md5:" + "3" * 32]),
    ],
)
def test_list_of_checksums(argv: list[str], expected: list[str], tmp_path: Path) -> None:
    """D5: each file has that of its own name."""
    (tmp_path / "MD5SUMS").write_text("\ufeff" + _SUMS, encoding="utf-8")
    engine = _Engine()

    assert 0 == main([*argv, "-q", "--checksum", f"@{tmp_path}/MD5SUMS"], download=engine, environ={})
    assert expected == [str(options["checksum"]) for _, _, options in engine.asked]


def test_one_checksum_or_none() -> None:
    """As given, and nothing where nothing was."""
    engine = _Engine()
    main([_URL, "-q", "--checksum", "md5:" + "1" * 32], download=engine, environ={})
    main([_URL, "-q"], download=engine, environ={})

    assert ["md5:" + "1" * 32, "None"] == [str(options["checksum"]) for _, _, options in engine.asked]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "cannot be read: No such file or directory"),
        (_SUMS.replace("a.bin", "c.bin"), "MD5SUMS has no checksum of a.bin"),
        (_SUMS + f"{'4' * 32}  a.bin\n", "the list has several md5 checksums of a.bin"),
        ("x" * 100, "too long for a list"),
    ],
)
def test_list_without_the_checksum(
    text: str | None, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is downloaded unverified because of a slip."""
    if words.startswith("too long"):
        monkeypatch.setattr(jobs, "_LONGEST_LIST", 99)
    if text is not None:
        (tmp_path / "MD5SUMS").write_text(text, encoding="utf-8")
    engine = _Engine()
    code = main([_URL, "https://host/b.bin", "--checksum", f"@{tmp_path}/MD5SUMS"], download=engine, environ={})

    assert (2, []) == (code, engine.asked)
    assert words in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="the command is for a POSIX shell")
def test_list_that_is_not_there_runs_no_command(tmp_path: Path) -> None:
    """What is wrong with the command line is said before anything is started."""
    argv = [
        "--refresh-shell",
        "--refresh-command",
        f"touch {tmp_path}/ran; echo {_URL}",
        "--checksum",
        f"@{tmp_path}/SHA256SUMS",
        "-q",
    ]

    assert 2 == main(argv, download=_Engine(), environ={})
    assert not (tmp_path / "ran").exists()


class _AskingEngine(_Engine):
    """Asks its source for two URLs first."""

    def __init__(self) -> None:
        super().__init__()
        self.urls: list[str] = []

    async def __call__(self, source: Any, dest: Path, **options: Any) -> Result:
        self.urls = await _calls(source)
        return await super().__call__(source, dest, **options)


@pytest.mark.skipif(sys.platform == "win32", reason="the command is for a POSIX shell")
@pytest.mark.parametrize(
    ("argv", "name", "urls"),
    [
        (["https://host/first"], "first", ["https://host/first", "https://host/n.bin?c=1"]),
        (["https://host/first", "-o", "o"], "o", ["https://host/first", "https://host/n.bin?c=1"]),
        (["-o", "o"], "o", ["https://host/n.bin?c=1", "https://host/n.bin?c=2"]),
        ([], "n.bin", ["https://host/n.bin?c=1", "https://host/n.bin?c=2"]),
    ],
)
def test_refresh_command(argv: list[str], name: str, urls: list[str], tmp_path: Path) -> None:
    """It serves the later URLs, and the first where none is given; it runs once for each."""
    command = f"echo >> {tmp_path}/runs; echo \"https://host/n.bin?c=$(grep -c '' {tmp_path}/runs)\""
    engine = _AskingEngine()
    code = main([*argv, "-q", "--refresh-shell", "--refresh-command", command], download=engine, environ={})

    assert (0, name, urls) == (code, engine.asked[0][1].name, engine.urls)


@pytest.mark.skipif(sys.platform == "win32", reason="the command is for a POSIX shell")
@pytest.mark.parametrize(
    ("argv", "expected", "words"),
    [
        (["--refresh-shell", "--refresh-command", "exit 3"], 4, "failed with exit status 3"),
        (["--refresh-command", "sleep 100", "--refresh-timeout", "0.2"], 4, "no answer within 0.2 s"),
        (["--refresh-command", "sleep 100", "--max-time", "0.2"], 5, "before the deadline of 0.2 s"),
        (["--refresh-command", "echo nonsense"], 4, "the URL provider returned something unusable: "),
    ],
)
def test_refresh_command_fails(argv: list[str], expected: int, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Before the download begins its failure is told as one of the download."""
    engine = _Engine()

    assert (expected, []) == (main([*argv, "--json"], download=engine, environ={}), engine.asked)
    said = capsys.readouterr()
    assert words in said.err
    assert expected == json.loads(said.out)["exit_code"]


@pytest.mark.skipif(sys.platform == "win32", reason="the command is for a POSIX shell")
def test_refresh_command_fails_in_the_same_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whether it is asked for the file's name or by the engine."""
    argv = ["--refresh-command", "echo nonsense", "-d", str(tmp_path)]
    unnamed = main(argv, environ={}), capsys.readouterr().err
    named = main([*argv, "-o", "a"], environ={}), capsys.readouterr().err

    assert 4 == named[0]
    assert named == unnamed


@pytest.mark.skipif(sys.platform == "win32", reason="the command is for a POSIX shell")
def test_refresh_command_is_tried_again(tmp_path: Path) -> None:
    """It may fail once, as it may when the engine asks."""
    command = f"test -e {tmp_path}/ran || {{ touch {tmp_path}/ran; exit 1; }}; echo https://host/n.bin"
    engine = _Engine()

    assert 0 == main(["-q", "--refresh-shell", "--refresh-command", command], download=engine, environ={})
    assert ["n.bin"] == [dest.name for _, dest, _ in engine.asked]


def test_verbose_says_what_goes_where(capsys: pytest.CaptureFixture[str]) -> None:
    """With -v the log of the library is heard as well, redacted."""
    import logging

    class _Logging(_Engine):
        async def __call__(self, source: Any, dest: Path, **options: Any) -> Result:
            logging.getLogger("asyncdl").info("asked for %s", source)
            return await super().__call__(source, dest, **options)

    main([_URL, "-v"], download=_Logging(), environ={})
    said = capsys.readouterr().err

    assert "https://host/a.bin?… -> a.bin\nasked for https://host/a.bin" in said
    assert "hunter2secret" not in said
    assert [] == logging.getLogger("asyncdl").handlers
