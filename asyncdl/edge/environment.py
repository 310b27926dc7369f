"""The process environment and the trust store: which proxy to use, and whose certificates to believe."""

from __future__ import annotations

import errno
import os
import ssl
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from asyncdl.errors import OptionsError
from asyncdl.patterns import Pattern

#: In the order in which they are asked.
_CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_UNSENDABLE = Pattern(r"[\x00-\x20\x7f]")
_OPENSSL_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


def check_proxy(proxy: str) -> str:
    """A proxy URL that can be used.

    Raises:
        OptionsError: it is not an http or https URL with a host, or has white space in it. The message never holds it:
            it may name a password.
    """
    if _UNSENDABLE.search(proxy):
        # urlsplit() takes line ends out, and would judge another text than the one that is used.
        raise OptionsError("the proxy's URL holds white space or a control character")
    try:
        split = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        usable = split.scheme in {"http", "https"} and bool(split.hostname) and (split.port is None or split.port > 0)
    except ValueError:
        usable = False
    if not usable:
        raise OptionsError("the proxy is not an http:// or https:// URL", hint="SOCKS proxies are not supported")
    return proxy if "://" in proxy else f"http://{proxy}"


def proxy_for(url: str) -> str | None:
    """The proxy that HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY (in either case) give for `url`.

    Raises:
        OptionsError: the variable holds no usable proxy URL.
    """
    split = urlsplit(url)
    proxies = getproxies()
    proxy = proxies.get(split.scheme) or proxies.get("all")
    host = split.hostname or ""
    # With the port, as NO_PROXY may name one; and alone, as it names IPv6 addresses without brackets.
    if not proxy or (host and (proxy_bypass(split.netloc.rpartition("@")[2]) or proxy_bypass(host))):
        return None
    return check_proxy(proxy)


def trust_store(ca_file: str | None, *, use_environment: bool) -> ssl.SSLContext:
    """Certificates of `ca_file`, or of the bundle that the environment names, or of the system. Blocks: it reads files.

    Raises:
        OptionsError: the file cannot be read or holds no certificate.
    """
    bundle = ca_file
    if bundle is None and use_environment:
        bundle = next((value for name in _CA_VARIABLES if (value := os.environ.get(name))), None)
    if bundle is None:
        return _system_store(use_environment=use_environment)
    try:
        if not bundle:
            # OpenSSL takes an empty name for none, and would trust everybody the system trusts.
            raise FileNotFoundError(errno.ENOENT, "the name is empty")
        if Path(bundle).is_dir():
            return ssl.create_default_context(capath=bundle)
        return ssl.create_default_context(cafile=bundle)
    except ssl.SSLError as error:
        raise OptionsError(f"cannot use the CA file {bundle}: no certificate in it") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not the name of a file"
        raise OptionsError(f"cannot use the CA file {bundle!a}: {reason}") from error


def _system_store(*, use_environment: bool) -> ssl.SSLContext:
    """The system's certificates. OpenSSL follows its variables by itself, so to pass them by, its files are named."""
    if use_environment or not any(name in os.environ for name in _OPENSSL_VARIABLES):
        return ssl.create_default_context()
    paths = ssl.get_default_verify_paths()
    file, folder = Path(paths.openssl_cafile), Path(paths.openssl_capath)
    if not (file.is_file() or folder.is_dir()):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return ssl.create_default_context(
        cafile=str(file) if file.is_file() else None, capath=str(folder) if folder.is_dir() else None
    )
