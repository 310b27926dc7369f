"""`python -m asyncdl.testing.scenarios`: lists the scenarios, or serves one until standard input closes."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from asyncdl.testing.process import no_longer_wanted, parse_size
from asyncdl.testing.scenarios import ALL, Scenario, staged
from asyncdl.testing.scenarios.specification import markdown


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the arguments say; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m asyncdl.testing.scenarios", description=__doc__)
    parser.add_argument("scenario", nargs="?", help='row and case, such as "A03 always"')
    parser.add_argument("--size", type=parse_size, default=None, help="of the object: bytes, or 64K, 1M")
    parser.add_argument("--markdown", action="store_true", help="write all of them as a document")
    options = parser.parse_args(arguments)
    if options.markdown:
        print(markdown(ALL), end="")  # noqa: T201
        return 0
    if options.scenario is None:
        print(*ALL, sep="\n")  # noqa: T201
        return 0
    chosen = next((scenario for scenario in ALL if str(scenario) == options.scenario), None)
    if chosen is None:
        parser.error(f"there is no scenario {options.scenario!r}; without an argument they are listed")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(chosen, options.size))
    return 0


async def _serve(scenario: Scenario, size: int | None) -> None:
    parent = os.getppid()
    with tempfile.TemporaryDirectory() as folder:
        async with staged(scenario, Path(folder), size=size) as stage:
            line = {
                "url": stage.url,
                "size": stage.size,
                "declared": stage.declared,
                "sha256": stage.versions[0].sha256(),
                "ca_file": None if stage.ca_file is None else str(stage.ca_file),
                "client": scenario.client,
                "errors": scenario.errors,
            }
            print(json.dumps(line), flush=True)  # noqa: T201
            await no_longer_wanted(parent)


if __name__ == "__main__":
    sys.exit(main())
