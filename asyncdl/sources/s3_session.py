"""botocore as asyncdl wants it: a session with bounded waits, its clients, and a log without secrets."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

from asyncdl.edge.environment import check_proxy
from asyncdl.options import Options, Timeouts
from asyncdl.patterns import Pattern

#: botocore has no types.
Session: TypeAlias = Any
Client: TypeAlias = Any

#: Requests for one question, botocore's own retries included; the whole of it ends with `Timeouts.refresh`.
_ATTEMPTS: Final = 3
#: Endpoints of AWS itself; others have path-style URLs, as botocore does it.
_AWS: Final = Pattern(r"s3(?:\.[a-z0-9-]+)?\.amazonaws\.com")
_here: Final = threading.local()


def _environment() -> frozenset[tuple[str, str]]:
    return frozenset((name, value) for name, value in os.environ.items() if name.startswith("AWS_"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Who asks whom, and how; see `asyncdl.sources.s3.S3Settings`."""

    profile: str | None
    region: str | None
    endpoint_url: str | None
    unsigned: bool
    options: Options
    timeouts: Timeouts
    #: AWS's own variables when this was made: others would lead a new session to others' credentials. They are secrets.
    environment: frozenset[tuple[str, str]] = field(default_factory=_environment, repr=False)


def new_session(access: Access) -> Session:
    """A session whose clients, those of STS and SSO among them, wait no longer than the timeouts say."""
    from botocore.config import Config  # noqa: PLC0415  # an optional package
    from botocore.session import Session  # noqa: PLC0415

    options, timeouts = access.options, access.timeouts
    proxies: dict[str, str] | None = None if options.use_environment else {}
    if options.proxy:
        proxies = dict.fromkeys(("http", "https"), check_proxy(options.proxy))
    session = Session(profile=access.profile)
    _silence()
    # For the clients of STS and SSO, which botocore makes itself, as well as for ours.
    session.set_default_client_config(
        Config(
            connect_timeout=min(timeouts.connect, timeouts.refresh),
            read_timeout=min(timeouts.response, timeouts.refresh),
            retries={"total_max_attempts": _ATTEMPTS},
            proxies=proxies,
        )
    )
    if options.ca_file is not None:
        session.set_config_variable("ca_bundle", str(options.ca_file))
    roles = session.get_component("credential_provider").get_provider("assume-role")
    if hasattr(roles, "_prompter"):
        roles._prompter = _no_prompt  # noqa: SLF001  # botocore has no public way
    return session


def _no_prompt(_: str) -> str:
    """Stand in for getpass(): it would wait at the terminal, without an echo, long after nobody listens any more."""
    from botocore.exceptions import RefreshWithMFAUnsupportedError  # noqa: PLC0415  # an optional package

    raise RefreshWithMFAUnsupportedError


def _trusted(session: Session, options: Options) -> str | bool | None:
    """What botocore is told of certificates. By itself it looks at AWS_CA_BUNDLE and REQUESTS_CA_BUNDLE."""
    if options.ca_file is not None:
        return str(options.ca_file)
    if not options.use_environment:
        return True
    others = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
    return session.get_config_variable("ca_bundle") or next(filter(None, map(os.environ.get, others)), None)


def new_client(session: Session, access: Access, region: str | None, asker: Client = None) -> Client:
    """A client of S3.

    Args:
        asker: the client that asks, where this one is to sign URLs; they have the bucket in their host at AWS.
    """
    import botocore  # noqa: PLC0415  # an optional package
    from botocore.config import Config  # noqa: PLC0415

    changes: dict[str, object] = {"signature_version": botocore.UNSIGNED if access.unsigned else "s3v4"}
    if asker is not None:
        style = (asker.meta.config.s3 or {}).get("addressing_style")
        # Left alone, botocore signs for s3.amazonaws.com, which sends the young buckets of other regions elsewhere,
        # where the signature does not hold.
        if style in {None, "auto"} and _AWS.fullmatch(urlsplit(asker.meta.endpoint_url).hostname or ""):
            changes["s3"] = {"addressing_style": "virtual"}
    client = session.create_client(
        "s3",
        region_name=region or access.region,
        endpoint_url=access.endpoint_url,
        verify=_trusted(session, access.options),
        config=Config(**changes),
    )
    _silence()
    return client


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what botocore logs at DEBUG in this thread to itself."""
    _here.asking = True
    try:
        yield
    finally:
        _here.asking = False


def _discreet(record: logging.LogRecord) -> bool:
    """Whether a record may be seen: at DEBUG botocore tells requests with their signatures, and STS's answers."""
    if getattr(_here, "asking", False):
        record.exc_info = None
        return record.levelno > logging.DEBUG
    return True


def _silence() -> None:
    """Put the filter on all loggers that are there by now; those of others' threads go on as they were."""
    for name, logger in list(logging.root.manager.loggerDict.items()):
        if name.partition(".")[0] in {"botocore", "urllib3"} and isinstance(logger, logging.Logger):
            logger.addFilter(_discreet)
