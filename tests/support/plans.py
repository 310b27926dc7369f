"""Downloads drawn at random: settings, a server, what goes wrong and when; and what each may end in. Nothing is run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeAlias

from hypothesis import strategies as st

import asyncdl
from asyncdl.testing import POISON, Fault

KIB: Final = 1024
PART: Final = 8 * KIB
PATH: Final = "/object"
_EXPIRED: Final = b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>" + POISON

Errors: TypeAlias = frozenset[type[asyncdl.AsyncdlError]]
_REFUSALS: Final[Errors] = frozenset({asyncdl.ForbiddenError, asyncdl.UrlExpiredError, asyncdl.HttpStatusError})
_MISMATCH: Final[Errors] = frozenset({asyncdl.ResponseMismatchError})
_CHANGED: Final[Errors] = frozenset({asyncdl.RemoteChangedError})
_ANOTHER: Final[Errors] = _CHANGED | _MISMATCH | {asyncdl.IntegrityError}
#: In a row: answers to another question, connections before the first answer; see `asyncdl.fetcher`.
_ODD_ANSWERS: Final = 3
_FIRST_CONTACTS: Final = 4

#: Faults that waiting and asking again gets over; `n` is a number of bytes.
PASSING: Final[dict[str, dict[str, Any]]] = {
    "busy": {"status": 503},
    "broken": {"status": 500},
    "throttling": {"status": 429, "headers": {"Retry-After": "0"}},
    "impatient": {"status": 408},
    "too early": {"status": 425},
    "moved, not said where": {"status": 308},
    "drops": {"drop_after": "n"},
    "resets in mid-body": {"reset_after": "n+1"},
    "stalls": {"stall_after": "n"},
    "silent": {"stall_headers": True},
    "sends less than declared": {"short": "n+1"},
    "slow": {"rate": 1000.0},
    "drips": {"drip": (1, 0.02)},
    "late": {"delay": 0.01},
    "closes": {"close": True},
    "chunked": {"chunked": True},
    "redirects": {"redirect": PATH},
    "ignores the range": {"ignore_range": True},
    "ignores the range, in chunks": {"ignore_range": True, "chunked": True},
    "ignores the range and drops": {"ignore_range": True, "drop_after": "n"},
}
#: Answers to another question: a few are forgiven.
ODD: Final[dict[str, dict[str, Any]]] = {
    "sends more than declared": {"extra": POISON},
    "speaks no HTTP": {"raw": b"SSH-2.0-OpenSSH_9.2\r\n" + POISON},
    "sends another range": {"shift": 7},
    "sends an earlier range": {"shift": -1},
    "lies about the range": {"shift_header": 1},
    "says no range": {"drop_headers": ("Content-Range",)},
    "says a wrong range": {"content_range": "bytes 0-0/*"},
    "says no sense": {"content_range": "bytes banana"},
    "has no tag": {"drop_headers": ("ETag",)},
}
#: Connections that end before anything was said.
CONNECT: Final[dict[str, dict[str, Any]]] = {"hangs up": {"raw": b""}, "resets at once": {"reset_after": 0}}
#: A word against the URL: a new one is asked for where there is somebody to ask.
REFUSING: Final[dict[str, dict[str, Any]]] = {
    "expired": {"status": 403, "body": _EXPIRED},
    "denied": {"status": 403},
    "unauthorised": {"status": 401},
}
#: What is final at once, or may be.
FINAL: Final[dict[str, tuple[dict[str, Any], Errors]]] = {
    "bad request": ({"status": 400}, _REFUSALS),
    "not found": ({"status": 404}, _REFUSALS),
    "gone": ({"status": 410}, _REFUSALS),
    "nothing to say": ({"status": 204, "body": b""}, _MISMATCH),
    "encoded": ({"headers": {"Content-Encoding": "gzip"}}, _MISMATCH),
    "of unknown length": ({"no_length": True}, _MISMATCH),
    "of unknown total": ({"total": "*"}, _MISMATCH),
    "of another total": ({"total": 10**6}, _ANOTHER),
    "of a weak tag": ({"etag": 'W/"weak"'}, _CHANGED | _MISMATCH),
    "of another tag": ({"etag": '"v2"'}, _CHANGED | _MISMATCH),
}
_WHAT: Final = PASSING | ODD | CONNECT | REFUSING | {name: fault for name, (fault, _) in FINAL.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoil:
    """Some of the next requests, or those of one position, are answered badly."""

    how: str
    times: int = 1
    n: int = 0
    request: int | None = None

    @property
    def fault(self) -> Fault:
        """As the origin takes it."""
        amounts = {"n": self.n, "n+1": self.n + 1}
        what: dict[str, Any] = {
            key: amounts.get(value, value) if isinstance(value, str) else value
            for key, value in _WHAT[self.how].items()
        }
        return Fault(times=self.times, request=self.request, **what)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happens to the whole server; `amount` is more bytes to "replace", milliseconds to "refuse"."""

    what: Literal["clear", "revoke", "expire", "replace", "replace undated", "ranges off", "ranges on", "refuse"]
    amount: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What happens as soon as the origin gave `after` good answers; 0 is before the download."""

    after: int
    action: Spoil | Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One download and its fate."""

    size: int
    known: bool = False
    source: Literal["plain", "signed", "provider"] = "plain"
    skin: str = "s3v4"
    ttl: float = 3600.0
    tagged: bool = True
    rate: float | None = None
    connections: int = 4
    part_size: int = PART
    chunk_size: int = KIB
    queue_depth: int = 4
    steps: tuple[Step, ...] = ()

    @property
    def spoils(self) -> list[Spoil]:
        return [step.action for step in self.steps if isinstance(step.action, Spoil)]

    @property
    def events(self) -> list[str]:
        return [step.action.what for step in self.steps if isinstance(step.action, Event)]

    def count(self, kinds: dict[str, Any]) -> int:
        """How many requests faults of these kinds may hit."""
        return sum(spoil.times for spoil in self.spoils if spoil.how in kinds)

    @property
    def may_end_in(self) -> Errors:
        """The errors that fit; with none of them it must succeed."""
        found: set[type[asyncdl.AsyncdlError]] = set()
        for spoil in self.spoils:
            found |= FINAL[spoil.how][1] if spoil.how in FINAL else frozenset()
        if any(event.startswith("replace") for event in self.events):
            found |= _ANOTHER
        if self.count(ODD) >= _ODD_ANSWERS:
            found |= _MISMATCH
        if self.count(CONNECT) >= _FIRST_CONTACTS or "refuse" in self.events:
            found.add(asyncdl.ConnectError)
        refusals = self.count(REFUSING) + self.events.count("revoke") + self.events.count("expire")
        # These say why, and that a new URL would be refused as well: no permission, an unknown key.
        refusals += self.skin in {"azure", "cloudfront"} and "revoke" in self.events
        short_lived = self.source != "plain" and self.ttl < 60
        if refusals > (self.source == "provider") or short_lived:
            found |= _REFUSALS
        if short_lived and self.source == "provider":
            found.add(asyncdl.RefreshError)
        return frozenset(found)

    @property
    def fair(self) -> bool:
        """Whether somebody without a checksum could notice every lie in it.

        A 200 says nothing of where its bytes begin: shifted ones are another object, as far as anybody can tell.
        """
        shifts = any("shift" in _WHAT[spoil.how] for spoil in self.spoils)
        return not (shifts and "ranges off" in self.events)


