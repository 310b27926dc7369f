"""Words of an error that hide a secret: torn by markup, or with invisible characters inside."""

from __future__ import annotations

import pytest

from asyncdl.model import Headers
from asyncdl.rules.rejection import read_refusal

SECRET = "k7Wq<p9Zt>Ls4"
URL = f"https://alice:{SECRET}@host/key?X-Amz-Signature=q7ZkW4vT9sLx2Rb8"


def shown(body: str) -> str:
    """All that a user would see of this refusal."""
    return str(
        read_refusal(
            status=403, headers=Headers(), body=body.encode(), url=URL, expires_at=None, worked=False, first=True
        )
    )


@pytest.mark.parametrize("body", [f"no {SECRET} here", f"<p>no {SECRET} here</p>", f"<!-- x -->no {SECRET} here"])
def test_secret_that_looks_like_markup(body: str) -> None:
    """A password with angle brackets is gone before they are taken for a tag and half of it stays."""
    assert "k7Wq" not in shown(body)
    assert "Ls4" not in shown(body)
    assert "no " in shown(body)


@pytest.mark.parametrize(
    "nothing", ["\u00ad", "\u061c", "\u034f", "\u115f", "\u180e", "\u200b", "\u2060", "\ufe0f", "\U000e0041", "\ufff9"]
)
def test_invisible_characters_hide_nothing(nothing: str) -> None:
    """What is drawn as nothing does not break a token into two that nobody knows."""
    message = f"see q7ZkW4vT{nothing}9sLx2Rb8 there"

    for body in (message, f"<Error><Message>{message}</Message></Error>", f'{{"message":"{message}"}}'):
        assert "q7ZkW4vT" not in shown(body)
        assert nothing not in shown(body)
        assert "there" in shown(body)
