"""Apache httpd over files of known content, with whatever modules and directives a test wants on top."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Final

from tests.support.process import HOST
from tests.support.site import NOBODY, Server, as_root

_MODULES: Final = Path("/usr/lib/apache2/modules")
_CONFIG: Final = """
ServerRoot {directory}
ServerName {host}
Listen {host}:{port}
PidFile {directory}/apache.pid
DefaultRuntimeDir {directory}
Mutex pthread
ErrorLog /dev/stderr
{modules}
{user}
DocumentRoot {root}
LogFormat "{{\\"uri\\":\\"%U\\",\\"status\\":%>s,\\"authorization\\":\\"%{{Authorization}}i\\"}}" witness
CustomLog {directory}/access.log witness
<Directory />
    Require all granted
    Options FollowSymLinks
</Directory>
# One process: the shortest way up and down.
StartServers 1
ServerLimit 1
ThreadsPerChild 32
MaxRequestWorkers 32
MinSpareThreads 1
MaxSpareThreads 32
GracefulShutdownTimeout 1
{directives}
"""


class Apache(Server):
    """One httpd of the event model.

    Args:
        directives: lines for the end of the configuration.
        modules: names of further modules they need, without `mod_` and `.so`.
    """

    PROGRAM: ClassVar[str] = "apache2"
    PACKAGE: ClassVar[str] = "apache2-bin"

    def __init__(self, directives: str = "", modules: Sequence[str] = ()) -> None:
        super().__init__()
        self._directives, self._modules = directives, ("mpm_event", "authz_core", *modules)

    def command(self, port: int) -> list[str]:
        lines = "\n".join(f"LoadModule {name}_module {_MODULES}/mod_{name}.so" for name in self._modules)
        config = self.write(
            "apache.conf",
            _CONFIG.format(
                directory=self.directory,
                root=self.root,
                host=HOST,
                port=port,
                modules=lines,
                user=f"User #{NOBODY}\nGroup #{NOBODY}" if as_root() else "",
                directives=self._directives,
            ),
        )
        return [self.program(), "-D", "FOREGROUND", "-f", str(config)]

    def authorizations(self) -> list[str]:
        """The Authorization header of each request so far, "-" where there was none."""
        lines = (self.directory / "access.log").read_text(encoding="utf-8").splitlines()
        return [json.loads(line)["authorization"] for line in lines]
