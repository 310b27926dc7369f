"""Certificates to believe and not to believe, and servers whose handshake goes wrong, for tests of TLS clients.

Needs `trustme`. What `Authority` does takes some milliseconds and writes files: make it in a fixture, or through
`asyncio.to_thread` where a loop must not be blocked.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import ipaddress
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, get_args

from asyncdl.errors import OptionsError
from asyncdl.testing.relay import hang_up

try:
    import trustme
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
except ImportError as _error:
    _MESSAGE = "asyncdl.testing.tls needs trustme: pip install trustme"
    raise ImportError(_MESSAGE) from _error

if TYPE_CHECKING:
    import os
    from types import TracebackType
    from typing import Self

#: What a server may show, or do at the end.
Kind: TypeAlias = Literal[
    "good",
    "self-signed",
    "expired",
    "not-yet-valid",
    "wrong-host",
    "wrong-usage",
    "unknown-authority",
    "no-close-notify",
]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
#: Names and addresses a certificate is for unless told otherwise: this machine's.
LOCAL: Final = ("127.0.0.1", "127.0.0.2", "::1", "localhost")

#: Something no test connects to (RFC 6761 section 6.4).
_ANOTHER_HOST: Final = "another-host.invalid"
_LONG_AGO: Final = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
_FAR_AHEAD: Final = dt.datetime(2999, 1, 1, tzinfo=dt.UTC)
#: Seconds for a broken handshake's connections to end.
_SHUTDOWN: Final = 5.0


class _Abrupt(ssl.SSLObject):
    """The server's end of a TLS connection that is closed without a close_notify (RFC 8446 section 6.1)."""

    def unwrap(self) -> None:
        """Say nothing."""


class Authority:
    """A certificate authority that nobody knows, and the certificates it should and should not have issued.

        authority = Authority()
        async with Origin(ssl=authority.context("expired")) as origin:
            await asyncdl.download(origin.url("/f"), dest, options=Options(ca_file=authority.ca_file(tmp / "ca.pem")))

    The kinds of `context`, of which every one but the first and the last must be refused by a client that trusts the
    authority: `good`; `self-signed`; `expired` in 2020; `not-yet-valid` until 2999; `wrong-host`, for another name;
    `wrong-usage`, for clients only (RFC 5280 section 4.2.1.12); `unknown-authority`, by another authority; and
    `no-close-notify`, a good certificate of a server that ends every connection without saying so in TLS: a truncation,
    as far as the client can know.
    """

    def __init__(self) -> None:
        self._ca = trustme.CA()

    def ca_file(self, path: str | os.PathLike[str]) -> Path:
        """Write the authority's certificate to `path` as PEM, and return the path."""
        written = Path(path)
        written.write_bytes(self._ca.cert_pem.bytes())
        return written

    def context(self, kind: Kind = "good", *names: str) -> ssl.SSLContext:
        """A server context that shows a certificate of a kind.

        Args:
            names: host names and addresses it is for, besides those of this machine (`LOCAL`); `wrong-host` is for
                none of them.

        Raises:
            OptionsError: there is no such kind.
        """
        if kind not in KINDS:
            msg = f"no kind of certificate is named {kind!r}; there are {', '.join(KINDS)}"
            raise OptionsError(msg)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._issued(kind, (*LOCAL, *names)).configure_cert(context)
        if kind == "no-close-notify":
            context.sslobject_class = _Abrupt
        return context

    def _issued(self, kind: Kind, names: tuple[str, ...]) -> trustme.LeafCert:
        match kind:
            case "expired":
                return self._ca.issue_cert(*names, not_after=_LONG_AGO)
            case "not-yet-valid":
                return self._ca.issue_cert(*names, not_before=_FAR_AHEAD)
            case "wrong-host":
                return self._ca.issue_cert(_ANOTHER_HOST)
            case "unknown-authority":
                return trustme.CA().issue_cert(*names)
            case "self-signed":
                return _made(names, ExtendedKeyUsageOID.SERVER_AUTH, None)
            case "wrong-usage":
                return _made(names, ExtendedKeyUsageOID.CLIENT_AUTH, self._ca)
            case _:
                return self._ca.issue_cert(*names)


def _made(names: tuple[str, ...], usage: x509.ObjectIdentifier, ca: trustme.CA | None) -> trustme.LeafCert:
    """A certificate that trustme has no way to make: for one usage, by an authority or by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    issuer, signer = subject, key
    if ca is not None:
        issuer = x509.load_pem_x509_certificate(ca.cert_pem.bytes()).subject
        loaded = serialization.load_pem_private_key(ca.private_key_pem.bytes(), None)
        assert isinstance(loaded, ec.EllipticCurvePrivateKey)  # noqa: S101  # trustme's default
        signer = loaded
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_LONG_AGO)
        .not_valid_after(_FAR_AHEAD)
        .add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .sign(signer, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return trustme.LeafCert(private, certificate.public_bytes(serialization.Encoding.PEM), [])


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


class BrokenHandshake:
    """A server that never completes a TLS handshake.

        async with BrokenHandshake("silence") as server:
            await asyncdl.download(server.url("/f"), dest)

    Args:
        how: what follows the client's hello: `reset` (RST), `close` (FIN), `silence` until the client leaves, or
            `plain`: an HTTP response without TLS.
        host: to listen on.

    Attributes:
        port: chosen by the system.
        connections: accepted so far.
    """

    def __init__(self, how: Literal["reset", "close", "silence", "plain"], *, host: str = "127.0.0.1") -> None:
        self.host = host
        self.port: int = 0
        self.connections: int = 0
        self._how = how
        self._server: asyncio.Server | None = None
        self._serving: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accepted, self.host, 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
        for task, writer in self._serving.items():
            hang_up(writer)
            task.cancel()
        async with asyncio.timeout(_SHUTDOWN):
            while self._serving:
                await asyncio.wait(self._serving)

    def url(self, path: str = "/") -> str:
        """The https URL of a path."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"https://{host}:{self.port}{path}"

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._serving[task] = writer
        task.add_done_callback(self._serving.__delitem__)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError):
                hello = await reader.read(1 << 16)
                while hello and self._how == "silence":
                    hello = await reader.read(1 << 16)
                if self._how == "plain":
                    writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                if self._how in {"plain", "close"}:
                    writer.close()
                    await writer.wait_closed()
        finally:
            hang_up(writer)
