"""moto's S3 server: the provider's headers and error documents as another project has them; it lets nothing expire."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from tests.support.process import HOST
from tests.support.s3rver import Bucket
from tests.support.site import Server

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / ".servers/moto/bin/moto_server"
VERSION = "5.2.5"
#: Keys in one page of a list; S3's 1,000 take long to put there.
PAGE = 50


class MotoServer(Server):
    """One moto server; see `Moto` for what a test sees of it."""

    PROGRAM: ClassVar[str] = str(PROGRAM)
    PACKAGE: ClassVar[str] = ""

    def command(self, port: int) -> list[str]:
        return ["env", f"MOTO_S3_DEFAULT_MAX_KEYS={PAGE}", str(PROGRAM), "-H", HOST, "-p", str(port)]

    @classmethod
    def missing(cls) -> str | None:
        if not PROGRAM.exists() or not list(PROGRAM.parents[1].glob(f"lib/python3*/site-packages/moto-{VERSION}.*")):
            return f"moto {VERSION} is not installed: run tests/servers/install.sh"
        return None


class Moto(Bucket):
    """A bucket of moto."""

    def __init__(self, server: MotoServer) -> None:
        super().__init__(server.process.port, "moto")
