"""A hostile local origin for tests: objects of any size behind URLs that expire, with scripted faults.

    from asyncdl.testing import Fault, Origin

    async def test_survives_a_reset(tmp_path):
        async with Origin() as origin:
            content = origin.add("/model", 8 << 20)
            origin.script(Fault(request=0, reset_after=100_000))
            await asyncdl.download(origin.provider("/model", ttl=1.0), tmp_path / "model")
            assert content.first_difference(tmp_path / "model") is None

`asyncdl.testing.pytest_plugin` has it as a pytest fixture, `origin_process` runs it in a process of its own.
"""

from asyncdl.testing.content import Content
from asyncdl.testing.faults import ENDLESS, POISON, Fault, poison
from asyncdl.testing.ledger import Ledger, RequestRecord
from asyncdl.testing.limits import Limits
from asyncdl.testing.listener import deaf_port
from asyncdl.testing.origin import Origin
from asyncdl.testing.process import OriginProcess, origin_process
from asyncdl.testing.provider import Provider
from asyncdl.testing.recipes import bomb, redirect_hops
from asyncdl.testing.refusals import Refusal
from asyncdl.testing.skins import SKINS
from asyncdl.testing.toxics import Toxic, Toxics

__all__ = [
    "ENDLESS",
    "POISON",
    "SKINS",
    "Content",
    "Fault",
    "Ledger",
    "Limits",
    "Origin",
    "OriginProcess",
    "Provider",
    "Refusal",
    "RequestRecord",
    "Toxic",
    "Toxics",
    "bomb",
    "deaf_port",
    "origin_process",
    "poison",
    "redirect_hops",
]
