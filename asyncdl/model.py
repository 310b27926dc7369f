"""The values that travel between the layers; no behaviour beyond keeping themselves valid."""

from __future__ import annotations

import base64
import enum
import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from math import isnan
from pathlib import Path
from typing import Final, Literal, NamedTuple, Protocol, TypeAlias, runtime_checkable
from urllib.parse import urlsplit

from asyncdl.errors import OptionsError
from asyncdl.wire import Chunk as Chunk  # noqa: PLC0414  # looked for here
from asyncdl.wire import Headers as Headers  # noqa: PLC0414

IfExists: TypeAlias = Literal["skip", "replace", "error"]
HeaderPairs: TypeAlias = tuple[tuple[str, str], ...]


class Part(NamedTuple):
    """A half-open byte range `[start, stop)` of an object."""

    start: int
    stop: int

    @property
    def length(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True, slots=True)
class SignedUrl:
    """A URL that carries its own permission and usually dies.

    Args:
        url: sent byte for byte.
        expires_at: when it dies, in seconds since the epoch (as `time.time()`); None reads it from the URL where its
            provider writes it there.
        headers: further headers that this URL needs, as pairs of name and value.
        checksum: of the whole object, where whoever made the URL knows it; verified as if the server had promised it.

    Raises:
        OptionsError: `expires_at` is no point in time. The URL and the headers are checked where they are used.
    """

    url: str
    expires_at: float | None = None
    headers: HeaderPairs = ()
    checksum: Checksum | None = None

    def __post_init__(self) -> None:
        if self.expires_at is not None and not _is_moment(self.expires_at):
            raise OptionsError("expires_at must be seconds since the epoch, as time.time() has them")

    @property
    def public(self) -> str:
        """The URL without user, password, query and fragment: what may be logged and shown."""
        try:
            split = urlsplit(self.url)
            # A password with a slash in it would pass for host, port and path; its first half is no port.
            _ = split.port
        except (AttributeError, TypeError, ValueError):
            return "<malformed URL>"
        if not isinstance(self.url, str) or not split.netloc:
            return "<malformed URL>"
        # A query whose question mark was encoded by mistake is still a query.
        path, *encoded = re.split("%3f", split.path, maxsplit=1, flags=re.IGNORECASE)
        host = split.netloc.rpartition("@")[2]
        return f"{split.scheme}://{host}{path}" + ("?…" if split.query or encoded else "")

    def __repr__(self) -> str:
        return f"SignedUrl({self.public!r})"

    __str__ = __repr__


def _is_moment(value: object) -> bool:
    """Whether a clock can be compared with it: NaN would never come, and too large an int raises; infinity is fine."""
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and not isnan(value)
    except OverflowError:
        return False


@runtime_checkable
class UrlProvider(Protocol):
    """Where URLs come from: an async callable.

    `rejected` is None the first time, and afterwards the URL that died or is about to. It must return a URL of the
    same object. Whatever it raises ends the download as `RefreshError`, after one more try.
    """

    async def __call__(self, rejected: SignedUrl | None) -> SignedUrl | str: ...


