"""An AWS account for a test: the environment and the files that AWS's tools read, without anybody's own in them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

KEY, SECRET = "AKIDEXAMPLE", "wq8secretEXAMPLEKEYq4"


class Aws:
    """Nobody's home: no credentials, no profiles, no region."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home = home
        self._monkeypatch = monkeypatch
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            monkeypatch.delenv(name)
        (home / ".aws").mkdir(parents=True)
        self.env(
            HOME=str(home),
            AWS_CONFIG_FILE=str(home / ".aws/config"),
            AWS_SHARED_CREDENTIALS_FILE=str(home / ".aws/credentials"),
            AWS_EC2_METADATA_DISABLED="true",
            NO_PROXY="127.0.0.1",
        )

    def env(self, **variables: str) -> None:
        """Sets variables."""
        for name, value in variables.items():
            self._monkeypatch.setenv(name, value)

    def log_in(self, key: str = KEY, secret: str = SECRET) -> None:
        """Puts credentials into the environment."""
        self.env(AWS_ACCESS_KEY_ID=key, AWS_SECRET_ACCESS_KEY=secret)

    def log_out(self) -> None:
        """Takes them out again."""
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            self._monkeypatch.delenv(name, raising=False)

    def config(self, text: str) -> None:
        """Writes ~/.aws/config."""
        (self.home / ".aws/config").write_text(text, encoding="utf-8")
