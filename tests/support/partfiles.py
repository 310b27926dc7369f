"""What the tests of `.part` files share: names, modes, pieces of known content, and what Windows says."""

from __future__ import annotations

import errno
import stat
from pathlib import Path

from asyncdl.edge.files import PartFile
from asyncdl.model import Chunk, IfExists
from asyncdl.testing import Content

CONTENT = Content(1, 1 << 20)


def part_of(dest: Path) -> Path:
    """Where the bytes for `dest` gather."""
    return dest.with_name(dest.name + ".part")


def mode_of(path: Path) -> int:
    """Its permissions."""
    return stat.S_IMODE(path.stat().st_mode)


def piece(start: int, stop: int) -> Chunk:
    """The content's bytes `[start, stop)` at their place."""
    return Chunk(start, CONTENT.read(start, stop))


async def written(dest: Path, size: int = 1000, *, if_exists: IfExists = "skip") -> PartFile:
    """A file with its first bytes in it, not published yet."""
    file = await PartFile.create(dest, if_exists=if_exists)
    await file.write([piece(0, size)])
    return file


def blocked(winerror: int) -> PermissionError:
    """What Windows says while another program holds a file."""
    error = PermissionError(errno.EACCES, "The process cannot access the file")
    error.winerror = winerror  # type: ignore[attr-defined,unused-ignore]
    return error
