"""The process environment and the trust store: which proxy to use, and whose certificates to believe."""

from __future__ import annotations

import os
import ssl
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from asyncdl.errors import OptionsError

#: In the order in which they are asked; SSL_CERT_FILE and SSL_CERT_DIR are OpenSSL's own and need nothing from us.
_CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def check_proxy(proxy: str) -> str:
    """A proxy URL that can be used.

    Raises:
        OptionsError: it is not an http or https URL with a host. The message never holds it: it may name a password.
    """
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
    if not proxy or (split.hostname and proxy_bypass(split.netloc.rpartition("@")[2])):
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
        return ssl.create_default_context()
    try:
        if os.path.isdir(bundle):
            return ssl.create_default_context(capath=bundle)
        return ssl.create_default_context(cafile=bundle)
    except (OSError, ssl.SSLError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "no certificate in it"
        raise OptionsError(f"cannot use the CA file {bundle}: {reason}") from error
