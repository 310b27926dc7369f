"""lighttpd over files of known content. Debian builds it without mod_secdownload, so its links do not expire."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

from tests.support.process import HOST
from tests.support.site import Server

_CONFIG: Final = """
server.modules = ({modules})
server.document-root = "{root}"
server.bind = "{host}"
server.port = {port}
server.upload-dirs = ("{directory}")
mimetype.assign = ("" => "application/octet-stream")
server.stat-cache-engine = "{cache}"
{directives}
"""


class Lighttpd(Server):
    """One lighttpd.

    Args:
        directives: lines for the end of the configuration.
        modules: names of the modules they need.
        cached: keep files that were asked for open for two seconds or so, as it does by default: a file that has been
            replaced is served as it was for that time.
    """

    PROGRAM: ClassVar[str] = "lighttpd"
    PACKAGE: ClassVar[str] = "lighttpd"

    def __init__(self, directives: str = "", modules: Sequence[str] = (), *, cached: bool = False) -> None:
        super().__init__()
        self._directives, self._modules = directives, modules
        self._cache = "simple" if cached else "disable"

    def command(self, port: int) -> list[str]:
        config = self.write(
            "lighttpd.conf",
            _CONFIG.format(
                modules=", ".join(f'"{name}"' for name in self._modules),
                root=self.root,
                host=HOST,
                port=port,
                directory=self.directory,
                cache=self._cache,
                directives=self._directives,
            ),
        )
        return [self.program(), "-D", "-f", str(config)]
