"""What all real web servers have in common: a program, a directory it may read, and folders of files for the tests."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, Final, Self
from urllib.parse import quote

from asyncdl.testing import Content
from tests.support.process import HOST, ServerProcess, unavailable

#: The user and group that programs change to when root starts them: `nobody` and `nogroup` everywhere on Debian.
NOBODY: Final = 65534
_SEARCHED = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"


def find(program: str) -> str | None:
    """Where a program is; Debian keeps servers where only root looks."""
    return shutil.which(program, path=_SEARCHED)


def as_root() -> bool:
    """Whether a server started here would run as root unless it is told not to."""
    return os.geteuid() == 0


class Server(ABC):
    """A server program in a temporary directory of its own, from `__enter__` to `__exit__`.

    The directory is not pytest's, which is closed to the user that a server started by root changes to.

    Attributes:
        PROGRAM: its file name.
        PACKAGE: what Debian and Ubuntu call the package it comes in.
        root: the directory it publishes, if it does.
        process: the program as it runs.
        scheme: "http" or "https".
    """

    PROGRAM: ClassVar[str]
    PACKAGE: ClassVar[str]

    def __init__(self) -> None:
        self.scheme: str = "http"
        self.directory: Path = Path(tempfile.mkdtemp(prefix="asyncdl-server-"))
        self.directory.chmod(0o755)
        self.root: Path = self.directory / "www"
        self.root.mkdir()
        self.process: ServerProcess = ServerProcess(self.command, self.directory / "output.log")

    @abstractmethod
    def command(self, port: int) -> list[str]:
        """Writes the configuration for that port, and names the program that reads it."""

    @classmethod
    def missing(cls) -> str | None:
        """Why it cannot run here, or None if it can."""
        if find(cls.PROGRAM) is None:
            return f"{cls.PROGRAM} is not installed (Debian: apt-get install {cls.PACKAGE})"
        return None

    @classmethod
    def program(cls) -> str:
        """The program's path, once `missing` has nothing to say."""
        found = find(cls.PROGRAM)
        assert found is not None
        return found

    @property
    def base(self) -> str:
        """The URL of its root, without a slash at the end."""
        return f"{self.scheme}://{HOST}:{self.process.port}"

    def write(self, name: str, text: str) -> Path:
        """Puts a file into its directory that only we may read."""
        path = self.directory / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o600)
        return path

    def __enter__(self) -> Self:
        try:
            if reason := self.missing():
                unavailable(reason)
            self.process.__enter__()
        except BaseException:
            shutil.rmtree(self.directory)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.process.stop()
        finally:
            shutil.rmtree(self.directory, ignore_errors=True)


class Site:
    """What one test has of a web server: a folder of its own.

    Args:
        server: whom the URLs lead to.
        store: whose directory has the files, where that is another one: the server behind a proxy.
    """

    def __init__(self, server: Server, store: Server | None = None) -> None:
        self.server = server
        self._root = (store or server).root
        self._folder = secrets.token_hex(6)
        (self._root / self._folder).mkdir()

    def add(self, name: str, size: int, seed: int = 1) -> Content:
        """Puts a file of `size` bytes there, an hour old; its bytes tell their offset."""
        content = Content(seed, size)
        with self.file(name).open("wb") as file:
            for block in content.blocks(0, size, block=1 << 20):
                file.write(block)
        # Servers give a file that is younger than a second a weak entity tag (Apache), or none.
        self.date(name, time.time() - 3600)
        return content

    def date(self, name: str, stamp: float) -> None:
        """Sets the time of its last change."""
        os.utime(self.file(name), (stamp, stamp))

    def replace(self, name: str, size: int, seed: int) -> Content:
        """Puts another file in its place, a bit younger, in one step as who deploys does."""
        content = self.add(f"{name}.new", size, seed)
        # Several servers make their entity tag of the size and the whole second.
        self.date(f"{name}.new", self.file(name).stat().st_mtime + 100)
        self.file(f"{name}.new").replace(self.file(name))
        return content

    def file(self, name: str) -> Path:
        """Where the server reads `name`, to change or remove it."""
        return self._root / self._folder / name

    def path(self, name: str) -> str:
        """The path in the URL, percent-encoded."""
        return f"/{self._folder}/{quote(name)}"

    def url(self, name: str) -> str:
        """A URL that needs no signature."""
        return self.server.base + self.path(name)

    def clear(self) -> None:
        """Removes the test's files."""
        shutil.rmtree(self._root / self._folder)
