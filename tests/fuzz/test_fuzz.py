"""A short run of every fuzz target, the same each time; and the fuzzer itself finds what is planted."""

from __future__ import annotations

import ast
from collections.abc import Hashable
from pathlib import Path

import pytest

from asyncdl.model import Headers
from asyncdl.rules import ranges, redaction
from tests.fuzz import engine, texts
from tests.fuzz.__main__ import main
from tests.fuzz.engine import HangError, Mutator, Target, run
from tests.fuzz.targets import TARGETS

SEED = 20_261_120


def target(check: object, **changes: object) -> Target:
    """A target of no further interest."""
    described = {"name": "planted", "about": "", "check": check, "corpus": (b"abc def",), "words": (b"x", b"<", b"0")}
    return Target(**(described | changes))  # type: ignore[arg-type]  # a few of them, as named


@pytest.mark.parametrize("name", TARGETS)
def test_short_run(name: str) -> None:
    """About a second of each target: nothing fails, and more than a few ways through the code are taken."""
    with texts.known_spellings():
        report = run(TARGETS[name], seed=SEED, inputs=TARGETS[name].short)

    assert report.failure is None, f"{report.failure.error}\ninput: {report.failure.literal}"
    assert TARGETS[name].short == report.inputs
    assert report.ways >= 2


def test_one_seed_one_row_of_inputs() -> None:
    """Two mutators of one seed make the same inputs, one of another seed makes others."""
    mutators = [Mutator(TARGETS["judge"], seed) for seed in (1, 1, 2)]
    first, again, other = ([mutator.next() for _ in range(300)] for mutator in mutators)

    assert first == again
    assert first != other
    assert len(set(first)) > 200


def test_finds_and_shrinks_what_is_planted() -> None:
    """Two bytes far apart that must not come together are found, and nothing but them is left."""

    def check(data: bytes) -> Hashable:
        assert not (b"<" in data and b"9" in data[5:])
        return b"<" in data

    report = run(target(check), seed=SEED, inputs=100_000)

    assert report.failure is not None
    assert report.failure.error.startswith("AssertionError")
    assert 6 == len(report.failure.data)
    assert ast.literal_eval(report.failure.literal) == report.failure.data


def test_sees_a_judge_that_trusts_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """A judge that takes a shorter object for the same one is found out by the reference."""
    real = ranges._same_object

    def blind(headers: Headers, asked: ranges.Asked, size: int | None) -> object:
        verdict = real(headers, asked, size)
        return None if isinstance(verdict, ranges.Changed) and "had" in verdict.why else verdict

    monkeypatch.setattr(ranges, "_same_object", blind)

    report = run(TARGETS["judge"], seed=SEED, inputs=50_000)

    assert report.failure is not None
    assert len(report.failure.data) < 60


@pytest.mark.parametrize("name", ["refusal", "redaction"])
def test_sees_a_secret_that_stays(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Without the spellings of the URL's secrets something of them comes out, and the fuzzer says so."""
    monkeypatch.setattr(redaction, "_secrets", lambda url: iter(()))

    report = run(TARGETS[name], seed=SEED, inputs=2000)

    assert report.failure is not None


def test_a_check_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """A regular expression that runs away is a failure with its input, not the end of the run."""
    import re

    monkeypatch.setattr(engine, "_BATCH_LIMIT", 0.2)
    hanging = target(lambda data: re.fullmatch(b"(a|a)*b", b"a" * 60), batch=1)

    with engine.no_hanging() as alive:
        report = run(hanging, seed=SEED, inputs=1, on_batch=alive)

    assert report.failure is not None
    assert report.failure.error.startswith(HangError.__name__)


def test_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A table with one line for each target, exit code 0; with a failure 1, and a file that brings it back."""
    arguments = ["content-range", "--inputs", "3000", "--seed", "1", "--failures", str(tmp_path)]

    assert 0 == main(arguments)
    assert " 3,000 " in capsys.readouterr().out
    assert [] == list(tmp_path.iterdir())

    with monkeypatch.context() as patch:
        patch.setattr(ranges, "MAX_SIZE", 1000)
        patch.setattr("tests.fuzz.ranges.parse_content_range", ranges.parse_content_range)

        assert 1 == main(arguments)
        assert "FAILED" in capsys.readouterr().out
        with pytest.raises(AssertionError):
            main(["content-range", "--replay", str(tmp_path / "content-range.txt")])
    assert 0 == main(["content-range", "--replay", str(tmp_path / "content-range.txt")])


def test_command_knows_its_targets(capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong name is answered with the right ones."""
    assert 2 == main(["content-rage"])
    assert "content-range" in capsys.readouterr().err
