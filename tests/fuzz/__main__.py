"""`python -m tests.fuzz [TARGET...] --seconds N --seed S`: fuzz, and say what was tried and what fell."""

from __future__ import annotations

import argparse
import ast
import random
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.fuzz import guided
from tests.fuzz.engine import Report, Target, no_hanging, run
from tests.fuzz.targets import TARGETS
from tests.fuzz.texts import known_spellings

_WIDTH = max(map(len, TARGETS))


def main(arguments: Sequence[str] | None = None) -> int:
    """1 when an input failed, else 0."""
    options = _parser().parse_args(arguments)
    unknown = set(options.targets) - set(TARGETS)
    if unknown:
        print(f"no such target: {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}", file=sys.stderr)
        return 2
    chosen = [TARGETS[name] for name in options.targets or TARGETS]
    with known_spellings():
        if options.replay is not None:
            return _replay(chosen, options.replay)
        seed = random.randrange(2**32) if options.seed is None else options.seed
        print(f"seed {seed}")
        print(f"{'target':<{_WIDTH}}  engine {'inputs':>12} {'seconds':>8} {'inputs/s':>9} {'ways':>6}  result")
        failed = 0
        for target in chosen:
            for name, engine in _engines(options):
                report = engine(target, seed)
                failed += _told(report, name, options.failures)
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    lines = "\n".join(f"  {target.name:<{_WIDTH}}  {target.about}" for target in TARGETS.values())
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz",
        description=__doc__,
        epilog=f"targets:\n{lines}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="default: all")
    parser.add_argument("--seconds", type=float, default=10.0, help="for each target and engine (default 10)")
    parser.add_argument("--inputs", type=int, help="so many instead, with the loop: then a seed says it all")
    parser.add_argument("--seed", type=int, help="default: a new one, which is printed")
    parser.add_argument(
        "--engine",
        choices=["auto", "loop", "guided", "both"],
        default="auto",
        help="loop: our own mutation; guided: libFuzzer by way of atheris; auto: both where atheris is installed",
    )
    parser.add_argument("--failures", type=Path, default=Path("fuzz-failures"), help="where inputs that fail are kept")
    parser.add_argument("--replay", type=Path, help="check the one input in this file again")
    return parser


def _engines(options: argparse.Namespace) -> list[tuple[str, Callable[[Target, int], Report]]]:
    def loop(target: Target, seed: int) -> Report:
        with no_hanging() as alive:
            seconds = None if options.inputs else options.seconds
            return run(target, seed=seed, seconds=seconds, inputs=options.inputs, on_batch=alive)

    def by_atheris(target: Target, seed: int) -> Report:
        return guided.run(target, seed=seed, seconds=options.seconds)

    both = options.engine == "both" or (options.engine == "auto" and not options.inputs and guided.is_there())
    if both:
        return [("loop", loop), ("guided", by_atheris)]
    return [("guided", by_atheris)] if options.engine == "guided" else [("loop", loop)]


def _told(report: Report, engine: str, directory: Path) -> bool:
    result = "FAILED" if report.failure else "ok"
    figures = f"{report.inputs:>12,} {report.seconds:>8.1f} {report.rate:>9,.0f} {report.ways:>6}"
    print(f"{report.name:<{_WIDTH}}  {engine:<6} {figures}  {result}", flush=True)
    if report.failure:
        directory.mkdir(exist_ok=True)
        kept = directory / f"{report.name}.txt"
        kept.write_text(report.failure.literal + "\n")
        print(f"  {report.failure.error[:2000]}\n  input: {report.failure.literal}")
        print(f"  again: --replay {kept} {report.name}")
    return report.failure is not None


def _replay(targets: Sequence[Target], file: Path) -> int:
    data = ast.literal_eval(file.read_text())
    for target in targets:
        print(f"{target.name}: {target.check(data)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
