"""Several places that have one object, as a source: what a caller says of them, and nothing of how they are used."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from asyncdl.errors import OptionsError

#: The kind of source of one place: a URL, a `SignedUrl` or a provider of them.
Place_co = TypeVar("Place_co", covariant=True)


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Mirrors(Generic[Place_co]):
    """One object that several places have. They are used together, each with its own expiry and renewal.

        await asyncdl.download(asyncdl.Mirrors(["https://a.example/model", "https://b.example/model"]), "model.bin")

    Nothing is taken from a place unless it is proven to have the object that the first answer was of: by a checksum
    that the caller gives, by checksums that both servers promise of the whole object, or by equal strong entity tags.
    A place that is not proven, or that fails where a single source would have failed, is given up with a warning in the
    log, and the others go on from the last byte; the error of the last one ends the download. Requests go to those that
    are quickest.

    The headers of a `SignedUrl` go to its own origin. Those of the request go to the origin of the first place's first
    URL alone.

    Args:
        sources: the places, the most trusted first: it is asked first. One that is given twice counts once.

    Raises:
        OptionsError: there is none.
    """

    sources: tuple[Place_co, ...]

    def __init__(self, sources: Iterable[Place_co]) -> None:
        if isinstance(sources, str | bytes) or not isinstance(sources, Iterable):
            raise OptionsError("mirrors are given as a list of sources")
        different: list[Place_co] = []
        for source in sources:
            for each in source.sources if isinstance(source, Mirrors) else (source,):
                if each not in different:
                    different.append(each)
        if not different:
            raise OptionsError("a list of mirrors needs at least one source")
        object.__setattr__(self, "sources", tuple(different))

    def __repr__(self) -> str:
        return f"Mirrors(<{len(self.sources)} sources>)"
