"""JSON lines: one object on each line (https://jsonlines.org), with members as `fields` has them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial

from asyncdl.errors import OptionsError
from asyncdl.rules.lists.fields import make_row
from asyncdl.rules.lists.row import BadRow, Row, made, shown


def rows(lines: Iterable[str]) -> Iterator[Row | BadRow]:
    """The rows of JSON lines, lazily.

    Raises:
        OptionsError: the list is one JSON array.
    """
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if number == 1 and text.startswith("["):
            raise OptionsError("this is a JSON array, not one object a line", hint="`jq -c '.[]'` makes lines of it")
        if text:
            yield made(number, partial(_row, number, text))


def _row(line: int, text: str) -> Row:
    return make_row(line, _object(text))


def _object(text: str) -> dict[str, object]:
    try:
        value = json.loads(text, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        raise OptionsError(f"not JSON: {error.msg} at character {error.colno}") from None
    except OptionsError:
        raise
    except (ValueError, RecursionError):
        # A number of thousands of digits, or brackets in brackets.
        raise OptionsError("not JSON that anybody reads") from None
    if not isinstance(value, dict):
        raise OptionsError("not a JSON object")
    return value


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)
        raise OptionsError(f"member {shown(twice)} is there twice")
    return found
