"""Derived copies: parsed files to messages of the cohort store and back, over one variant table.

Never holds a key; a reader hands in opened messages. Rows of the table are numbered for ever;
a person stored at version n (n rows) is "not covered" at later rows, except where the file
stated the site itself (callability all-sites or array-manifest): there another ALT of the same
site is a covered site without this ALT, as DESIGN 4.2 has it.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from compute.ingest import COVERING, Clinical, Features, Genotypes, Participant
from compute.ingest.wire import decode as read_wire
from compute.ingest.wire import encode as write_wire
from compute.planes import (
    NOT_COVERED,
    Calls,
    Int64,
    LayoutError,
    chunks,
    pack_calls,
    pack_features,
    pack_record,
    parse_head,
    place,
    unpack_calls,
    unpack_features,
)
from compute.stretches import Places, fill_reference, pack_stretches, unpack_stretches
from compute.variants import BUILDS, SharedVariants, Variant

__all__ = ["BUILDS", "SharedVariants", "Variant"]

HEAD_MESSAGES = 1
MESSAGES_A_CHUNK = 2  # planes, extras


def encode_genotypes(table: SharedVariants, parsed: Genotypes) -> tuple[int, list[bytes]]:
    """Return (table version, messages): head, planes and extras of each chunk, stretches.

    Rows of a stated site, and stretches (gVCF blocks, callable regions), stand in the planes of
    the rows known now; stretches also beside them, for rows that come later.
    """
    sites = table.sites_of(parsed.build, parsed.contig, parsed.pos, parsed.ref, parsed.alt)
    rows = table.rows_of(sites, append=True)
    size = len(table)
    calls = place(rows, parsed.dosage, parsed.ploidy, size)
    fields = {"build": str(parsed.build), "callability": parsed.callability, "rows": size}
    last: list[bytes] = []
    if parsed.covered is not None:
        fields["stretches"], last = True, [pack_stretches(parsed.covered)]
    if parsed.callability not in COVERING and parsed.covered is None:
        calls = Calls(np.full(size, NOT_COVERED, np.int8), np.zeros(size, np.int8))
    elif len(rows) < size:
        calls = _spread_sites(calls, table.site_rows()[:size])
        if parsed.covered is not None:
            places = table.places()
            calls = fill_reference(calls, parsed.covered, places, BUILDS.index(parsed.build))
    messages = [pack_record(fields)]
    for _, start, end in chunks(size):
        messages += pack_calls(Calls(calls.dosage[start:end], calls.ploidy[start:end]))
    return size, [*messages, *last]


def decode_genotypes(
    opened: Sequence[bytes], site_rows: Int64, places: Places | None = None
) -> tuple[dict[str, Any], Calls]:
    """Return (head, calls over the whole table as it stands now) from opened messages.

    site_rows: the site of each row; places: of every row, so that stored stretches also speak of
    rows the table got later. Both may go beyond the table, for variants no file listed.
    """
    head = parse_head(opened[0])
    version, size = int(head["rows"]), len(site_rows)
    stretches = unpack_stretches(opened[-1]) if head.get("stretches") else None
    dosage = np.full(size, NOT_COVERED, np.int8)
    ploidy = np.zeros(size, np.int8)
    for number, start, end in chunks(version):
        at = HEAD_MESSAGES + MESSAGES_A_CHUNK * number
        part = unpack_calls(opened[at], opened[at + 1], end - start)
        dosage[start:end], ploidy[start:end] = part.dosage, part.ploidy
    calls = Calls(dosage, ploidy)
    if version == size:
        return head, calls
    calls = _spread_sites(calls, site_rows)
    if stretches is not None and places is not None:
        calls = fill_reference(calls, stretches, places, BUILDS.index(head["build"]))
    return head, calls


def _spread_sites(calls: Calls, site_rows: Int64) -> Calls:
    """Give rows the file does not list the state of their site, where the file states the site."""
    if not len(site_rows):
        return calls
    stated = np.full(int(site_rows.max()) + 1, -1, np.int8)
    covered = calls.dosage != NOT_COVERED
    np.maximum.at(stated, site_rows[covered], calls.ploidy[covered])
    fill = ~covered & (stated[site_rows] >= 0)
    ploidy = np.where(fill, stated[site_rows], calls.ploidy).astype(np.int8)
    dosage = np.where(fill, np.where(ploidy > 0, 0, -1), calls.dosage).astype(np.int8)
    return Calls(dosage, ploidy)


def encode_features(parsed: Features) -> list[bytes]:
    """Return the one chunk of a feature vector."""
    head = {
        "namespace": parsed.namespace,
        "unit": parsed.unit,
        "assay": parsed.assay,
        "modality": parsed.modality,
    }
    return [pack_features(parsed.ids, parsed.values, head)]


def decode_features(opened: Sequence[bytes]) -> Features:
    """Return the feature vector of an opened copy."""
    head, values = unpack_features(opened[0])
    ids = tuple(str(name) for name in head["ids"])
    return Features(
        namespace=str(head["namespace"]),
        unit=str(head["unit"]),
        assay=str(head["assay"]),
        ids=ids,
        values=values,
        modality=head.get("modality", "expression"),
    )


def encode_clinical(parsed: Clinical) -> list[bytes]:
    """Return the one chunk of a clinical record: codes, numbers, times; labels are left out."""
    bare = tuple(replace(term, label="") for term in parsed.terms)
    return [write_wire(replace(parsed, terms=bare, skipped={}))]


def decode_clinical(opened: Sequence[bytes]) -> Clinical:
    """Return the clinical record of an opened copy. Raises LayoutError."""
    found = read_wire(opened[0])
    if not isinstance(found, Clinical):
        raise LayoutError("a stored clinical record is of another kind")
    return found


def encode_participant(parsed: Participant) -> list[bytes]:
    """Return the one chunk of a participant record; its own label of the person is left out."""
    record = {
        "sex": parsed.sex,
        "population": parsed.population,
        "covariates": dict(parsed.covariates),
    }
    return [pack_record(record)]


def decode_participant(opened: Sequence[bytes], participant: str) -> Participant:
    """Return the participant record of an opened copy, under the pseudonym given."""
    record = parse_head(opened[0])
    covariates = {str(name): float(value) for name, value in record["covariates"].items()}
    return Participant(participant, record["sex"], record["population"], covariates)
