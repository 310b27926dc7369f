"""The clients of the matrix: how each is found, what it can do, and the command line a careful user would give it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).parents[2]
DRIVERS = Path(__file__).parent / "drivers"
#: Interpreter of the Python clients, made by install.sh.
PYTHON = ROOT / ".matrix" / "venv" / "bin" / "python"

KIB = 1024
MIB = 1024 * KIB
#: Seconds, for every client that can be told: to connect, and without a byte.
IDLE = 3
#: Bytes per second under which a connection is given up, where a client can be told.
SLOW = 1 * KIB
TRIES = 10
CONNECTIONS = 8
HOPS = 5
#: Bytes of one range request, where a client can be told.
PART = 256 * KIB
#: The least that aria2 takes for it.
PIECE = 1 * MIB
_PROBE_WITHIN = 60.0

Ability = Literal["renewal", "size"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """What one client is to fetch.

    Attributes:
        url: of the object. dest: where it is to be, in an empty directory.
        home: an empty directory for whatever else the client writes.
        ca_file: PEM of the authority to trust; None: the system's.
        size: of the object, in bytes. declared: what the client is told of it, or None.
        patience: seconds after which the client is to give up.
        renewal: loopback port that answers every connection with a fresh URL; None: the URL is all there is.
    """

    url: str
    dest: str
    home: str
    ca_file: str | None
    size: int
    declared: int | None
    patience: int
    renewal: int | None

    @property
    def json(self) -> str:
        return json.dumps(asdict(self))

    @property
    def secure(self) -> bool:
        return self.url.startswith("https:")


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """One download client with its settings.

    Attributes:
        name: as in the table.
        program: name on PATH, or a path.
        probe: arguments that make it print its version.
        settings: in words, for readers of the table.
        arguments: of one download.
        environment: on top of the clean one.
        can: what it can be put to beyond a URL.
        bound: after how many times the patience it has certainly ended, if its own settings hold.
        how: where it comes from, said when it is absent.
    """

    name: str
    program: str
    probe: tuple[str, ...]
    settings: str
    arguments: Callable[[Errand], list[str]]
    environment: Callable[[Errand], dict[str, str]] = lambda _: {}
    can: frozenset[Ability] = frozenset()
    bound: float = 2.0
    how: str = "tests/matrix/install.sh"

    def found(self) -> str | None:
        """The program's path, or None."""
        return shutil.which(self.program)

    def version(self) -> str | None:
        """What it calls itself; None: it is not installed, or does not run."""
        program = self.found()
        if program is None:
            return None
        try:
            run = subprocess.run(
                [program, *self.probe],
                capture_output=True,
                check=True,
                text=True,
                timeout=_PROBE_WITHIN,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                env={**os.environ, "HOME": os.devnull},
            )
        except (OSError, subprocess.SubprocessError):
            return None
        number = re.search(r"\d+(\.\w+)+", run.stdout)
        return number[0] if number else None


def _curl(errand: Errand) -> list[str]:
    schemes = "=https" if errand.secure else "=http,https"
    return [
        *("-q", "--silent", "--show-error", "--fail", "--location", "--max-redirs", str(HOPS), "--noproxy", "*"),
        *("--proto", "=http,https", "--proto-redir", schemes),
        *("--connect-timeout", str(IDLE), "--speed-limit", str(SLOW), "--speed-time", str(IDLE)),
        *(("--cacert", errand.ca_file) if errand.ca_file else ()),
    ]


def _curl_once(errand: Errand) -> list[str]:
    patience = str(errand.patience)
    return [
        *_curl(errand),
        *("--retry", str(TRIES), "--retry-delay", "1", "--retry-all-errors", "--retry-connrefused"),
        *("--retry-max-time", patience, "--max-time", patience, "--remove-on-error"),
        *("--output", errand.dest, "--", errand.url),
    ]


