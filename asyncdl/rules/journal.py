"""The journal of a partial file: its records as bytes and back; docs/journal.md describes each byte.

Rule: no input raises, and damage only ever leads back in time: what a damaged journal says, a beginning of the
undamaged one said too.
Rule: a record is one line of ASCII, whatever a server sent; none holds a URL, or a header field but validators.
"""

from __future__ import annotations

import enum
import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from asyncdl.model import Part
from asyncdl.patterns import Pattern
from asyncdl.rules.head import Head
from asyncdl.rules.held import Crc, Held, Holdings, spans_of
from asyncdl.rules.ranges import MAX_SIZE

FORMAT: Final = "asyncdl-journal"
VERSION: Final = 1
#: Bytes of one record, its line end included. The longest head, three validators of 1024 characters that JSON writes
#: in 12 bytes each, has less than 40,000.
MAX_RECORD: Final = 64 * 1024
#: Bytes of a journal that are looked at; whoever appends writes a new one (`compacted`) before it is longer.
MAX_JOURNAL: Final = 32 * 1024 * 1024
#: Ranges that one journal may speak of: 5 TiB in windows of 64 MiB are 81,920.
MAX_RANGES: Final = 2**17
#: Ranges in one record: 256 of at most 69 bytes each stay far below `MAX_RECORD`.
_RANGES_PER_RECORD: Final = 256

