"""The benchmark suite: its arithmetic, its table, its documents, the tools it measures with, and one tiny run."""

from __future__ import annotations

import json
import random
import sys
import time
import urllib.request
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from asyncdl.edge import hashing
from asyncdl.testing import Content
from benchmarks import document, goals, micro
from benchmarks.__main__ import main
from benchmarks.durable import resident
from benchmarks.goals import Goal, NotMeasuredError, Ratios, judge
from benchmarks.marked import Marked, Running, algorithm
from benchmarks.measure import RunError, Sample, run
from benchmarks.nginx import fill, program
from benchmarks.paced import pacing
from benchmarks.plot import panels, plot
from benchmarks.report import BEGIN, END, between_markers, report
from benchmarks.rounds import Row, interleave
from benchmarks.table import SCENARIOS

MIB = 1 << 20


def sample(wall: float, *, cpu: float = 1.0, peak: int = MIB, size: int = 100, **facts: float) -> Sample:
    return Sample(wall=wall, cpu=cpu, peak=peak, size=size, facts=facts)


def walls(*values: float) -> list[Sample]:
    return [sample(value) for value in values]


def results() -> dict[str, dict[str, list[Sample]]]:
    """Two rounds of P1, in which asyncdl is first and the limit is not reached."""
    rows = {"asyncdl": walls(1.0, 2.0), "curl": walls(2.0, 2.0), "aria2c": walls(1.0, 9.0)}
    return {"P1": {**rows, "limit: recv_into": walls(0.5, 1.0)}}


def a_document(found: Mapping[str, Mapping[str, Sequence[Sample]]]) -> dict[str, Any]:
    rows = {name: {"facts": {"size": 100}, "left_out": {"wget2": "not installed"}} for name in found}
    made = document.assemble({}, mode="full")
    made["machine"] |= {"cpu": "a processor", "cores": 2}
    for name, one in rows.items():
        one["rows"] = {
            label: [
                {"wall": each.wall, "cpu": each.cpu, "peak": each.peak, "size": each.size, "facts": dict(each.facts)}
                for each in samples
            ]
            for label, samples in found[name].items()
        }
    return {**made, "scenarios": rows}


def test_the_table_is_complete() -> None:
    """P1 to P14 are there, in order, each with something to run or to read, and something to show."""
    assert [f"P{number}" for number in range(1, 15)] == [scenario.id for scenario in SCENARIOS]
    assert [] == [scenario.id for scenario in SCENARIOS if not (scenario.run or scenario.needs) or not scenario.goals]


def test_the_documentation_has_the_table() -> None:
    """Each scenario stands there as the table has it, and so do the markers for its figures."""
    text = (Path(__file__).parents[1] / "docs" / "benchmarks.md").read_text(encoding="utf-8")

    lines = [f"- **{scenario.id}, {scenario.title}.** {scenario.how}\n" for scenario in SCENARIOS]
    assert [] == [line for line in lines if line not in text]
    assert text == between_markers(text, text.partition(BEGIN)[2].partition(END)[0])


def test_speed_is_over_the_peer_with_the_fastest_median() -> None:
    """The peer is one for all rounds, and the ratios are round by round."""
    found = goals.speed(results(), "P1", "asyncdl", ["curl", "aria2c", "not there"])

    assert "curl" == found.against
    assert [2.0, 1.0] == found.values


def test_cpu_is_per_byte() -> None:
    """Twice the seconds for twice the bytes are the same cost."""
    found = {"P1": {"asyncdl": [sample(1.0, cpu=4.0, size=200)], "curl": [sample(1.0, cpu=1.0, size=100)]}}

    assert [2.0] == goals.cpu(found, "P1", "asyncdl", "curl").values


def test_a_cap_is_no_reason_to_be_slower_than_without_one() -> None:
    """The share is of the cap where that is less, and of the free run where that is less."""
    found = {"P5": {"ours": [sample(9.0, seconds=2.0)], "free": [sample(9.0, seconds=1.0)]}}

    assert [1.0] == goals.capped_share(found, "P5", "ours", cap=50.0, free="free").values
    assert [0.5] == goals.capped_share(found, "P5", "ours", cap=1000.0, free="free").values


def test_the_ideal_pipeline_waits_twice() -> None:
    """One latency for all, and one more for all connections but the first."""
    found = {"P6": {"late": [sample(9.0, seconds=2.35)], "plain": [sample(9.0, seconds=2.0)]}}
    share = goals.pipeline_share(found, "P6", "late", plain="plain", latency=0.2, connections=4)

    assert pytest.approx(1.0) == share.values[0]


def test_growth_is_over_the_process_of_a_tiny_file() -> None:
    """The worst row counts, against its own bound."""
    found = {
        "P4": {
            "tiny": [sample(1.0, peak=40 * MIB)],
            "one": [sample(1.0, peak=52 * MIB, bound=100 * MIB)],
            "two": [sample(1.0, peak=62 * MIB, bound=40 * MIB)],
        }
    }

    assert [0.5] == goals.growth(found, "P4", ["one", "two"], "tiny").values


