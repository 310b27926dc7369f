"""Servers with and without TLS, for tests of the receive paths."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from asyncdl.testing.tls import Authority


@pytest.fixture(scope="module")
def authority() -> Authority:
    """A certificate authority that nobody knows."""
    return Authority()


@pytest.fixture(params=["http", "https"])
def context(request: pytest.FixtureRequest, authority: Authority) -> ssl.SSLContext | None:
    """What the server of a test shows."""
    return authority.context() if request.param == "https" else None


@pytest.fixture
def ca_file(authority: Authority, tmp_path: Path) -> Path:
    """Its certificate."""
    return authority.ca_file(tmp_path / "ca.pem")
