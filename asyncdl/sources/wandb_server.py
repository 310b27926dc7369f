"""One W&B server: a GraphQL question in, its data out, with retries; what is asked is the business of others.

gql's own transport over aiohttp logs every answer at DEBUG, and the answers are full of signed URLs. So gql gets one
that asks through `asyncdl.edge.http_ask`, over aiohttp too, with the proxies and certificates of `Options`.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import quote

from asyncdl.edge.clock import Clock
from asyncdl.edge.http_ask import Asker
from asyncdl.edge.provider import in_daemon, sealed
from asyncdl.errors import OptionsError, TransferError
from asyncdl.model import HeaderPairs
from asyncdl.options import MIB, Options, Retry, Timeouts
from asyncdl.rules.expiry import parse_http_date
from asyncdl.rules.retry import delay
from asyncdl.sources.wandb_faults import (
    PASSING,
    HttpFault,
    QueryFault,
    UnknownFieldError,
    error_for,
    may_pass,
    read_json,
)
from asyncdl.sources.wandb_login import Account, WandbLogin, find_login
from asyncdl.sources.wandb_queries import FEATURES, Data, find, read_features

try:
    from gql import Client, GraphQLRequest
    from gql.client import AsyncClientSession
    from gql.transport.async_transport import AsyncTransport
    from gql.transport.exceptions import TransportQueryError
    from graphql import ExecutionResult
except ImportError as _missing:
    raise OptionsError(
        f"W&B artifacts need a package that is not there: {_missing.name}", hint="pip install 'asyncdl[wandb]'"
    ) from _missing

if TYPE_CHECKING:
    from types import TracebackType

_logger = logging.getLogger("asyncdl")

#: Seconds for one question, and for one with all its retries (SDK 0.31, sdk/artifacts/artifact.py, `_fetch_file_urls`).
QUESTION: Final = 60.0
PATIENCE: Final = 180.0
#: Bytes of an answer: a page of 1,000 files whose URLs carry session tokens has 3 MiB.
_MOST_ANSWER: Final = 64 * MIB
_RETRY: Final = Retry(base=0.5, cap=10.0, retry_after_cap=60.0)
#: Seconds before its end at which an access token is not used any more.
_TOKEN_MARGIN: Final = 60.0


@dataclass(frozen=True, slots=True, repr=False)
class Answer:
    """What a question brought. Its repr shows nothing: the data is full of signed URLs.

    Attributes:
        data: of the GraphQL response.
        asked: when, by the monotonic clock.
        date: what the server's clock said, in seconds since the epoch; ours, where it did not say.
    """

    data: Data
    asked: float
    date: float


class _Transport(AsyncTransport):
    """Carries gql's requests through an `Asker`."""

    def __init__(self, asker: Asker, url: str, headers: HeaderPairs) -> None:
        self._asker, self._url, self._headers = asker, url, headers

    async def connect(self) -> None:
        """Nothing: the asker connects when it is asked."""

    async def close(self) -> None:
        """Nothing: the asker is closed by its owner."""

    async def execute(self, request: GraphQLRequest, **_: object) -> ExecutionResult:
        """The server's response.

        Raises:
            HttpFault: it is no GraphQL response.
            TransferError: there is none.
        """
        body = json.dumps(request.payload).encode()
        reply = await self._asker.ask("POST", self._url, headers=self._headers, body=body, limit=_MOST_ANSWER)
        result = read_json(reply.body)
        # Some servers send the errors of a query with 400 or 422.
        graphql = isinstance(result, dict) and ("data" in result or isinstance(result.get("errors"), list))
        if reply.status in {401, 403} or reply.status in PASSING or not graphql:
            raise HttpFault(reply)
        data, errors = find(result, "data"), find(result, "errors")
        if not isinstance(data, dict) and not errors:
            errors = ["the answer is empty"]
        date = parse_http_date(reply.headers.get("Date"))
        return ExecutionResult(data=data, errors=errors, extensions={"date": date})  # type: ignore[arg-type]  # as it came

    def subscribe(self, request: GraphQLRequest) -> AsyncGenerator[ExecutionResult, None]:
        """Nobody does."""
        raise NotImplementedError