@pytest.mark.parametrize(
    ("sense", "values", "met"),
    [("at least", [0.9, 1.0, 1.1], True), ("at least", [0.9, 0.9, 1.1], False), ("at most", [1.0, 1.1, 1.1], False)],
)
def test_the_median_decides(sense: Any, values: list[float], met: bool) -> None:
    """A goal is met by the median, the bound included; the spread is kept."""
    verdict = judge("P1", Goal(words="w", bound=1.0, sense=sense, ratios=lambda _: Ratios(values)), {})

    assert met is verdict.met
    assert (min(values), max(values)) == (verdict.least, verdict.most)


def test_the_limit_has_no_goal() -> None:
    """What the limit comes to is told, and neither met nor missed."""
    goal = Goal(words="w", bound=None, sense="at most", ratios=lambda _: Ratios([2.0, 3.0, 7.0], "x"))
    verdict = judge("P1", goal, {})

    assert (None, 3.0, "") == (verdict.met, verdict.median, verdict.why)


def test_what_was_not_measured_is_not_judged() -> None:
    """A row that is missing, and a goal that needs the full sizes, leave a goal open, and say so."""
    goal = Goal(
        words="w", bound=1.0, sense="at most", ratios=lambda found: goals.wall(found, "P1", "x"), full_only=True
    )
    missing, quick = judge("P1", goal, {}), judge("P1", goal, {"P1": {"x": walls(1.0)}}, quick=True)

    assert (None, "no row 'x' in P1") == (missing.met, missing.why)
    assert (None, "says nothing at the sizes of a quick run") == (quick.met, quick.why)
    with pytest.raises(NotMeasuredError, match="does not say requests"):
        goals.fact({"P1": {"x": walls(1.0)}}, "P1", "x", "requests")


def test_rounds_turn_and_failures_are_left_out(tmp_path: Path) -> None:
    """Each round begins with another row; a row that fails once is named, and not run again."""
    order: list[str] = []

    def action(name: str) -> Row:
        def go(directory: Path) -> Sample:
            order.append(name)
            assert [] == list(directory.iterdir())
            (directory / "left").touch()
            if name == "c" and order.count("c") == 2:
                raise RunError("Traceback\nValueError: bad '/home/me/file'")
            return sample(1.0)

        return Row(name=name, run=go)

    found = interleave([action(name) for name in "abc"], 3, tmp_path, lambda _: None)

    assert list("abcbcaab") == order
    assert {"a": 3, "b": 3} == {name: len(runs) for name, runs in found.samples.items()}
    assert {"c": "Traceback: ValueError: bad '...'"} == found.left_out
    assert [] == list(tmp_path.iterdir())


def test_report_of_a_document() -> None:
    """Goals with ratio, spread and verdict; rows with their medians; what was left out."""
    text = report(a_document(results()))

    assert "| P1 | throughput over the fastest peer's | 1.50 | 1-2 | ≥ 1 | met | curl |" in text
    assert "| P1 | throughput over the limit's | 0.50 | 0.50-0.50 | ≥ 0.85 | **not met** | limit: recv_into |" in text
    assert "| P3 | CPU seconds over curl's, http | 1 | 1-1 | ≤ 1 | met | curl |" in text
    assert "not judged | no row 'asyncdl' in P2" in text
    assert "| curl | 2.00 | 2.00-2.00 |" in text
    assert "left out: wget2: not installed" in text


def test_tables_go_between_the_markers() -> None:
    """What stood there goes, what stands around stays; without markers nothing is written."""
    assert f"a{BEGIN}\n\nnew\n\n{END}b" == between_markers(f"a{BEGIN}old{END}b", "new\n")
    with pytest.raises(ValueError, match="no <!--"):
        between_markers(f"a{BEGIN}old", "new")


def test_documents_of_another_version_are_refused(tmp_path: Path) -> None:
    """What was written is read back; what another version wrote is not guessed at."""
    path = tmp_path / "run.json"
    document.save(a_document(results()), path)

    assert results() == document.samples(document.load(path))
    path.write_text(json.dumps({"format": document.FORMAT, "schema": document.SCHEMA + 1}))
    with pytest.raises(ValueError, match="schema 1"):
        document.load(path)


def test_panels_are_sorted_ratios() -> None:
    """The best is on top of each, over what it is compared with."""
    found = panels(results()["P1"])

    assert [("limit: recv_into", 1.0), ("asyncdl", 0.5)] == [
        (bar.name, bar.median) for bar in found["throughput, over limit: recv_into"][:2]
    ]
    assert {"asyncdl"} == {bar.name for bar in found["peak memory, over asyncdl"] if bar.name == "asyncdl"}


@pytest.mark.skipif(find_spec("matplotlib") is None, reason="matplotlib is not installed")
def test_the_same_run_gives_the_same_picture(tmp_path: Path) -> None:
    """An SVG that can be read as XML, without a date, the same every time."""
    made = a_document(results())
    for name in ("one.svg", "two.svg"):
        plot(made, tmp_path / name)

    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    assert "{http://www.w3.org/2000/svg}svg" == ET.parse(tmp_path / "one.svg").getroot().tag


