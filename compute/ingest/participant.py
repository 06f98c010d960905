"""A participant record: small JSON, closed schema, no number that is not finite.

    {"schema": "omic.participant/1", "participant": "…", "sex": "female", "population": "CEU",
     "covariates": {"PC1": 0.01}}

Refusals name the field and never repeat its value, which may be somebody's diagnosis.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final, Never, cast, get_args

from compute.errors import IngestError
from compute.parsed import Limits, Participant, Sex

SCHEMA: Final = "omic.participant/1"
_FIELDS: Final = {"schema", "participant", "sex", "population", "covariates"}
_LABEL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.:+-]{0,63}\Z")
_MAX_COVARIATES: Final = 200


def parse_participant_text(text: str, limits: Limits) -> Participant:
    """Parse a participant record. Raises IngestError naming the field."""
    if len(text) > limits.max_record_json:
        raise _refuse("record", f"is longer than {limits.max_record_json} characters")
    record = _object(text)
    unknown = sorted(set(record) - _FIELDS)
    if unknown:
        raise _refuse("record", f"has {len(unknown)} field(s) outside {sorted(_FIELDS)}")
    if record.get("schema") != SCHEMA:
        raise _refuse("schema", f'must be "{SCHEMA}"')
    population = record.get("population")
    return Participant(
        participant=_label("participant", record.get("participant")),
        sex=_sex(record.get("sex", "unknown")),
        population=None if population is None else _label("population", population),
        covariates=_covariates(record.get("covariates", {})),
    )


def _object(text: str) -> dict[str, Any]:
    try:
        record = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise IngestError(
            "not a participant record: the text is not JSON",
            code="not_participant",
            where=f"line {error.lineno}",
        ) from None
    except (RecursionError, ValueError):
        raise _refuse("record", "nests too deeply or holds a number too long") from None
    if not isinstance(record, dict):
        raise _refuse("record", "must be a JSON object")
    return cast("dict[str, Any]", record)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _refuse("record", "names one field twice")
    return found


def _no_constant(_: str) -> Never:
    raise _refuse("record", "holds NaN or an infinity; leave the field out instead")


def _label(field: str, value: object) -> str:
    if not isinstance(value, str) or not _LABEL.match(value):
        raise _refuse(field, "must be 1-64 letters, digits, spaces or _ . : + -")
    return value


def _sex(value: object) -> Sex:
    for known in get_args(Sex):
        if value == known:
            return cast("Sex", known)
    raise _refuse("sex", 'must be "female", "male" or "unknown"')


def _covariates(value: object) -> dict[str, float]:
    if not isinstance(value, dict) or len(value) > _MAX_COVARIATES:
        raise _refuse("covariates", f"must be an object of at most {_MAX_COVARIATES} numbers")
    found: dict[str, float] = {}
    for name, number in sorted(value.items()):
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise _refuse("covariates", "must hold numbers only")
        if not math.isfinite(number) or abs(number) > 1e15:
            raise _refuse("covariates", "must hold finite numbers below 1e15")
        found[_label("covariates", name)] = float(number)
    return found


def _refuse(field: str, what: str) -> IngestError:
    return IngestError(f"{field} {what}", code="bad_participant", where=f"field {field}")
