"""The process where it is the command's own: what is spared at its beginning because no other code runs in it."""

from __future__ import annotations

import gc
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Where OpenSSL looks for certificates, before the places that it was built with (openssl-env(7)).
_STORES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


class _Process:
    ours = False


def claim() -> None:
    """Say that nothing but the command runs in this process, and look for no garbage until `loading` is over."""
    _Process.ours = True
    # What is loaded stays; to look through it again and again while more is loaded finds nothing.
    gc.disable()


@contextmanager
def loading() -> Iterator[None]:
    """Around the import of the engine; does nothing in a process that is not our own."""
    if not _Process.ours:
        yield
        return
    with _no_store():
        yield
    # From here on there is garbage, and what has been loaded is none of it.
    gc.freeze()
    gc.enable()


@contextmanager
def _no_store() -> Iterator[None]:
    """Let OpenSSL find no certificates.

    aiohttp reads the system's, twice, when it is imported (40 ms). The engine reads those that count when it comes to
    need them, and never uses aiohttp's own: without any they would trust nobody.
    """
    before = {name: os.environ.get(name) for name in _STORES}
    os.environ.update(dict.fromkeys(_STORES, os.devnull))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
