"""The table of exit codes, and which error has which."""

from __future__ import annotations

import enum
import signal
from typing import TYPE_CHECKING, Final

from asyncdl import errors

if TYPE_CHECKING:
    from collections.abc import Sequence


class ExitCode(enum.IntEnum):
    """What the process says to its caller."""

    OK = 0
    SOME_FAILED = 1
    USAGE = 2
    NETWORK = 3
    EXPIRED = 4
    DEADLINE = 5
    DISK = 6
    INTEGRITY = 7
    REMOTE_CHANGED = 8
    DESTINATION = 9
    #: A fault of asyncdl itself; EX_SOFTWARE of BSD's sysexits(3).
    INTERNAL = 70


MEANINGS: Final = {
    ExitCode.OK: "all well",
    ExitCode.SOME_FAILED: "some of several files failed, or all for different reasons",
    ExitCode.USAGE: "wrong usage",
    ExitCode.NETWORK: "network or HTTP error",
    ExitCode.EXPIRED: "the URL expired, or could not be renewed",
    ExitCode.DEADLINE: "--max-time passed",
    ExitCode.DISK: "disk or path error",
    ExitCode.INTEGRITY: "not the size or checksum that was promised",
    ExitCode.REMOTE_CHANGED: "the remote object changed on the way",
    ExitCode.DESTINATION: "the destination exists, or is in use",
    ExitCode.INTERNAL: "a fault of asyncdl itself",
}

#: An error without a row has its base class's.
BY_ERROR: Final[dict[type[BaseException], ExitCode]] = {
    errors.OptionsError: ExitCode.USAGE,
    errors.TransferError: ExitCode.NETWORK,
    errors.UrlExpiredError: ExitCode.EXPIRED,
    errors.RefreshError: ExitCode.EXPIRED,
    errors.DeadlineError: ExitCode.DEADLINE,
    errors.StorageError: ExitCode.DISK,
    errors.JournalError: ExitCode.DISK,
    errors.IntegrityError: ExitCode.INTEGRITY,
    errors.RemoteChangedError: ExitCode.REMOTE_CHANGED,
    errors.DestinationExistsError: ExitCode.DESTINATION,
    errors.DestinationBusyError: ExitCode.DESTINATION,
}


def of_error(error: BaseException) -> ExitCode:
    """The code of the nearest class that has a row; INTERNAL for what asyncdl did not raise on purpose."""
    return next((BY_ERROR[kind] for kind in type(error).__mro__ if kind in BY_ERROR), ExitCode.INTERNAL)


def of_signal(number: int) -> int:
    """What shells report for a process that the signal ended: 129 for SIGHUP, 130 for SIGINT, 143 for SIGTERM."""
    return 128 + signal.Signals(number).value


def combined(codes: Sequence[ExitCode]) -> ExitCode:
    """One code for several files: the one they share, or SOME_FAILED."""
    kinds = set(codes)
    if len(kinds) > 1:
        return ExitCode.SOME_FAILED
    return kinds.pop() if kinds else ExitCode.OK