#: A provider may also be a plain function; it runs in a worker thread, so that a slow one stops nobody else.
SyncUrlProvider: TypeAlias = Callable[[SignedUrl | None], "SignedUrl | str | Awaitable[SignedUrl | str]"]
#: Where one place's URLs come from.
SingleSource: TypeAlias = str | SignedUrl | UrlProvider | SyncUrlProvider


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Mirrors:
    """One object that several places have. They are used together, each with its own expiry and renewal.

        await asyncdl.download(asyncdl.Mirrors(["https://a.example/model", "https://b.example/model"]), "model.bin")

    Nothing is taken from a place unless it is proven to have the object that the first answer was of: by a checksum
    that the caller gives, by checksums that both servers promise of the whole object, or by equal strong entity tags.
    A place that is not proven, or that fails where a single source would have failed, is given up with a warning in the
    log, and the others go on from the last byte; the error of the last one ends the download. Requests go to those that
    are quickest.

    The headers of a `SignedUrl` go to its own origin. Those of the request go to the origin of the first place's first
    URL alone.

    Args:
        sources: the places, the most trusted first: it is asked first. One that is given twice counts once.

    Raises:
        OptionsError: there is none.
    """

    sources: tuple[SingleSource, ...]

    def __init__(self, sources: Iterable[Source]) -> None:
        if isinstance(sources, str | bytes) or not isinstance(sources, Iterable):
            raise OptionsError("mirrors are given as a list of sources")
        different: list[SingleSource] = []
        for source in sources:
            for each in source.sources if isinstance(source, Mirrors) else (source,):
                if each not in different:
                    different.append(each)
        if not different:
            raise OptionsError("a list of mirrors needs at least one source")
        object.__setattr__(self, "sources", tuple(different))

    def __repr__(self) -> str:
        return f"Mirrors(<{len(self.sources)} sources>)"


#: What a file is downloaded from.
Source: TypeAlias = SingleSource | Mirrors


#: Bytes of the digest of each algorithm that asyncdl verifies, the strongest algorithm first.
DIGEST_SIZES: Final = {
    "sha512": 64,
    "blake2b": 64,
    "sha256": 32,
    "sha1": 20,
    "md5": 16,
    "crc64nvme": 8,
    "crc32c": 4,
    "crc32": 4,
}


@dataclass(frozen=True, slots=True)
class Checksum:
    """What all bytes of an object add up to. Its `str` is the canonical form, as `sha256:` and hexadecimal digits.

    Args:
        algorithm: `sha256`, `sha512` or `sha1` (FIPS 180-4), `md5` (RFC 1321), `blake2b` with 512 bits (RFC 7693),
            `crc32` (RFC 1952 section 8), `crc32c` (RFC 3720 section 12.1) or `crc64nvme` (NVM Express, NVM Command Set
            Specification, 64b CRC). Against tampering only the first two and `blake2b` help.
        digest: its value; of a CRC the big-endian bytes, as S3 and Google Cloud Storage send them.

    Raises:
        OptionsError: another algorithm, or a digest that is not of its length.
    """

    algorithm: str
    digest: bytes

    def __post_init__(self) -> None:
        size = DIGEST_SIZES.get(self.algorithm)
        if size is None:
            raise OptionsError("unknown checksum algorithm", hint=_KNOWN_ALGORITHMS)
        if not isinstance(self.digest, bytes) or len(self.digest) != size:
            raise OptionsError(f"a digest of {self.algorithm} has {size} bytes")

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.digest.hex()}"

    @classmethod
    def parse(cls, text: str) -> Checksum:
        """The checksum that is written as `algorithm:value`.

        The algorithm may be in any case and have hyphens (`SHA-256`). The value is in hexadecimal digits or in base64
        (RFC 4648, either alphabet, with or without padding); its length says which.

        Raises:
            OptionsError: no such algorithm, or the value is not of its length or not in one of these alphabets.
        """
        name, colon, value = text.partition(":") if isinstance(text, str) else ("", "", "")
        if not colon:
            raise OptionsError("a checksum is written with its algorithm, as in sha256:HEX", hint=_KNOWN_ALGORITHMS)
        algorithm = name.strip().lower().replace("-", "")
        algorithm = {"blake2b512": "blake2b"}.get(algorithm, algorithm)
        if algorithm not in DIGEST_SIZES:
            raise OptionsError("unknown checksum algorithm", hint=_KNOWN_ALGORITHMS)
        return cls(algorithm, _read_digest(value.strip(), algorithm))


_KNOWN_ALGORITHMS: Final = f"Known are {', '.join(DIGEST_SIZES)}."


