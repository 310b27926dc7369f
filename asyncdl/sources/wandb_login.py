"""Which W&B server is asked, and as whom: base URL and credentials, from where W&B's own SDK has them.

Rule: a key never shows in a repr, and goes to no server that nobody but a file in the working directory names.
"""

from __future__ import annotations

import configparser
import netrc
import os
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from asyncdl.errors import OptionsError, SourceError
from asyncdl.rules.urls import check_url

#: W&B's public cloud (docs.wandb.ai, "Environment variables", WANDB_BASE_URL).
DEFAULT_BASE_URL: Final = "https://api.wandb.ai"
#: Two names of one deployment: a key saved for one is good for the other (SDK 0.31, sdk/lib/urls.py).
_TWINS: Final = {"api.wandb.ai": "api.forge.coreweave.com", "api.forge.coreweave.com": "api.wandb.ai"}
#: The only section that the SDK reads (sdk/lib/settings_file.py).
_SECTION: Final = "default"
#: Bytes of an identity token: a JWT of a cloud provider has one or two KiB.
_MOST_TOKEN: Final = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What the caller says of server and credentials; what is None is found by `find_login`."""

    base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    access_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class WandbLogin:
    """A server and the credentials for it; one of `api_key`, `access_token` and `identity_token` is there.

    Attributes:
        base_url: without a slash at its end; the API is at `/graphql` below it.
        source: where the credentials were found, in words.
        api_key: goes out as Basic credentials of the user `api`.
        access_token: goes out as a Bearer token.
        identity_token: a JWT that the server exchanges for an access token (RFC 7523).
    """

    base_url: str
    source: str
    api_key: str | None = field(default=None, repr=False)
    access_token: str | None = field(default=None, repr=False)
    identity_token: str | None = field(default=None, repr=False)

    @property
    def authorization(self) -> str:
        """The value of the Authorization header."""
        if self.access_token:
            return f"Bearer {self.access_token}"
        return "Basic " + b64encode(f"api:{self.api_key}".encode()).decode()

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no message may repeat."""
        known = (self.api_key, self.access_token, self.identity_token)
        return (self.authorization, *(secret for secret in known if secret))


def check_base_url(url: str) -> str:
    """A base URL that can be used, without the slash at its end.

    Raises:
        OptionsError: it is no http(s) URL of a server, or is one of W&B's pages for people.
    """
    try:
        base = check_url(url.strip()).rstrip("/")
    except OptionsError as error:
        raise OptionsError(f"the W&B base URL cannot be used: {error.message}", hint=error.hint) from None
    split = urlsplit(base)
    if split.query or split.username is not None or split.password is not None:
        raise OptionsError("the W&B base URL has a user, a password or a query", hint="give the key as WANDB_API_KEY")
    host = split.hostname or ""
    if host == "wandb.ai" or host.endswith(".wandb.ai"):
        if not host.startswith("api."):
            raise OptionsError(f"{host} is no W&B API server", hint=f"did you mean {DEFAULT_BASE_URL}?")
        if split.scheme != "https":
            raise OptionsError(f"{host} is not asked over http", hint=f"did you mean {DEFAULT_BASE_URL}?")
    return base


