"""What made-up content adds up to, by algorithm."""

from __future__ import annotations

from asyncdl.edge import hashing
from asyncdl.model import DIGEST_SIZES, Checksum
from asyncdl.rules.checksums import COMBINABLE
from asyncdl.testing import Content


def sums(content: Content, algorithms: list[str]) -> dict[str, str]:
    """What the content adds up to, as text, by algorithm.

    Raises:
        SystemExit: one of them needs a library that is not installed.
    """
    for algorithm in algorithms:
        if not hashing.available(algorithm):
            raise SystemExit(f"{algorithm} needs awscrt: install asyncdl[checksums]")
    hashes = {algorithm: hashing.new_hash(algorithm) for algorithm in algorithms if algorithm not in COMBINABLE}
    crcs = dict.fromkeys((algorithm for algorithm in algorithms if algorithm in COMBINABLE), 0)
    for block in content.blocks(0, content.size, block=1 << 20):
        for one in hashes.values():
            one.update(block)
        for algorithm, value in crcs.items():
            crcs[algorithm] = hashing.crc(algorithm, block, value)
    digests = {algorithm: one.digest() for algorithm, one in hashes.items()}
    digests |= {algorithm: value.to_bytes(DIGEST_SIZES[algorithm], "big") for algorithm, value in crcs.items()}
    return {algorithm: str(Checksum(algorithm, digests[algorithm])) for algorithm in algorithms}
