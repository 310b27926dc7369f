"""What a download asks of the place it writes to. No implementation lives here: the real one is `edge/files.py`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from asyncdl.edge.disk import Reader
from asyncdl.model import Chunk, Part
from asyncdl.rules.head import Head
from asyncdl.rules.held import Held
from asyncdl.rules.journal import State

T = TypeVar("T")


class FileSink(Protocol):
    """Where the writer puts bytes, and what the engine finishes or gives up."""

    @property
    def prior(self) -> State | None:
        """What an earlier download left here that can be gone on with; nothing of it is lost before `begin`."""
        ...

    async def begin(self, head: Head, keep: Sequence[Held] = ()) -> None:
        """Take the file for the object that `head` speaks of, `keep` being all that is believed of its bytes."""

    async def reserve(self, size: int, *, preallocate: bool = True, check_space: bool = True) -> None:
        """Take `size` bytes on the disk, where that can be done without writing them."""

    async def write(self, chunks: Sequence[Chunk], then: Callable[[], object] = bool) -> None:
        """Write every chunk at its offset, completely; `then` is called in the same thread."""

    async def commit(self, held: Sequence[Held]) -> None:
        """Make everything written before this call durable, and then claim `held`, which is some of it."""

    async def drop_cache(self, spans: Sequence[Part]) -> None:
        """Memory need not keep these durable bytes: nobody will read them soon."""

    async def forget(self, spans: Sequence[Part]) -> None:
        """Claim nothing of `spans` any more, durably: they will be written anew."""

    async def beat(self) -> None:
        """Show others that this download is alive."""

    async def examine(self, call: Callable[[Reader], T]) -> T:
        """The result of `call`, in a thread where it can read the file; one such call at a time."""

    async def publish(self, size: int) -> None:
        """Make exactly `size` bytes durable under the destination's name."""

    async def abandon(self, *, discard: bool = False) -> None:
        """Close; what has been written stays in `.part`, unless it is of no use; an empty `.part` goes."""
