"""Which way bodies are received where nobody says: what `--receive` of a test run changes."""

from __future__ import annotations

from collections.abc import Callable

from asyncdl.options import Options


def receive_by_default(*, pooled: bool) -> Callable[[], None]:
    """Make it the default of every `Options` made from now on; what is returned undoes that."""
    defaults = Options.__init__.__kwdefaults__
    assert defaults is not None
    before = defaults["pooled_buffers"]
    defaults["pooled_buffers"] = pooled
    return lambda: defaults.update(pooled_buffers=before)