class WandbServer:
    """Asks one server; open while it is entered, any number of times, on one event loop.

    Args:
        what: is asked for; the messages of errors begin with it.
        account: what is known of the login; the rest is found before the first question.
        options: for proxy, certificate authorities and the environment.
        timeouts: `connect` bounds each connection.
        clock: for tests.
    """

    def __init__(
        self,
        what: str,
        account: Account,
        *,
        options: Options,
        timeouts: Timeouts,
        clock: Clock | None = None,
    ) -> None:
        self._what, self._options = what, options
        self._timeouts = replace(timeouts, refresh=QUESTION)
        self._account = account
        self.clock: Clock = clock or Clock()
        self._asker: Asker | None = None
        self._users = 0
        self._login: WandbLogin | None = None
        self._token_until: float | None = None
        self._features: frozenset[str] | None = None

    async def __aenter__(self) -> Self:
        self._users += 1
        if self._asker is None:
            self._asker = Asker(self._options, self._timeouts)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._users -= 1
        if self._users == 0 and self._asker is not None:
            asker, self._asker = self._asker, None
            await asker.aclose()

    def deadline(self, patience: float) -> float:
        """The moment `patience` seconds from now, for questions that belong together."""
        return self.clock.monotonic() + patience

    async def features(self, deadline: float) -> frozenset[str]:
        """What the server can do; nothing, where it is too old to say.

        Raises:
            SourceError: it cannot be asked.
        """
        if self._features is None:
            try:
                self._features = read_features((await self.ask(FEATURES, {}, deadline)).data)
            except UnknownFieldError:
                self._features = frozenset()
        return self._features

    async def ask(self, query: str, variables: Mapping[str, object], deadline: float) -> Answer:
        """The answer to a question, repeated until `deadline` while the server is out of reach or overloaded.

        Raises:
            UnknownFieldError: the server's API has not what was asked for.
            OptionsError, SourceError: there are no usable credentials; the server refused, or could not be reached.
        """
        request = GraphQLRequest(query, variable_values=dict(variables))
        attempts = 0
        while True:
            started = self.clock.monotonic()
            fault: Exception
            bound = asyncio.timeout(max(0.0, min(QUESTION, deadline - started)))
            try:
                async with bound:
                    return await self._once(request, started)
            except TransportQueryError as error:
                fault = QueryFault(error.errors)
            except (TransferError, HttpFault) as error:
                fault = error
            except TimeoutError as error:
                if not bound.expired():
                    raise
                fault = error
            attempts += 1
            wait = delay(_RETRY, attempts - 1, self.clock.jitter(), getattr(fault, "retry_after", None))
            # Raised out here, so that no exception with an answer in it hangs on to this one as its context.
            if not may_pass(fault, attempts) or self.clock.monotonic() + wait >= deadline:
                failure = error_for(fault, self._what, self._login)
                if isinstance(fault, HttpFault) and fault.status == 401:
                    # There may be another key by the time somebody asks again.
                    self._login = self._token_until = None
                raise failure
            _logger.info("%s; asked again in %.1f s", error_for(fault, self._what, self._login), wait)
            await self.clock.sleep(wait)

    async def _once(self, request: GraphQLRequest, started: float) -> Answer:
        assert self._asker is not None  # noqa: S101  # asked only while entered
        login = await self._signed_in()
        headers = (("Authorization", login.authorization), ("Content-Type", "application/json"))
        transport = _Transport(self._asker, f"{login.base_url}/graphql", headers)
        session = AsyncClientSession(Client(transport=transport, execute_timeout=None))
        result = await session.execute(request, get_execution_result=True)
        date = (result.extensions or {}).get("date")
        return Answer(result.data or {}, started, self.clock.wall() if date is None else date)

    async def _signed_in(self) -> WandbLogin:
        login = self._login
        if login is None or (self._token_until is not None and self.clock.monotonic() >= self._token_until):
            # Identity tokens are short-lived too: whoever makes them writes the next one to the same file.
            login = self._login = (await in_daemon(lambda: sealed(lambda: find_login(self._account))))()
            self._token_until = None
        if login.identity_token is not None and login.access_token is None:
            login = self._login = await self._exchanged(login)
        return login

    async def _exchanged(self, login: WandbLogin) -> WandbLogin:
        """The login with a new access token for its identity token (RFC 7523 section 2.1)."""
        assert self._asker is not None  # noqa: S101  # see `_once`
        grant = "urn:ietf:params:oauth:grant-type:jwt-bearer"
        form = f"grant_type={grant}&assertion={quote(login.identity_token or '', safe='')}".encode()
        started = self.clock.monotonic()
        headers = (("Content-Type", "application/x-www-form-urlencoded"),)
        reply = await self._asker.ask("POST", f"{login.base_url}/oidc/token", headers=headers, body=form)
        answer = read_json(reply.body)
        token, lifetime = find(answer, "access_token"), find(answer, "expires_in")
        if reply.status != 200 or not isinstance(token, str) or not isinstance(lifetime, int | float):
            raise HttpFault(reply)
        self._token_until = started + max(0.0, lifetime - _TOKEN_MARGIN)
        return replace(login, access_token=token)
