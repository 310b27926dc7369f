"""Places drawn at random, that lie, change and fail: one object, whole, or an error, and never a mixture."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import random
import tempfile
from pathlib import Path

import pytest

import asyncdl
from asyncdl.testing import Content, Fault, Origin
from tests.support.flow import EAGER, KIB, QUICK, small

PATH = "/object"
#: Seeds of the versions of the object that there are.
VERSIONS = (1, 2)
PART = 8 * KIB


def digest_of(content: Content) -> dict[str, str]:
    digest = base64.b64encode(bytes.fromhex(content.sha256())).decode()
    return {"Repr-Digest": f"sha-256=:{digest}:"}


def drawn_faults(dice: random.Random) -> list[Fault]:
    """What befalls some of the requests; none of it is a lie."""
    kinds = [
        lambda: Fault(request=dice.randrange(12), drop_after=dice.randrange(PART)),
        lambda: Fault(request=dice.randrange(12), reset_after=dice.randrange(PART)),
        lambda: Fault(request=dice.randrange(12), status=dice.choice([403, 404, 500, 503])),
        lambda: Fault(request=dice.randrange(12), ignore_range=True),
        lambda: Fault(request=dice.randrange(12), shift=dice.choice([-1, 1])),
        lambda: Fault(request=dice.randrange(12), delay=0.01),
        lambda: Fault(request=range(dice.randrange(12), 99), status=dice.choice([404, 503])),
        lambda: Fault(request=range(dice.randrange(12), 99), drop_after=0),
    ]
    return [dice.choice(kinds)() for _ in range(dice.choice([0, 0, 1, 2, 3]))]


def furnish(origin: Origin, dice: random.Random, size: int) -> None:
    """One version, with a tag that is true to it, one of its own or none; and perhaps another version later on."""
    number = dice.choice(VERSIONS[:1] * 3 + VERSIONS)
    size -= dice.choice([0, 0, 0, 0, 1])
    later = dice.choice([None, None, None, *VERSIONS])
    tagging = dice.choice(["true", "true", "own", "none", "weak"])
    promising = dice.random() < 0.4
    origin.ranges = dice.random() < 0.9

    def told(version: int) -> tuple[str | None, dict[str, str]]:
        content = Content(version, size)
        tags = {
            "true": f'"{content.sha256()}"',
            "own": f'"{origin.host}-{version}"',
            "weak": f'W/"{content.sha256()}"',
        }
        return tags.get(tagging), digest_of(content) if promising else {}

    tag, promise = told(number)
    origin.add(PATH, size, seed=number, etag=tag, last_modified=f"Wed, 01 Jan 2025 00:00:0{number} GMT")
    origin.script(*drawn_faults(dice))
    if later is not None:
        tag_then, promise_then = told(later)
        origin.script(
            Fault(
                request=range(dice.randrange(1, 12), 99),
                seed=later,
                etag=tag_then or "",
                last_modified=f"Wed, 01 Jan 2025 00:00:0{later} GMT",
                headers=promise_then,
            )
        )
    origin.script(Fault(headers=promise))


async def carry_out(seed: int, directory: Path) -> str:
    """One download by the dice; what came of it."""
    dice = random.Random(seed)
    size = dice.choice([1, PART - 1, 5 * PART, 16 * PART + 77])
    async with contextlib.AsyncExitStack() as stack:
        origins = [await stack.enter_async_context(Origin(host=f"127.0.0.{last}")) for last in (1, 2, 3)]
        for origin in origins:
            furnish(origin, dice, size)
        pinned = Content(1, size).sha256() if dice.random() < 0.4 else None
        sizes = {size, size - 1}
        dest, outcome = directory / "file", ""
        for _ in range(dice.choice([1, 2])):  # a second time goes on with what the first left
            try:
                async with asyncio.timeout(100):
                    result = await asyncdl.download(
                        asyncdl.Mirrors([origin.url(PATH) for origin in origins]),
                        dest,
                        size=size if dice.random() < 0.3 else None,
                        checksum=f"sha256:{pinned}" if pinned else None,
                        options=small(dice.choice([1, 3, 6]), part_size=PART, chunk_size=4 * KIB),
                        timeouts=QUICK,
                        retry=EAGER,
                    )
            except asyncdl.AsyncdlError as error:
                outcome = type(error).__name__
                assert not dest.exists()
            else:
                whole = [Content(version, each).sha256() for version in VERSIONS for each in sizes]
                found = asyncio.to_thread(_sha256, dest)
                assert (await found) in ([pinned] if pinned else whole)
                outcome = result.outcome.value
                break
        for origin in origins:
            await origin.aclose()
    return outcome


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("block", range(4))
def test_never_a_mixture(tmp_path: Path, block: int) -> None:
    """Forty draws each; so that it proves something, a good part of them must end well."""
    outcomes = []
    for seed in range(40 * block, 40 * (block + 1)):
        with tempfile.TemporaryDirectory(dir=tmp_path) as directory:
            outcomes.append(asyncio.run(carry_out(seed, Path(directory))))

    assert 20 <= outcomes.count("downloaded")
