"""BCF, and pysam's second opinion on VCF text. Reads from memory descriptors only.

pysam is imported inside functions, so that a program that only counts never loads it. Never
writes a file: bytes reach htslib through memfd and /proc/self/fd.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from compute.builds import detect_build
from compute.errors import IngestError
from compute.ingest.calls import (
    Call,
    Collector,
    block_quality,
    checked_ploidy,
    is_block,
    no_call_by_filter,
)
from compute.ingest.source import Source
from compute.ingest.vcf import pick_sample, read_header, settle_callability
from compute.parsed import Callability, Genotypes, Limits

_MAGIC: Final = b"BCF\x02"


def is_bcf(plain: bytes) -> bool:
    """Tell whether inflated bytes are BCF 2."""
    return plain.startswith(_MAGIC)


@contextmanager
def memory_path(source: Source | Path) -> Iterator[str]:
    """Give bytes or a descriptor a path htslib can open, without touching a file system."""
    if isinstance(source, int):
        yield f"/proc/self/fd/{source}"
        return
    if isinstance(source, Path):
        yield str(source)
        return
    if not hasattr(os, "memfd_create"):
        raise IngestError("BCF needs Linux; convert the file to VCF", code="platform")
    fd = os.memfd_create("omic-ingest", os.MFD_CLOEXEC)
    try:
        view = memoryview(source)
        while view:
            view = view[os.write(fd, view) :]
        yield f"/proc/self/fd/{fd}"
    finally:
        os.close(fd)


@contextmanager
def opened(source: Source | Path) -> Iterator[Any]:
    """Open a VCF or BCF with htslib. Raises IngestError ``damaged``."""
    import pysam

    pysam.set_verbosity(0)  # htslib writes file content to stderr
    with memory_path(source) as path:
        try:
            with pysam.VariantFile(path, threads=1) as variants:
                yield variants
        except (OSError, ValueError, MemoryError, NotImplementedError) as error:
            raise IngestError(
                "htslib cannot read the file: it is damaged or cut short", code="damaged"
            ) from error


def parse_bcf(
    source: Source, *, sample: str | None, callability: Callability | None, limits: Limits
) -> Genotypes:
    """Parse one sample of a BCF into Genotypes. Raises IngestError naming the record."""
    with opened(source) as variants:
        text = str(variants.header)
        if len(text) > limits.max_header:
            raise IngestError(
                f"the header is larger than {limits.max_header} bytes", code="header_too_large"
            )
        lines = text.splitlines()
        header = read_header(lines[:-1], lines[-1].split("\t"))
        index = pick_sample(header.samples, sample)
        collector = Collector(detect_build(header.contigs), limits, "record")
        for number, record in enumerate(variants, 1):
            collector.number = number
            _add(record, index, collector)
    settled = settle_callability(header.callability, callability, gvcf=collector.gvcf)
    return collector.finish(header.samples[index], settled)


def _add(record: Any, index: int, collector: Collector) -> None:
    try:
        alt = ",".join(record.alts or (".",))
        call = _call(record, index)
        ref = record.ref or ""
        # htslib removes INFO/END from a record's keys and gives it as `stop` (0-based, open).
        if is_block(alt, "END=" if record.stop > record.pos - 1 + len(ref) else ""):
            doubt = _doubt(record, index)
            collector.add_block(record.contig, record.pos, record.stop, ref, call, doubt)
        else:
            collector.add(record.contig, record.pos, ref, alt, call)
    except IngestError as error:
        raise IngestError(
            error.reason, code=error.code, where=f"record {collector.number}"
        ) from None


def _call(record: Any, index: int) -> Call:
    if no_call_by_filter(record.filter.keys()):
        return "filtered"
    if "GT" not in record.format:
        return "no_genotype"
    alleles = record.samples[index].allele_indices
    if not alleles or all(allele is None for allele in alleles):
        return "missing"
    if any(allele is None for allele in alleles):
        return "half_call"
    return checked_ploidy(tuple(alleles))


def _doubt(record: Any, index: int) -> str | None:
    sample = record.samples[index]
    depth = "MIN_DP" if "MIN_DP" in record.format else "DP"
    gq, found = (sample[key] if key in record.format else None for key in ("GQ", depth))
    return block_quality(gq, found)


def htslib_records(source: Source) -> int:
    """Return how many records htslib reads. Raises IngestError ``damaged`` where it refuses."""
    with opened(source) as variants:
        return sum(1 for _ in variants)
