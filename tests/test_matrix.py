"""The matrix of clients: what a deed is worth, what the page says of it, and that no client outlives its trial."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from asyncdl.testing import Fault
from asyncdl.testing.scenarios.model import Host, Scenario
from tests.matrix import report, trial
from tests.matrix.__main__ import main
from tests.matrix.clients import CLIENTS, Client, Errand
from tests.matrix.verdicts import Deed, Verdict, judge, leftover

DROPS = Fault(drop_after=1000, times=1)
#: Fetches in one request and believes what it gets.
NAIVE = (
    "import json, sys, urllib.request as u; errand = json.loads(sys.argv[1]);"
    "open(errand['dest'], 'wb').write(u.urlopen(errand['url']).read())"
)
GIVES_UP = "import json, sys; open(json.loads(sys.argv[1])['dest'], 'wb').write(b'half'); print('no'); sys.exit(3)"
SLEEPS = "import sys, time; print('zzz', flush=True); time.sleep(60)"


def scenario(*faults: Fault, **attributes: Any) -> Scenario:
    return Scenario(
        **{
            "row": "X01",
            "case": "once",
            "server": "breaks",
            "client": "tries again",
            "hosts": {"a": Host(faults=faults)},
            **attributes,
        }
    )


def client(code: str, name: str = "fake") -> Client:
    return Client(
        name=name,
        program=sys.executable,
        probe=("--version",),
        settings="none",
        arguments=lambda errand: ["-c", code, errand.json],
        bound=1.0,
    )


def deed(ended: str = "well", brought: str = "whole", applied: int = 1) -> Deed:
    return Deed(ended=ended, brought=brought, applied=applied)  # type: ignore[arg-type]


async def attempt(code: str, scene: Scenario, margin: float = 20.0) -> Deed:
    return await trial.attempt(client(code), scene, size=5000, patience=0, margin=margin)


@pytest.mark.parametrize(
    ("ended", "brought", "object_wanted", "error_wanted", "only_error_wanted"),
    [
        ("well", "whole", Verdict.PASS, Verdict.PASS, Verdict.ACCEPTED),
        ("well", "wrong", Verdict.WRONG, Verdict.WRONG, Verdict.WRONG),
        ("well", "nothing", Verdict.NOTHING, Verdict.NOTHING, Verdict.NOTHING),
        ("ill", "nothing", Verdict.FAILS, Verdict.PASS, Verdict.PASS),
        ("ill", "wrong", Verdict.FAILS, Verdict.PASS, Verdict.PASS),
        ("never", "nothing", Verdict.HANG, Verdict.HANG, Verdict.HANG),
    ],
)
def test_verdict(
    ended: str, brought: str, object_wanted: Verdict, error_wanted: Verdict, only_error_wanted: Verdict
) -> None:
    """A deed is worth what the scenario asks for: the object, an error or the object, or nothing but an error."""
    seen = deed(ended, brought)

    assert object_wanted is judge(scenario(DROPS), seen)
    assert error_wanted is judge(scenario(DROPS, errors=("connect",)), seen)
    assert only_error_wanted is judge(scenario(DROPS, errors=("connect",), harmless=False), seen)


def test_fault_that_nobody_met() -> None:
    """Success without the fault says nothing, and neither does an error that was wanted; a hang remains one."""
    refusal = scenario(DROPS, errors=("connect",), harmless=False)

    assert Verdict.NOT_MET is judge(scenario(DROPS), deed(applied=0))
    assert Verdict.NOT_MET is judge(refusal, deed("ill", "nothing", applied=0))
    assert Verdict.FAILS is judge(scenario(DROPS), deed("ill", "nothing", applied=0))
    assert Verdict.HANG is judge(scenario(DROPS), deed("never", "nothing", applied=0))
    assert Verdict.PASS is judge(scenario(DROPS, reached=False), deed(applied=0))
    assert Verdict.PASS is judge(scenario(), deed(applied=0))


def test_leftover() -> None:
    """Only a reported failure leaves something over; a killed client had no chance to clean up."""
    assert leftover(deed("ill", "wrong"))
    assert not any(leftover(deed(*pair)) for pair in (("ill", "nothing"), ("well", "wrong"), ("never", "wrong")))


async def test_honest_server() -> None:
    """A client that fetches what it is told to has brought the object."""
    seen = await attempt(NAIVE, scenario(reached=False))

    assert ("well", "whole", 0, 1) == (seen.ended, seen.brought, seen.applied, seen.requests)


async def test_client_that_believes_everything() -> None:
    """The bytes decide, not the exit status."""
    scene = scenario(Fault(status=200, body=b"<html>please log in</html>"))

    seen = await attempt(NAIVE, scene)

    assert ("well", "wrong", 1) == (seen.ended, seen.brought, seen.applied)
    assert Verdict.WRONG is judge(scene, seen)


async def test_client_that_gives_up() -> None:
    """Its exit status is a failure, its file a leftover, and its last words are kept."""
    seen = await attempt(GIVES_UP, scenario(DROPS))

    assert ("ill", "wrong", "no") == (seen.ended, seen.brought, seen.words)


async def test_client_that_sleeps_is_killed() -> None:
    """It ends at its bound, not at its own pleasure."""
    began = time.monotonic()

    seen = await attempt(SLEEPS, scenario(DROPS), margin=2.0)

    assert ("never", "zzz") == (seen.ended, seen.words)
    assert time.monotonic() - began < 55


async def test_children_of_a_client_are_killed(tmp_path: Path) -> None:
    """What a client started ends with it, even where it left first."""
    note = tmp_path / "pid"
    command = ["sh", "-c", f"sleep 60 & echo $! > '{note}'"]

    code = await trial.run(command, trial.clean(tmp_path, {}), tmp_path / "log", 50)
    child = int(note.read_text())

    assert 0 == code
    async with asyncio.timeout(100):
        while _runs(child):  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # the system tells nobody of another's grandchild


def _runs(pid: int) -> bool:
    try:
        return "Z" != Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False


async def test_url_is_renewed_over_the_port() -> None:
    """A client that can ask for another URL gets one, a client that cannot gets no port."""
    asks = (
        "import json, socket, sys; errand = json.loads(sys.argv[1]); port = errand['renewal'];"
        "url = port and socket.create_connection(('127.0.0.1', port)).makefile().read();"
        "print(bool(url) and url.partition('?')[0] == errand['url'].partition('?')[0])"
    )
    scene = scenario(skin="s3v4", needs=frozenset({"renewal"}), reached=False)
    able = Client(
        name="able",
        program=sys.executable,
        probe=(),
        settings="",
        arguments=lambda errand: ["-c", asks, errand.json],
        can=frozenset({"renewal"}),
    )

    seen = await trial.attempt(able, scene, size=100)
    unable = await attempt(asks, scene)

    assert ("True", "False") == (seen.words, unable.words)


def test_words_hold_no_secret(tmp_path: Path) -> None:
    """Neither a query nor a directory of this machine gets into the report."""
    text = f"curl: http://127.0.0.1/object?X-Sig=abc failed,\n see {tmp_path}/home/log and /opt/some/lib/file.py"

    assert "curl: http://127.0.0.1/object?... failed, see .../log and .../file.py" == trial.last_words(
        text.replace(str(tmp_path), str(tmp_path)), tmp_path / "elsewhere"
    )


def test_environment_is_clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No proxy, no certificate store and no home of the caller's reaches a client."""
    for name in ("HTTPS_PROXY", "SSL_CERT_FILE", "HF_TOKEN", "PIP_INDEX_URL"):
        monkeypatch.setenv(name, "x")

    names = set(trial.clean(tmp_path, {"MORE": "1"}))

    assert {"HOME", "LC_ALL", "MORE", "PATH", "TMPDIR", "XDG_CONFIG_HOME"} == names - {"LD_LIBRARY_PATH"}


