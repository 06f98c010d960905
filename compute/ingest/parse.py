"""The entry points: bytes or a descriptor in, checked values out.

Pure functions of their input. Every refusal is an IngestError naming the file, the place and
what to do; nothing else is raised for a malformed file. Called by the owner's client before
encrypting, and again inside compute's confined child.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar, assert_never

from compute.errors import IngestError
from compute.ingest.bcf import htslib_records, is_bcf, parse_bcf
from compute.ingest.features import parse_feature_text
from compute.ingest.participant import parse_participant_text
from compute.ingest.source import Source, decode, inflate, read
from compute.ingest.summary import Summary, summarise
from compute.ingest.vcf import is_vcf, parse_vcf
from compute.parsed import (
    DEFAULT_LIMITS,
    Callability,
    Features,
    Genotypes,
    Limits,
    Modality,
    Parsed,
    Participant,
)

_T = TypeVar("_T")


def parse_genotypes(
    source: Source,
    name: str,
    *,
    sample: str | None = None,
    callability: Callability | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> Genotypes:
    """Parse one sample of a VCF (plain, gzip, BGZF) or BCF.

    Raises IngestError: not_vcf, truncated, damaged, bomb, build_unclear, build_wrong, no_sample,
    several_samples, duplicate_site, bad_record and the like.
    """
    return _guard(name, lambda: _genotypes(source, sample, callability, limits))


def parse_features(source: Source, name: str, *, limits: Limits = DEFAULT_LIMITS) -> Features:
    """Parse a feature x value file (plain, gzip). Missing values are NaN. Raises IngestError."""
    return _guard(name, lambda: parse_feature_text(_text(source, limits), limits))


def parse_participant(source: Source, name: str, *, limits: Limits = DEFAULT_LIMITS) -> Participant:
    """Parse a participant record (JSON). Raises IngestError."""
    return _guard(name, lambda: parse_participant_text(_text(source, limits), limits))


def parse(
    source: Source,
    modality: Modality,
    name: str,
    *,
    sample: str | None = None,
    callability: Callability | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> Parsed:
    """Parse a file as the modality it is registered under. Raises IngestError."""
    if modality == "genotypes":
        return parse_genotypes(source, name, sample=sample, callability=callability, limits=limits)
    if modality == "expression":
        return parse_features(source, name, limits=limits)
    if modality == "participant":
        return parse_participant(source, name, limits=limits)
    assert_never(modality)


def inspect(
    source: Source,
    modality: Modality,
    name: str,
    *,
    sample: str | None = None,
    callability: Callability | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> Summary:
    """Check a file as its owner would before encrypting, and summarise it.

    For genotypes pysam (htslib) must read the same number of records as our own reader.
    """
    parsed = parse(source, modality, name, sample=sample, callability=callability, limits=limits)
    if isinstance(parsed, Genotypes):
        _guard(name, lambda: _second_opinion(source, parsed))
    return summarise(parsed)


def _genotypes(
    source: Source, sample: str | None, callability: Callability | None, limits: Limits
) -> Genotypes:
    plain = inflate(read(source, limits), limits)
    if is_bcf(plain):
        return parse_bcf(source, sample=sample, callability=callability, limits=limits)
    if not is_vcf(plain):
        raise IngestError(
            "not a VCF or BCF file: it does not start with ##fileformat=VCF",
            code="not_vcf",
            where="line 1",
        )
    text = decode(plain)
    del plain  # a genome's text once, not twice
    return parse_vcf(text, sample=sample, callability=callability, limits=limits)


def _second_opinion(source: Source, parsed: Genotypes) -> None:
    found = htslib_records(source)
    if found != parsed.records:
        raise IngestError(
            f"htslib reads {found} records where {parsed.records} lines stand; the file is damaged",
            code="damaged",
        )


def _text(source: Source, limits: Limits) -> str:
    return decode(inflate(read(source, limits), limits))


def _guard(name: str, action: Callable[[], _T]) -> _T:
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
