"""Terms and dates as people type them: a preset's name, a file of any of three forms, a day."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from compute import Terms, from_duo_json, from_fhir, parse_terms, preset
from marketplace.client.errors import ClientError
from marketplace.client.statements import now_ms


def chosen_terms(
    name: str,
    diseases: list[str],
    price: int | None,
    trusted: bool,
    limits: Mapping[str, Any] | None = None,
) -> Terms:
    """Return terms by a preset's name, or out of a JSON file (ours, DUO-JSON or FHIR)."""
    if name.endswith(".json"):
        return read_terms(Path(name))
    return preset(
        name,
        valid_from=now_ms(),
        diseases=tuple(diseases),
        price=price,
        release_mode="trusted" if trusted else "private",
        **(limits or {}),
    )


def read_terms(path: Path) -> Terms:
    """Read terms in full, as DUO-JSON, or as a FHIR R4 or R5 Consent. Raises ClientError."""
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ClientError(f"cannot read terms from {path}: {error}") from None
    if isinstance(value, dict) and value.get("resourceType") == "Consent":
        return from_fhir(value, now_ms=now_ms())
    if isinstance(value, dict) and "duoDataUse" in value:
        return from_duo_json(value, valid_from=now_ms())
    return parse_terms(value)


def date_ms(text: str | None) -> int | None:
    """Return the start of a day (UTC) as Unix ms. Raises ClientError."""
    if text is None:
        return None
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise ClientError(f"{text!r} is no date; write it as 2030-12-31") from None
    return int(day.timestamp() * 1000)
