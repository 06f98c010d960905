"""Clinical and device records: told apart by their content, read into coded terms and numbers."""

from __future__ import annotations

from compute.errors import IngestError
from compute.ingest.fhir import is_fhir, parse_fhir
from compute.ingest.jsontext import load
from compute.ingest.openehr import is_openehr, parse_openehr
from compute.ingest.phenopacket import is_phenopacket, parse_phenopacket
from compute.parsed import Clinical, Limits


def parse_clinical_text(text: str, limits: Limits) -> Clinical:
    """Parse a Phenopacket v2, a FHIR R4 bundle or an openEHR composition (JSON).

    Raises IngestError: not_clinical, not_json, bad_json, bad_phenopacket, bad_fhir, bad_openehr,
    several_people, no_terms, truncated, too_large, too_many_records.
    """
    record = load(text, what="clinical record", limit=limits.max_json)
    if is_phenopacket(record):
        found = parse_phenopacket(record, limits)
    elif is_fhir(record):
        found = parse_fhir(record, limits)
    elif is_openehr(record):
        found = parse_openehr(record, limits)
    else:
        raise IngestError(
            "not a Phenopacket v2, a FHIR R4 resource or an openEHR composition in JSON",
            code="not_clinical",
        )
    if not found.terms and not found.measurements:
        names = ", ".join(f"{n} {name}" for name, n in sorted(found.skipped.items())[:8])
        raise IngestError(
            f"the record holds no coded term and no coded number that is kept ({names})",
            code="no_terms",
        )
    return found
