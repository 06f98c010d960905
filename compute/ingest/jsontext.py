"""JSON of an untrusted file, strictly (RFC 8259), and small typed looks into it.

Refused: a field named twice, NaN and infinities, numbers that do not fit a double, nesting beyond
reason, more bytes than a record needs. Refusals name the field and never repeat a value, which
may be somebody's diagnosis.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any, Final, Never, cast

from compute.errors import IngestError

MAX_DEPTH: Final = 100
# A string (one that does not close runs to the end, so no byte is looked at twice), or a bracket.
# Possessive: a string of megabytes leaves no states to come back to.
_TOKENS: Final = re.compile(r'"(?:[^"\\]++|\\.?)*+(?:"|\Z)|[\[\]{}]', re.DOTALL)


def load(text: str, *, what: str, limit: int) -> dict[str, Any]:
    """Return the JSON object a text holds.

    ``what`` names the format in refusals; ``limit`` is in characters.
    Raises IngestError ``not_json``, ``truncated``, ``bad_json``, ``too_large``.
    """
    if len(text) > limit:
        raise IngestError(f"the {what} is longer than {limit} characters", code="too_large")
    cut = _depth_at_end(text) > 0
    try:
        found = json.loads(
            text.removeprefix("\ufeff"),
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_float=_finite,
        )
    except json.JSONDecodeError as error:
        raise IngestError(
            f"the {what} is cut short" if cut else f"not a {what}: the text is not JSON",
            code="truncated" if cut else "not_json",
            where=f"line {error.lineno}",
        ) from None
    except (RecursionError, ValueError):
        raise bad("nests too deeply, or holds a number too long") from None
    if not isinstance(found, dict):
        raise bad("must be one JSON object")
    return cast("dict[str, Any]", found)


def _depth_at_end(text: str) -> int:
    """Return how many brackets do not close; those within strings do not count.

    Refuses deep nesting, before the decoder recurses.
    """
    depth = 0
    for token in _TOKENS.finditer(text):
        char = token[0][0]
        if char in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise bad(f"nests deeper than {MAX_DEPTH}")
        elif char in "]}":
            depth -= 1
    return depth


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise bad("names one field twice")
    return found


def _no_constant(_: str) -> Never:
    raise bad("holds NaN or an infinity")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise bad("holds a number that no double can hold")
    return number


def objects(value: Any, field: str) -> Iterator[dict[str, Any]]:
    """Yield the objects of a list; nothing where the field is absent. Raises ``bad_json``."""
    if value is None:
        return
    if not isinstance(value, list):
        raise bad("must be a list", field)
    for item in value:
        if not isinstance(item, dict):
            raise bad("must hold objects", field)
        yield item


def obj(value: Any, field: str) -> dict[str, Any]:
    """Return an object, empty where absent. Raises ``bad_json``."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise bad("must be an object", field)
    return cast("dict[str, Any]", value)


def text_of(value: Any) -> str:
    """Return a string, "" for anything else."""
    return value if isinstance(value, str) else ""


def number_of(value: Any) -> float | None:
    """Return a finite number, None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) and abs(number) <= 1e15 else None


def bad(what: str, field: str = "") -> IngestError:
    """Return the refusal of a record: what is wrong, in which field."""
    where = f"field {field}" if field else ""
    return IngestError(f"the record {what}", code="bad_json", where=where)
