"""Real kinds of requests, to show an owner what terms would allow before they are signed.

Each is a purpose and what attesters say of the buyer; the verdict is the matcher's, never ours.
"""

from dataclasses import dataclass, field
from typing import Any

from compute import Claims, Purpose, claims_from_attestations

PURPOSE_TITLES = {
    "HMB": "Health and medical research",
    "DS": "Research on one disease",
    "POA": "Ancestry and population origins",
    "MDS": "Methods and software",
    "GRU": "Any other research",
    "CC": "Clinical care",
}
_FAR = 2**53 - 1
_UNIVERSITY = {
    "organisation": "a university", "sector": "academic", "non_profit": True,
    "ethics_approval": True, "accredited_researcher": True,
}  # fmt: skip
_HOSPITAL = {**_UNIVERSITY, "organisation": "a hospital"}
_COMPANY = {"organisation": "a company", "sector": "commercial", "non_profit": False}


@dataclass(frozen=True, slots=True)
class Example:
    """One request: who asks (plain words), what for, and what is attested of them."""

    who: str
    what: str
    purpose: Purpose
    claims: dict[str, Any] = field(default_factory=dict)


def _purpose(primary: Any, **more: Any) -> Purpose:
    return Purpose(primary=primary, commercial=more.pop("commercial", False), **more)


EXAMPLES = (
    Example(
        "A university", "studies diabetes", _purpose("DS", diseases=("MONDO:0005148",)), _UNIVERSITY
    ),
    Example(
        "A university", "studies asthma", _purpose("DS", diseases=("MONDO:0004979",)), _UNIVERSITY
    ),
    Example("A university", "studies where people's ancestors lived", _purpose("POA"), _UNIVERSITY),
    Example("A university", "develops software for genetics", _purpose("MDS"), _UNIVERSITY),
    Example("A hospital", "looks for the best treatment of a patient", _purpose("CC"), _HOSPITAL),
    Example(
        "A drug company", "looks for new medicines", _purpose("HMB", commercial=True), _COMPANY
    ),
    Example(
        "A company", "trains an AI model",
        _purpose("HMB", commercial=True, ai_training=True), _COMPANY,
    ),
    Example(
        "An insurer", "compares risks", _purpose("GRU", commercial=True),
        {"organisation": "an insurer", "sector": "insurer", "non_profit": False},
    ),
    Example("Somebody nobody vouches for", "says it is medical research", _purpose("HMB")),
    Example(
        "Anybody", "tries to find out who you are", _purpose("HMB", reidentification=True),
        _UNIVERSITY,
    ),
)  # fmt: skip


def claims_for(example: Example) -> Claims:
    """Return an example's attested attributes as the matcher reads them."""
    said = {
        name: {"value": value, "attester": "0" * 32, "expires_at": _FAR}
        for name, value in example.claims.items()
    }
    return claims_from_attestations("0" * 32, said)
