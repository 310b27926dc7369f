"""All targets by name."""

from __future__ import annotations

from typing import Final

from tests.fuzz import dates, paths, ranges, texts
from tests.fuzz.engine import Target

TARGETS: Final[dict[str, Target]] = {
    target.name: target
    for target in (
        ranges.CONTENT_RANGE,
        ranges.JUDGE,
        dates.RETRY_AFTER,
        dates.BUDGET,
        dates.EXPIRY,
        paths.URLS,
        paths.REDIRECT,
        paths.NAMES,
        texts.REFUSAL,
        texts.REDACTION,
        texts.TIME,
    )
}
