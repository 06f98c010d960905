"""Coded terms as CURIEs: which terminologies are kept, what a code of each looks like, times.

A code that does not have its terminology's shape is no code, whatever system is written beside it.
A label is the terminology's own words, cut to plain text; it is left empty where it repeats a
name that stands elsewhere in the record. Never keeps free text.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Final

from compute.errors import IngestError
from compute.parsed import Demographics, Limits, Measurement, Sex, Term

_ascii = partial(re.compile, flags=re.ASCII)  # a digit of another script is none
_CODES: Final = {
    "HP": _ascii(r"\d{7}\Z"),
    "MONDO": _ascii(r"\d{7}\Z"),
    "SNOMED": _ascii(r"\d{6,18}\Z"),
    "LOINC": _ascii(r"(LP|LA|MTHU)?\d{1,7}-\d\Z"),
    "ICD10": _ascii(r"[A-Z]\d{2}(\.\d{1,2})?\Z"),
    "ICD10CM": _ascii(r"[A-Z]\d[0-9A-Z](\.[0-9A-Z]{1,4})?\Z"),
    "OMIM": _ascii(r"\d{6}\Z"),
    "ORPHA": _ascii(r"\d{1,6}\Z"),
    "NCIT": _ascii(r"C\d{1,7}\Z"),
    "CIEL": _ascii(r"[1-9]\d{0,9}\Z"),  # the dictionary of OpenMRS
    # An archetype's own node where no terminology codes it: archetype id and node id.
    "OPENEHR": _ascii(r"openEHR-EHR-[A-Z_]{3,20}\.[a-z0-9_-]{1,60}\.v\d{1,3}#at[0-9.]{4,12}\Z"),
}
_PREFIXES: Final = {
    "hp": "HP", "mondo": "MONDO", "snomed": "SNOMED", "snomedct": "SNOMED", "sct": "SNOMED",
    "snomed-ct": "SNOMED", "loinc": "LOINC", "icd10": "ICD10", "icd-10": "ICD10",
    "icd10cm": "ICD10CM", "icd-10-cm": "ICD10CM", "omim": "OMIM", "orpha": "ORPHA",
    "orphanet": "ORPHA", "ncit": "NCIT",
    "http://snomed.info/sct": "SNOMED", "http://loinc.org": "LOINC",
    "http://hl7.org/fhir/sid/icd-10": "ICD10", "http://hl7.org/fhir/sid/icd-10-cm": "ICD10CM",
    "http://purl.obolibrary.org/obo/hp.owl": "HP", "http://human-phenotype-ontology.org": "HP",
    "http://purl.obolibrary.org/obo/mondo.owl": "MONDO", "http://www.omim.org": "OMIM",
    "http://www.orpha.net": "ORPHA", "ciel": "CIEL", "https://cielterminology.org": "CIEL",
    "http://ncicb.nci.nih.gov/xml/owl/evs/thesaurus.owl": "NCIT",
}  # fmt: skip
# OpenMRS names a CIEL concept by its number filled up with A to 36 characters, under any system.
_CIEL_UUID: Final = _ascii(r"(?=.{36}\Z)([1-9]\d{0,9})A+\Z")
_BLANKS: Final = " \t\r\n"
_LABEL: Final = re.compile(r"[^\x00-\x1f\x7f]{1,200}\Z")
_UNIT: Final = re.compile(r"[!-~µ°²³ ]{1,40}\Z")
_AGE: Final = _ascii(r"P(?=\d)(\d{1,3}Y)?(\d{1,4}M)?(\d{1,4}W)?(\d{1,5}D)?(T[0-9HMS]{1,12})?\Z")
_INSTANT: Final = _ascii(
    r"(\d{4})-(\d\d)-(\d\d)(?:T(\d\d:\d\d(?::\d\d)?)(?:[.,](\d{1,9}))?(Z|[+-]\d\d:?\d\d)?)?\Z"
)
_WORD: Final = re.compile(r"[^\W\d_]{3,}")


def curie(system: str, code: str) -> str | None:
    """Return "PREFIX:code" of a kept terminology, None where system or code is not one."""
    prefix = _PREFIXES.get(system.strip().lower().rstrip("/"))
    if prefix is None or not _CODES[prefix].match(code):
        return None
    return f"{prefix}:{code}"


def mended(system: str, code: str) -> tuple[str, str] | None:
    """Return the CURIE of a code that is written in another form, and what was mended.

    code_trimmed: white space around it (FHIR's type `code` has none). ciel_uuid: a CIEL concept as
    OpenMRS identifies it; no code of another terminology looks so, whatever system is stated.
    """
    plain = code.strip(_BLANKS)
    if concept := _CIEL_UUID.match(plain):
        return f"CIEL:{concept[1]}", "ciel_uuid"
    found = curie(system, plain)
    return None if found is None else (found, "code_trimmed")


def known_system(system: str) -> bool:
    """Tell whether a system or prefix is of a terminology that is kept."""
    return system.strip().lower().rstrip("/") in _PREFIXES


def curie_of(written: str) -> str | None:
    """Return a written CURIE ("HP:0001631") in its common form, or None."""
    prefix, _, code = written.partition(":")
    return curie(prefix, code)


def node_curie(archetype: str, node: str) -> str | None:
    """Return the CURIE of an openEHR archetype's node, or None."""
    code = f"{archetype}#{node}"
    return f"OPENEHR:{code}" if _CODES["OPENEHR"].match(code) else None


def is_curie(text: str) -> bool:
    """Tell whether a text is a CURIE as this module makes them."""
    prefix, _, code = text.partition(":")
    return prefix in _CODES and _CODES[prefix].match(code) is not None


def age_of(text: str) -> str | None:
    """Return an ISO 8601 duration as it is, None for anything else."""
    return text if _AGE.match(text) else None


def year_of(text: str) -> int | None:
    """Return the year of an ISO date or instant between 1850 and 2200, else None."""
    head = text[:4]
    plain = head.isascii() and head.isdigit() and (len(text) == 4 or text[4] == "-")
    return int(head) if plain and 1850 <= int(head) <= 2200 else None


def time_of(text: str) -> int | None:
    """Return Unix milliseconds of an ISO 8601 date or instant (UTC where no zone), else None."""
    match = _INSTANT.match(text)
    if match is None:
        return None
    year, month, day, clock, fraction, zone = match.groups()
    stamp = f"{year}-{month}-{day}T{clock or '00:00'}{zone or '+00:00'}".replace("Z", "+00:00")
    try:
        moment = datetime.fromisoformat(stamp).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return int(moment.timestamp()) * 1000 + int((fraction or "0")[:3].ljust(3, "0"))


def words_of(texts: Iterable[str]) -> frozenset[str]:
    """Return the words of names, case-folded, that no label may repeat."""
    return frozenset(word.casefold() for text in texts for word in _WORD.findall(text))


@dataclass(slots=True)
class Record:
    """A clinical record being read: kept items, and counts of what was not kept."""

    limits: Limits
    private: frozenset[str] = frozenset()
    terms: dict[Term, None] = field(default_factory=dict)
    measurements: list[Measurement] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    mended: Counter[str] = field(default_factory=Counter)
    sex: Sex = "unknown"
    birth_year: int | None = None
    region: str | None = None
    last_seen: str | None = None

    def demographics(self) -> Demographics:
        """Return the demographics read so far."""
        return Demographics(self.sex, self.birth_year, self.region, self.last_seen)

    def seen_in(self, date: str) -> None:
        """Note that the record speaks of the person in the year of an ISO date or instant."""
        year = year_of(date)
        if year is not None:
            self.last_seen = str(max(year, int(self.last_seen or year)))

    def term(self, code: str, label: str, *, excluded: bool, onset: str | None) -> None:
        """Keep a term; the same statement made twice is one. Raises ``too_many_records``."""
        if len(self.terms) >= self.limits.max_terms:
            raise IngestError(f"more than {self.limits.max_terms} terms", code="too_many_records")
        found = Term(code, self.label(label), excluded, onset)
        if found in self.terms:
            self.skipped["repeated_term"] += 1
        self.terms[found] = None

    def measurement(self, code: str, value: float | None, unit: str, time: int | None) -> None:
        """Keep a measurement. Raises ``too_many_records``."""
        if len(self.measurements) >= self.limits.max_measurements:
            raise IngestError(
                f"more than {self.limits.max_measurements} measurements", code="too_many_records"
            )
        if value is None:
            self.skipped["value_not_a_number"] += 1
        elif unit and not _UNIT.match(unit):
            self.skipped["unit_not_plain"] += 1
        else:
            self.measurements.append(Measurement(code, value, unit, time))

    def label(self, text: str) -> str:
        """Return a label, "" (and counted) where it is no plain text or repeats a name."""
        if not text:
            return ""
        if not _LABEL.match(text):
            self.skipped["label_not_plain"] += 1
            return ""
        if not self.private.isdisjoint(words_of([text])):
            self.skipped["label_with_a_name"] += 1
            return ""
        return text
