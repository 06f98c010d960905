"""Derived copies: parsed files to chunks of the cohort store and back, over one variant table.

Never holds a key; a reader hands in opened chunks. Rows of the table are numbered for ever;
a person stored at version n (n rows) is "not covered" at later rows, except where the file
stated the site itself (callability all-sites or array-manifest): there another ALT of the same
site is a covered site without this ALT, as DESIGN 4.2 has it.
"""

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from compute.ingest import COVERING, Clinical, Features, Genotypes, Participant
from compute.ingest.wire import decode as read_wire
from compute.ingest.wire import encode as write_wire
from compute.planes import (
    CHUNK_ROWS,
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
from compute.store import CohortStore
from compute.stretches import Places, fill_reference, pack_stretches, unpack_stretches

BUILDS = ("GRCh37", "GRCh38")
Variant = tuple[str, int, int, str, str]
"""(build, contig index, 1-based position, ref, alt)."""


@dataclass(slots=True)
class SharedVariants:
    """The shared rows, kept in step with the store; only ever grows."""

    store: CohortStore
    rows: list[Variant] = field(default_factory=list)
    row_of: dict[Variant, int] = field(default_factory=dict)
    site_of: list[int] = field(default_factory=list)
    _sites: dict[tuple[str, int, int, str], int] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def __len__(self) -> int:
        return len(self.rows)

    def refresh(self) -> None:
        """Read what other writers appended."""
        with self._lock:
            for first, count, data in self.store.variant_segments(len(self.rows)):
                segment = _parse_segment(data)
                if first != len(self.rows) or len(segment) != count:
                    raise LayoutError("a segment of the variant table does not fit its place")
                self._extend(segment)

    def rows_for(self, variants: Sequence[Variant]) -> Int64:
        """Return the row of each variant, appending those the table lacks."""
        with self._lock:
            self.refresh()
            while fresh := self._missing(variants):
                if self.store.add_variants(len(self.rows), len(fresh), _format_segment(fresh)):
                    self._extend(fresh)
                else:
                    self.refresh()
            return np.array([self.row_of[variant] for variant in variants], np.int64)

    def site_rows(self) -> Int64:
        """Return the site number of each row: rows of one (build, contig, pos, ref) share it."""
        return np.array(self.site_of, np.int64)

    def places(self) -> Places:
        """Return where every row lies."""
        columns = list(zip(*self.rows, strict=True)) or [()] * 5
        build, contig, pos, ref, _ = columns
        return Places(
            np.array([BUILDS.index(name) for name in build], np.int8),
            np.array(contig, np.int8),
            np.array(pos, np.int32),
            np.array([len(text) for text in ref], np.int32),
        )

    def _missing(self, variants: Sequence[Variant]) -> list[Variant]:
        return [v for v in dict.fromkeys(variants) if v not in self.row_of]

    def _extend(self, segment: Iterable[Variant]) -> None:
        for variant in segment:
            self.row_of[variant] = len(self.rows)
            self.rows.append(variant)
            self.site_of.append(self._sites.setdefault(variant[:4], len(self._sites)))


def _format_segment(variants: Sequence[Variant]) -> bytes:
    return "\n".join("\t".join(str(part) for part in variant) for variant in variants).encode()


def _parse_segment(data: bytes) -> list[Variant]:
    found: list[Variant] = []
    for line in data.decode().split("\n"):
        build, contig, pos, ref, alt = line.split("\t")
        found.append((build, int(contig), int(pos), ref, alt))
    return found


def encode_genotypes(table: SharedVariants, parsed: Genotypes) -> tuple[int, list[bytes]]:
    """Return (table version, chunks): the head, one chunk per 65,536 rows, covered stretches.

    Stretches (gVCF blocks, callable regions) stand in the planes of the rows known now, and beside
    them for rows that come later.
    """
    contigs, positions = parsed.contig.tolist(), parsed.pos.tolist()
    build = str(parsed.build)
    variants = [
        (build, contig, pos, ref, alt)
        for contig, pos, ref, alt in zip(contigs, positions, parsed.ref, parsed.alt, strict=True)
    ]
    rows = table.rows_for(variants)
    size = len(table)
    calls = place(rows, parsed.dosage, parsed.ploidy, size)
    fields = {"build": build, "callability": parsed.callability, "rows": size}
    last: list[bytes] = []
    if parsed.covered is not None:
        calls = fill_reference(calls, parsed.covered, table.places(), BUILDS.index(build))
        fields["stretches"], last = True, [pack_stretches(parsed.covered)]
    head = pack_record(fields)
    parts = [
        pack_calls(Calls(calls.dosage[start:end], calls.ploidy[start:end]))
        for _, start, end in chunks(size)
    ]
    return size, [head, *parts, *last]


def decode_genotypes(
    opened: Sequence[bytes], site_rows: Int64, places: Places | None = None
) -> tuple[dict[str, Any], Calls]:
    """Return (head, calls over the whole table as it stands now) from opened chunks.

    places: of every row, so that stored stretches also speak of rows the table got later.
    """
    head = parse_head(opened[0])
    stretches = unpack_stretches(opened[-1]) if head.get("stretches") else None
    parts = [unpack_calls(chunk) for chunk in opened[1 : len(opened) - (stretches is not None)]]
    size = len(site_rows)
    dosage = np.full(size, NOT_COVERED, np.int8)
    ploidy = np.zeros(size, np.int8)
    for number, part in enumerate(parts):
        start = number * CHUNK_ROWS
        dosage[start : start + len(part.dosage)] = part.dosage
        ploidy[start : start + len(part.ploidy)] = part.ploidy
    calls = Calls(dosage, ploidy)
    if head.get("callability") not in COVERING and stretches is None:
        return head, Calls(np.full(size, NOT_COVERED, np.int8), np.zeros(size, np.int8))
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
