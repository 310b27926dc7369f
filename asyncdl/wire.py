"""What responses are made of: header fields, and pieces of a body on their way to the file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass


class Headers:
    """Response headers: names in any case, several values a name, in the order received."""

    __slots__ = ("_values",)

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self._values = values = dict[str, list[str]]()
        for name, value in pairs:
            lower = name.lower()
            if lower in values:
                values[lower].append(value)
            else:
                values[lower] = [value]

    def get(self, name: str) -> str | None:
        """The first value of `name`, or None."""
        values = self._values.get(name.lower())
        return values[0] if values else None

    def all(self, name: str) -> list[str]:
        """Every value of `name`."""
        return list(self._values.get(name.lower(), ()))

    def has_any(self, names: AbstractSet[str]) -> bool:
        """Whether there is a value of one of these names, which are in lower case."""
        return not self._values.keys().isdisjoint(names)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return ((name, value) for name, values in self._values.items() for value in values)


@dataclass(slots=True)
class Chunk:
    """Bytes of the object at `offset`, on their way to the writer.

    `release()` gives the buffer back to whoever lent it; for plain bytes there is nothing to do.
    """

    offset: int
    data: bytes | memoryview
    on_release: Callable[[], None] | None = None

    @property
    def stop(self) -> int:
        return self.offset + len(self.data)

    def release(self) -> None:
        give_back, self.on_release = self.on_release, None
        self.data = b""
        if give_back is not None:
            give_back()