def _spoils(names: st.SearchStrategy[str]) -> st.SearchStrategy[Spoil]:
    places = st.one_of(st.integers(0, 3 * PART), st.sampled_from([0, 1, PART - 1, PART, PART + 1]))
    return st.builds(
        Spoil, how=names, times=st.integers(1, 3), n=places, request=st.one_of(st.none(), st.integers(0, 9))
    )


def plans(
    actions: st.SearchStrategy[Spoil | Event], *, most: int = 6, largest: int = 2048 * KIB
) -> st.SearchStrategy[Plan]:
    """Plans with at most so many of these actions, on objects of at most `largest` bytes."""
    sizes = st.one_of(
        st.sampled_from([0, 1, PART - 1, PART, PART + 1, 2 * PART]),
        st.integers(0, 12 * PART),
        st.integers(0, 12 * PART),
        st.integers(0, largest),
    )
    # Most downloads are over after a few requests: what is due later never happens.
    due = st.one_of(st.integers(0, 3), st.integers(0, 12))
    steps = st.lists(st.builds(Step, after=due, action=actions), max_size=most)
    drawn = st.builds(
        Plan,
        size=sizes,
        known=st.booleans(),
        source=st.sampled_from(["plain", "signed", "provider", "provider"]),
        skin=st.sampled_from(["s3v4", "gcs", "azure", "cloudfront", "opaque"]),
        ttl=st.sampled_from([3600.0, 3600.0, 3600.0, 0.3]),
        tagged=st.booleans(),
        rate=st.sampled_from([None, None, None, 2e6]),
        connections=st.integers(1, 16),
        part_size=st.one_of(st.integers(4 * KIB, 4 * PART), st.sampled_from([KIB, PART])),
        chunk_size=st.integers(100, 16 * KIB),
        queue_depth=st.integers(2, 24),
        steps=steps.map(lambda drawn: tuple(sorted(drawn, key=lambda step: step.after))),
    )
    # A thousand requests, or chunks, prove no more than a hundred.
    return drawn.map(
        lambda plan: replace(
            plan, part_size=max(plan.part_size, plan.size // 100), chunk_size=max(plan.chunk_size, plan.size // 1000)
        )
    ).filter(lambda plan: plan.fair)


SPOILS: Final[st.SearchStrategy[Spoil | Event]] = _spoils(st.sampled_from(list(_WHAT)))
PASSING_SPOILS: Final[st.SearchStrategy[Spoil | Event]] = _spoils(st.sampled_from(list(PASSING)))
EVENTS: Final[st.SearchStrategy[Spoil | Event]] = st.one_of(
    st.builds(Event, what=st.sampled_from(["clear", "revoke", "expire", "ranges off", "ranges on"])),
    st.builds(Event, what=st.just("refuse"), amount=st.integers(1, 20)),
    st.builds(Event, what=st.sampled_from(["replace", "replace undated"]), amount=st.sampled_from([0, 0, 1, -1, 5000])),
)
#: Everything at once, and only what must be got over.
ACTIONS: Final = st.one_of(SPOILS, EVENTS, PASSING_SPOILS)
PLANS: Final = plans(ACTIONS)
SMALL_PLANS: Final = plans(ACTIONS, most=4, largest=12 * PART)
PASSING_PLANS: Final = plans(
    st.one_of(PASSING_SPOILS, st.builds(Event, what=st.sampled_from(["clear", "ranges off", "ranges on"])))
)
