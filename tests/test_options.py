"""Every option takes what makes sense, refuses the rest by name, and means what its defaults say."""

from __future__ import annotations

import dataclasses
import inspect
from math import inf, nan
from pathlib import Path
from typing import Any

import pytest

from asyncdl.errors import OptionsError
from asyncdl.options import GIB, MIB, Options, Retry, Timeouts

HUGE = 10**5000
"""More than a float holds, and more digits than `repr` prints."""


class Unprintable:
    """A value whose own repr fails."""

    def __repr__(self) -> str:
        raise RuntimeError("no")


NO_NUMBERS: list[object] = [
    "1",
    "",
    None,
    True,
    False,
    b"1",
    [1],
    1j,
    nan,
    inf,
    -inf,
    object(),
    Unprintable(),
    -1,
    -HUGE,
]
NO_COUNTS: list[object] = [*NO_NUMBERS, 1.0, 1.5]

COUNTS = {
    (Options, "connections"): 1,
    (Options, "chunk_size"): 1,
    (Options, "queue_depth"): 2,
    (Options, "part_size"): 1,
    (Options, "parallel_threshold"): 0,
    (Options, "max_redirects"): 0,
    (Retry, "attempts"): 1,
    (Retry, "budget"): 0,
}
#: Whether zero will do.
SECONDS = {
    (Options, "reuse_window"): True,
    (Options, "refresh_margin"): True,
    (Timeouts, "total"): False,
    (Timeouts, "connect"): False,
    (Timeouts, "response"): False,
    (Timeouts, "stall"): False,
    (Timeouts, "refresh"): False,
    (Retry, "base"): True,
    (Retry, "cap"): True,
    (Retry, "retry_after_cap"): True,
}
FLAGS = [
    "allow_private_redirects",
    "preallocate",
    "check_space",
    "resume",
    "resume_unproven",
    "use_environment",
    "pooled_buffers",
]
OPTIONAL = {"part_size", "total", "low_speed", "proxy", "ca_file", "user_agent"}


def label(value: object) -> str | None:
    """A short id, since not everything here has a repr."""
    match value:
        case (kind, str(name)) if isinstance(kind, type):
            return f"{kind.__name__}.{name}"
        case int() | float() if not isinstance(value, int) or abs(value) < HUGE:
            return str(value)
        case _:
            return type(value).__name__


@pytest.mark.parametrize(("option", "least"), COUNTS.items(), ids=label)
def test_count_at_its_bound(option: tuple[type[Any], str], least: int) -> None:
    """A count may be its least value and anything above, and nothing below."""
    kind, name = option

    for value in (least, least + 1, 2**63, HUGE):
        assert value == getattr(kind(**{name: value}), name)
    with pytest.raises(OptionsError, match=rf"{name} must be a whole number of at least {least}, not {least - 1}$"):
        kind(**{name: least - 1})


@pytest.mark.parametrize("value", NO_COUNTS, ids=label)
@pytest.mark.parametrize("option", COUNTS, ids=label)
def test_no_count(option: tuple[type[Any], str], value: object) -> None:
    """A count is a whole number: no text, no truth value, no fraction, nothing negative."""
    kind, name = option
    if value is None and name in OPTIONAL:
        assert getattr(kind(**{name: None}), name) is None
        return

    with pytest.raises(OptionsError, match=f"{name} must be a whole number"):
        kind(**{name: value})


@pytest.mark.parametrize(("option", "zero"), SECONDS.items(), ids=label)
def test_seconds_at_their_bound(option: tuple[type[Any], str], zero: bool) -> None:
    """Seconds may be any positive number, and zero where waiting not at all makes sense."""
    kind, name = option

    for value in (5e-324, 0.5, 1, 1e308):
        assert value == getattr(kind(**{name: value}), name)
    if zero:
        assert 0 == getattr(kind(**{name: 0}), name)
    else:
        with pytest.raises(OptionsError, match=f"{name} must be a number of seconds greater than 0, not 0$"):
            kind(**{name: 0})


@pytest.mark.parametrize("value", [*NO_NUMBERS, HUGE], ids=label)
@pytest.mark.parametrize("option", SECONDS, ids=label)
def test_no_seconds(option: tuple[type[Any], str], value: object) -> None:
    """Seconds are finite: not endless, not a number too large for any clock, no text."""
    kind, name = option
    if value is None and name in OPTIONAL:
        assert getattr(kind(**{name: None}), name) is None
        return

    with pytest.raises(OptionsError, match=f"{name} must be a number of seconds"):
        kind(**{name: value})


@pytest.mark.parametrize("value", [(1, 1), (0.5, 60.0), None])
def test_low_speed(value: tuple[float, float] | None) -> None:
    """A rate and a window, or no lower bound at all."""
    assert value == Timeouts(low_speed=value).low_speed


@pytest.mark.parametrize(
    ("value", "message"),
    [
        pytest.param(1024, r"must be \(bytes_per_second, seconds\), not 1024", id="only a rate"),
        pytest.param((1024,), r"must be \(bytes_per_second, seconds\)", id="one of them"),
        pytest.param((1024, 30, 1), r"must be \(bytes_per_second, seconds\)", id="three of them"),
        pytest.param([1024, 30], r"must be \(bytes_per_second, seconds\)", id="a list"),
        pytest.param("10", r"must be \(bytes_per_second, seconds\)", id="a text"),
        pytest.param(
            (0, 30), r"low_speed\[0\] must be a number of bytes per second greater than 0, not 0", id="rate 0"
        ),
        pytest.param((1024, 0), r"low_speed\[1\] must be a number of seconds greater than 0, not 0", id="window 0"),
        pytest.param((nan, 30), r"low_speed\[0\]", id="a rate that is no number"),
        pytest.param((1024, inf), r"low_speed\[1\]", id="an endless window"),
        pytest.param(("a", 30), r"low_speed\[0\]", id="a text for a rate"),
        pytest.param((1024, None), r"low_speed\[1\]", id="no window"),
    ],
)
def test_no_low_speed(value: Any, message: str) -> None:
    """What is not two positive numbers in a tuple is refused."""
    with pytest.raises(OptionsError, match=f"^timeouts.*{message}"):
        Timeouts(low_speed=value)


