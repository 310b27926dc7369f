"""The frozen table of scenarios, P1 to P14: what each is, what it has to show, and what runs it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks import cold, durable, expiry, goals, killed, large, memory, network, small
from benchmarks.clients import LIMIT
from benchmarks.goals import Goal, Ratios
from benchmarks.rounds import Results
from benchmarks.settings import Settings

#: Who may be first in P1 and P2.
FIELD = ("curl", "aria2c", "hf_transfer", "wandb", "obstore")
BARE = "limit: aiohttp"
OURS = "asyncdl"
_THREADED = "threaded baseline"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One row of the table.

    Attributes:
        goal: in words.
        how: what is run, and how the goal is computed, for the documentation.
        run: carries it out; None where it only reads what others found.
        needs: the scenarios whose samples its goals read, besides its own.
    """

    id: str
    title: str
    goal: str
    how: str
    goals: tuple[Goal, ...]
    run: Callable[[Settings], Results] | None = None
    needs: tuple[str, ...] = ()


def _least(words: str, bound: float, ratios: Callable[..., Ratios], /, *of: object, **more: object) -> Goal:
    return Goal(words=words, bound=bound, sense="at least", ratios=lambda found: ratios(found, *of, **more))


def _most(
    words: str, bound: float, ratios: Callable[..., Ratios], /, *of: object, unit: str = "", full_only: bool = False
) -> Goal:
    return Goal(
        words=words,
        bound=bound,
        sense="at most",
        ratios=lambda found: ratios(found, *of),
        unit=unit,
        full_only=full_only,
    )


def _limit(words: str, ratios: Callable[..., Ratios], /, *of: object) -> Goal:
    """What the limit's row comes to in place of ours."""
    return Goal(words=words, bound=None, sense="at most", ratios=lambda found: ratios(found, *of))


SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        id="P1",
        title="one large file, http, loopback",
        goal="at least as fast as the fastest of curl, aria2c, hf_transfer, wandb, obstore; 0.85 of the limit",
        how="nginx on loopback, the destination on a tmpfs, whole processes. Ratios of throughput, round by round, to "
        "the peer with the smallest median time, to one thread that does nothing but recv_into and pwrite, and to one "
        "stream of bare aiohttp.",
        run=large.one_file,
        goals=(
            _least("throughput over the fastest peer's", 1.0, goals.speed, "P1", OURS, FIELD),
            _least("throughput over the limit's", 0.85, goals.speed, "P1", OURS, [LIMIT]),
            _least("throughput over bare aiohttp's", 1.0, goals.speed, "P1", OURS, [BARE]),
        ),
    ),
    Scenario(
        id="P2",
        title="the same, https",
        goal="at least as fast as the fastest peer",
        how="As P1, with a certificate of an authority made for the run.",
        run=large.one_file_https,
        goals=(
            _least("throughput over the fastest peer's", 1.0, goals.speed, "P2", OURS, FIELD),
            _limit("the limit's throughput over the fastest peer's", goals.speed, "P2", LIMIT, FIELD),
            _least("throughput over bare aiohttp's", 1.0, goals.speed, "P2", OURS, [BARE]),
        ),
    ),
    Scenario(
        id="P3",
        title="CPU seconds per byte, http and https",
        goal="at most curl's",
        how="From the samples of P1 and P2: user and system time of the process and its children, over curl's.",
        needs=("P1", "P2"),
        goals=(
            _most("CPU seconds over curl's, http", 1.0, goals.cpu, "P1", OURS, "curl"),
            _limit("the limit's CPU seconds over curl's, http", goals.cpu, "P1", LIMIT, "curl"),
            _most("CPU seconds over curl's, https", 1.0, goals.cpu, "P2", OURS, "curl"),
            _limit("the limit's CPU seconds over curl's, https", goals.cpu, "P2", LIMIT, "curl"),
            _most("CPU seconds over bare aiohttp's, http", 1.0, goals.cpu, "P1", OURS, BARE),
            _most("CPU seconds over bare aiohttp's, https", 1.0, goals.cpu, "P2", OURS, BARE),
        ),
    ),
    Scenario(
        id="P4",
        title="peak memory",
        goal="at most 100 MiB, flat in the file's size, at most 1/6 of wandb's",
        how="The largest resident set of the process, with 1, 8 and 64 connections to a tmpfs, and with 8 into a disk "
        "that sums up what it is given and forgets it: 8 GiB quick, 200 GiB in full, beside 1 GiB. The sums are "
        "compared at the end. The bound is Options.memory_bound, over a process "
        "that has loaded everything and holds next to no data; 2 MiB beside are the allocator's.",
        run=memory.peaks,
        goals=(
            _most(
                "the largest of all peaks",
                100.0,
                goals.peak,
                "P4",
                [*map(memory.with_count, memory.COUNTS), memory.SINK_LARGE],
                unit=" MiB",
            ),
            _most(
                "peak of the largest file over 1 GiB's",
                1.1,
                goals.peak_over,
                "P4",
                memory.SINK_LARGE,
                memory.SINK_SMALL,
            ),
            _most(
                "peak over wandb's", 1 / 6, goals.peak_over, "P4", memory.with_count(8), memory.WANDB, full_only=True
            ),
            _most(
                "growth over the bound stated",
                1.0,
                goals.growth,
                "P4",
                [*map(memory.with_count, memory.COUNTS)],
                memory.TINY,
            ),
        ),
    ),
    Scenario(
        id="P5",
        title="an origin that gives each connection 50 MB/s",
        goal="0.95 of min(connections x 50 MB/s, what 8 connections bring without a cap)",
        how="An origin of our own paces each connection. Throughput of the download call over the smaller of "
        "connections x 50 MB/s and that of the same round's run without a cap.",
        run=network.capped,
        goals=tuple(
            _least(
                f"share of what is possible with {count}",
                0.95,
                goals.capped_share,
                "P5",
                network.with_count(count),
                cap=count * network.RATE,
                free=network.FREE,
            )
            for count in network.COUNTS
        ),
    ),
    Scenario(
        id="P6",
        title="50 and 100 ms to the first byte of every response",
        goal="0.95 of the ideal pipeline",
        how="8 connections at 50 MB/s each. The ideal takes as long as the same round's run without latency, and the "
        "first latencies that nobody can avoid: nothing is known before the first response (one latency for all), and "
        "only then can the other 7 connections ask (one more for 7/8 of the bandwidth); every later request would be "
        "on its way before the body before it ends. So: (time without latency + latency x (1 + 7/8)) / time with it.",
        run=network.late,
        goals=tuple(
            _least(
                f"share of the ideal, {latency * 1000:.0f} ms",
                0.95,
                goals.pipeline_share,
                "P6",
                network.with_latency(latency),
                plain=network.PLAIN,
                latency=latency,
                connections=network.PIPELINE,
            )
            for latency in network.LATENCIES
        ),
    ),
    Scenario(
        id="P7",
        title="one connection of 16 collapses to 100 kB/s",
        goal="at most 1.10 of the time without it",
        how="16 connections at 20 MB/s each; the third that asks for data gets 100 kB/s after its first 4 MiB, until "
        "it is closed. Time of the download call over that of the same round's run in which all stay healthy.",
        run=network.straggler,
        goals=(_most("time over that without it", 1.1, goals.call_time, "P7", network.COLLAPSED, network.HEALTHY),),
    ),
    Scenario(
        id="P8",
        title="many files of 100 kB",
        goal="at least 1.5 x aria2c and 5 x the threaded baseline, each file flushed and not",
        how="nginx, 16 requests at once (the threaded baseline: 64 threads); 1,000 files quick, 10,000 in full. To a "
        "tmpfs, and to a disk: there every other client is followed by a sync of each file, which asyncdl does itself. "
        "The limit is a bare loop over aiohttp that creates, writes, syncs and renames each file in one visit to a "
        "thread, and checks nothing.",
        run=small.many,
        goals=tuple(
            goal
            for suffix, where in (("", ", on tmpfs"), (small.DURABLE, small.DURABLE))
            for other, bound in (("aria2c", 1.5), (_THREADED, 5.0))
            for goal in (
                _least(f"speed over {other}'s{where}", bound, goals.speed, "P8", OURS + suffix, [other + suffix]),
                _limit(
                    f"the limit's speed over {other}'s{where}",
                    goals.speed,
                    "P8",
                    small.LIMIT + suffix,
                    [other + suffix],
                ),
            )
        ),
    ),
    Scenario(
        id="P9",
        title="P1 with a checksum verified",
        goal="sha256 at most 1.10 of the unverified time, crc64nvme at most 1.03",
        how="As P1, asyncdl alone, with and without a checksum to compare. Time of the download call over that of the "
        "same round's unverified run. The limit is recv_into and pwrite, and a second thread that hashes.",
        run=large.verified,
        goals=(
            _most("time over the unverified, sha256", 1.10, goals.call_time, "P9", "sha256", large.UNVERIFIED),
            _limit("the limit's with sha256 over its without", goals.time, "P9", large.LIMIT_VERIFIED, LIMIT),
            _most("time over the unverified, crc64nvme", 1.03, goals.call_time, "P9", "crc64nvme", large.UNVERIFIED),
        ),
    ),
    Scenario(
        id="P10",
        title="URLs that live 2 s",
        goal="at most 1.02 of the time with a URL that lives for ever; one renewal per life, not per connection",
        how="The test kit's origin paces 16 connections so that the transfer takes 20 s quick, 60 s in full; small "
        "parts, so that a request is always about to be sent. Renewals over ceil(wall time / 2 s).",
        run=expiry.expiring,
        goals=(
            _most("time over that of one URL", 1.02, goals.call_time, "P10", expiry.SHORT, expiry.FOR_EVER),
            _most("renewals for each life of a URL", 1.0, goals.fact, "P10", expiry.SHORT, "renewals a life"),
        ),
    ),
    Scenario(
        id="P11",
        title="the command for 1 MB, a new process",
        goal="at most 0.35 s, and 2.0 x the time of curl and of Python's own start together",
        how="`python -m asyncdl` from nginx to a tmpfs, its byte code written before; `curl`; `python -c pass`. Eight "
        "lines over aiohttp, and what they import, show what no client built on them can be faster than.",
        run=cold.cold,
        goals=(
            _most("wall time", 0.35, goals.wall, "P11", cold.COMMAND, unit=" s"),
            _most(
                "time over curl's and Python's", 2.0, goals.time_over_sum, "P11", cold.COMMAND, [cold.CURL, cold.PYTHON]
            ),
            _limit(
                "8 lines' over curl's and Python's", goals.time_over_sum, "P11", cold.FLOOR, [cold.CURL, cold.PYTHON]
            ),
        ),
    ),
    Scenario(
        id="P12",
        title="SIGKILL 20 times in one download",
        goal="fetched again: at most one journal window and what was in flight for each kill",
        how="8 connections at 16 MB/s each; each life ends after 0.5 to 7 % of the file, drawn with a fixed seed. What "
        "the origin sent beyond the file's size, over kills x (64 MiB of window + Options.memory_bound). What stood in "
        "the sockets' buffers at a kill counts as fetched again, and is not in the bound.",
        run=killed.killed,
        goals=(_most("fetched again, over what is allowed", 1.0, goals.fact, "P12", killed.KILLED, "share"),),
    ),
    Scenario(
        id="P13",
        title="an object of 5 TiB, 64 connections",
        goal="constant memory, no list of all parts",
        how="Every part claimed and covered, 64 at a time: the most bytes of Python objects, over those for 5 GiB. And "
        "the first seconds of downloads of sparse files of 5 TiB and of 64 GiB into the disk that forgets, then "
        "cancelled; what came is compared.",
        run=memory.huge,
        goals=(
            _most(
                "objects of the plan over 5 GiB's",
                1.1,
                goals.per_fact,
                "P13",
                memory.PLAN_HUGE,
                "traced",
                memory.PLAN_SMALL,
            ),
            _most("peak of the download over 64 GiB's", 1.1, goals.peak_over, "P13", memory.REAL, memory.REAL_SMALL),
        ),
    ),
    Scenario(
        id="P14",
        title="a real disk, the final flush included",
        goal="at most 1.05 of the time of curl and sync; the page cache not flooded",
        how="nginx from a tmpfs to a disk whose writeback is empty at the start; curl is followed by a sync of its "
        "file, and so is the limit. Each runs once before, unmeasured: how a client writes decides which memory the "
        "page cache gets, and a virtual machine may have given that away. What is cached afterwards is asked with "
        "mincore; a file of less than 1 GiB may stay in memory.",
        run=durable.durable,
        goals=(
            _most("time over curl's and sync's", 1.05, goals.time, "P14", durable.OURS, durable.CURL),
            _limit("the limit's time over curl's and sync's", goals.time, "P14", durable.LIMIT, durable.CURL),
            _most(
                "left in the page cache",
                1280.0,
                goals.fact,
                "P14",
                durable.OURS,
                "cached MiB",
                unit=" MiB",
                full_only=True,
            ),
        ),
    ),
)
BY_ID = {scenario.id: scenario for scenario in SCENARIOS}
