"""What a run was asked for: quick or full, how large, how often, where."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from benchmarks.clients import CLIENTS, Client, Task, environment
from benchmarks.measure import RunError, Sample, run, same
from benchmarks.rounds import Row, Tell

T = TypeVar("T")

KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Of one run of the suite.

    Attributes:
        size: bytes of the large file instead of the scenario's own.
        rounds: instead of the scenario's own.
        clients: parts of names of the rows that are wanted; empty: all.
        memory: a directory on a tmpfs.
        disk: a directory on a real disk.
    """

    quick: bool
    size: int | None = None
    rounds: int | None = None
    clients: Sequence[str] = ()
    memory: Path = Path("/dev/shm")
    disk: Path = Path()
    tell: Tell = print

    def either(self, quick: T, full: T) -> T:
        return quick if self.quick else full

    def sized(self, quick: int, full: int) -> int:
        return self.size or self.either(quick, full)

    def times(self, quick: int, full: int) -> int:
        return self.rounds or self.either(quick, full)

    def wanted(self, name: str) -> bool:
        return not self.clients or any(part in name for part in self.clients)

    @contextlib.contextmanager
    def place(self, *, on_disk: bool = False) -> Iterator[Path]:
        """A directory for the time of a scenario."""
        with tempfile.TemporaryDirectory(dir=self.disk if on_disk else self.memory, prefix="bench-") as name:
            yield Path(name)


def available(settings: Settings, *, https: bool = False) -> tuple[list[Client], dict[str, str]]:
    """The clients that are wanted and there, and why others that are wanted are not."""
    here, absent = [], {}
    for client in CLIENTS:
        if not settings.wanted(client.name):
            continue
        why = client.missing() or ("does not speak https with an authority of ours" * (https and not client.https))
        if why:
            absent[client.name] = why
        else:
            here.append(client)
    return here, absent


def bring(client: Client, source: Path, task: Task, *, patience: float = 600.0) -> Sample:
    """One file by one client, measured, and compared with its source.

    Raises:
        RunError: it failed, or the bytes are wrong.
    """
    size = source.stat().st_size
    sample = run(client.command(task), env=environment(task.ca_file), size=size, patience=patience)
    if not same(source, task.dest):
        raise RunError("brought wrong bytes")
    return sample


def row(name: str, client: Client, source: Path, url: str, **more: object) -> Row:
    """A row in which a client brings one file; `more` is for its `Task`."""

    def action(directory: Path) -> Sample:
        return bring(client, source, Task(url=url, dest=directory / "download.bin", **more))  # type: ignore[arg-type]

    return Row(name=name, run=action)
