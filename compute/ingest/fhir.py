"""HL7 FHIR R4: a Bundle, or a single Condition or Observation, of one patient.

Kept: Condition (coded, refuted = excluded, onset as year or age), Observation (numbers, coded
answers in SNOMED CT or HPO, components, sampled series such as a glucose sensor's), of Patient the
sex, the birth year and the country, and the last year anything is stated of. Narrative, names,
addresses, identifiers, notes and every other resource are left out and counted. A code that is
unmistakable though not written as it should be is kept, and counted as mended.
Spec: hl7.org/fhir/R4.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from compute.errors import IngestError
from compute.ingest.codes import (
    Record,
    age_of,
    curie,
    known_system,
    mended,
    time_of,
    words_of,
    year_of,
)
from compute.ingest.jsontext import number_of, obj, objects, text_of
from compute.parsed import Clinical, Limits, Sex

_SEX: Final[dict[str, Sex]] = {"female": "female", "male": "male"}
_TYPE: Final = re.compile(r"[A-Za-z]{1,40}\Z")
_REGION: Final = re.compile(r"[A-Za-z]{2,3}\Z")
_VOID: Final = frozenset({"entered-in-error", "cancelled"})
_ALONE: Final = frozenset({"Condition", "Observation", "Patient"})
_ANSWERS: Final = ("SNOMED:", "HP:", "MONDO:", "CIEL:")
_PARTS: Final = {
    "name": frozenset({"family", "given", "text"}),
    "address": frozenset({"line", "text"}),
}
_SERIES_GAPS: Final = frozenset({"E", "U", "L"})  # error, above and below the device's range


def is_fhir(record: dict[str, Any]) -> bool:
    """Tell whether a JSON object is a FHIR resource."""
    return isinstance(record.get("resourceType"), str)


def parse_fhir(record: dict[str, Any], limits: Limits) -> Clinical:
    """Parse a FHIR R4 resource. Raises IngestError ``bad_fhir``, ``several_people``."""
    resources = list(_resources(record))
    _one_person(resources)
    found = Record(limits, private=words_of(_names(record)))
    for resource in resources:
        kind = text_of(resource.get("resourceType"))
        if kind == "Patient":
            _patient(resource, found)
        elif kind == "Condition":
            _condition(resource, found)
        elif kind == "Observation":
            _observation(resource, found)
        else:
            found.skipped[f"resource_{kind}" if _TYPE.match(kind) else "resource_other"] += 1
    return Clinical(
        "fhir", tuple(found.terms), tuple(found.measurements), found.demographics(),
        dict(found.skipped), dict(found.mended),
    )  # fmt: skip


def _resources(record: dict[str, Any]) -> Iterator[dict[str, Any]]:
    kind = record["resourceType"]
    if kind in _ALONE:
        yield record
    elif kind == "Bundle":
        for entry in objects(record.get("entry"), "entry"):
            yield obj(entry.get("resource"), "entry.resource")
    else:
        raise IngestError(
            "the FHIR resource is no Bundle, Condition, Observation or Patient", code="bad_fhir",
            where="field resourceType",
        )  # fmt: skip


def _one_person(resources: list[dict[str, Any]]) -> None:
    """Refuse a bundle of two people: more than one Patient, or more than one subject."""
    patients = [r for r in resources if r.get("resourceType") == "Patient"]
    subjects = {
        text_of(obj(r.get("subject"), "subject").get("reference"))
        for r in resources
        if text_of(r.get("resourceType")) in {"Condition", "Observation"}
    } - {""}
    if len(patients) > 1 or len(subjects) > 1:
        raise IngestError(
            "the bundle speaks of more than one patient: split it", code="several_people"
        )
    own = text_of(patients[0].get("id")) if patients else ""
    for subject in subjects if own else ():
        if re.split(r"[/:]", subject)[-1] != own:
            raise IngestError(
                "an entry's subject is not the bundle's patient", code="several_people"
            )


def _names(value: Any, under: str = "") -> Iterator[str]:
    """Yield the parts of people's names and addresses, and the display of every reference."""
    if isinstance(value, list):
        for item in value:
            yield from _names(item, under)
    elif isinstance(value, dict):
        kept = _PARTS.get(under, frozenset())
        kept |= {"display"} if "reference" in value else set()
        for key, item in value.items():
            for text in item if isinstance(item, list) else [item]:
                if key in kept and isinstance(text, str):
                    yield text
            yield from _names(item, key)


def _patient(patient: dict[str, Any], found: Record) -> None:
    found.sex = _SEX.get(text_of(patient.get("gender")), "unknown")
    found.birth_year = year_of(text_of(patient.get("birthDate")))
    found.seen_in(text_of(patient.get("deceasedDateTime")))
    countries = {
        text_of(a.get("country")).upper() for a in objects(patient.get("address"), "address")
    }
    stated = sorted(country for country in countries if _REGION.match(country))
    found.region = stated[0] if len(stated) == 1 else None