def test_sums_of_a_marked_file_without_reading_it(tmp_path: Path) -> None:
    """They are those of its bytes, whatever range is asked for, and of pieces that come in any order."""
    marked = Marked((40 << 20) + 12345)
    data = memoryview(marked.write(tmp_path / "marked").read_bytes())
    cuts = sorted(random.Random(1).sample(range(1, marked.size), 50))
    pieces = list(zip([0, *cuts], [*cuts, marked.size], strict=True))
    random.Random(2).shuffle(pieces)
    running = Running()
    for start, stop in pieces:
        running.add(start, data[start:stop])

    assert [(0, marked.size, hashing.crc(algorithm(), data))] == running.runs()
    for start, stop in [(0, marked.size), (5, (16 << 20) + 7), ((16 << 20) + 100, (16 << 20) + 200)]:
        assert hashing.crc(algorithm(), data[start:stop]) == marked.crc(start, stop)


def test_a_run_has_facts_and_a_peak() -> None:
    """The last line of a client is its facts, if it is JSON; its memory is its own."""
    words = "data = bytearray(256 << 20); print('hello'); print('{\"requests\": 3}')"
    found = run([sys.executable, "-c", words])

    assert {"requests": 3} == found.facts
    assert 256 * MIB < found.peak


def test_a_failed_run_says_why() -> None:
    """The status and the last words."""
    with pytest.raises(RunError, match=r"(?s)status 1: .*ZeroDivisionError"):
        run([sys.executable, "-c", "1/0"])


def test_a_run_that_takes_too_long_is_ended() -> None:
    """Beyond its patience it has failed; killed on purpose it has not."""
    forever = [sys.executable, "-c", "import threading; threading.Event().wait()"]

    with pytest.raises(RunError, match=r"took longer than 0\.1 s"):
        run(forever, patience=0.1)
    assert {"killed": 1} == run(forever, kill_when=lambda: True).facts


def test_the_paced_origin(tmp_path: Path) -> None:
    """It serves what is asked for, counts it, and takes the time that its rate says."""
    content = Content(1, MIB)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with pacing(fill(tmp_path / "file", content.size)) as origin:
        asked = urllib.request.Request(origin.url, headers={"Range": "bytes=1000-1999"})
        with opener.open(asked, timeout=60) as answer:
            assert (206, "bytes 1000-1999/1048576") == (answer.status, answer.headers["Content-Range"])
            assert content.read(1000, 2000) == answer.read()
        assert (1, 1000) == (origin.counts()["requests"], origin.counts()["sent"])
        origin.set(rate=5 * MIB)
        began = time.monotonic()
        with opener.open(origin.url, timeout=60) as answer:
            assert content.read(0, content.size) == answer.read()

        assert 0.15 < time.monotonic() - began


@pytest.mark.skipif(sys.platform != "linux", reason="mincore is Linux's here")
def test_what_is_in_the_page_cache(tmp_path: Path) -> None:
    """A file just written is; a hole that nobody read is not."""
    written, hole = tmp_path / "written", tmp_path / "hole"
    written.write_bytes(b"x" * 10_000)
    with hole.open("wb") as file:
        file.truncate(10_000)

    assert 12_288 == resident(written)
    assert 0 == resident(hole)


def test_the_guard_of_the_micro_benchmarks() -> None:
    """Thirty per cent more than stored is too much, and so is a figure that is not there."""
    found = micro.dearer({"same": 1.0, "more": 1.29, "much": 1.31, "new": 1.0}, {"same": 1.0, "more": 1.0, "much": 1.0})

    assert ["much costs 1.310, and not 1.000 as stored", "new has no stored figure"] == list(found)


@pytest.mark.parametrize("name", micro.BENCHMARKS)
def test_every_micro_benchmark_runs_and_is_stored(name: str) -> None:
    """Each does its work, and has a figure of each kind to be compared with."""
    micro.BENCHMARKS[name](256)

    stored = json.loads(micro.STORED.read_text())
    assert [] == [key for key, costs in stored.items() if name not in costs and name != micro.CALIBRATION]


@pytest.mark.server
@pytest.mark.skipif(program() is None, reason="nginx is not installed")
def test_a_tiny_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """8 MiB, one round: the engine, what it replaces where requests is there, and the limit; bytes compared."""
    out = tmp_path / "run.json"
    words = ["--only", "P1", "--size", "8M", "--rounds", "1", "--memory", str(tmp_path), "--out", str(out)]
    main(["run", "--quick", *words, "--clients", "asyncdl", "threaded baseline", "limit: recv_into"])

    made = document.load(out)
    found, left_out = document.samples(made)["P1"], made["scenarios"]["P1"]["left_out"]
    wanted = {"asyncdl", "threaded baseline", "limit: recv_into"}
    assert wanted <= found.keys() | left_out.keys()
    assert {"asyncdl", "limit: recv_into"} <= found.keys()
    assert {8 * MIB} == {one.size for runs in found.values() for one in runs}
    assert [True] * len(found) == [0 < runs[0].cpu and 0 < runs[0].wall for runs in found.values()]
    assert "throughput over the limit's" in capsys.readouterr().out
    assert str(tmp_path) not in out.read_text()
