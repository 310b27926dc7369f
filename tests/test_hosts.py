"""What is remembered of hosts: one for each origin, for all who deal with it, and only so many."""

from __future__ import annotations

from asyncdl.hosts import Hosts
from asyncdl.options import Retry
from tests.support.clock import ManualClock


def test_one_for_each() -> None:
    """Who asks for the same origin gets the same gate and the same budget; another origin has its own."""
    hosts = Hosts(5, ManualClock(), Retry(budget=2))
    here, again, there = hosts.of("here"), hosts.of("here"), hosts.of("there")

    assert here is again
    assert here is not there
    assert (True, True, False) == (here.budget.take(), again.budget.take(), here.budget.take())
    assert 2 == there.budget.left
    assert 5 == here.gate.limit


def test_only_so_many() -> None:
    """Those not heard of for longest are forgotten, and not those in use."""
    hosts = Hosts(5, ManualClock(), Retry(budget=2))
    kept, lost = hosts.of("kept"), hosts.of("lost")
    for number in range(3000):
        hosts.of(number)
        assert kept is hosts.of("kept")

    assert lost is not hosts.of("lost")
    assert len(hosts._known) <= 1024