def _coded(concept: Any, field: str, found: Record) -> tuple[str, str] | None:
    """Return the first coding of a kept terminology as (CURIE, label).

    CIEL, a dictionary of OpenMRS's, is taken where no other is, though OpenMRS states it first.
    """
    kept: list[tuple[str, str, str]] = []
    reasons: set[str] = set()
    for coding in objects(obj(concept, field).get("coding"), f"{field}.coding"):
        system, code = text_of(coding.get("system")), text_of(coding.get("code"))
        plain = curie(system, code)
        known = mended(system, code) if plain is None else (plain, "")
        if known is not None:
            kept.append((known[0], text_of(coding.get("display")), known[1]))
        reasons.add("code_malformed" if known_system(system) else "unknown_terminology")
    if not kept:
        found.skipped[min(reasons) if reasons else "uncoded"] += 1
        return None
    code, label, mending = min(kept, key=lambda one: one[0].startswith("CIEL:"))
    if mending:
        found.mended[mending] += 1
    return code, label


def _condition(item: dict[str, Any], found: Record) -> None:
    status = {
        text_of(coding.get("code"))
        for coding in objects(
            obj(item.get("verificationStatus"), "verificationStatus").get("coding"), "coding"
        )
    }
    if status & _VOID:
        found.skipped["entered_in_error"] += 1
        return
    found.seen_in(text_of(item.get("recordedDate")))
    coded = _coded(item.get("code"), "Condition.code", found)
    if coded is None:
        return
    onset = _onset(item)
    found.term(*coded, excluded="refuted" in status, onset=onset)


def _onset(item: dict[str, Any]) -> str | None:
    year = year_of(text_of(item.get("onsetDateTime")))
    if year is not None:
        return str(year)
    age = obj(item.get("onsetAge"), "onsetAge")
    value = number_of(age.get("value"))
    unit = {"a": "Y", "mo": "M", "wk": "W", "d": "D"}.get(text_of(age.get("code")))
    if value is None or unit is None or value != int(value):
        return None
    return age_of(f"P{int(value)}{unit}")


def _observation(item: dict[str, Any], found: Record) -> None:
    if text_of(item.get("status")) in _VOID:
        found.skipped["entered_in_error"] += 1
        return
    period = obj(item.get("effectivePeriod"), "effectivePeriod")
    moment = text_of(item.get("effectiveDateTime")) or text_of(item.get("effectiveInstant"))
    moment = moment or text_of(period.get("start"))
    time = time_of(moment)
    found.seen_in(moment)
    components = list(objects(item.get("component"), "component"))
    if not components or any(key.startswith("value") for key in item):
        _value(item, time, found)
    for component in components:
        _value(component, time, found)


def _value(item: dict[str, Any], time: int | None, found: Record) -> None:
    coded = _coded(item.get("code"), "Observation.code", found)
    if coded is None:
        return
    if "valueQuantity" in item:
        quantity = obj(item["valueQuantity"], "valueQuantity")
        unit = text_of(quantity.get("code")) or text_of(quantity.get("unit"))
        if quantity.get("comparator"):
            found.skipped["value_beyond_range"] += 1
        else:
            found.measurement(coded[0], number_of(quantity.get("value")), unit, time)
    elif "valueInteger" in item:
        found.measurement(coded[0], number_of(item["valueInteger"]), "1", time)
    elif "valueSampledData" in item:
        _series(obj(item["valueSampledData"], "valueSampledData"), coded[0], time, found)
    elif "valueCodeableConcept" in item:
        answer = _coded(item["valueCodeableConcept"], "valueCodeableConcept", found)
        if answer is not None and answer[0].startswith(_ANSWERS):
            found.term(*answer, excluded=False, onset=None)
        elif answer is not None:
            found.skipped["answer_without_meaning_of_its_own"] += 1
    else:
        found.skipped["observation_without_number"] += 1


def _series(data: dict[str, Any], code: str, time: int | None, found: Record) -> None:
    """Keep a sampled series: value = sample * factor + origin, one each `period` milliseconds."""
    origin = obj(data.get("origin"), "origin")
    base, factor = number_of(origin.get("value")), number_of(data.get("factor", 1))
    period, width = number_of(data.get("period")), data.get("dimensions", 1)
    if base is None or factor is None or period is None or width != 1:
        found.skipped["series_not_understood"] += 1
        return
    unit = text_of(origin.get("code")) or text_of(origin.get("unit"))
    for step, text in enumerate(text_of(data.get("data")).split()):
        if text in _SERIES_GAPS:
            found.skipped["series_gap"] += 1
            continue
        value = _decimal(text)
        moment = None if time is None else time + round(step * period)
        sample = None if value is None else round(value * factor + base, 9)
        found.measurement(code, sample, unit, moment)


def _decimal(text: str) -> float | None:
    plain = re.fullmatch(r"-?\d{1,9}(\.\d{1,9})?", text, re.ASCII)
    return float(text) if plain else None
