"""The crashes that are tried are those that file systems allow: no fewer, and no more."""

from __future__ import annotations

from tests.crash.states import enumerate_states
from tests.crash.trace import NOTHING as EMPTY
from tests.crash.trace import (
    Create,
    FailedSync,
    File,
    Image,
    Rename,
    Resize,
    Returned,
    SetMode,
    Step,
    Sync,
    SyncDirectory,
    Unlink,
    Write,
)

A = b"a" * 1024
B = b"b" * 1024


def image(**files: tuple[int, bytes]) -> Image:
    """Files by name, as number and bytes, that anybody may read."""
    return Image(tuple((name, File(number, 0o644, data)) for name, (number, data) in sorted(files.items())))


def lost_power(*trace: Step, start: Image = EMPTY) -> set[Image]:
    """What a loss of power can leave when the whole trace has been gone through."""
    steps = len(trace)
    ended = [*trace, Returned()]  # makes the states at the end new ones
    return {
        state.image
        for state in enumerate_states(ended, start)
        if state.step == steps + 1 and (state.kind == "power lost" or state.how.startswith("all"))
    }


def test_nothing_is_certain() -> None:
    """A new file and its bytes may be there or not, and the bytes in part."""
    found = lost_power(Create("f", 0, 12, 0o644), Write(0, 0, A))
    halves = [A[:512], bytes(512) + A[512:]]

    assert {EMPTY, *(image(f=(12, data)) for data in (b"", A, bytes(1024), *halves))} == found


def test_a_sync_says_nothing_of_the_name() -> None:
    """After fsync of a file all of it is there, if its name is."""
    created = Create("f", 0, 12, 0o644)

    assert {EMPTY, image(f=(12, A))} == lost_power(created, Write(0, 0, A), Sync(0, 2, everything=True))
    synced = lost_power(created, Write(0, 0, A), Sync(0, 2, everything=True), SyncDirectory(3))
    assert {image(f=(12, A))} == synced


def test_names_without_bytes() -> None:
    """Fsync of the directory says nothing of the bytes."""
    found = lost_power(Create("f", 0, 12, 0o644), Write(0, 0, A), SyncDirectory(2))

    assert image(f=(12, b"")) in found
    assert image(f=(12, A)) in found
    assert EMPTY not in found


def test_permissions_are_no_data() -> None:
    """Fdatasync leaves them uncertain, fsync does not."""
    start = image(f=(12, b""))
    steps = (Write(0, 0, A), SetMode(0, 0o600))
    private = Image((("f", File(12, 0o600, A)),))

    assert {image(f=(12, A)), private} == lost_power(*steps, Sync(0, 2, everything=False), start=start)
    assert {private} == lost_power(*steps, Sync(0, 2, everything=True), start=start)


def test_a_sync_covers_what_was_before_it_began() -> None:
    """What is written while it runs may escape it."""
    start = image(f=(12, b""))
    found = lost_power(Write(0, 0, A[:512]), Write(0, 512, A[:512]), Sync(0, 1, everything=True), start=start)

    assert image(f=(12, A[:512])) in found
    assert image(f=(12, A)) in found
    assert image(f=(12, b"")) not in found


def test_a_failed_sync_is_never_made_good() -> None:
    """What was to be written then stays uncertain; what is written later can be made certain."""
    start = image(f=(12, A))
    steps = (Write(0, 0, B[:512]), FailedSync(0), Sync(0, 2, everything=True))
    again = (Write(0, 0, B[:512]), Sync(0, 4, everything=True))

    assert {image(f=(12, A)), image(f=(12, B[:512] + A[512:]))} <= lost_power(*steps, start=start)
    assert {image(f=(12, B[:512] + A[512:]))} == lost_power(*steps, *again, start=start)


