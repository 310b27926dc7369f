"""What must hold of every disk after a crash, and after the download that follows.

I1 the destination is absent, the old file, or the new one, whole. I2 the next download makes it the object, and leaves
nothing else. I3 the journal claims no byte that is not there. I4 success is reported when data and name last. I5 a
crash of the next download changes nothing of this. I6 a crash costs at most the bytes that were not claimed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from asyncdl.edge import hashing
from asyncdl.edge.opening import Names
from asyncdl.errors import AsyncdlError
from asyncdl.model import Outcome, Result
from asyncdl.rules.head import Head
from asyncdl.rules.journal import State as Claims
from asyncdl.rules.journal import replay
from tests.crash.rig import DEST, Fetch, go_on
from tests.crash.simdisk import SimDisk
from tests.crash.states import State
from tests.crash.trace import File, Image
from tests.crash.transport import Object

NAMES = Names.of(DEST)
#: The mode of a file that replaces none, and of one that replaces one with it.
MODE = 0o644


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a state is judged by.

    Attributes:
        old: the file at the destination before the download, or None.
        new: what the download that crashed fetched.
        versions: every object that anything on the disk may be of.
        then: the download after the crash.
    """

    old: File | None
    new: Object
    versions: tuple[Object, ...]
    then: Fetch


def violations(expected: Expected, state: State, runner: asyncio.AbstractEventLoop) -> list[str]:
    """What is wrong with a state, and with what the next download makes of it; the threads are the caller's affair."""
    return [
        *wrong_now(expected, state),
        *wrong_later(expected, state.image, SimDisk(state.image, records=False), runner),
    ]


def wrong_now(expected: Expected, state: State) -> Iterator[str]:
    """What is wrong with the disk as the crash left it."""
    dest = state.image.at(str(DEST))
    mode = MODE if expected.old is None else expected.old.mode
    is_new = dest is not None and (dest.data, dest.mode) == (expected.new.data, mode)
    is_old = dest is None if expected.old is None else dest is not None and dest.data == expected.old.data
    if not is_new and not is_old:
        yield f"I1: the destination is {_described(dest)}"
    if state.returned and not is_new:
        yield f"I4: success was reported, and the destination is {_described(dest)}"
    claimed = claims(state.image)
    if claimed is not None:
        yield from _wrong_claims(expected, claimed[0], claimed[1])


def claims(image: Image) -> tuple[Claims, File] | None:
    """What the journal says, and the partial file that it says it of; None where there are not both."""
    journal = image.at(str(NAMES.journal))
    said = replay(journal.data).state if journal else None
    for name in (NAMES.part, NAMES.done):
        part = image.at(str(name))
        if said is not None and part is not None and part.number == said.head.inode:
            return said, part
    return None


def _wrong_claims(expected: Expected, said: Claims, part: File) -> Iterator[str]:
    versions = list(_versions_of(expected.versions, said.head))
    for held in said.held:
        there = part.data[held.start : held.stop]
        if not _is_of(there, [version.data[held.start : held.stop] for version in versions]):
            yield f"I3: [{held.start},{held.stop}) is claimed and not there"
        elif held.crc is not None and hashing.crc(held.crc.algorithm, there) != held.crc.value:
            yield f"I3: [{held.start},{held.stop}) is claimed with another checksum than it has"


def _is_of(there: bytes, versions: Sequence[bytes]) -> bool:
    """Whether every byte is of one of these."""
    if there in versions:
        return True
    return {len(there)} == set(map(len, versions)) and all(map(tuple.__contains__, zip(*versions, strict=True), there))


def _versions_of(versions: tuple[Object, ...], head: Head) -> Iterator[Object]:
    """Those that a journal may speak of: without an entity tag there may be several."""
    for version in versions:
        if version.etag == head.etag if head.etag else head.size in {None, len(version.data)}:
            yield version


def wrong_later(expected: Expected, image: Image, disk: SimDisk, runner: asyncio.AbstractEventLoop) -> Iterator[str]:
    """What is wrong after the next download, on `disk`, which is as in `image`."""
    fetch = expected.then
    try:
        result = go_on(runner, disk, fetch)
    except (AsyncdlError, OSError, AssertionError, RuntimeError, ValueError, KeyError) as error:
        yield f"I2: the next download failed: {type(error).__name__}: {error}"
        return
    left = disk.image
    found = left.at(str(DEST))
    if found is None or found.data != fetch.object.data:
        yield f"I2: after the next download the destination is {_described(found)}"
    elif found.mode != (mode := MODE if expected.old is None else expected.old.mode):
        yield f"I2: after the next download the destination has mode {found.mode:o}, and not {mode:o}"
    others = [name for name, _ in left.files if name != str(DEST)]
    if others:
        yield f"I2: after the next download there is also {', '.join(others)}"
    if disk.descriptors:
        yield f"I2: after the next download {disk.descriptors} descriptors are open"
    most = most_fetched(expected, image, result)
    if result.fetched > most:
        yield f"I6: the next download fetched {result.fetched} bytes, and {most} would have done"


def most_fetched(expected: Expected, image: Image, result: Result) -> int:
    """Bytes that the next download may have to fetch."""
    fetch = expected.then
    size = len(fetch.object.data)
    if result.outcome is Outcome.SKIPPED:
        return 1
    claimed = claims(image)
    if claimed is None or not fetch.resume:
        return size
    said, part = claimed
    # What proves that it is the same object is one byte of it.
    rest = size - sum(span.length for span in said.spans) + 1
    if not all(part.data[slice(*span)] == fetch.object.data[slice(*span)] for span in said.spans):
        return size if fetch.checksum is None else rest + size  # only at the end it shows that it is another
    return rest if is_proven(fetch, said.head) else size


def is_proven(fetch: Fetch, head: Head) -> bool:
    """Whether what a journal claims is of the object that is fetched, and known to be."""
    if fetch.checksum is not None and head.checksum == str(fetch.checksum):
        return True
    if fetch.object.ranges and fetch.checksum is not None and None in {head.etag, fetch.object.etag}:
        return head.size == len(fetch.object.data)
    if head.size != len(fetch.object.data) or head.etag != fetch.object.etag or not fetch.object.ranges:
        return False
    return head.etag is not None or fetch.resume_unproven


def _described(file: File | None) -> str:
    if file is None:
        return "absent"
    return f"{len(file.data)} bytes with mode {file.mode:o}, {len(file.data) - file.data.count(0)} of them not zero"


def told(wrong: Mapping[State, list[str]], most: int = 5) -> str:
    """The first few violations, for people."""
    lines = [
        f"{state.kind} at step {state.step} ({state.how}): {'; '.join(found)}"
        for state, found in list(wrong.items())[:most]
    ]
    return f"{len(wrong)} states violate what must hold:\n" + "\n".join(lines)
