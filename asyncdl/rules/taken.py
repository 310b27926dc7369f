"""Which destinations are taken: no two files of a batch, finished or unfinished, may have one name; pure.

Rule: names that differ in case or in Unicode's ways to write a letter are one, as on macOS, Windows, and some file
systems of Linux.
"""

from __future__ import annotations

import unicodedata
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Final

from asyncdl.errors import OptionsError
from asyncdl.rules.names import SUFFIXES

#: Bits of a hash that choose its shard: each is short enough to insert into, in order.
_SHARD_BITS: Final = 10
_HASH_BITS: Final = 64


class Taken:
    """The relative paths given away so far, nine bytes or so of memory for each.

    Only hashes of 64 bits are kept: of a million names, two different ones share a hash in one of 37 million batches,
    and the later is refused without need.
    """

    def __init__(self) -> None:
        self._files = _Hashes()
        self._folders = _Hashes()
        # Whether one of them ends as what lies beside a file does; hardly ever, and then there is less to look for.
        self._odd = False

    def claim(self, path: str) -> None:
        """Give the path away, a result of `relative_path` or `file_name`.

        Raises:
            OptionsError: it, or what lies beside it while it is downloaded, is another file, or a directory of one.
        """
        key = _key(path)
        folders = list(_folders(key))
        beside = [key + suffix for suffix in SUFFIXES] if self._odd else []
        if self._files.has_any((key, *beside, *_without_suffix(key))):
            raise OptionsError("another file of this batch is written to the same name")
        if self._folders.has_any((key, *beside)):
            raise OptionsError("the name is a directory of another file of this batch")
        if any(self._files.has_any((folder, *_without_suffix(folder))) for folder in folders):
            raise OptionsError("a directory of the name is another file of this batch")
        self._files.add(key)
        for folder in folders:
            self._folders.add(folder)
        self._odd = self._odd or any(name.endswith(SUFFIXES) for name in (key, *folders))


def refuse_clashes(names: Iterable[str]) -> None:
    """Make sure that no two files, finished or unfinished, would have one name.

    Raises:
        OptionsError: two would.
    """
    taken = Taken()
    for name in names:
        try:
            taken.claim(name)
        except OptionsError:
            raise OptionsError(
                f"two URLs would be written to the same file, {name}",
                hint="download them one at a time and name each with -o",
            ) from None


def _key(path: str) -> str:
    if path.isascii():
        return path.lower()
    # Canonical caseless matching (Unicode Standard, section 3.13, D145).
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", path).casefold())


def _folders(key: str) -> Iterator[str]:
    """Yield the directories on the way to a path."""
    stop = key.find("/")
    while stop != -1:
        yield key[:stop]
        stop = key.find("/", stop + 1)


def _without_suffix(key: str) -> Iterator[str]:
    """Yield the files that would have this beside them."""
    return (key.removesuffix(suffix) for suffix in SUFFIXES if key.endswith(suffix))


class _Hashes:
    """A set of strings as sorted arrays of their hashes."""

    def __init__(self) -> None:
        self._shards: dict[int, array[int]] = {}

    def has_any(self, texts: Iterable[str]) -> bool:
        return any(map(self._has, map(_hash, texts)))

    def _has(self, number: int) -> bool:
        shard = self._shards.get(number >> (_HASH_BITS - _SHARD_BITS), ())
        place = bisect_left(shard, number)
        return place < len(shard) and shard[place] == number

    def add(self, text: str) -> None:
        number = _hash(text)
        shard = self._shards.setdefault(number >> (_HASH_BITS - _SHARD_BITS), array("Q"))
        place = bisect_left(shard, number)
        if place == len(shard) or shard[place] != number:
            shard.insert(place, number)


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_HASH_BITS // 8).digest(), "big")
