"""What the tasks of one download share: its settings, its parts, the queue, and what has been learnt of the object."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from math import inf
from typing import Any, Protocol, TypeAlias

from asyncdl.edge.clock import Clock
from asyncdl.edge.transport import Transport
from asyncdl.edge.waits import Scope
from asyncdl.gate import Gate
from asyncdl.hosts import Host, Hosts
from asyncdl.model import Checksum, Chunk, HeaderPairs, RemoteObject
from asyncdl.options import Options, Retry, Timeouts
from asyncdl.refresher import UrlRefresher
from asyncdl.room import Room, Share
from asyncdl.rules.parts import Claim
from asyncdl.rules.retry import RetryBudget
from asyncdl.scheduler import Scheduler
from asyncdl.slots import Slots
from asyncdl.suppliers import Suppliers

#: Queue items that the writer takes to the disk in one go, as a share of `Options.queue_depth`; the queue has the rest.
_WRITE_SHARE = 4


#: Entered by what waits for time to pass; others may have its place meanwhile.
Aside: TypeAlias = Callable[[], AbstractAsyncContextManager[None]]
#: What a fetcher runs in.
Stoppable: TypeAlias = "asyncio.Task[Any] | Scope"
#: Starts work that ends with the download, and that ends it if it fails.
Start: TypeAlias = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]


class Intake(Protocol):
    """Where the fetchers put what they bring: the queue, or what gathers an object that fits in one chunk."""

    def full(self) -> bool:
        """Whether `put` would wait."""
        ...

    async def put(self, item: Chunk, /) -> None: ...


@dataclass(slots=True)
class Counters:
    """What `Result` reports."""

    fetched: int = 0
    requests: int = 0
    retries: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Commons:
    """What downloads have in common; one that runs alone has it to itself.

    Attributes:
        transport: and with it the connections.
        hosts: that they deal with.
        slots: for their requests.
        room: for their chunks; None where each has only the bound of its own queue.
    """

    transport: Transport
    hosts: Hosts
    slots: Slots
    room: Room | None = None

    @classmethod
    def of_one(cls, transport: Transport, options: Options, clock: Clock, retry: Retry) -> Commons:
        """For a download that runs alone."""
        connections = options.connections
        most = min(connections, transport.connection_limit or connections)
        return cls(transport=transport, hosts=Hosts(most, clock, retry), slots=Slots(most))


def _nobody(*_: object) -> None:
    """Nobody is told any more."""


@dataclass(slots=True, kw_only=True)
class Job:
    """One download in progress.

    Attributes:
        refresher: of the first place's URL.
        others: those of further places that have the object.
        pinned: the checksum that the caller gave, where there are such places.
        suppliers: all these places.
        declared_size: what the caller says the object's size is.
        deadline: on the monotonic clock, or None.
        on_remote: told once, with the claim it came for and the checksums promised, when the first response says what
            the object is. It, or what it starts, sets `begun`.
        aside: gives up the place among the files at work, and waits for another one at the end.
        queued: once it has begun: whether the object goes through the queue, and is not gathered in memory.
        begun: `intake` is ready for the bytes of the object.
        remote: what the object is, or None before that.
        learnt: when the first response said so, on the monotonic clock.
        scheduler: who fetches what.
        sequential: one stream serves the whole object; no other fetcher runs.
        fetchers: what they run in.
        own_budget: of retries: others that are served give back what the host's budget has, and would feed for ever
            what gets nowhere itself.
    """

    options: Options
    timeouts: Timeouts
    retry: Retry
    clock: Clock
    commons: Commons
    refresher: UrlRefresher
    headers: HeaderPairs
    declared_size: int | None
    deadline: float | None
    on_remote: Callable[[RemoteObject, Claim, tuple[Checksum, ...]], object]
    others: tuple[UrlRefresher, ...] = ()
    pinned: Checksum | None = None
    aside: Aside = nullcontext
    suppliers: Suppliers = field(init=False)
    scheduler: Scheduler = field(init=False)
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    remote: RemoteObject | None = None
    learnt: float = inf
    sequential: bool = False
    queued: bool = True
    fetchers: list[Stoppable] = field(default_factory=list)
    counters: Counters = field(default_factory=Counters)
    own_budget: RetryBudget = field(init=False)
    _queue: asyncio.Queue[Chunk | None] | None = field(init=False, default=None)
    _share: Share | None = field(init=False, default=None)
    _intake: Intake | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.suppliers = Suppliers(
            (self.refresher, *self.others),
            self.commons.hosts,
            self.clock,
            pinned=self.pinned,
            declared_size=self.declared_size,
        )
        self.scheduler = Scheduler(self.suppliers)
        self.own_budget = RetryBudget(self.retry.budget)

    @property
    def transport(self) -> Transport:
        return self.commons.transport

    @property
    def queue(self) -> asyncio.Queue[Chunk | None]:
        """On the way to the writer; made when first asked for, since many a small object needs none."""
        if self._queue is None:
            self._queue = asyncio.Queue(self.options.queue_depth - self.write_batch)
        return self._queue

    @property
    def intake(self) -> Intake:
        """The queue, or the way into it where the room is shared, unless `gather` was called."""
        if self._intake is None:
            self._share = Share(self.queue, self.commons.room) if self.commons.room else None
            self._intake = self._share or self.queue
        return self._intake

    def gather(self, intake: Intake) -> None:
        """Let what comes go there, and not to the queue."""
        self._intake, self.queued = intake, False

    @property
    def host(self) -> Host:
        """The one that the present URL of the first place leads to."""
        return self.suppliers.all[0].host

    @property
    def gate(self) -> Gate:
        """Passed by every request to the host."""
        return self.host.gate

    @property
    def budget(self) -> RetryBudget:
        """Of the retries left for the host."""
        return self.host.budget

    @property
    def write_batch(self) -> int:
        """Most chunks the writer holds at a time."""
        return max(1, self.options.queue_depth // _WRITE_SHARE)

    def let_go(self) -> None:
        """Nothing more is done: what was lent is given back, and nothing here refers to who began it."""
        self.on_remote = _nobody
        while self._queue is not None and not self._queue.empty():
            chunk = self._queue.get_nowait()
            if chunk is not None:
                chunk.release()
        if self._share:
            self._share.close()

    async def learn(self, remote: RemoteObject, claim: Claim, promises: tuple[Checksum, ...]) -> None:
        """An accepted response said what the object is; returns when its bytes may come."""
        first, self.remote = self.remote is None, remote
        if first:
            self.learnt = self.clock.monotonic()
            self.on_remote(remote, claim, promises)
        if not self.begun.is_set():
            await self.begun.wait()

    def go_sequential(self, claim: Claim) -> None:
        """Let `claim` be the whole object, and its fetcher the only one."""
        if self.sequential:
            return
        self.sequential = True
        claim.start = claim.position = 0
        claim.stop = self.remote.size if self.remote else self.declared_size
        self.scheduler.only(claim)
        for fetcher in self.fetchers:
            if fetcher is not asyncio.current_task():
                fetcher.cancel()
