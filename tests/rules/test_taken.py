"""Names given away once: files, what lies beside them, and the directories on the way."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncdl.errors import OptionsError
from asyncdl.rules.names import SUFFIXES
from asyncdl.rules.taken import Taken, refuse_clashes

_CLASHES = [
    ["a", "a"],
    ["a", "b", "a.part"],
    ["a.part", "a"],
    ["a", "A"],
    ["Straße", "STRASSE.PART"],
    ["a", "a.part.journal"],
    ["a.part.journal.new", "a"],
    ["a", "A.Part.Done"],
    ["\u00e9", "e\u0301"],
]


@pytest.mark.parametrize("names", _CLASHES)
def test_clash(names: list[str]) -> None:
    """No file takes another's place, finished or not."""
    with pytest.raises(OptionsError):
        refuse_clashes(names)


def test_no_clash() -> None:
    """Different names are no trouble."""
    refuse_clashes(["a", "b", "ä", "c.part", "d.journal", "e.done"])


@pytest.mark.parametrize(
    "names",
    [
        ["d/a", "D/A"],
        ["d/a", "d/a.part"],
        ["d", "d/a"],
        ["d/a", "d"],
        ["d/e/a", "d"],
        ["d/e/a", "d/E"],
        ["a", "a.part/b"],
        ["a.part/b", "a"],
        ["x/a.part.journal/b", "x/a"],
    ],
)
def test_clash_below_directories(names: list[str]) -> None:
    """A name is a file or a directory, and only one of them; the file that came first keeps it."""
    taken = Taken()
    taken.claim(names[0])
    with pytest.raises(OptionsError):
        taken.claim(names[1])

    taken.claim("another")


def test_no_clash_below_directories() -> None:
    """One name in two directories, and two in one."""
    taken = Taken()
    for name in ("a", "d/a", "d/b", "d/e/a", "d/e/f/g", "da", "d.x/a", "b.part", "c/b"):
        taken.claim(name)


def test_a_refused_name_takes_nothing() -> None:
    """Its directories are still to be had as files."""
    taken = Taken()
    taken.claim("x/y")
    with pytest.raises(OptionsError):
        taken.claim("x/y/z")
    with pytest.raises(OptionsError):
        taken.claim("X/Y")

    taken.claim("z")


def test_a_million_names_are_modest() -> None:
    """Some ten bytes each, here of thirty thousand, and what an empty set of them takes."""
    tracemalloc.start()
    taken = Taken()
    for number in range(30_000):
        taken.claim(f"{number}.bin")
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert used < 300_000 + 30_000 * 12


_NAMES = st.lists(
    st.lists(st.sampled_from(["a", "A", "b", "a.part", "a.part.done"]), min_size=1, max_size=3).map("/".join),
    max_size=8,
)


@given(_NAMES)
def test_as_a_file_system_has_it(names: list[str]) -> None:
    """Against sets of all paths: a name is given away if none of its files is one of another file, or a directory."""
    taken, files, folders = Taken(), set[str](), set[str]()
    for name in names:
        key = name.casefold()
        own = {key, *(key + suffix for suffix in SUFFIXES)}
        ways = {key[:place] for place, letter in enumerate(key) if letter == "/"}
        free = not (own & files or own & folders or ways & files)
        try:
            taken.claim(name)
        except OptionsError:
            assert not free
        else:
            assert free
            files |= own
            folders |= ways
