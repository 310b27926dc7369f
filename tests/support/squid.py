"""squid as a forward proxy: plain requests through its cache, tunnels for the rest."""

from __future__ import annotations

import os
import time
from typing import ClassVar, Final

from tests.support.process import HOST
from tests.support.site import NOBODY, Server, as_root

_LOGGED_WITHIN = 60.0
_POLL = 0.01
#: Without a bound on descriptors it takes the system's, and memory in proportion.
_CONFIG: Final = """
http_port {host}:{port}
http_access {access} all
pid_filename none
max_filedescriptors 1024
cache_mem 64 MB
maximum_object_size_in_memory 32 MB
logformat witness %rm %>Hs %Ss %ru
access_log stdio:{directory}/access.log witness
strip_query_terms off
buffered_logs off
cache_log {directory}/cache.log
cache_store_log none
netdb_filename none
coredump_dir {directory}
pinger_enable off
shutdown_lifetime 0 seconds
visible_hostname squid.test
{user}
"""


class Squid(Server):
    """One squid.

    Args:
        deny: refuses whatever it is asked.
    """

    PROGRAM: ClassVar[str] = "squid"
    PACKAGE: ClassVar[str] = "squid"

    def __init__(self, *, deny: bool = False) -> None:
        super().__init__()
        self._access = "deny" if deny else "allow"
        if as_root():
            os.chown(self.directory, NOBODY, NOBODY)

    def command(self, port: int) -> list[str]:
        user = "cache_effective_user nobody\ncache_effective_group nogroup" if as_root() else ""
        config = self.write(
            "squid.conf",
            _CONFIG.format(directory=self.directory, host=HOST, port=port, access=self._access, user=user),
        )
        return [self.program(), "-N", "-f", str(config)]

    def __exit__(self, *_: object) -> None:
        # It takes seconds to say goodbye, and has nothing to save.
        self.process.kill()
        super().__exit__()

    def tunnels(self, target: str) -> int:
        """How many CONNECT tunnels to `target`, a host and port, have ended so far.

        Raises:
            TimeoutError: there was none within five seconds.
        """
        log = self.directory / "access.log"
        deadline = time.monotonic() + _LOGGED_WITHIN
        while True:
            lines = [line.split(" ", 3) for line in log.read_text(encoding="utf-8").split("\n")[:-1]]
            if found := sum(method == "CONNECT" and where == target for method, _, _, where in lines):
                return found
            if time.monotonic() > deadline:
                raise TimeoutError(f"the access log of squid has only {lines}")
            time.sleep(_POLL)
