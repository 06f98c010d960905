"""The entry points: bytes or a descriptor in, checked values out.

Pure functions of their input. Every refusal is an IngestError naming the file, the place and
what to do; nothing else is raised for a malformed file. Called by the owner's client before
encrypting, and again inside compute's confined child.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, TypeVar, assert_never

from compute.errors import IngestError
from compute.ingest.alleles import parse_alleles
from compute.ingest.archive import is_zip, unpack
from compute.ingest.bcf import htslib_records, is_bcf, parse_bcf
from compute.ingest.biom import is_hdf5
from compute.ingest.clinical import parse_clinical_text
from compute.ingest.consumer import parse_consumer, vendor_of
from compute.ingest.intervals import with_regions
from compute.ingest.measured import parse_measured
from compute.ingest.packed import is_packed, parse_packed
from compute.ingest.participant import parse_participant_text
from compute.ingest.single_copy import true_copies
from compute.ingest.source import Source, check_lines, decode, inflate, is_bgzf, read
from compute.ingest.summary import Summary, summarise
from compute.ingest.vcf import is_vcf, parse_vcf
from compute.ingest.vcf_fast import parse_vcf_bytes
from compute.parsed import (
    DEFAULT_LIMITS,
    FEATURE_MODALITIES,
    NO_HINTS,
    Callability,
    Clinical,
    Features,
    Genotypes,
    Hints,
    Limits,
    Modality,
    Parsed,
    Participant,
)

_T = TypeVar("_T")
_INDEX: Final = (
    "this is the index of a file ({}), not the file: give the .vcf.gz or .bcf it lies beside. An "
    "index need not be given"
)
_READS: Final = "this holds sequencing reads ({}), no genotypes: call variants and give those"
_OTHERS: Final = {
    b"TBI\x01": _INDEX.format("tabix .tbi"),
    b"CSI\x01": _INDEX.format(".csi"),
    b"BAI\x01": _INDEX.format(".bai of reads"),
    b"BAM\x01": _READS.format("BAM"),
    b"CRAM": _READS.format("CRAM"),
    b"PAR1": "this is a Parquet file, which is not read: write it as TSV or CSV and give that",
}


def parse_genotypes(
    source: Source,
    name: str,
    *,
    sample: str | None = None,
    callability: Callability | None = None,
    hints: Hints = NO_HINTS,
    limits: Limits = DEFAULT_LIMITS,
) -> Genotypes:
    """Parse one sample of a VCF or gVCF (plain, gzip, BGZF, zip), a BCF, or an array vendor's file.

    A zip may hold a BED of callable regions beside a variant-only file.
    Raises IngestError: not_vcf, truncated, damaged, bomb, build_unclear, build_wrong, no_sample,
    several_samples, duplicate_site, bad_record, no_alleles, bad_archive and the like.
    """
    return guard(name, lambda: _genotypes(source, sample, callability, hints, limits))


def parse_features(
    source: Source,
    name: str,
    *,
    modality: Modality = "expression",
    sample: str | None = None,
    hints: Hints = NO_HINTS,
    limits: Limits = DEFAULT_LIMITS,
) -> Features:
    """Parse one person's measurements (plain, gzip, zip). Missing is NaN. Raises IngestError."""
    return guard(
        name,
        lambda: parse_measured(_table(source, limits), modality, sample, hints, limits),
    )


def parse_participant(source: Source, name: str, *, limits: Limits = DEFAULT_LIMITS) -> Participant:
    """Parse a participant record (JSON). Raises IngestError."""
    return guard(name, lambda: parse_participant_text(_text(source, limits), limits))


def parse_clinical(source: Source, name: str, *, limits: Limits = DEFAULT_LIMITS) -> Clinical:
    """Parse a Phenopacket, FHIR R4 bundle or openEHR composition (JSON). Raises IngestError."""
    return guard(name, lambda: parse_clinical_text(decode(_plain(source, limits)), limits))


def parse(
    source: Source,
    modality: Modality,
    name: str,
    *,
    sample: str | None = None,
    callability: Callability | None = None,
    hints: Hints = NO_HINTS,
    limits: Limits = DEFAULT_LIMITS,
) -> Parsed:
    """Parse a file as the modality it is registered under. Raises IngestError."""
    if modality == "genotypes":
        return parse_genotypes(
            source, name, sample=sample, callability=callability, hints=hints, limits=limits
        )
    if modality == "participant":
        return parse_participant(source, name, limits=limits)
    if modality == "clinical":
        return parse_clinical(source, name, limits=limits)
    if modality in FEATURE_MODALITIES:
        return parse_features(
            source, name, modality=modality, sample=sample, hints=hints, limits=limits
        )
    assert_never(modality)  # type: ignore[arg-type]


def inspect(
    source: Source,
    modality: Modality,
    name: str,
    *,
    sample: str | None = None,
    callability: Callability | None = None,
    hints: Hints = NO_HINTS,
    limits: Limits = DEFAULT_LIMITS,
) -> Summary:
    """Check a file as its owner would before encrypting, and summarise it.

    For VCF and BCF pysam (htslib) must read the same number of records as our own reader.
    """
    parsed = parse(
        source, modality, name, sample=sample, callability=callability, hints=hints, limits=limits
    )
    if isinstance(parsed, Genotypes):
        guard(name, lambda: _second_opinion(source, parsed, limits))
    return summarise(parsed)