@pytest.fixture
def matrix() -> report.Matrix:
    """Two clients and one who is absent, in two scenarios."""
    clients = [client("", name) for name in ("good", "bad", "gone")]
    first, second = scenario(DROPS), scenario(case="a|b", errors=("connect",), needs=frozenset({"size"}))
    return report.Matrix(
        clients=clients,
        versions={"good": "1.0", "bad": "2.0", "gone": None},
        cells=[
            report.Cell(scenario=first, client="good", deed=deed()),
            report.Cell(scenario=first, client="bad", deed=deed("ill", "wrong")),
            report.Cell(scenario=second, client="good", deed=None),
            report.Cell(scenario=second, client="bad", deed=None, broken="OSError()"),
        ],
        date="2026-01-02",
        size=5000,
        patience=20,
    )


def test_page(matrix: report.Matrix) -> None:
    """The page has who took part, the counts, every scenario with its marks, and what the rows are."""
    page = report.as_markdown(matrix)

    for line in (
        "| good | 1.0 | none |",
        "| gone | absent: not installed (tests/matrix/install.sh) | none |",
        "| client | ok | fails | n/a | broken | leaves bytes * |",
        "| good | 1 |  | 1 |  |  |",
        "| bad |  | 1 |  | 1 | 1 |",
        "| row | the server | right is | good | bad |",
        "| X01 | once | the object | ok | **fails*** |",
        "| X01 | a\\|b | an error, or the object |  | **broken** |",
        "- X01: a server that breaks; a client tries again.",
    ):
        assert line in page.splitlines()


