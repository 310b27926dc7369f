"""Peak memory of a download, against the bound that `Options.memory_bound` states."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.nginx import serving

_MIB = 1 << 20
#: What stacks and the allocator take beside the data, whatever its size.
_SLACK = 2 * _MIB
_CLIENT = """
import asyncio, json, resource, sys
import asyncdl
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
async def main(url, small, dest, options):
    # The constant: what the process takes for next to no data, with all code loaded and all threads there.
    few = asyncdl.Options(connections=1, chunk_size=65536, queue_depth=2, use_environment=False)
    await asyncdl.download(small, dest + ".small", options=few)
    idle = peak()
    await asyncdl.download(url, dest, options=options)
    return {"idle": idle, "peak": peak(), "bound": options.memory_bound}
options = asyncdl.Options(connections=int(sys.argv[4]), use_environment=False)
print(json.dumps(asyncio.run(main(*sys.argv[1:4], options))))
"""


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks memory", description=__doc__)
    parser.add_argument("--size", type=float, nargs="+", default=[1.0, 4.0], help="GiB (default 1 and 4)")
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--dir", type=Path, default=Path("/dev/shm"), help="a tmpfs (default /dev/shm)")
    options = parser.parse_args(arguments)
    print(
        f"{'size GiB':>9}{'connections':>13}{'process MiB':>13}{'peak MiB':>10}{'data MiB':>10}{'bound MiB':>10} within"
    )
    worst = True
    for size in options.size:
        with tempfile.TemporaryDirectory(dir=options.dir) as name, serving(Path(name), int(size * 2**30)) as (url, _):
            (Path(name) / "small.bin").write_bytes(bytes(32 * _MIB))
            small = url.rpartition("/")[0] + "/small.bin"
            for connections in options.connections:
                dest = Path(name) / f"download-{connections}.bin"
                command = [sys.executable, "-c", _CLIENT, url, small, str(dest), str(connections)]
                found = json.loads(subprocess.run(command, check=True, capture_output=True, timeout=600).stdout)
                dest.unlink()
                dest.with_name(dest.name + ".small").unlink()
                within = found["peak"] - found["idle"] <= found["bound"] + _SLACK
                worst = worst and within
                print(
                    f"{size:>9g}{connections:>13}{found['idle'] / _MIB:>13.0f}{found['peak'] / _MIB:>10.0f}"
                    f"{(found['peak'] - found['idle']) / _MIB:>10.0f}{found['bound'] / _MIB:>10.0f} "
                    f"{'yes' if within else 'NO'}"
                )
    if not worst:
        raise SystemExit("the stated bound does not hold")
