"""What an option with a value is: its flags, its environment variable, and how its text is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueOption:
    """One option with a value.

    Attributes:
        flags: as on the command line; the last one, long, names it.
        read: from text to value; raises OptionsError.
        metavar: what the help calls the value; empty where the flag alone says it, and `--no-` before it the opposite.
        default: where neither the command line nor the environment says anything.
        in_environment: False for what belongs to one file only.
    """

    flags: tuple[str, ...]
    read: Callable[[str], object]
    metavar: str
    help: str
    default: object = None
    in_environment: bool = True

    @property
    def name(self) -> str:
        return self.flags[-1].removeprefix("--").replace("-", "_")

    @property
    def variable(self) -> str | None:
        return f"ASYNCDL_{self.name.upper()}" if self.in_environment else None
