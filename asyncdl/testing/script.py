"""The script of an origin: its faults in order, and how often each was applied."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncdl.testing.faults import Fault
    from asyncdl.testing.ledger import RequestRecord


class Script:
    """Faults in order, with how often each may still apply."""

    def __init__(self) -> None:
        self._entries: list[tuple[Fault, list[int]]] = []

    def add(self, *faults: Fault) -> None:
        """Append faults; earlier ones are looked at first."""
        self._entries.extend((fault, []) for fault in faults)

    def clear(self) -> None:
        """Take every fault away; responses already begun keep theirs."""
        self._entries.clear()

    @property
    def uses(self) -> int:
        """How often any fault of the script was applied."""
        return sum(len(uses) for _, uses in self._entries)

    def applied(self, fault: Fault) -> int:
        """How often this very fault object was applied."""
        return sum(len(uses) for entry, uses in self._entries if entry is fault)

    def pick(self, record: RequestRecord, size: int) -> Fault | None:
        """The first fault that matches and is not used up; using it is counted."""
        for fault, uses in self._entries:
            if (fault.times is None or len(uses) < fault.times) and fault.matches(record, size):
                uses.append(record.number)
                return fault
        return None