def test_what_is_overwritten() -> None:
    """In place of new bytes the old ones stay, not zeros."""
    found = lost_power(Write(0, 0, B), start=image(f=(12, A)))

    assert {image(f=(12, data)) for data in (A, B, B[:512] + A[512:], A[:512] + B[512:])} == found


def test_writes_in_any_order() -> None:
    """A later one may be there without the earlier, and what lies between is zeros."""
    found = lost_power(Write(0, 0, A[:512]), Write(0, 1024, B[:512]), start=image(f=(12, b"")))

    assert image(f=(12, bytes(1024) + B[:512])) in found
    assert image(f=(12, A[:512])) in found


def test_lengths_early_and_late() -> None:
    """Space that was taken may be there without bytes, bytes without space; a cut may come before them."""
    found = lost_power(Resize(0, 2048), Write(0, 0, A), start=image(f=(12, b"")))

    assert {image(f=(12, data)) for data in (b"", A, bytes(2048), A + bytes(1024))} <= found
    assert {image(f=(12, A)), image(f=(12, A[:100]))} == lost_power(Resize(0, 100), start=image(f=(12, A)))


def test_a_rename_is_one_change() -> None:
    """The old file or the new one has the name: never none, and the new one never has two."""
    start = image(f=(12, A), g=(13, B))
    found = lost_power(Rename("g", "f", 1, replaced=0), start=start)

    assert {start, image(f=(13, B))} == found


def test_names_in_any_order() -> None:
    """Of two removals the second may be there without the first."""
    start = image(f=(12, A), g=(13, B))
    found = lost_power(Unlink("f", 0), Unlink("g", 1), start=start)

    assert {start, image(f=(12, A)), image(g=(13, B)), EMPTY} == found


def test_changes_of_one_name_in_their_order() -> None:
    """A name is not taken again before it was given up."""
    start = image(f=(12, A))
    found = lost_power(Unlink("f", 0), Create("f", 1, 13, 0o644), start=start)

    assert {start, EMPTY, image(f=(13, b""))} == found


def test_a_number_is_of_one_file_at_a_time() -> None:
    """A new file has the number of an old one only where that is gone; a file beside it may still speak of it."""
    start = image(f=(12, A), j=(13, b"speaks of 12"))
    found = lost_power(Unlink("j", 1), Unlink("f", 0), Create("g", 2, 12, 0o644), start=start)

    assert image(g=(12, b""), j=(13, b"speaks of 12")) in found
    assert all(numbers == sorted(set(numbers)) for numbers in map(numbers_of, found))


def numbers_of(found: Image) -> list[int]:
    """The numbers of all files."""
    return sorted(file.number for _, file in found.files)


def test_a_killed_process() -> None:
    """What was called is there, and the last write may have ended at a sector or a page; nothing else is uncertain."""
    start = image(f=(12, b""))
    states = enumerate_states([Write(0, 100, A), Unlink("f", 0)], start)
    found = {state.image for state in states if state.kind == "killed"}
    torn = [bytes(100) + A[:cut] for cut in (412, 924, 1024)]

    assert {start, EMPTY, *(image(f=(12, data)) for data in torn)} == found


def test_a_return_makes_states_new() -> None:
    """What is the same before and after success is listed for both: after it more is asked."""
    found = list(enumerate_states([Unlink("f", 0), Returned()], image(f=(12, A))))

    assert 4 == len(found)
    assert [False, False, True, True] == sorted(state.returned for state in found)


def test_many_writes() -> None:
    """Where there are too many combinations, all, none and some of the rest; the same ones for one seed."""
    trace = [Write(0, at * 1024, A) for at in range(30)]
    start = image(f=(12, b""))
    first, again, other = ([state.image for state in enumerate_states(trace, start, seed=seed)] for seed in (1, 1, 2))

    assert first == again
    assert first != other
    assert {start, image(f=(12, A * 30)), image(f=(12, bytes(30 * 1024)))} <= set(first)
    assert len(set(first)) == len(first)
    assert len(first) > 1000
