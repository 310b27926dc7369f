"""What every test runs under: no blocking call on the loop from our code, bounded property tests, real servers."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator

import hypothesis
import pytest
from blockbuster import BlockBuster

from tests.support.leaks import Snapshot
from tests.support.receiving import receive_by_default

pytest_plugins = ["asyncdl.testing.pytest_plugin", "tests.support.servers"]

#: Seconds that closing transports and ending threads may take before they count as leaked.
LEAK_GRACE = 30.0

hypothesis.settings.register_profile("dev", max_examples=50, deadline=None)
hypothesis.settings.register_profile("ci", max_examples=200, deadline=None, print_blob=True)
#: For `nox -s fuzz`: minutes of whatever is drawn.
hypothesis.settings.register_profile("long", max_examples=5000, deadline=None, print_blob=True)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev"))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Both ways to receive a body pass the same tests."""
    text = "how bodies are received where a test does not say: into pooled buffers, or the plain way"
    parser.addoption("--receive", choices=["pooled", "plain"], default="pooled", help=text)


def pytest_configure(config: pytest.Config) -> None:
    """Before any test module makes options of its own."""
    restore = receive_by_default(pooled=config.getoption("receive") == "pooled")
    config.add_cleanup(restore)


@pytest.fixture(scope="session")
def blockbuster() -> Iterator[BlockBuster]:
    """Makes a call that blocks the event loop raise, wherever a frame of asyncdl is on the stack."""
    guard = BlockBuster("asyncdl")
    # Coverage takes a lock of its own when it meets a file for the first time; a thread may be holding it.
    guard.functions["threading.Lock.acquire"].can_block_in("coverage/collector.py", {"lock_data"})
    guard.activate()
    yield guard
    guard.deactivate()


@pytest.fixture(autouse=True)
def _no_blocking(blockbuster: BlockBuster) -> None:
    """Every test runs under the guard; one that must block asks for `may_block`."""


@pytest.fixture
def may_block(blockbuster: BlockBuster) -> Iterator[None]:
    """Switches the guard off for one test."""
    blockbuster.deactivate()
    yield
    blockbuster.activate()


@pytest.fixture
async def no_leaks() -> AsyncIterator[Snapshot]:
    """Fails a test that leaves a descriptor, a thread or a task behind."""
    before = Snapshot.take()
    yield before
    leaked = await before.settled(LEAK_GRACE)

    assert [] == leaked
