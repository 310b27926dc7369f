"""The table of exit codes covers every error there is."""

from __future__ import annotations

import signal

import pytest

from asyncdl import errors
from asyncdl.cli import exit_codes
from asyncdl.cli.exit_codes import ExitCode


def _tree(kind: type[errors.AsyncdlError]) -> list[type[errors.AsyncdlError]]:
    return [kind, *(each for child in kind.__subclasses__() for each in _tree(child))]


#: The root has no code of its own: nobody raises it.
_KINDS = [kind for kind in _tree(errors.AsyncdlError)[1:] if kind.__module__ == errors.__name__]


@pytest.mark.parametrize("kind", _KINDS)
def test_every_error_has_a_code(kind: type[errors.AsyncdlError]) -> None:
    """No error of the tree is reported as a fault of asyncdl, or as success."""
    code = exit_codes.of_error(kind.__new__(kind))

    assert code not in {ExitCode.OK, ExitCode.SOME_FAILED, ExitCode.INTERNAL}


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (errors.OptionsError("x"), 2),
        (errors.ConnectError("x"), 3),
        (errors.StallError("x"), 3),
        (errors.HttpStatusError("x", status=404), 3),
        (errors.ForbiddenError("x", status=403), 3),
        (errors.ResponseMismatchError("x"), 3),
        (errors.UrlExpiredError("x", status=403), 4),
        (errors.RefreshError("x"), 4),
        (errors.DeadlineError("x"), 5),
        (errors.StorageError("x"), 6),
        (errors.DiskFullError("x"), 6),
        (errors.IntegrityError("x"), 7),
        (errors.RemoteChangedError("x"), 8),
        (errors.DestinationExistsError("x"), 9),
        (errors.DestinationBusyError("x"), 9),
        (RuntimeError("x"), 70),
    ],
)
def test_the_codes_are_the_documented_ones(error: Exception, expected: int) -> None:
    """A script may rely on them."""
    assert expected == exit_codes.of_error(error)


def test_every_code_has_a_meaning() -> None:
    """The help text explains all of them."""
    assert set(ExitCode) == set(exit_codes.MEANINGS)


def test_signals() -> None:
    """As shells have it."""
    assert (130, 143) == (exit_codes.of_signal(signal.SIGINT), exit_codes.of_signal(signal.SIGTERM))


@pytest.mark.parametrize(
    ("codes", "expected"),
    [([], 0), ([0, 0], 0), ([0, 3], 1), ([3, 3], 3), ([3, 9], 1), ([4], 4), ([0, 3, 3], 1)],
)
def test_several_files(codes: list[int], expected: int) -> None:
    """The code they share, or 1."""
    assert expected == exit_codes.combined(list(map(ExitCode, codes)))