def test_json(matrix: report.Matrix) -> None:
    """Each cell has its verdict, and what was seen where something was."""
    cells = report.as_json(matrix)["cells"]

    assert ["pass", "fails", "not_applicable", "broken"] == [cell["verdict"] for cell in cells]
    assert ("bad", "ill", True) == (cells[1]["client"], cells[1]["ended"], cells[1]["leftover"])


def test_command_lines() -> None:
    """Each client's command names the URL and the destination, and the authority only where there is one."""
    errand = Errand(
        url="https://127.0.0.1:1/object?a=b",
        dest="/d/file",
        home="/h",
        ca_file="/ca.pem",
        size=1,
        declared=None,
        patience=9,
        renewal=None,
    )

    for each in CLIENTS:
        words = " ".join(each.arguments(errand))
        assert errand.url in words, each.name
        assert "file" in words, each.name
        assert "/ca.pem" in words, each.name


@pytest.mark.parametrize(
    ("arguments", "status"), [(["--row", "Z99", "--list"], 2), (["--client", "netcat"], 2), (["--list"], 0)]
)
def test_command(capsys: pytest.CaptureFixture[str], arguments: list[str], status: int) -> None:
    """Unknown names are refused; --list names clients and scenarios and runs nothing."""
    assert status == main([*arguments, "--client", CLIENTS[0].name])

    assert (status == 0) == (CLIENTS[0].name in capsys.readouterr().out)


def test_absent_client_has_no_version(tmp_path: Path) -> None:
    """A program that is not there, and one that does not run, are both absent."""
    missing = Client(
        name="x", program=str(tmp_path / "none"), probe=(), settings="", arguments=lambda errand: [errand.url]
    )
    lame = client("")

    assert missing.version() is None
    assert lame.version() is not None


def test_script_is_well_formed() -> None:
    """install.sh parses and may be run."""
    script = Path(__file__).parent / "matrix" / "install.sh"

    assert 0 == subprocess.run(["bash", "-n", script], check=False).returncode
    assert os.access(script, os.X_OK)


def test_servers_are_paced() -> None:
    """Where a scenario says nothing of its servers' rate they get the matrix's, and nothing else is changed."""
    scene = scenario(DROPS, hosts={"a": Host(), "b": Host(origin={"rate": 7.0, "seed": 2})})

    hosts = trial.paced(scene).hosts

    assert [{"rate": trial.RATE}, {"rate": 7.0, "seed": 2}] == [dict(host.origin) for host in hosts.values()]