_TOKEN = Pattern(r"[A-Za-z0-9._-]{1,64}")
_FIRST_LINE = Pattern(rb"%s ([1-9][0-9]{0,8}) (.*)" % FORMAT.encode())
_KIND = Pattern(r"[a-z][a-z0-9-]{0,31}")
_RANGE = Pattern(
    r"\[(?P<start>0|[1-9][0-9]{0,18}),(?P<stop>[1-9][0-9]{0,18})\)"
    r"(?:=(?P<algorithm>[a-z0-9]{1,20}):(?P<value>[0-9a-f]{8}|[0-9a-f]{16}))?"
)
_OWNER = Pattern(rf"(?P<token>{_TOKEN.text}) (?P<count>0|[1-9][0-9]{{0,18}})")


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What a journal says in the end.

    Attributes:
        head: which object and file.
        owner: token of whoever took the partial file last.
        beats: the last count that this owner wrote.
        held: the durable ranges, disjoint, in order, within `[0, head.size)`.
    """

    head: Head
    owner: str
    beats: int = 0
    held: tuple[Held, ...] = ()

    @property
    def spans(self) -> tuple[Part, ...]:
        """The durable bytes, as the fewest ranges, in order."""
        return spans_of(self.held)


class Fault(enum.Enum):
    """What is wrong with a journal's bytes.

    EMPTY: there are none, or only zeros. TORN: its last record is not whole, as after a crash. DAMAGED: a record with
    others after it is not whole, or one says what none can say. FOREIGN: it is no journal of ours. NEWER: it is one of
    a later version of the format.
    """

    EMPTY = "empty"
    TORN = "torn"
    DAMAGED = "damaged"
    FOREIGN = "foreign"
    NEWER = "newer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """What was read.

    Attributes:
        state: what the records up to the first bad one say; None without a good first one.
        fault: why reading ended before the end, or None.
        version: of the format, where the first record is good; otherwise None.
        valid_length: bytes up to the end of the last good record. The file is cut to it before anything is appended.
        chain: checksum of the last good record, which the next one continues (`Encoder`).
    """

    state: State | None = None
    fault: Fault | None = None
    version: int | None = None
    valid_length: int = 0
    chain: int = 0

    @property
    def usable(self) -> bool:
        """Whether it says anything about a partial file; possibly that nothing of it is durable yet."""
        return self.state is not None


class Encoder:
    """Writes records in the order in which they stand in the file, each continuing the checksum of the one before.

    Args:
        chain: `Journal.chain` of what stands in the file; 0 for a new one, which begins with `head` or `snapshot`.
            A record that did not reach the file whole must not be followed by another: begin again from the last
            good one.

    Every method returns bytes to append, and raises ValueError for what the format has no room for.
    """

    chain: int

    __slots__ = ("chain",)

    def __init__(self, chain: int = 0) -> None:
        self.chain = chain

    def head(self, head: Head, owner: str) -> bytes:
        """The first record. `owner` is a random token of whoever writes: at most 64 of A-Z, a-z, 0-9, `.`, `_`, `-`."""
        members = {"owner": _checked_token(owner), **asdict(head)}
        if head.generation is None:
            del members["generation"]
        return self._line(f"{FORMAT} {VERSION} {json.dumps(members, separators=(',', ':'))}")

    def claim(self, held: Iterable[Held]) -> bytes:
        """These ranges are durable; several records where there are many, none where there are none."""
        return self._lines("claim", [_written(item) for item in held])

    def beat(self, owner: str, count: int) -> bytes:
        """`owner` has the partial file, and is alive for the `count`-th time."""
        if not 0 <= count <= MAX_SIZE:
            raise ValueError("not a count")
        return self._line(f"owner {_checked_token(owner)} {count}")

    def reset(self, spans: Iterable[Part] = ()) -> bytes:
        """Nothing claimed before counts; with `spans`, nothing claimed of those."""
        ranges = [_written(Held(*span)) for span in spans]
        return self._lines("reset", ranges) if ranges else self._line("reset")

    def snapshot(self, state: State, *, owner: str | None = None) -> bytes:
        """A whole journal that says what `state` says, for a new file; a new `owner` begins at no beats."""
        head = self.head(state.head, state.owner if owner is None else owner)
        beats = self.beat(state.owner, state.beats) if state.beats and owner is None else b""
        return head + beats + self.claim(state.held)

    def _lines(self, kind: str, ranges: list[str]) -> bytes:
        starts = range(0, len(ranges), _RANGES_PER_RECORD)
        return b"".join(self._line(" ".join([kind, *ranges[at : at + _RANGES_PER_RECORD]])) for at in starts)

    def _line(self, text: str) -> bytes:
        record = text.encode("ascii")
        self.chain = zlib.crc32(record, self.chain)
        return record + _ending(self.chain)


def compacted(state: State, *, owner: str | None = None) -> bytes:
    """The shortest journal that says what `state` says; a new `owner` takes it over."""
    return Encoder().snapshot(state, owner=owner)


def _checked_token(token: str) -> str:
    if not _TOKEN.fullmatch(token):
        raise ValueError("not an owner's token")
    return token


def _written(item: Held) -> str:
    return f"[{item.start},{item.stop})" + ("" if item.crc is None else f"={item.crc}")


def _ending(chain: int) -> bytes:
    return b" %08x\n" % chain


def replay(data: bytes) -> Journal:
    """What a journal says, up to the first record that is not whole. Never raises."""
    data = data[:MAX_JOURNAL]
    if not data.strip(b"\0"):
        return Journal(fault=Fault.EMPTY)
    first = _record_at(data, 0, 0)
    match = first and _FIRST_LINE.fullmatch(first)
    if not first or not match:
        return Journal(fault=_fault_at(data, 0) if first is None and _begins_like_ours(data) else Fault.FOREIGN)
    version = int(match[1])
    if version > VERSION:
        return Journal(fault=Fault.NEWER, version=version)
    try:
        replayed = _Replay(match[2])
    except (ValueError, KeyError, RecursionError):
        return Journal(fault=Fault.DAMAGED, version=version)
    position, chain = _end_of(first, 0), zlib.crc32(first)
    fault = None
    while position < len(data) and fault is None:
        record = _record_at(data, position, chain)
        if record is None:
            fault = _fault_at(data, position)
        elif not replayed.apply(record):
            fault = Fault.DAMAGED
        else:
            position, chain = _end_of(record, position), zlib.crc32(record, chain)
    return Journal(state=replayed.state, fault=fault, version=version, valid_length=position, chain=chain)


def _record_at(data: bytes, position: int, chain: int) -> bytes | None:
    """The text of the record that begins at `position`, or None where it is not whole."""
    end = data.find(b"\n", position, position + MAX_RECORD) + 1
    if not end:
        return None
    text = data[position : max(position, end - len(_ending(0)))]
    return text if data[position:end] == text + _ending(zlib.crc32(text, chain)) else None


def _end_of(record: bytes, position: int) -> int:
    return position + len(record) + len(_ending(0))


def _begins_like_ours(data: bytes) -> bool:
    # A crash may have cut the very first line, and zeros may stand where the rest should.
    ours = f"{FORMAT} ".encode()
    return data.startswith(ours) or ours.startswith(data.rstrip(b"\0"))


def _fault_at(data: bytes, position: int) -> Fault:
    """What a bad record at `position` means: zeros and a last line are what a crash leaves."""
    rest = data[position:].rstrip(b"\0")
    return Fault.DAMAGED if b"\n" in rest[:-1] else Fault.TORN


class _Replay:
    """The state after the records applied so far.

    Raises:
        ValueError, KeyError, RecursionError: the first record's members are not those of a head.
    """

    def __init__(self, members: bytes) -> None:
        loaded: Any = json.loads(members.decode("ascii"))
        if not isinstance(loaded, dict) or not isinstance(loaded["owner"], str):
            raise ValueError("not the head of a journal")  # noqa: TRY004 - to the caller all bad heads are one
        loaded.setdefault("generation", None)
        self._head = Head(**{field.name: loaded[field.name] for field in fields(Head)})
        self._owner = _checked_token(loaded["owner"])
        self._beats = 0
        self._holdings = Holdings()
        self._size = MAX_SIZE if self._head.size is None else self._head.size

    @property
    def state(self) -> State:
        return State(head=self._head, owner=self._owner, beats=self._beats, held=self._holdings.items)

    def apply(self, record: bytes) -> bool:
        """Take one record in; False, and nothing changed, where it says what no record can say."""
        try:
            kind, space, body = record.decode("ascii").partition(" ")
            if kind == "claim":
                self._claim(list(_ranges(body)))
            elif kind == "reset":
                self._reset(list(_ranges(body)) if space else [])
            elif kind == "owner":
                self._take_over(body)
            elif kind == FORMAT or not _KIND.fullmatch(kind):
                return False
        except ValueError:
            return False
        return True

    def _claim(self, held: list[Held]) -> None:
        if any(item.stop > self._size for item in held):
            raise ValueError("beyond the end of the object")
        changed = self._with_room_for(held)
        for item in held:
            changed.put(item)
        self._keep(changed)

    def _reset(self, held: list[Held]) -> None:
        changed = self._with_room_for(held) if held else Holdings()
        for item in held:
            changed.drop(item.start, item.stop)
        self._keep(changed)

    def _with_room_for(self, held: list[Held]) -> Holdings:
        """The holdings to change: a copy where they could become too many, since a bad record changes nothing."""
        # A range in the middle of another makes three of one.
        roomy = len(self._holdings) + 2 * len(held) <= MAX_RANGES
        return self._holdings if roomy else Holdings(self._holdings.items)

    def _keep(self, changed: Holdings) -> None:
        if len(changed) > MAX_RANGES:
            raise ValueError("more ranges than a journal may speak of")
        self._holdings = changed

    def _take_over(self, body: str) -> None:
        match = _OWNER.fullmatch(body)
        if match is None or int(match["count"]) > MAX_SIZE:
            raise ValueError("not an owner")
        self._owner, self._beats = match["token"], int(match["count"])


def _ranges(body: str) -> Iterator[Held]:
    for word in body.split(" "):
        match = _RANGE.fullmatch(word)
        if match is None:
            raise ValueError("not a range")
        crc = None if match["algorithm"] is None else _crc(match["algorithm"], match["value"])
        yield Held(int(match["start"]), int(match["stop"]), crc)


def _crc(algorithm: str, digits: str) -> Crc:
    crc = Crc(algorithm, int(digits, 16))
    if str(crc) != f"{algorithm}:{digits}":
        raise ValueError("not as many digits as the algorithm has")
    return crc