#: As manuals have it: try again from where the file ends, and give it its name when curl is content.
_LOOP = """
dest=$1 end=$(($(date +%s) + $2)); shift 2
while left=$((end - $(date +%s))); [ "$left" -gt 0 ]; do
    if curl "$@" --max-time "$left" --continue-at - --output "$dest.part"; then mv "$dest.part" "$dest"; exit; fi
    sleep 0.1
done
exit 1
"""


def _curl_again(errand: Errand) -> list[str]:
    settings = [*_curl(errand), "--url", errand.url]
    return ["-c", _LOOP, "curl-loop", errand.dest, str(errand.patience), *settings]


def _aria2(errand: Errand) -> list[str]:
    dest = Path(errand.dest)
    options = {
        "no-conf": "true",
        "no-netrc": "true",
        "split": CONNECTIONS,
        "max-connection-per-server": CONNECTIONS,
        "min-split-size": PIECE,
        "piece-length": PIECE,
        "max-tries": TRIES,
        "retry-wait": 1,
        "connect-timeout": IDLE,
        "timeout": IDLE,
        "lowest-speed-limit": SLOW,
        "stop": errand.patience,
        "file-allocation": "none",
        "allow-overwrite": "false",
        "auto-file-renaming": "false",
        "follow-metalink": "false",
        "follow-torrent": "false",
        "async-dns": "false",
        "quiet": "true",
        "dir": dest.parent,
        "out": dest.name,
    }
    if errand.ca_file:
        options["ca-certificate"] = errand.ca_file
    return [*(f"--{name}={value}" for name, value in options.items()), "--", errand.url]


def _wget2(errand: Errand) -> list[str]:
    return [
        *("--no-config", "--no-netrc", "--no-hsts", "--no-hpkp", "--no-ocsp", "--no-robots", "--no-proxy"),
        *("--no-compression", "--no-metalink", "--quiet", "--tries=5", "--waitretry=1", "--retry-connrefused"),
        *(f"--timeout={IDLE}", f"--max-redirect={HOPS}", f"--output-document={errand.dest}"),
        *(("--https-only",) if errand.secure else ()),
        *((f"--ca-certificate={errand.ca_file}",) if errand.ca_file else ()),
        errand.url,
    ]


def _rclone(errand: Errand) -> list[str]:
    return [
        *("copyurl", "--config", os.devnull, "--ask-password=false", "--no-gzip-encoding", "--disable-http2"),
        *("--retries", "5", "--retries-sleep", "1s", "--low-level-retries", str(TRIES), "--stats", "0"),
        *("--timeout", f"{IDLE}s", "--contimeout", f"{IDLE}s"),
        *(("--ca-cert", errand.ca_file) if errand.ca_file else ()),
        *("--", errand.url, errand.dest),
    ]


def _driven(name: str, *more: str) -> Callable[[Errand], list[str]]:
    return lambda errand: ["-I", str(DRIVERS / name), errand.json, *more]


def _version_of(package: str) -> tuple[str, ...]:
    return ("-I", "-c", f"import importlib.metadata as m; print(m.version({package!r}))")


def _asyncdl(connections: int) -> Client:
    return Client(
        name=f"asyncdl, {connections}",
        program=sys.executable,
        probe=("-c", "import asyncdl; print(asyncdl.__version__)"),
        settings=f"`asyncdl.download` with {connections} connection{'s' * (connections > 1)} and parts of 256 KiB; "
        f"{IDLE} s to connect, for the headers, without a byte, and under 1 KiB/s; {TRIES} tries with waits of up to "
        "0.1 s at first and 2 s later; a deadline over all; a new URL at most every half second, as the scenarios' "
        "live for one. It renews URLs and is told sizes where the scenario has them.",
        arguments=lambda errand: [str(DRIVERS / "engine.py"), errand.json, str(connections)],
        environment=lambda _: {"PYTHONPATH": str(ROOT)},
        can=frozenset({"renewal", "size"}),
        bound=1.0,
        how="the checkout",
    )