def find_login(account: Account) -> WandbLogin:
    """The server and the credentials for it. Blocks: it reads files.

    The server is the caller's, or named by WANDB_BASE_URL, `wandb/settings` in the working directory (WANDB_DIR) or
    `~/.config/wandb/settings` (WANDB_CONFIG_DIR), or W&B's cloud. The credentials are the caller's, or WANDB_API_KEY,
    the token in the file WANDB_IDENTITY_TOKEN_FILE, the password of that host in `~/.netrc` (NETRC), or `api_key` in
    the settings files, in this order.

    Raises:
        OptionsError: the base URL cannot be used.
        SourceError: there are no credentials.
    """
    near, far = _settings(_workspace_file()), _settings(_config_file())
    named = account.base_url or os.environ.get("WANDB_BASE_URL")
    base = check_base_url(named or near.get("base_url") or far.get("base_url") or DEFAULT_BASE_URL)
    # Whoever unpacks an archive and works in it did not choose its settings.
    strange = not named and base != check_base_url(far.get("base_url") or DEFAULT_BASE_URL)
    if account.access_token:
        return WandbLogin(base_url=base, source="the access_token given", access_token=account.access_token.strip())
    if account.api_key:
        return WandbLogin(base_url=base, source="the api_key given", api_key=account.api_key.strip())
    if not strange and (login := _from_environment(base)):
        return login
    for key, source in _saved_keys(base, near, {} if strange else far):
        if key and key.strip():
            return WandbLogin(base_url=base, source=source, api_key=key.strip())
    hint = "set WANDB_API_KEY, or run `wandb login`"
    if strange:
        hint = f"only ./wandb/settings names this server: if it is yours, set WANDB_BASE_URL={base} and WANDB_API_KEY"
    raise SourceError(f"there is no API key for W&B at {base}", hint=hint)


def _from_environment(base: str) -> WandbLogin | None:
    key, token_file = os.environ.get("WANDB_API_KEY", "").strip(), os.environ.get("WANDB_IDENTITY_TOKEN_FILE")
    if key and token_file:
        raise SourceError(
            "both WANDB_API_KEY and WANDB_IDENTITY_TOKEN_FILE are set", hint="unset the one that is not meant"
        )
    if key:
        return WandbLogin(base_url=base, source="WANDB_API_KEY", api_key=key)
    if not token_file:
        return None
    try:
        with Path(token_file).expanduser().open(encoding="ascii") as file:
            token = file.read(_MOST_TOKEN).strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no token"
        raise SourceError(
            f"the file of WANDB_IDENTITY_TOKEN_FILE cannot be read: {reason}", hint="it holds a JWT in one line"
        ) from None
    return WandbLogin(base_url=base, source="WANDB_IDENTITY_TOKEN_FILE", identity_token=token)


def _saved_keys(base: str, near: Mapping[str, str], far: Mapping[str, str]) -> Iterator[tuple[str | None, str]]:
    path = _netrc_file()
    host = urlsplit(base).netloc
    for machine in filter(None, (host, _TWINS.get(host))):
        yield _password(path, machine), str(path)
    for values, source in ((near, "the settings file in ./wandb"), (far, "W&B's settings file")):
        if "base_url" not in values or values["base_url"].rstrip("/") == base:
            yield values.get("api_key"), source


def _password(path: Path, machine: str) -> str | None:
    try:
        # Not `authenticators`: its "default" entry is for any host at all, and what it holds is no key of W&B's.
        entry = netrc.netrc(path).hosts.get(machine)
    except (OSError, netrc.NetrcParseError, UnicodeDecodeError):
        return None
    return entry[2] if entry else None


def _netrc_file() -> Path:
    if named := os.environ.get("NETRC"):
        return Path(named).expanduser()
    usual, windows = Path("~/.netrc").expanduser(), Path("~/_netrc").expanduser()
    return windows if windows.exists() and not usual.exists() else usual


def _config_file() -> Path:
    return Path(os.environ.get("WANDB_CONFIG_DIR") or "~/.config/wandb").expanduser() / "settings"


def _workspace_file() -> Path:
    root = Path(os.environ.get("WANDB_DIR") or ".").expanduser()
    hidden = root / ".wandb"
    return (hidden if hidden.is_dir() else root / "wandb") / "settings"


def _settings(path: Path) -> dict[str, str]:
    """What a settings file says; one that is not there, or is none, says nothing."""
    parser = configparser.ConfigParser(interpolation=None)
    try:
        with path.open(encoding="utf-8") as file:
            parser.read_file(file)
        return dict(parser.items(_SECTION))
    except (OSError, UnicodeDecodeError, configparser.Error):
        return {}
