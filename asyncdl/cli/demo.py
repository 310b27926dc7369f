"""`asyncdl demo`: URLs that die young, a download that is interrupted, and finishes all the same, and the proof."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import hashlib
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from asyncdl.cli import arguments, exit_codes, signals, text, values
from asyncdl.cli.jobs import Job
from asyncdl.cli.run import choose_display, engine_download
from asyncdl.cli.streams import Lines
from asyncdl.errors import AsyncdlError, IntegrityError, OptionsError, StorageError
from asyncdl.model import Checksum, Phase, SignedUrl
from asyncdl.options import GIB, MIB, Options

if TYPE_CHECKING:
    import signal
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from asyncdl.cli.display import Display
    from asyncdl.cli.run import Download
    from asyncdl.model import Progress, Result
    from asyncdl.testing import OriginProcess, Provider
    from asyncdl.testing.content import Content

_Number = TypeVar("_Number", int, float)

#: Lives of the URL that the default rate makes the download last.
_LIVES: Final = 4.5
#: Requests each connection makes, so that there are some after every expiry: a body in flight outlives its URL.
_REQUESTS_EACH: Final = 16
#: Bytes of the smallest part worth a request of its own.
_SMALLEST_PART: Final = 64 * 1024
#: Share of the file after which the download is interrupted.
_INTERRUPTED_AT: Final = 0.4
#: Bytes hashed in one go; a cancellation waits for no more.
_SLICE: Final = 16 * MIB
_NAME: Final = "demo.bin"
#: Seconds: a life shorter than one request's way proves nothing, and an hour is longer than anybody watches.
_SHORTEST_LIFE: Final = 0.1
_LONGEST_LIFE: Final = 3600.0
#: Bytes; the largest file of ext4 with blocks of 4 KiB (kernel documentation, "ext4: Blocks").
_LARGEST: Final = 16 << 40
#: Bytes per second, more than memory moves.
_FASTEST: Final = 64 << 30


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    """What to show: `size` bytes, URLs living `ttl` seconds, `rate` bytes per second for each connection."""

    size: int
    ttl: float
    connections: int
    rate: float
    dir: str | None

    @property
    def part_size(self) -> int:
        return min(max(self.size // (self.connections * _REQUESTS_EACH), _SMALLEST_PART), 32 * MIB)


def parse(argv: Sequence[str]) -> Demo:
    """The demo's own arguments.

    Raises:
        OptionsError: they cannot be used.
        SystemExit: after --help.
    """
    parser = arguments.Parser(
        prog=f"{text.PROGRAM} demo",
        description="Start a local server, download a file whose URL expires several times on the way, interrupt that "
        "and go on, compare every byte with what was served, and say what happened. Nothing is left behind.",
        allow_abbrev=False,
    )

    def add(*flags: str, read: object, metavar: str, default: object, words: str) -> None:
        parser.add_argument(*flags, type=read, metavar=metavar, default=default, help=words)  # type: ignore[arg-type]

    size, rate, count, seconds = map(arguments.argument, (_size, _rate, values.count, _life))
    add("--size", read=size, metavar="N", default=GIB, words="of the file, with K, M, G or T; default: 1G")
    add("--ttl", read=seconds, metavar="S", default=1.5, words="seconds a URL lives; default: 1.5")
    add("-x", "--connections", read=count, metavar="N", default=8, words="requests at once; default: 8")
    add(
        "--rate", read=rate, metavar="R", default=None,
        words="bytes per second of each connection; default: such that the file takes four and a half lives of a URL",
    )  # fmt: skip
    add("--dir", read=str, metavar="DIR", default=None, words="where to make the temporary directory")
    given, unknown = parser.parse_known_args(argv)
    arguments.refuse_unknown(unknown, parser.prog)
    demo = Demo(size=given.size, ttl=given.ttl, connections=given.connections, rate=given.rate or 0.0, dir=given.dir)
    if demo.rate:
        return demo
    # More connections than there are parts carry nothing.
    busy = min(demo.connections, -(-demo.size // demo.part_size))
    return dataclasses.replace(demo, rate=demo.size / (_LIVES * demo.ttl * busy))


def _size(words: str) -> int:
    return _within(values.positive_size, words, 1, _LARGEST, "must be at most 16T")


def _rate(words: str) -> int:
    return _within(values.positive_size, words, 1, _FASTEST, "must be at most 64G")


def _life(words: str) -> float:
    return _within(values.seconds, words, _SHORTEST_LIFE, _LONGEST_LIFE, "must be from 0.1 to 3600 seconds")


def _within(read: Callable[[str], _Number], words: str, least: float, most: float, otherwise: str) -> _Number:
    number = read(words)
    if not least <= number <= most:
        raise OptionsError(otherwise)
    return number


def run(demo: Demo, download: Download | None = None) -> int:
    """Show it; 0 only if every byte was right."""
    display = choose_display(sys.stderr)
    output = Lines(sys.stdout)

    def interrupted(number: signal.Signals) -> None:
        display.close()
        display.interrupted(number)

    try:
        with _temporary_directory(demo.dir) as directory:
            return signals.run_interruptible(
                lambda: _show(demo, Path(directory, _NAME), display, output, download),
                on_interrupt=interrupted,
                on_abort=functools.partial(_give_up, directory, display),
            )
    except StorageError as error:
        display.failed(None, error)
        return exit_codes.of_error(error)
    finally:
        display.close()


def _give_up(directory: str, display: Display) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    display.close()


@contextlib.contextmanager
def _temporary_directory(parent: str | None) -> Iterator[str]:
    try:
        directory = tempfile.mkdtemp(prefix="asyncdl-demo-", dir=parent)
    except OSError as error:
        msg = f"no temporary directory could be made: {error.strerror}"
        raise StorageError(msg, hint="name another place with --dir", errno=error.errno) from error
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


async def _show(demo: Demo, path: Path, display: Display, output: Lines, download: Download | None) -> int:
    from asyncdl.testing import origin_process  # noqa: PLC0415  # only the demo needs a server

    life = f"{text.human_time(demo.ttl)}, {text.human_size(demo.rate)}/s on each of {demo.connections} connections"
    output.write(f"A local server offers {text.human_size(demo.size)}; each URL lives {life}.")
    job: Job | None = None
    try:
        async with origin_process(size=demo.size, ttl=demo.ttl, rate=demo.rate) as origin:
            provider = origin.provider(ttl=demo.ttl)
            job = Job(source=provider, path=path, url=SignedUrl(origin.url).public)
            story = await _download(demo, origin, job, display, output, download or engine_download())
            await _verify(origin, path)
            ledger = await origin.ledger()
    except Exception as error:  # noqa: BLE001  # a demo ends with a sentence, whatever happened
        display.failed(job, error)
        return exit_codes.of_error(error) if isinstance(error, AsyncdlError) else exit_codes.ExitCode.INTERNAL
    display.close()
    for line in _report(story, provider, ledger):
        output.write(line)
    return exit_codes.ExitCode.OK


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Story:
    """What happened.

    Attributes:
        interrupted: how far the download was then; None where it was too short for that.
        result: of the run that completed it.
        seconds: of both runs.
        repeated: bytes that the server had sent more than once before the interruption.
    """

    interrupted: Progress | None
    result: Result
    seconds: float
    repeated: int


async def _download(
    demo: Demo, origin: OriginProcess, job: Job, display: Display, output: Lines, download: Download
) -> _Story:
    checksum = Checksum("sha256", await _sha256(origin.content))
    # Nothing of the environment: no proxy is to be asked for a server that only this machine has.
    options = Options(
        connections=demo.connections,
        first_connections=demo.connections,
        part_size=demo.part_size,
        parallel_threshold=0,
        use_environment=False,
    )
    fetch = functools.partial(download, job.source, job.path, checksum=checksum, options=options)
    progressed = functools.partial(display.progressed, job)
    began = time.monotonic()
    display.started(job)
    interrupted, result = await _until_interrupted(demo, fetch, progressed)
    repeated = (await origin.ledger())["repeated"]
    if result is None:
        display.close()
        output.write("Interrupted. The same download again, with another URL:")
        display.started(job)
        result = await fetch(on_progress=progressed)
    return _Story(interrupted=interrupted, result=result, seconds=time.monotonic() - began, repeated=repeated)


async def _until_interrupted(
    demo: Demo, fetch: Callable[..., Awaitable[Result]], progressed: Callable[[Progress], None]
) -> tuple[Progress | None, Result | None]:
    """Where it was interrupted; or the result, if it was complete before."""
    last: Progress | None = None
    interruption = asyncio.timeout(None)

    def watch(progress: Progress) -> None:
        nonlocal last
        last = progress
        progressed(progress)
        enough = demo.size * _INTERRUPTED_AT <= progress.done < demo.size
        if enough and progress.phase is Phase.DOWNLOADING and not interruption.expired():
            interruption.reschedule(0.0)

    try:
        async with interruption:
            return None, await fetch(on_progress=watch)
    except TimeoutError:
        if not interruption.expired():
            raise
    return last, None


async def _sha256(content: Content) -> bytes:
    digest = hashlib.sha256()

    def add(start: int) -> None:
        for block in content.blocks(start, start + _SLICE):
            digest.update(block)

    for start in range(0, content.size, _SLICE):
        await asyncio.to_thread(add, start)
    return digest.digest()


async def _verify(origin: OriginProcess, path: Path) -> None:
    difference = await asyncio.to_thread(origin.content.first_difference, path)
    if difference is not None:
        msg = f"the file is wrong from byte {difference} on"
        raise IntegrityError(msg)


def _report(story: _Story, provider: Provider, ledger: dict[str, int]) -> list[str]:
    result, first = story.result, story.interrupted
    size = result.size or 0
    rate = size / story.seconds if story.seconds > 0 else 0.0
    again = f"{story.repeated} bytes before the interruption, {ledger['repeated'] - story.repeated} after it"
    rows = {
        "verified": f"every one of {size} bytes is the one that was served",
        "checksum": f"{result.checksum.algorithm}, added up while they came in" if result.checksum else "none",
        "kept": f"{result.resumed} of {first.done} bytes that were there when it was interrupted" if first else "",
        "time": f"{story.seconds:.1f} s, {text.human_size(rate)}/s",
        "URL lives": f"{provider.calls} (calls of the URL provider)",
        "refreshes": str(result.refreshes + (first.refreshes if first else 0)),
        "retries": str(result.retries + (first.retries if first else 0)),
        "requests": str(ledger["requests"]),
        "sent more than once": f"{again if first else f'{story.repeated} bytes'}, by the server's own count",
        "peak memory": _peak_memory(),
    }
    width = max(map(len, rows))
    return [f"  {name:{width}}  {value}" for name, value in rows.items() if value]


def _peak_memory() -> str:
    try:
        import resource  # noqa: PLC0415  # Unix only
    except ImportError:
        return "unknown on this platform"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # getrusage(2): KiB on Linux and the BSDs, bytes on macOS.
    return f"{peak / (MIB if sys.platform == 'darwin' else 1024):.1f} MiB (resident, this process)"
