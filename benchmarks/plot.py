"""A picture of P1 out of the JSON of a run: speed, CPU and memory of every client, as ratios with their spread."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.clients import LIMIT
from benchmarks.document import samples
from benchmarks.goals import Rows
from benchmarks.measure import Sample
from benchmarks.table import OURS

_SCENARIO = "P1"
_OURS, _OTHERS, _BOUND = "#1f6feb", "#8b949e", "#d0d7de"
#: Same input, same bytes: no date, and identifiers that follow from the content.
_STYLE = {"svg.hashsalt": "asyncdl", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9}


@dataclass(frozen=True, slots=True)
class Bar:
    """One client in one panel: the median of its ratios, and the smallest and largest."""

    name: str
    median: float
    least: float
    most: float


def bars(rows: Rows, base: str, ratio: Callable[[Sample, Sample], float]) -> list[Bar]:
    """Every row over the base row, round by round, in the order of the medians; the first is the largest."""
    found = []
    for name, runs in rows.items():
        ratios = [ratio(one, other) for one, other in zip(runs, rows[base], strict=True)]
        found.append(Bar(name, statistics.median(ratios), min(ratios), max(ratios)))
    return sorted(found, key=lambda bar: -bar.median)


def panels(rows: Rows) -> dict[str, list[Bar]]:
    """The panels of the picture, by title. Rows that the base lacks in a run are not compared."""
    base = LIMIT if LIMIT in rows else OURS
    cpu_base = "curl" if "curl" in rows else base
    return {
        f"throughput, over {base}": bars(rows, base, lambda one, other: other.wall / one.wall),
        f"CPU per byte, over {cpu_base}": bars(rows, cpu_base, lambda one, other: one.cpu / other.cpu)[::-1],
        f"peak memory, over {OURS}": bars(rows, OURS, lambda one, other: one.peak / other.peak)[::-1],
    }


def plot(document: Mapping[str, Any], path: Path) -> None:
    """Write the picture as SVG.

    Raises:
        ValueError: the run has no P1, or matplotlib is not installed.
    """
    rows = samples(dict(document)).get(_SCENARIO, {})
    if OURS not in rows:
        raise ValueError(f"the run has no {_SCENARIO} of {OURS}")
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ValueError("the plot needs matplotlib, which is in the dependency group bench") from error
    found = panels(rows)
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(11, 0.5 + 0.26 * len(rows)), layout="constrained")
        for axes, (title, each) in zip(figure.subplots(1, len(found)), found.items(), strict=True):
            _draw(axes, title, each)
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def _draw(axes: Any, title: str, each: Sequence[Bar]) -> None:  # noqa: ANN401  # matplotlib has no types here
    spread = [[bar.median - bar.least for bar in each], [bar.most - bar.median for bar in each]]
    colours = [_OURS if bar.name.startswith(OURS) else _BOUND if "limit" in bar.name else _OTHERS for bar in each]
    names = [bar.name for bar in each]
    medians = [bar.median for bar in each]
    axes.barh(names, medians, xerr=spread, color=colours, error_kw={"elinewidth": 0.8, "capsize": 2})
    for place, bar in enumerate(each):
        axes.text(bar.most, place, f"  {bar.median:.2f}", va="center", fontsize=7)
    axes.set_title(title, fontsize=9)
    axes.invert_yaxis()
    axes.axvline(1.0, color="#57606a", linewidth=0.6, linestyle=":")
    axes.margins(x=0.15)
    axes.spines[["top", "right"]].set_visible(False)
