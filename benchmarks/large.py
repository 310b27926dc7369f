"""Scenarios of one large file and an origin as fast as it goes: P1, P2 and P9."""

from __future__ import annotations

from asyncdl.testing import Content
from benchmarks.checksums import sums
from benchmarks.clients import LIMIT, NAMES, Client, limit
from benchmarks.nginx import fill, serving
from benchmarks.rounds import Results, Row, interleave
from benchmarks.settings import GIB, Settings, available, row

#: Rows of P9 beside the one that verifies nothing.
VERIFIED = ("sha256", "crc64nvme")
UNVERIFIED = "unverified"
LIMIT_VERIFIED = f"{LIMIT}, sha256"


def one_file(settings: Settings, *, https: bool = False) -> Results:
    """Every client there is, each in its own way, to a tmpfs."""
    size, rounds = settings.sized(GIB // 2, 4 * GIB), settings.times(5, 5)
    here, absent = available(settings, https=https)
    with settings.place() as place, serving(place, https=https) as site:
        source = fill(site.root / "object.bin", size)
        url = site.url(source.name, https=https)
        rows = [row(client.name, client, source, url, ca_file=site.ca_file) for client in here]
        results = interleave(rows, rounds, place, settings.tell, touch=size)
    results.left_out |= absent
    results.facts |= {"size": size, "rounds": rounds}
    return results


def one_file_https(settings: Settings) -> Results:
    return one_file(settings, https=True)


def verified(settings: Settings) -> Results:
    """The engine with and without a checksum to compare, and what hashing costs whoever does nothing else."""
    size, rounds = settings.sized(GIB // 2, 4 * GIB), settings.times(7, 7)
    wanted: dict[str, str | None] = {UNVERIFIED: None, **sums(Content(1, size), list(VERIFIED))}
    with settings.place() as place, serving(place) as site:
        source = fill(site.root / "object.bin", size)
        url, client = site.url(source.name), NAMES["asyncdl"]
        rows: list[Row] = [row(name, client, source, url, checksum=checksum) for name, checksum in wanted.items()]
        hashing = Client(name=LIMIT_VERIFIED, kind="limit", command=limit("sha256"), ranges=False)
        rows += [row(one.name, one, source, url) for one in (NAMES[LIMIT], hashing)]
        results = interleave(rows, rounds, place, settings.tell, touch=size)
    results.facts |= {"size": size, "rounds": rounds}
    return results
