"""The clients that are compared: what each is called, whether it is here, what it can do, and its command line."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from asyncdl import Options

#: What a client is here for: the engine in one of its ways, what it replaces, what others use, what cannot be beaten.
Kind = Literal["asyncdl", "baseline", "peer", "limit"]


#: What cannot be beaten in one thread.
LIMIT = "limit: recv_into"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One file to bring.

    Attributes:
        ca_file: of the server's authority, for https.
        connections: how many; None leaves it to the client.
        checksum: to be verified, as text.
        options: further options of asyncdl.
    """

    url: str
    dest: Path
    ca_file: Path | None = None
    connections: int | None = None
    checksum: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """One row of a table.

    Attributes:
        command: the command line that carries out a task.
        program: looked for in PATH, or
        module: looked for among the installed packages; where neither is given, Python alone will do.
        option: of asyncdl, which has to be there.
        https, ranges, checksum: whether it does these.
    """

    name: str
    kind: Kind
    command: Callable[[Task], list[str]]
    program: str | None = None
    module: str | None = None
    option: str | None = None
    https: bool = True
    ranges: bool = True
    checksum: bool = False

    def missing(self) -> str | None:
        """Why it is not available, or None."""
        if self.program and shutil.which(self.program) is None:
            return f"{self.program} is not installed"
        if self.module and importlib.util.find_spec(self.module) is None:
            return f"{self.module} is not installed"
        if self.option and self.option not in {one.name for one in dataclasses.fields(Options)}:
            return f"this version has no option {self.option}"
        if self.name == "limit: splice" and not hasattr(os, "splice"):
            return "this system has no splice"
        return None

    def version(self) -> str:
        """What is installed."""
        if self.program:
            words = subprocess.run([self.program, "--version"], capture_output=True, check=False, timeout=10).stdout
            found = re.search(rb"\d+(\.\d+)+", words)
            return found[0].decode() if found else "?"
        if self.module == "asyncdl":
            import asyncdl

            return asyncdl.__version__
        try:
            return importlib.metadata.version(self.module or "")
        except (importlib.metadata.PackageNotFoundError, ValueError):
            return ""


def environment(task_ca: Path | None) -> dict[str, str]:
    """Variables that tell clients without an option for it which authority to trust."""
    if task_ca is None:
        return {}
    return {"SSL_CERT_FILE": str(task_ca), "REQUESTS_CA_BUNDLE": str(task_ca), "CURL_CA_BUNDLE": str(task_ca)}


def child(name: str, task: Task, **more: object) -> list[str]:
    """The command line of a client of `benchmarks.peers`."""
    order = {
        "url": task.url,
        "dest": str(task.dest),
        "ca_file": task.ca_file and str(task.ca_file),
        "checksum": task.checksum,
        **more,
    }
    return [sys.executable, "-m", "benchmarks.peers", name, json.dumps(order)]


def _asyncdl(loop: str = "asyncio", **fixed: object) -> Callable[[Task], list[str]]:
    def command(task: Task) -> list[str]:
        options = {**fixed, **task.options}
        if task.connections is not None:
            options["connections"] = task.connections
        return child("asyncdl", task, options=options, loop=loop)

    return command


def _library(name: str) -> Callable[[Task], list[str]]:
    return lambda task: child(name, task)


def _threaded(task: Task) -> list[str]:
    return [sys.executable, "-m", "benchmarks.threaded", task.url, str(task.dest), str(task.connections or 8)]


def limit(how: str) -> Callable[[Task], list[str]]:
    """The command line of one of the limits, see `benchmarks.limit`."""

    def command(task: Task) -> list[str]:
        tail = [str(task.ca_file)] if task.ca_file else []
        return [sys.executable, "-m", "benchmarks.limit", how, task.url, str(task.dest), *tail]

    return command


def _curl(task: Task) -> list[str]:
    trust = ["--cacert", str(task.ca_file)] if task.ca_file else []
    return ["curl", "-sSf", *trust, "-o", str(task.dest), task.url]


def _aria2c(task: Task) -> list[str]:
    count = task.connections or 16
    trust = [f"--ca-certificate={task.ca_file}"] if task.ca_file else []
    fixed = ["--no-conf", "-q", "--allow-overwrite=true", "--file-allocation=none", f"-x{count}", f"-s{count}", "-k1M"]
    return ["aria2c", *fixed, *trust, "-d", str(task.dest.parent), "-o", task.dest.name, task.url]


def _wget2(task: Task) -> list[str]:
    trust = [f"--ca-certificate={task.ca_file}"] if task.ca_file else []
    return ["wget2", "-q", "--no-config", "--no-hsts", *trust, "-O", str(task.dest), task.url]


CLIENTS: tuple[Client, ...] = (
    Client(name="asyncdl", kind="asyncdl", command=_asyncdl(), module="asyncdl", checksum=True),
    Client(
        name="asyncdl, plain buffers",
        kind="asyncdl",
        command=_asyncdl(pooled_buffers=False),
        option="pooled_buffers",
        checksum=True,
    ),
    Client(name="asyncdl on uvloop", kind="asyncdl", command=_asyncdl("uvloop"), module="uvloop", checksum=True),
    Client(name="threaded baseline", kind="baseline", command=_threaded, module="requests"),
    Client(name="curl", kind="peer", command=_curl, program="curl", ranges=False),
    Client(name="aria2c", kind="peer", command=_aria2c, program="aria2c"),
    Client(name="wget2", kind="peer", command=_wget2, program="wget2", ranges=False),
    Client(name="hf_transfer", kind="peer", command=_library("hf_transfer"), module="hf_transfer"),
    Client(name="wandb", kind="peer", command=_library("wandb"), module="wandb"),
    Client(name="obstore", kind="peer", command=_library("obstore"), module="obstore", ranges=False),
    Client(name="awscrt", kind="peer", command=_library("awscrt"), module="awscrt"),
    Client(name="pypdl", kind="peer", command=_library("pypdl"), module="pypdl"),
    Client(name="parfive", kind="peer", command=_library("parfive"), module="parfive", https=False),
    Client(name=LIMIT, kind="limit", command=limit("recv"), ranges=False),
    Client(name="limit: aiohttp", kind="limit", command=limit("aiohttp"), module="aiohttp", ranges=False),
    Client(name="limit: splice", kind="limit", command=limit("splice"), ranges=False, https=False),
)
NAMES = {client.name: client for client in CLIENTS}
