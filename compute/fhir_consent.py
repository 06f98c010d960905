"""A consent as an HL7 FHIR Consent resource, R4 or R5, and back.

The standard elements carry what any FHIR system understands: who, when, until when, permit, and
the DUO codes as purposes; the complete terms stand in an extension, so nothing is lost. A resource
whose codes and extension disagree is refused: somebody edited one of them. It carries no signature
of ours: what binds is the entry on the ledger, and importing makes terms, never a consent.
Spec: hl7.org/fhir/R4/consent.html, hl7.org/fhir/R5/consent.html.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from compute.duo_json import agreeing, duo_list, terms_of_codes
from compute.errors import TermsError
from compute.terms import Terms, canonical_terms, parse_terms

Release = Literal["R4", "R5"]
DUO_SYSTEM = "http://purl.obolibrary.org/obo/duo.owl"
BASE = "https://omic-market.org/fhir"
TERMS_EXTENSION = f"{BASE}/StructureDefinition/complete-terms"
PARAMETERS_EXTENSION = f"{BASE}/StructureDefinition/duo-parameters"
IDENTIFIERS = f"{BASE}/consent"
POLICY = f"{BASE}/policy/consent-is-a-key"
_SCOPE = {"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "research"}
_CATEGORY = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "RESEARCH"}
_STATUS = {"live": "active", "paused": "inactive", "withdrawn": "inactive", "erased": "inactive"}


@dataclass(frozen=True, slots=True)
class ConsentRecord:
    """What a resource says beside the terms: pseudonyms, never a name.

    state: live, paused, withdrawn or erased. given_at: Unix ms. holder: who acted for the owner.
    """

    grant: str
    owner: str
    dataset: str
    controller: str | None
    state: str
    given_at: int
    holder: str | None = None


def to_fhir(terms: Terms, record: ConsentRecord, release: Release) -> dict[str, Any]:
    """Return one consent as a resource of this FHIR release."""
    common = {
        "resourceType": "Consent",
        "identifier": [{"system": IDENTIFIERS, "value": record.grant}],
        "status": _STATUS.get(record.state, "inactive"),
        "extension": [
            {"url": TERMS_EXTENSION, "valueString": canonical_terms(terms).decode()},
        ],
    }
    return {**common, **(_r4(terms, record) if release == "R4" else _r5(terms, record))}


def _r4(terms: Terms, record: ConsentRecord) -> dict[str, Any]:
    return {
        "scope": {"coding": [_SCOPE]},
        "category": [{"coding": [_CATEGORY]}],
        "patient": _party(record.owner),
        "dateTime": _instant(record.given_at),
        "performer": [_party(record.holder or record.owner)],
        "policy": [{"uri": POLICY}],
        "provision": {"type": "permit", **_provision(terms, record)},
    }


def _r5(terms: Terms, record: ConsentRecord) -> dict[str, Any]:
    value = {
        "category": [{"coding": [_CATEGORY]}],
        "subject": _party(record.owner),
        "date": _instant(record.given_at)[:10],
        "period": _period(terms),
        "grantor": [_party(record.holder or record.owner)],
        "policyBasis": {"url": POLICY},
        "decision": "permit",
        "provision": [_provision(terms, record)],
    }
    if record.controller is not None:
        value["controller"] = [_party(record.controller)]
    return value


def _provision(terms: Terms, record: ConsentRecord) -> dict[str, Any]:
    return {
        "period": _period(terms),
        "purpose": [_coding(one) for one in duo_list(terms)],
        "data": [
            {
                "meaning": "instance",
                "reference": {"identifier": {"system": f"{BASE}/dataset", "value": record.dataset}},
            }
        ],
    }


def _coding(one: Mapping[str, Any]) -> dict[str, Any]:
    value = {"system": DUO_SYSTEM, "code": one["id"], "display": one["label"]}
    rest = {name: one[name] for name in ("modifiers", "parameters") if name in one}
    if rest:
        text = json.dumps(rest, sort_keys=True, separators=(",", ":"))
        value["extension"] = [{"url": PARAMETERS_EXTENSION, "valueString": text}]
    return value


def _party(name: str) -> dict[str, Any]:
    return {"identifier": {"system": f"{BASE}/party", "value": name}}


def _period(terms: Terms) -> dict[str, str]:
    value = {"start": _instant(terms.valid_from)}
    if terms.valid_until is not None:
        value["end"] = _instant(terms.valid_until)
    return value


def _instant(time_ms: int) -> str:
    moment = datetime.fromtimestamp(time_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def from_fhir(resource: Mapping[str, Any], *, now_ms: int) -> Terms:
    """Read the terms of a Consent resource, R4 or R5.

    Ours come back exactly. Another system's give strict terms of their DUO codes and period; one
    without DUO codes, or that denies, or is not active, permits nothing we could state. Raises
    TermsError saying which.
    """
    if resource.get("resourceType") != "Consent":
        raise TermsError("this is not a FHIR Consent resource")
    if resource.get("status") != "active":
        raise TermsError("the FHIR consent is not active, so it permits nothing")
    provision = _one_provision(resource)
    codes = [_code(coding) for coding in _list(provision, "purpose") if _is_duo(coding)]
    if not codes:
        raise TermsError("the FHIR consent names no DUO code as a purpose; add one, or set terms")
    for extension in _list(resource, "extension"):
        if extension.get("url") == TERMS_EXTENSION:
            return agreeing(_whole(extension), codes)
    begins, ends = _bounds(provision, resource, now_ms)
    terms = terms_of_codes(codes, valid_from=begins)
    return parse_terms({**terms.to_dict(), "valid_until": ends})


def _one_provision(resource: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the one permitting provision; exceptions within it are more than we can honour."""
    found = resource.get("provision")
    if isinstance(found, Mapping):
        permits = found.get("type") == "permit"
    else:
        permits = resource.get("decision") == "permit" and isinstance(found, Sequence)
        found = found[0] if isinstance(found, Sequence) and len(found) == 1 else None
    if not permits or not isinstance(found, Mapping):
        raise TermsError("the FHIR consent does not consist of one provision that permits")
    if found.get("provision") or found.get("actor") or found.get("securityLabel"):
        raise TermsError("the FHIR provision has exceptions we could not honour; set terms by hand")
    return found


