"""Standard streams whose reader may leave, or that were never open; it knows nothing of what is written to them."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TextIO


class Lines:
    """Writes whole lines, flushed. A reader that has left ends the writing and not the download."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._open = True

    def write(self, line: str) -> None:
        """One line, or nothing any more."""
        if not self._open:
            return
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            self._open = False
            silence(self._stream)


def silence(stream: TextIO) -> None:
    """Send what is still in the buffer nowhere: it would make the interpreter complain at its end."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, stream.fileno())
        finally:
            os.close(nowhere)


def open_missing() -> None:
    """Stand-ins for the standard streams that were closed when the process began (`2>&-`).

    Without them a file of ours gets the number, and is written to by every child that inherits it as its stream.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # open(2) takes the lowest number that is free: the missing one, as they come in their order.
            number = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(number, True)
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115  # for good


def flush_standard() -> None:
    """Write out what is in the buffers, as far as anybody takes it."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            try:
                stream.flush()
            except (OSError, ValueError):
                silence(stream)
