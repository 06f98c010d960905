"""From a file and what is said beside it to the bytes worth encrypting.

What is said beside a file (build, unit, an array's alleles, the sample meant) does not travel with
it, and a file of several people may not travel at all: then the person's own part is written in a
form that speaks for itself, and that is encrypted instead. So is a whole genome, whose text would
not be read within the limits of the confined child.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from compute.errors import IngestError
from compute.ingest.align import left_align
from compute.ingest.digest import content_digest
from compute.ingest.features import write_features
from compute.ingest.packed import write_packed
from compute.ingest.parse import guard, inspect, parse
from compute.ingest.summary import GenotypeSummary, Summary, summarise
from compute.parsed import (
    DEFAULT_LIMITS,
    NO_HINTS,
    Callability,
    Features,
    Genotypes,
    Hints,
    Limits,
    Modality,
    Parsed,
)

LARGE: Final = 500_000  # records the confined child reads of a text well within its limits


@dataclass(frozen=True, slots=True)
class Given:
    """What an owner says beside a file. reference: a FASTA to check REF and left-align against."""

    sample: str | None = None
    callability: Callability | None = None
    hints: Hints = NO_HINTS
    reference: Path | None = None


def settle(
    data: bytes, modality: Modality, name: str, given: Given, limits: Limits = DEFAULT_LIMITS
) -> tuple[bytes, Summary]:
    """Check a file; return what to encrypt (the file itself where it says all) and its summary.

    Raises IngestError as `inspect`, and ``not_for_this`` for what does not belong to the modality.
    """
    summary = inspect(
        data, modality, name, sample=given.sample, callability=given.callability,
        hints=given.hints, limits=limits,
    )  # fmt: skip
    large = isinstance(summary, GenotypeSummary) and summary.records > LARGE
    if not large and given == Given(callability=given.callability):
        return data, summary
    parsed = parse(
        data, modality, name, sample=given.sample, callability=given.callability,
        hints=given.hints, limits=limits,
    )  # fmt: skip
    if given.reference is not None:
        parsed = guard(name, lambda: _aligned(parsed, given.reference))
    body = _written(parsed, data)
    again = parse(body, modality, name, limits=limits)
    if content_digest(again) != content_digest(parsed):
        raise IngestError("the file does not come back as it was read", code="not_settled")
    return body, summarise(parsed)


def _aligned(parsed: Parsed, reference: Path | None) -> Parsed:
    if not isinstance(parsed, Genotypes) or reference is None:
        raise IngestError("a reference FASTA belongs to genotypes only", code="not_for_this")
    return left_align(parsed, reference)


def _written(parsed: Parsed, data: bytes) -> bytes:
    if isinstance(parsed, Genotypes):
        return write_packed(parsed)
    return write_features(parsed) if isinstance(parsed, Features) else data