def _list(value: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    found = value.get(name) or []
    if not isinstance(found, list) or not all(isinstance(one, Mapping) for one in found):
        raise TermsError(f"the FHIR consent's {name} is not a list of objects")
    return found


def _is_duo(coding: Mapping[str, Any]) -> bool:
    return coding.get("system") == DUO_SYSTEM or str(coding.get("code", "")).startswith("DUO:")


def _code(coding: Mapping[str, Any]) -> dict[str, Any]:
    value: dict[str, Any] = {"id": str(coding.get("code", ""))}
    for extension in _list(coding, "extension"):
        if extension.get("url") == PARAMETERS_EXTENSION:
            value |= _json(extension)
    return value


def _whole(extension: Mapping[str, Any]) -> Terms:
    return parse_terms(_json(extension))


def _json(extension: Mapping[str, Any]) -> dict[str, Any]:
    try:
        value = json.loads(extension["valueString"])
    except (KeyError, TypeError, ValueError, RecursionError):
        raise TermsError("an extension of ours in the FHIR consent holds no JSON") from None
    if not isinstance(value, dict):
        raise TermsError("an extension of ours in the FHIR consent holds no JSON object")
    return value


def _bounds(
    provision: Mapping[str, Any], resource: Mapping[str, Any], now_ms: int
) -> tuple[int, int | None]:
    period = provision.get("period") or resource.get("period") or {}
    begins = max(_ms(period["start"]), 0) if "start" in period else now_ms
    return begins, _ms(period["end"]) if "end" in period else None


def _ms(text: object) -> int:
    try:
        moment = datetime.fromisoformat(str(text).replace("Z", "+00:00"))
    except ValueError:
        raise TermsError("the FHIR consent's period holds no date we can read") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000)
