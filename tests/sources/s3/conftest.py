"""The fixtures of S3's tests: a home without credentials, and a store that knows ours."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.aws import KEY, SECRET, Aws
from tests.support.s3store import Account, Store


@pytest.fixture
def aws(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Aws:
    """Nobody's home: no credentials, no profiles, no region."""
    return Aws(tmp_path_factory.mktemp("home"), monkeypatch)


@pytest.fixture
def store(aws: Aws) -> Iterator[Store]:
    """A store behind AWS_ENDPOINT_URL_S3 that knows the credentials in the environment."""
    store = Store()
    store.accounts[KEY] = Account(SECRET)
    with store.running():
        aws.env(AWS_ENDPOINT_URL_S3=store.url)
        aws.log_in()
        yield store