def _genotypes(
    source: Source,
    sample: str | None,
    callability: Callability | None,
    hints: Hints,
    limits: Limits,
) -> Genotypes:
    data, regions = _unpacked(source, limits)
    bed = hints.regions if regions is None else regions
    if regions is not None and hints.regions is not None:
        raise IngestError(
            "callable regions come in the archive and beside it: give them once",
            code="hint_conflict",
        )
    found = _one_sample(data, source, sample, callability, hints, limits)
    if hints.build is not None and found.build != hints.build:
        raise IngestError(
            f"the file is on {found.build}, stated beside it is {hints.build}", code="build_wrong"
        )
    if bed is not None:
        found = with_regions(found, decode(inflate(bed, limits)), limits)
    return true_copies(found)


def _one_sample(
    data: bytes,
    source: Source,
    sample: str | None,
    callability: Callability | None,
    hints: Hints,
    limits: Limits,
) -> Genotypes:
    plain = inflate(data, limits)
    if is_packed(plain):
        del data  # a genome's bytes once, not twice
        return parse_packed(plain, callability=callability, limits=limits)
    if is_bcf(plain):
        if is_zip(read(source, limits)):
            raise IngestError(
                "a BCF may not lie in a zip: give the BCF itself, or a VCF", code="bad_archive"
            )
        # From the descriptor itself: a confined child may not write the bytes anywhere.
        return parse_bcf(source, sample=sample, callability=callability, limits=limits)
    other = _OTHERS.get(plain[:4])
    if other is not None:
        raise IngestError(other, code="other_file")
    check_lines(plain, limits)
    if is_vcf(plain):
        fast = parse_vcf_bytes(plain, sample=sample, callability=callability, limits=limits)
        if fast is not None:
            return fast
        text = decode(plain)
        del plain  # a genome's text once, not twice
        return parse_vcf(text, sample=sample, callability=callability, limits=limits)
    return _consumer(plain, callability, hints, limits)


def _consumer(
    plain: bytes, callability: Callability | None, hints: Hints, limits: Limits
) -> Genotypes:
    vendor = vendor_of(plain)
    if vendor is None:
        raise IngestError(
            "not a VCF, a BCF, or the raw data of 23andMe, AncestryDNA, FamilyTreeDNA or "
            "MyHeritage",
            code="not_vcf",
            where="line 1",
        )
    return parse_consumer(
        decode(plain),
        vendor,
        build=hints.build,
        alleles=parse_alleles(hints.alleles, limits) if hints.alleles is not None else None,
        callability=callability,
        limits=limits,
    )


def _second_opinion(source: Source, parsed: Genotypes, limits: Limits) -> None:
    data, _ = _unpacked(source, limits)
    plain = inflate(data, limits)
    if is_packed(plain) or vendor_of(plain) is not None:
        return  # htslib reads no vendor's text, nor our own format
    # htslib cannot read gzip that is not BGZF.
    found = htslib_records(data if is_bcf(plain) or is_bgzf(data) else plain)
    if found != parsed.records:
        raise IngestError(
            f"htslib reads {found} records where {parsed.records} lines stand; the file is damaged",
            code="damaged",
        )


def _unpacked(source: Source, limits: Limits) -> tuple[bytes, bytes | None]:
    """Return the data file (possibly gzip) and the callable regions beside it."""
    data = read(source, limits)
    if not is_zip(data):
        return data, None
    found = unpack(data, limits)
    return found.data, found.regions


def _plain(source: Source, limits: Limits) -> bytes:
    data, regions = _unpacked(source, limits)
    if regions is not None:
        raise IngestError("a BED of callable regions belongs to genotypes", code="several_files")
    return inflate(data, limits)


def _table(source: Source, limits: Limits) -> bytes:
    """Return a table's or document's text, or an HDF5 file; lines of a text within bounds."""
    plain = _plain(source, limits)
    other = _OTHERS.get(plain[:4])
    if other is not None:
        raise IngestError(other, code="other_file")
    if not is_hdf5(plain) and not plain[:64].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        check_lines(plain, limits)
    return plain


def _text(source: Source, limits: Limits) -> str:
    return decode(inflate(read(source, limits), limits))


def guard(name: str, action: Callable[[], _T]) -> _T:
    """Return action(), its refusals carrying the file's name."""
    try:
        return action()
    except IngestError as error:
        raise error.named(shown_name(name)) from error.__cause__
    except MemoryError:
        raise IngestError(
            "the file needs more memory than a file may take",
            code="too_large",
            name=shown_name(name),
        ) from None


def shown_name(name: str) -> str:
    """Return a file name fit for a message: last path part, printable, at most 80 characters."""
    last = re.split(r"[\\/]", name)[-1]
    return re.sub(r"[^\x20-\x7e]", "?", last)[:80] or "file"
