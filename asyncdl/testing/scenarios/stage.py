"""Puts a scenario on stage: starts its origins, scripts their faults, and judges what a client brought."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from asyncdl.testing.content import Content
from asyncdl.testing.faults import POISON, Fault
from asyncdl.testing.origin import Origin
from asyncdl.testing.provider import Provider
from asyncdl.testing.scenarios.model import SIZE, Host, Scenario
from asyncdl.testing.toxics import Toxics

if TYPE_CHECKING:
    from asyncdl.testing.ledger import RequestRecord

#: Path of the one object.
OBJECT = "/object"

#: What a client left at a path: the object (or one whole version of it), nothing, or anything else.
Brought: TypeAlias = Literal["whole", "nothing", "wrong"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A scenario whose servers are running.

    Attributes:
        origins: by the scenario's names.
        url: the URL to give to a client that knows nothing but URLs; a signed one dies after `Scenario.ttl` seconds.
        provider: signs anew at every call; of an unsigned scenario it returns the same URL again.
        size: of the object. declared: what the client is to be told, or None.
        versions: every object that a client may rightly bring.
        ca_file: PEM of the authority to trust, or None where no host speaks TLS.
    """

    scenario: Scenario
    origins: Mapping[str, Origin]
    url: str
    provider: Provider
    size: int
    declared: int | None
    versions: tuple[Content, ...]
    ca_file: Path | None

    @property
    def requests(self) -> list[RequestRecord]:
        """All requests to all hosts, in the order in which they came."""
        records = [record for origin in self.origins.values() for record in origin.ledger.requests]
        return sorted(records, key=lambda record: record.started)

    @property
    def applied(self) -> int:
        """How many faults have been applied so far."""
        return sum(origin.faults.uses for origin in self.origins.values())

    def brought(self, path: Path) -> Brought:
        """What is at `path`. Reads the whole file, and blocks meanwhile."""
        if not path.exists():
            return "nothing"
        return "whole" if any(version.first_difference(path) is None for version in self.versions) else "wrong"

    def poisoned(self, directory: Path) -> list[Path]:
        """Files under a directory that hold bytes of an error page."""
        return [path for path in directory.rglob("*") if path.is_file() and POISON in path.read_bytes()]


@contextlib.asynccontextmanager
async def staged(scenario: Scenario, directory: Path, *, size: int | None = None) -> AsyncIterator[Stage]:
    """Run the servers of a scenario.

    Args:
        directory: where the file of a certificate authority may be put.
        size: of the object where the scenario does not say, in bytes; by default some hundred KiB.

    Raises:
        ImportError: a host speaks TLS, and `trustme` is not installed.
    """
    size = scenario.size if scenario.size is not None else size if size is not None else SIZE
    async with contextlib.AsyncExitStack() as stack:
        tls = _Certificates(directory)
        origins, bases = {}, {}
        for name, host in scenario.hosts.items():
            origin = Origin(host=host.address, ssl=await tls.context(host), **host.origin)
            origins[name] = await stack.enter_async_context(origin)
            bases[name] = origin.base_url
            if host.toxics:
                proxy = await stack.enter_async_context(Toxics(origin.host, origin.port, **host.toxics))
                bases[name] = bases[name].replace(f":{origin.port}", f":{proxy.port}")
            if host.serves:
                origin.add(OBJECT, size, **scenario.object)
        first, serving = next(iter(origins)), next(name for name, host in scenario.hosts.items() if host.serves)
        mint = _minter(scenario, origins[first], bases[first])
        url = mint()
        authorities = {f"{name}.authority": base.partition("://")[2] for name, base in bases.items()}
        fill = _filler(scenario, origins, {**bases, **authorities, "url": url, "size": str(size)})
        for name, host in scenario.hosts.items():
            origins[name].script(*(_filled(fault, fill) for fault in host.faults))
        content = origins[serving].content(OBJECT)
        seeds = {fault.seed for host in scenario.hosts.values() for fault in host.faults if fault.seed is not None}
        yield Stage(
            scenario=scenario,
            origins=origins,
            url=url,
            provider=Provider(partial(next, chain((url,), iter(mint, None)))),
            size=size,
            declared=None if scenario.declares is None else size + scenario.declares,
            versions=(content, *(replace(content, seed=seed) for seed in sorted(seeds))),
            ca_file=tls.file,
        )


class _Certificates:
    """The authority of one stage, made when the first host needs it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._authority: Any = None
        self.file: Path | None = None

    async def context(self, host: Host) -> Any:  # noqa: ANN401
        """A server context, or None for plain http."""
        if host.tls is None:
            return None
        from asyncdl.testing.tls import Authority  # noqa: PLC0415  # needs a package of its own

        if self._authority is None:
            self._authority = Authority()
            self.file = await asyncio.to_thread(self._authority.ca_file, self._directory / "authority.pem")
        return await asyncio.to_thread(self._authority.context, host.tls)


def _minter(scenario: Scenario, origin: Origin, base: str) -> Callable[[], str]:
    if scenario.skin is None:
        return lambda: base + OBJECT
    presign = partial(origin.presign, OBJECT, ttl=scenario.ttl, skin=scenario.skin)
    return lambda: presign().replace(origin.base_url, base, 1)


def _filled(fault: Fault, fill: Callable[[str], str]) -> Fault:
    """The fault with what its placeholders stand for."""
    changes: dict[str, Any] = {"headers": tuple((name, fill(value)) for name, value in fault.header_pairs)}
    if isinstance(fault.redirect, str):
        target = fault.redirect
        # Filled when it is sent: a URL that is signed beforehand would be dead by then.
        changes["redirect"] = lambda _: fill(target)
    if fault.raw is not None:
        changes["raw"] = fill(fault.raw.decode("latin-1")).encode("latin-1")
    return replace(fault, **changes)


def _filler(scenario: Scenario, origins: Mapping[str, Origin], places: Mapping[str, str]) -> Callable[[str], str]:
    """What puts URLs where `Host.faults` has placeholders."""

    def fill(text: str) -> str:
        for name, value in places.items():
            text = text.replace("{" + name + "}", value)
        for name, origin in origins.items():
            if "{" + name + ".signed}" in text:
                text = text.replace("{" + name + ".signed}", origin.presign(OBJECT, ttl=scenario.ttl))
        return text

    return fill
