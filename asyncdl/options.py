"""What a caller can set: frozen, keyword-only, validated when made. No environment is read here."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path

from asyncdl.errors import OptionsError
from asyncdl.patterns import Pattern

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

#: Most bytes of one connection in memory, in aiohttp's read buffer and in the piece taken from it: twice the sum of
#: its high-water mark (2 * 128 KiB) and one read of the event loop (256 KiB).
READ_AHEAD = 1 * MIB
#: Granularity in which the part size grows: the page size of the platforms that matter.
PART_SIZE_STEP = 4096
#: Most parts one object is cut into, as S3 multipart uploads have it (S3 user guide, "multipart upload limits").
MAX_PARTS = 10_000


# RFC 9110 section 5.5; a lone surrogate is no character and cannot be sent.
_FIELD_VALUE = Pattern(r"[^\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]*")
#: Characters of a refused value that are shown.
_LONGEST_SHOWN = 80


#: Options that are switched on or off.
_FLAGS = (
    "allow_private_redirects",
    "preallocate",
    "check_space",
    "resume",
    "resume_unproven",
    "use_environment",
    "pooled_buffers",
)


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise OptionsError(message)


def _shown(value: object) -> str:
    try:
        return repr(value)[:_LONGEST_SHOWN]
    except Exception:  # noqa: BLE001  # a stranger's repr, or an int with too many digits to print
        return f"a value of type {type(value).__name__}"


def _count(name: str, value: object, minimum: int = 1) -> None:
    good = isinstance(value, int) and not isinstance(value, bool) and value >= minimum
    _require(good, f"{name} must be a whole number of at least {minimum}, not {_shown(value)}")


def _number(name: str, value: object, *, zero: bool = False, unit: str = "seconds") -> None:
    good = False
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            good = isfinite(value) and (value >= 0 if zero else value > 0)
    except OverflowError:
        pass  # an int that no float holds
    bound = "of at least" if zero else "greater than"
    _require(good, f"{name} must be a number of {unit} {bound} 0, not {_shown(value)}")


def _flag(name: str, value: object) -> None:
    _require(isinstance(value, bool), f"{name} must be True or False, not {_shown(value)}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """How one download is carried out.

    Memory: chunk data held at any time is at most `memory_bound` bytes, however large the file is; the process's own
    footprint (interpreter, aiohttp, TLS) comes on top as a constant.

    Args:
        connections: most range requests in flight at once.
        first_connections: as many to begin with, or `connections` if those are fewer; one where that alone brings
            3 Gbit/s or more. More are added while they bring more bytes per second, and let go where they do not.
        part_size: bytes of one range request; None chooses by object size and connections, and by the speed once that
            is known. Grows in steps of 4096 when the object would need more than 10,000 parts.
        parallel_threshold: objects smaller than this many bytes are fetched over one connection.
        chunk_size: most bytes in one item of the queue.
        queue_depth: most items between the fetchers and the disk: in the queue, or with the writer. At least 2.
        reuse_window: seconds during which a URL just obtained is not renewed again unless it is known to be dead.
        refresh_margin: seconds before its known expiry at which a URL is renewed early; for URLs that live less than
            twenty times as long, one twentieth of their life.
        max_redirects: redirects followed for one request.
        allow_private_redirects: follow redirects from hosts of the public Internet to private, loopback, link-local and
            other special addresses. Over a proxy or a session of the caller's, only addresses in the URL itself and
            names like localhost can be told apart.
        preallocate: reserve the whole size on disk before the first byte, where the file system can, and is no memory.
        check_space: refuse an object that is larger than the space that is free.
        resume: go on with what an earlier download to the same destination left, if it is proven to be of the same
            object: by a strong entity tag, or by a checksum that is known and will be verified.
        resume_unproven: go on with it also where nothing proves that, and nothing contradicts it.
        proxy: proxy URL for every request; None takes it from the environment (see `use_environment`). Not shown in the
            repr: it may name a password.
        ca_file: PEM file of the certificate authorities to trust instead of the system's.
        use_environment: honour HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY, SSL_CERT_FILE, SSL_CERT_DIR,
            REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE.
        pooled_buffers: receive into buffers that are used again, where the event loop and aiohttp are as that needs and
            the session is not the caller's; otherwise, and if False, every read makes a new one.
        user_agent: value of the User-Agent header; None sends `asyncdl/VERSION`.

    Raises:
        OptionsError: a value is out of its range.
    """

    connections: int = 8
    first_connections: int = 8
    part_size: int | None = None
    parallel_threshold: int = 16 * MIB
    chunk_size: int = 1 * MIB
    queue_depth: int = 16
    reuse_window: float = 5.0
    refresh_margin: float = 5.0
    max_redirects: int = 5
    allow_private_redirects: bool = False
    preallocate: bool = True
    check_space: bool = True
    resume: bool = True
    resume_unproven: bool = False
    proxy: str | None = field(default=None, repr=False)
    ca_file: str | Path | None = None
    use_environment: bool = True
    pooled_buffers: bool = True
    user_agent: str | None = None

    def __post_init__(self) -> None:
        for name in ("connections", "first_connections", "chunk_size"):
            _count(name, getattr(self, name))
        _count("queue_depth", self.queue_depth, minimum=2)
        for name in ("parallel_threshold", "max_redirects"):
            _count(name, getattr(self, name), minimum=0)
        if self.part_size is not None:
            _count("part_size", self.part_size)
        for name in ("reuse_window", "refresh_margin"):
            _number(name, getattr(self, name), zero=True)
        for name in _FLAGS:
            _flag(name, getattr(self, name))
        _require(self.proxy is None or isinstance(self.proxy, str), "proxy must be a URL in a str, or None")
        _require(self.ca_file is None or isinstance(self.ca_file, str | Path), "ca_file must be a path, or None")
        if self.user_agent is not None:
            good = isinstance(self.user_agent, str) and _FIELD_VALUE.fullmatch(self.user_agent) is not None
            _require(good, "user_agent must be a str without control characters")

    @property
    def memory_bound(self) -> int:
        """Most bytes of the file held at once: `(queue_depth + connections) * chunk_size`.

        A connection holds what its stream has read ahead, up to 1 MiB, even where `chunk_size` is smaller.
        """
        return self.queue_depth * self.chunk_size + self.connections * max(self.chunk_size, READ_AHEAD)


@dataclass(frozen=True, kw_only=True, slots=True)
class Timeouts:
    """Bounds on every wait, in seconds.

    Args:
        total: one wall-clock deadline over the whole operation: URL refreshes, retries, waiting in the queue, writing,
            fsync and rename. None: no deadline. Only this one may end a download that makes progress.
        connect: to establish one connection, name resolution, a proxy's tunnel and TLS included.
        response: from sending a request to the last byte of the response headers.
        stall: without a single new byte of a body. Time spent waiting for our own disk does not count.
        low_speed: `(bytes_per_second, seconds)`: a connection slower than this over the window is dropped and the
            rest of its part asked for again. None: no lower bound.
        refresh: for one refresh of the URL, the provider's second try included.

    Raises:
        OptionsError: a value is not a positive number.
    """

    total: float | None = None
    connect: float = 10.0
    response: float = 30.0
    stall: float = 30.0
    low_speed: tuple[float, float] | None = (1024.0, 30.0)
    refresh: float = 30.0

    def __post_init__(self) -> None:
        for name in ("connect", "response", "stall", "refresh"):
            _number(f"timeouts.{name}", getattr(self, name))
        if self.total is not None:
            _number("timeouts.total", self.total)
        if self.low_speed is not None:
            _require(
                isinstance(self.low_speed, tuple) and len(self.low_speed) == 2,
                f"timeouts.low_speed must be (bytes_per_second, seconds), not {_shown(self.low_speed)}",
            )
            _number("timeouts.low_speed[0]", self.low_speed[0], unit="bytes per second")
            _number("timeouts.low_speed[1]", self.low_speed[1])


@dataclass(frozen=True, kw_only=True, slots=True)
class Retry:
    """When to try again after a fault that may pass.

    Args:
        attempts: requests for one part without a new byte before the download fails. A new byte starts the count anew.
            One that is throttled (429, 503) while others of the download are served does not count; the budget bounds
            those. Where none is served and only one at a time is let through, those of all parts count together.
        base: seconds; the n-th wait is drawn evenly from 0 to `base * 2**n` ("full jitter", AWS Architecture Blog,
            "Exponential Backoff And Jitter").
        cap: most seconds such a wait may be drawn from.
        budget: retries all fetchers of a download share, and all downloads of a `Downloader` from one host; every
            request that brought a new byte gives one back.
        retry_after_cap: most seconds waited because a server's Retry-After asked for it.

    Raises:
        OptionsError: a value is out of its range.
    """

    attempts: int = 10
    base: float = 0.5
    cap: float = 30.0
    budget: int = 200
    retry_after_cap: float = 120.0

    def __post_init__(self) -> None:
        _count("retry.attempts", self.attempts)
        _count("retry.budget", self.budget, minimum=0)
        for name in ("base", "cap", "retry_after_cap"):
            _number(f"retry.{name}", getattr(self, name), zero=True)
