"""What planning an object takes in memory: claims one at a time, as many of them open as there are connections.

python -m benchmarks.planned SIZE CONNECTIONS
"""

from __future__ import annotations

import json
import sys
import time
import tracemalloc
from collections import deque

from asyncdl.model import Part
from asyncdl.rules.parts import Claim, Coverage, Planner, choose_part_size


def plan(size: int, connections: int) -> dict[str, float]:
    """Claim every part of an object and cover it, and say what that took.

    Returns:
        parts: how many there were; traced: the most bytes of Python objects at any time; seconds.
    """
    tracemalloc.start()
    began = time.perf_counter()
    planner = Planner([Part(0, size)], choose_part_size(size, connections=connections))
    coverage, under_way, parts = Coverage(), deque[Claim](), 0
    while True:
        claim = planner.claim()
        if claim is not None:
            parts += 1
            under_way.append(claim)
        if not under_way:
            break
        if claim is None or len(under_way) == connections:
            done = under_way.popleft()
            assert done.stop is not None  # the planner knows where each ends
            coverage.add(done.start, done.stop)
    assert coverage.spans == [Part(0, size)]
    return {"parts": parts, "traced": tracemalloc.get_traced_memory()[1], "seconds": time.perf_counter() - began}


if __name__ == "__main__":
    print(json.dumps(plan(*map(int, sys.argv[1:3]))))
