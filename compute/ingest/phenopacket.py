"""GA4GH Phenopackets v2 (one individual): coded features, diseases, measurements.

Kept: phenotypicFeatures, diseases, measurements with a numeric value, the disease of a solved
interpretation, sex, year of birth, age or year at the last encounter. Everything else (genomic
interpretations, biosamples, files, medical actions, descriptions, ids) is counted and left out.
Spec: Phenopacket schema 2.0.
"""

from __future__ import annotations

from typing import Any, Final

from compute.errors import IngestError
from compute.ingest.codes import Record, age_of, curie_of, time_of, words_of, year_of
from compute.ingest.jsontext import bad, number_of, obj, objects, text_of
from compute.parsed import Clinical, Limits, Sex

_SEX: Final[dict[str, Sex]] = {"FEMALE": "female", "MALE": "male"}
_REQUIRED: Final = ("id", "metaData")
_META: Final = ("created", "createdBy", "resources", "phenopacketSchemaVersion")
_READ: Final = frozenset(
    {"id", "subject", "phenotypicFeatures", "measurements", "diseases", "interpretations",
     "metaData"}
)  # fmt: skip
_LISTS: Final = ("biosamples", "medicalActions", "files")


def is_phenopacket(record: dict[str, Any]) -> bool:
    """Tell whether a JSON object is meant as a phenopacket."""
    return "metaData" in record and ("phenotypicFeatures" in record or "subject" in record)


def parse_phenopacket(record: dict[str, Any], limits: Limits) -> Clinical:
    """Parse a phenopacket. Raises IngestError ``bad_phenopacket``, ``bad_json``."""
    _check(record)
    subject = obj(record.get("subject"), "subject")
    private = [text_of(record.get("id")), text_of(subject.get("id"))]
    found = Record(limits, private=words_of(private))
    _subject(subject, found)
    for feature in objects(record.get("phenotypicFeatures"), "phenotypicFeatures"):
        _statement(feature, "type", "phenotypicFeatures", found)
    for disease in objects(record.get("diseases"), "diseases"):
        _statement(disease, "term", "diseases", found)
    for interpretation in objects(record.get("interpretations"), "interpretations"):
        _interpretation(interpretation, found)
    for measurement in objects(record.get("measurements"), "measurements"):
        _measurement(measurement, found)
    for name in sorted(set(record) - _READ):
        size = len(record[name]) if name in _LISTS and isinstance(record[name], list) else 1
        found.skipped[name if name in _LISTS else "unknown_field"] += size
    return Clinical(
        "phenopacket", tuple(found.terms), tuple(found.measurements), found.demographics(),
        dict(found.skipped),
    )  # fmt: skip


def _check(record: dict[str, Any]) -> None:
    meta = obj(record.get("metaData"), "metaData")
    absent = [name for name in _REQUIRED if not record.get(name)]
    absent += [f"metaData.{name}" for name in _META if not meta.get(name)]
    if absent:
        raise IngestError(
            f"the phenopacket lacks the required {', '.join(absent)}",
            code="bad_phenopacket",
            where=f"field {absent[0]}",
        )
    if not text_of(meta.get("phenopacketSchemaVersion")).startswith("2"):
        raise IngestError(
            "the phenopacket is not of schema version 2", code="bad_phenopacket",
            where="field metaData.phenopacketSchemaVersion",
        )  # fmt: skip


def _subject(subject: dict[str, Any], found: Record) -> None:
    species = text_of(obj(subject.get("taxonomy"), "subject.taxonomy").get("id"))
    if species not in {"", "NCBITaxon:9606"}:
        raise IngestError(
            "the phenopacket is not of a human", code="bad_phenopacket",
            where="field subject.taxonomy",
        )  # fmt: skip
    found.sex = _SEX.get(text_of(subject.get("sex")), "unknown")
    found.birth_year = year_of(text_of(subject.get("dateOfBirth")))
    last = obj(subject.get("timeAtLastEncounter"), "subject.timeAtLastEncounter")
    found.last_seen = _age(last) or _year(last)


def _statement(item: dict[str, Any], key: str, field: str, found: Record) -> None:
    coded = obj(item.get(key), f"{field}.{key}")
    if not coded.get("id"):
        raise bad("lacks a term", f"{field}.{key}.id")
    excluded = item.get("excluded", False)
    if not isinstance(excluded, bool):
        raise bad("must be true or false", f"{field}.excluded")
    code = curie_of(text_of(coded["id"]))
    if code is None:
        found.skipped["unknown_terminology"] += 1
        return
    onset = _onset(obj(item.get("onset"), f"{field}.onset"), found)
    found.term(code, text_of(coded.get("label")), excluded=excluded, onset=onset)
    for name in ("description", "evidence", "modifiers", "severity", "resolution"):
        if item.get(name):
            found.skipped[f"feature_{name}"] += 1


def _onset(onset: dict[str, Any], found: Record) -> str | None:
    """Return an age, a year, or the CURIE of a class of onset."""
    if not onset:
        return None
    named = curie_of(text_of(obj(onset.get("ontologyClass"), "onset.ontologyClass").get("id")))
    kept = _age(onset) or named or _year(onset)
    if kept is None:
        found.skipped["onset_not_kept"] += 1
    return kept


def _age(time: dict[str, Any]) -> str | None:
    return age_of(text_of(obj(time.get("age"), "age").get("iso8601duration")))


def _year(time: dict[str, Any]) -> str | None:
    year = year_of(text_of(time.get("timestamp")))
    return None if year is None else str(year)


def _interpretation(item: dict[str, Any], found: Record) -> None:
    diagnosis = obj(item.get("diagnosis"), "interpretations.diagnosis")
    disease = obj(diagnosis.get("disease"), "interpretations.diagnosis.disease")
    variants = list(objects(diagnosis.get("genomicInterpretations"), "genomicInterpretations"))
    if variants:
        found.skipped["genomic_interpretation"] += len(variants)
    code = curie_of(text_of(disease.get("id")))
    if text_of(item.get("progressStatus")) != "SOLVED" or code is None:
        found.skipped["interpretation_not_solved"] += 1
    elif not any(term.curie == code and not term.excluded for term in found.terms):
        found.term(code, text_of(disease.get("label")), excluded=False, onset=None)


def _measurement(item: dict[str, Any], found: Record) -> None:
    code = curie_of(text_of(obj(item.get("assay"), "measurements.assay").get("id")))
    quantity = obj(obj(item.get("value"), "measurements.value").get("quantity"), "quantity")
    if code is None or not quantity:
        found.skipped["measurement_without_code_or_number"] += 1
        return
    unit = text_of(obj(quantity.get("unit"), "unit").get("id")).removeprefix("UCUM:")
    time = time_of(text_of(obj(item.get("timeObserved"), "timeObserved").get("timestamp")))
    found.measurement(code, number_of(quantity.get("value")), unit, time)