#: How the table has them, best known last.
CLIENTS = (
    _asyncdl(1),
    _asyncdl(CONNECTIONS),
    Client(
        name="curl",
        program="curl",
        probe=("--version",),
        settings=f"One stream; `--fail`, `--retry {TRIES} --retry-all-errors --retry-connrefused`, a second between "
        f"tries, {IDLE} s to connect, `--speed-limit {SLOW} --speed-time {IDLE}`, `--max-time` and "
        f"`--retry-max-time`, at most {HOPS} redirects and none away from https, `--remove-on-error`. Each try "
        "begins at the first byte.",
        arguments=_curl_once,
    ),
    Client(
        name="curl -C -",
        program="sh",
        probe=("-c", "curl --version"),
        settings="The same bounds for each run, but runs in a shell loop until one ends well or the patience is over, "
        "with `--continue-at -` into a file beside the destination that is renamed in the end.",
        arguments=_curl_again,
        bound=1.0,
    ),
    Client(
        name="aria2",
        program="aria2c",
        probe=("--version",),
        settings=f"{CONNECTIONS} connections, splits and pieces of 1 MiB; {TRIES} tries, a second between them, "
        f"{IDLE} s to connect and without a byte, `--lowest-speed-limit={SLOW}`, `--stop` as a deadline. It has no "
        "switch against redirects from https to http.",
        arguments=_aria2,
        bound=1.0,
    ),
    Client(
        name="wget2",
        program="wget2",
        probe=("--version",),
        settings=f"One stream (`--chunk-size` begins with a HEAD, which a URL signed for GET refuses); 5 tries, "
        f"`--retry-connrefused`, {IDLE} s to connect and without a byte, at most {HOPS} redirects, `--https-only` for "
        "https, `--no-compression`. It has neither a lowest speed nor a deadline.",
        arguments=_wget2,
    ),
    Client(
        name="rclone",
        program="rclone",
        probe=("version",),
        settings="`copyurl`: one stream (the http remote takes no signed URL, and splits only after a HEAD); 5 tries, "
        f"a second between them, {TRIES} low-level ones, {IDLE} s to connect and without a byte, `--no-gzip-encoding`. "
        "It has no lowest speed and, for this command, no deadline.",
        arguments=_rclone,
    ),
    Client(
        name="hf hub",
        program=str(PYTHON),
        probe=_version_of("huggingface_hub"),
        settings=f"huggingface_hub's `http_get` into a file beside the destination; {IDLE} s for every wait, its own 5 "
        "tries a second apart, `Accept-Encoding: identity`. One stream; told the size where the scenario has one. It "
        "has neither a lowest speed nor a deadline.",
        arguments=_driven("hub.py"),
        environment=lambda errand: {
            "HF_HOME": errand.home,
            "HF_HUB_DOWNLOAD_TIMEOUT": str(IDLE),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_HUB_DISABLE_XET": "1",
        },
        can=frozenset({"size"}),
    ),
    Client(
        name="wandb",
        program=str(PYTHON),
        probe=_version_of("wandb"),
        settings=f"The artifact code's `multipart_download` with its own session and file cache, {CONNECTIONS} threads "
        "and parts of 256 KiB instead of 100 MiB. Its 16 tries stay, with waits of up to 1 s instead of 120. It sets "
        "no timeout and has no argument for one. It is always told a size, as its manifest has it, and renews URLs.",
        arguments=_driven("multipart.py"),
        environment=lambda errand: {
            "WANDB_DIR": errand.home,
            "WANDB_CACHE_DIR": errand.home,
            "WANDB_CONFIG_DIR": errand.home,
            "WANDB_MODE": "offline",
            "WANDB_SILENT": "true",
            "WANDB_ERROR_REPORTING": "false",
        },
        can=frozenset({"renewal", "size"}),
    ),
    Client(
        name="pip",
        program=str(PYTHON),
        probe=_version_of("pip"),
        settings=f"pip's `Downloader` with `--retries 5 --resume-retries 5 --timeout {IDLE}`; the file is moved to the "
        "destination when it is content. One stream. It has neither a lowest speed nor a deadline.",
        arguments=_driven("wheel.py"),
        environment=lambda _: {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INPUT": "1", "PIP_NO_CACHE_DIR": "1"},
    ),
)
