"""What a scenario is: a server that misbehaves in one way, and what a client must do then; data alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from asyncdl.testing.faults import Fault

KIB = 1024
#: Bytes of an object where a scenario does not care: enough for a dozen range requests of 64 KiB, and no multiple.
SIZE = 12 * 64 * KIB + 999

#: What a client needs beyond a URL, to be put into a scenario at all.
Need: TypeAlias = Literal["renewal", "size"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """One origin of a scenario.

    Attributes:
        faults: its script. In `redirect`, `headers` and `raw`, `{a}`, `{b}` and so on stand for the base URLs of
            the scenario's hosts, `{a.authority}` for host and port, `{a.signed}` for a freshly signed URL of the object
            there, `{url}` for the URL that the client was given, `{size}` for the object's size.
        address: what it listens on.
        tls: the kind of certificate it shows, as `asyncdl.testing.tls.Authority` names them; None: plain http.
        origin: further arguments of `Origin`.
        toxics: a TCP proxy in front of it, as arguments of `asyncdl.testing.Toxics`; empty: none.
        serves: it has the object; False: it only redirects, refuses or breaks.
    """

    faults: tuple[Fault, ...] = ()
    address: str = "127.0.0.1"
    tls: str | None = None
    origin: Mapping[str, Any] = field(default_factory=dict)
    toxics: Mapping[str, Any] = field(default_factory=dict)
    serves: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One way for servers to misbehave.

    Attributes:
        row: the id of the requirement, stable across versions.
        case: which form of it, unique within the row.
        server: what the server does, as a sentence without subject.
        client: what a client must do, as a sentence without subject.
        source: where that is written: an RFC section, a vendor page, an advisory, or a client that does it.
        hosts: by name; the client is given a URL of the first.
        size: of the object, in bytes; None: any that is large enough, `SIZE` unless the stage is told otherwise.
        object: further arguments of `Origin.add`.
        skin: how the URL is signed (see `Origin.presign`); None: it is not.
        ttl: seconds that a signed URL lives.
        declares: the size that the client is told beforehand: the right one, that many bytes more, or None for none.
        needs: what a client must be able to do to be put into this scenario.

        errors: codes of `AsyncdlError` of which the download ends in one; empty: it ends with the object, byte for
            byte.
        harmless: a client that delivers the right bytes where asyncdl reports an error does no harm either.
        asks: most data requests that one host gets for ranges that begin at the same byte.
        restarts: nothing can be resumed, so that bytes may have to be fetched more than once.
        refreshes: most calls for another URL after the first.
        lasts: seconds that it takes at least, as the server asked for that.
        reached: at least one fault is to be applied; False where the point is a request that never comes.
    """

    row: str
    case: str
    server: str
    client: str
    source: str = ""
    hosts: Mapping[str, Host]
    size: int | None = None
    object: Mapping[str, Any] = field(default_factory=dict)
    skin: str | None = None
    ttl: float = 3600.0
    declares: int | None = None
    needs: frozenset[Need] = frozenset()

    errors: tuple[str, ...] = ()
    harmless: bool = True
    asks: int = 1
    restarts: bool = False
    refreshes: int = 0
    lasts: float = 0.0
    reached: bool = True

    def __str__(self) -> str:
        return f"{self.row} {self.case}"


@dataclass(frozen=True, slots=True)
class Row:
    """What several scenarios have in common; called, it makes one of them.

        A29 = Row("A29", "drops every connection before the first byte", "gives up after a bounded number of tries")
        A29("for good", Fault(drop_after=0), errors=("connect",), asks=10)

    Attributes:
        row, server, client, source: as in `Scenario`.
    """

    row: str
    server: str
    client: str
    source: str = ""

    def __call__(self, case: str, *faults: Fault, **attributes: Any) -> Scenario:  # noqa: ANN401
        """A scenario of one host with these faults, unless `hosts` says otherwise."""
        common = {"row": self.row, "server": self.server, "client": self.client, "source": self.source}
        return Scenario(case=case, **({"hosts": {"a": Host(faults=faults)}} | common | attributes))