@pytest.mark.parametrize("value", [0, 1, "no", "", None, nan], ids=repr)
@pytest.mark.parametrize("name", FLAGS)
def test_no_flag(name: str, value: object) -> None:
    """A switch is True or False: the text "no" is not a no."""
    with pytest.raises(OptionsError, match=f"{name} must be True or False"):
        Options(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [True, False])
@pytest.mark.parametrize("name", FLAGS)
def test_flag(name: str, value: bool) -> None:
    """Both positions of a switch."""
    assert value is getattr(Options(**{name: value}), name)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", ["agent/1.0 (x; y)", "", "a\tb", "ä"])
def test_user_agent(value: str) -> None:
    """Any text that fits on a line."""
    assert value == Options(user_agent=value).user_agent


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\n", "a\r", "\0", "\x1b", "\x7f", "\ud800", b"a", 7], ids=ascii)
def test_no_user_agent(value: Any) -> None:
    """A user agent makes no second header, and can be sent."""
    with pytest.raises(OptionsError, match="user_agent must be a str without control characters"):
        Options(user_agent=value)


@pytest.mark.parametrize("value", ["ca.pem", Path("ca.pem")])
def test_ca_file(value: str | Path) -> None:
    """A path, as text or as a Path."""
    assert value == Options(ca_file=value).ca_file


@pytest.mark.parametrize("value", [7, b"ca.pem", True])
def test_no_ca_file(value: Any) -> None:
    """Anything else is no path."""
    with pytest.raises(OptionsError, match="ca_file must be a path"):
        Options(ca_file=value)


def test_proxy_is_not_shown() -> None:
    """A proxy URL may name a password: neither the repr nor a refusal shows it."""
    options = Options(proxy="http://user:s3cr3t@proxy:3128")

    assert "s3cr3t" in str(options.proxy)
    assert "s3cr3t" not in repr(options)
    with pytest.raises(OptionsError, match=r"^proxy must be a URL in a str, or None$"):
        Options(proxy=b"http://user:s3cr3t@proxy:3128")  # type: ignore[arg-type]


def test_long_values_are_cut_in_messages() -> None:
    """A message stays readable whatever it complains about."""
    with pytest.raises(OptionsError) as caught:
        Options(connections="x" * 10_000)  # type: ignore[arg-type]

    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param(Options(), (16 + 8) * MIB, id="by default 24 MiB"),
        pytest.param(Options(queue_depth=2, connections=1, chunk_size=1), 2 + MIB, id="a stream reads ahead anyway"),
        pytest.param(Options(queue_depth=2, connections=3, chunk_size=4 * MIB), 20 * MIB, id="chunks of 4 MiB"),
        pytest.param(Options(queue_depth=500, connections=64), 564 * MIB, id="a deep queue"),
    ],
)
def test_memory_bound(options: Options, expected: int) -> None:
    """Chunk data is bounded by chunks in the queue and chunks in hand, whatever the object's size."""
    assert expected == options.memory_bound


def test_figures_of_the_threaded_design_are_reachable() -> None:
    """2 GiB threshold, 100 MiB parts, 1 MiB chunks, 500 queued, 64 connections."""
    options = Options(parallel_threshold=2 * GIB, part_size=100 * MIB, chunk_size=MIB, queue_depth=500, connections=64)

    assert 564 * MIB == options.memory_bound


@pytest.mark.parametrize("kind", [Options, Timeouts, Retry])
def test_frozen_and_by_name(kind: type[Any]) -> None:
    """Options do not change under a running download, and are never given by position."""
    value = kind()
    name = dataclasses.fields(value)[0].name

    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, name, 1)
    with pytest.raises(TypeError):
        kind(1)
    assert not hasattr(value, "__dict__")
    assert kind() == value
    assert hash(kind()) == hash(value)


@pytest.mark.parametrize("kind", [Options, Timeouts, Retry])
def test_every_option_is_documented(kind: type[Any]) -> None:
    """Each field is named in its class's docstring."""
    text = inspect.getdoc(kind) or ""  # Python 3.13 takes the indentation off by itself

    assert [] == [field.name for field in dataclasses.fields(kind) if f"\n    {field.name}: " not in text]


def test_every_option_is_tested_here() -> None:
    """A new field must be added to one of the tables above."""
    fields = {(kind, field.name) for kind in (Options, Timeouts, Retry) for field in dataclasses.fields(kind)}
    others = {
        (Timeouts, "low_speed"),
        *((Options, name) for name in (*FLAGS, "proxy", "ca_file", "user_agent")),
    }

    assert fields == {*COUNTS, *SECONDS, *others}


def test_replacing_one_option_checks_it() -> None:
    """A copy with one value changed is as valid as a new one."""
    assert 3 == dataclasses.replace(Options(), connections=3).connections
    with pytest.raises(OptionsError):
        dataclasses.replace(Options(), connections=0)