def _read_digest(value: str, algorithm: str) -> bytes:
    size = DIGEST_SIZES[algorithm]
    if len(value) == 2 * size and re.fullmatch("[0-9A-Fa-f]+", value):
        return bytes.fromhex(value)
    padding = "=" * (-size % 3)
    padded = value.replace("-", "+").replace("_", "/").removesuffix(padding) + padding
    try:
        digest = base64.b64decode(padded)
    except ValueError:
        digest = b""
    # The decoder passes over foreign characters and left-over bits; both are of a value that was cut off or mistyped.
    if len(digest) == size and base64.b64encode(digest).decode() == padded:
        return digest
    full = len(base64.b64encode(bytes(size)))
    wrong = "is neither" if len(value) in {2 * size, full, full - len(padding)} else f"has {len(value)} characters"
    raise OptionsError(
        f"a value of {algorithm} is {2 * size} hexadecimal digits, or {full} characters of base64: this one {wrong}"
    )


@dataclass(frozen=True, slots=True)
class Request:
    """One file to download: from `source` to `dest`. Its repr shows neither source nor headers: they hold secrets.

    Args:
        source: a URL, a `SignedUrl`, a provider of them, or `Mirrors` of all these.
        dest: path of the finished file; its directory must exist.
        size: the object's size in bytes, if known; saves the probe and is checked before any byte is written.
        checksum: of the object, if known; verified before `dest` appears.
        headers: further request headers; they never reach another origin than the first URL's.
        if_exists: what to do when `dest` is there.
    """

    source: Source = field(repr=False)
    dest: Path
    size: int | None = None
    checksum: Checksum | None = None
    headers: HeaderPairs = field(default=(), repr=False)
    if_exists: IfExists = "skip"


@dataclass(frozen=True, slots=True)
class RemoteObject:
    """What the server said the object is.

    Args:
        size: bytes, or None while nobody has said.
        etag: strong entity tag with its quotes, or None.
        last_modified: Last-Modified as sent, or None.
        weak_etag: weak entity tag as sent, or None. Equal ones prove nothing (RFC 9110 section 8.8.1); different ones
            are of different versions.
    """

    size: int | None
    etag: str | None = None
    last_modified: str | None = None
    weak_etag: str | None = None


class Phase(enum.Enum):
    """Where a download stands."""

    DOWNLOADING = "downloading"
    FINISHED = "finished"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a download is. The last one of every download has a phase other than DOWNLOADING.

    Attributes:
        done: bytes written to the file, each offset counted once; never more than `total`.
        total: size of the object in bytes, or None while unknown.
        resumed: how many of `done` an earlier download had left; they count in no rate.
        rate: bytes per second over the last seconds.
        eta: seconds to go at that rate, or None while unknown.
        retries, refreshes: so far.
    """

    done: int
    total: int | None
    rate: float
    eta: float | None
    elapsed: float
    resumed: int = 0
    retries: int = 0
    refreshes: int = 0
    phase: Phase = Phase.DOWNLOADING


class Outcome(enum.Enum):
    """How one file ended."""

    DOWNLOADED = "downloaded"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What was done for one file.

    Attributes:
        path: the destination.
        size: of the file, in bytes; None where it never became known.
        checksum: of the file, where one was asked for or promised: it was verified. Otherwise None.
        elapsed: seconds from call to end.
        fetched: body bytes taken from the network and kept or thrown away.
        resumed: bytes that an earlier download had left and that were kept.
        requests: range requests sent, redirects not counted.
        retries: requests repeated after a fault.
        refreshes: calls of the URL provider after the first.
        error: why it FAILED.
        request: what was asked for.
    """

    path: Path
    outcome: Outcome
    size: int | None
    elapsed: float
    checksum: Checksum | None = None
    fetched: int = 0
    resumed: int = 0
    requests: int = 0
    retries: int = 0
    refreshes: int = 0
    error: Exception | None = None
    request: Request | None = field(default=None, repr=False)
