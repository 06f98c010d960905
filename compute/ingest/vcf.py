"""VCF text, strictly: header, then one sample's records, with the line number in every refusal.

The reader is our own because htslib repairs what it dislikes and cannot say on which line; the
owner's check (`inspect`) also has pysam read the same bytes and refuses where the two differ.
Spec: VCF 4.4. Never holds more than one sample's calls.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from compute.builds import Build, detect_build
from compute.errors import IngestError
from compute.ingest.calls import Call, Collector, block_quality, is_block, parse_gt
from compute.parsed import CALLABILITIES, Callability, Genotypes, Limits

_FIXED: Final = ("#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO")
_CONTIG_ID: Final = re.compile(r"[<,]ID=([^,>]+)")
_CONTIG_LENGTH: Final = re.compile(r"[<,]length=([0-9]{1,12})[,>]")
_END: Final = re.compile(r"(?:\A|;)END=([0-9]{1,10})(?:;|\Z)")


@dataclass(frozen=True, slots=True)
class Header:
    """What a VCF header says: contig lengths (bases), samples, declared callability, lines."""

    contigs: dict[str, int]
    samples: tuple[str, ...]
    callability: Callability | None
    lines: int


def is_vcf(data: bytes) -> bool:
    """Tell whether plain bytes start as VCF text does."""
    return data.startswith((b"##fileformat=VCF", b"\xef\xbb\xbf##fileformat=VCF"))


def split_header(text: str, limits: Limits) -> tuple[Header, int]:
    """Parse the header; return it and the offset of the first record.

    Raises IngestError ``not_vcf``, ``header_too_large``, ``bad_header``.
    """
    mark = text.find("\n#CHROM")
    size = mark + 1 if mark >= 0 else len(text)
    if size > limits.max_header:
        raise IngestError(
            f"the header is larger than {limits.max_header} bytes", code="header_too_large"
        )
    if mark < 0:
        raise IngestError(
            "not a VCF file: the line starting with #CHROM is missing", code="not_vcf"
        )
    end = text.find("\n", size)
    end = len(text) if end < 0 else end
    meta = [line.rstrip("\r") for line in text[: size - 1].split("\n")]
    columns = text[size:end].rstrip("\r").split("\t")
    return read_header(meta, columns), end + 1


def header_contigs(text: str, limits: Limits) -> Build:
    """Return the build a VCF text's header states. Raises IngestError as `detect_build`."""
    return detect_build(split_header(text, limits)[0].contigs)


def read_header(meta: list[str], columns: list[str]) -> Header:
    """Build a Header from its ## lines and the #CHROM line's columns."""
    for number, line in enumerate(meta, 1):
        if not line.startswith("##"):
            raise IngestError(
                "a header line does not start with ##", code="bad_header", where=f"line {number}"
            )
    if tuple(columns[:8]) != _FIXED:
        raise IngestError(
            "the #CHROM line lacks the eight fixed columns (is it tab-separated?)",
            code="bad_header",
            where=f"line {len(meta) + 1}",
        )
    samples = tuple(columns[9:])
    if len(set(samples)) < len(samples):
        raise IngestError(
            "two samples have the same name; rename one (bcftools reheader -s)",
            code="duplicate_sample",
            where=f"line {len(meta) + 1}",
        )
    return Header(contigs_of(meta), samples, _callability(meta), len(meta) + 1)


def contigs_of(meta: list[str]) -> dict[str, int]:
    """Return the lengths (bases) ##contig lines state."""
    found: dict[str, int] = {}
    for line in meta:
        if not line.startswith("##contig="):
            continue
        name, length = _CONTIG_ID.search(line), _CONTIG_LENGTH.search(line)
        if name and length:
            found[name[1]] = int(length[1])
    return found


def _callability(meta: list[str]) -> Callability | None:
    stated = [line.partition("=")[2] for line in meta if line.startswith("##omic_callability=")]
    if not stated:
        return None
    for known in CALLABILITIES:
        if set(stated) == {known}:
            return known
    raise IngestError(
        f"##omic_callability must be one of {', '.join(CALLABILITIES)}",
        code="bad_header",
        where="header",
    )


def pick_sample(samples: tuple[str, ...], wanted: str | None) -> int:
    """Return the index of the sample to read.

    Raises IngestError ``no_sample``, ``several_samples``, ``unknown_sample``.
    """
    if not samples:
        raise IngestError(
            "the file has no sample column: it lists variants of nobody", code="no_sample"
        )
    if wanted is None and len(samples) > 1:
        raise IngestError(
            f"the file holds {len(samples)} samples; say which one is meant (sample=NAME), or "
            "split it (bcftools +split)",
            code="several_samples",
        )
    if wanted is not None and wanted not in samples:
        raise IngestError("no sample of that name is in the file", code="unknown_sample")
    return samples.index(wanted) if wanted is not None else 0


def settle_callability(
    declared: Callability | None, asked: Callability | None, *, gvcf: bool
) -> Callability:
    """Combine what the header declares, what the owner says, and what the records show.

    A file that says nothing is ``variant-only``: absence is then not evidence of hom-ref.
    """
    if declared and asked and declared != asked:
        raise IngestError(
            f"the header declares callability {declared}, you say {asked}",
            code="callability_conflict",
            where="header",
        )
    if gvcf and (declared or asked) in {"all-sites", "array-manifest"}:
        raise IngestError(
            "a gVCF (<NON_REF> blocks) cannot be declared all-sites", code="callability_conflict"
        )
    return declared or asked or ("gvcf-blocks" if gvcf else "variant-only")


def parse_vcf(
    text: str, *, sample: str | None, callability: Callability | None, limits: Limits
) -> Genotypes:
    """Parse one sample of a VCF text into Genotypes. Raises IngestError naming the line."""
    text = text.removeprefix("\ufeff")
    header, offset = split_header(text, limits)
    index = pick_sample(header.samples, sample)
    collector = Collector(detect_build(header.contigs), limits, "line")
    _read_records(text, offset, header, index, collector)
    settled = settle_callability(header.callability, callability, gvcf=collector.gvcf)
    return collector.finish(header.samples[index], settled)


def _read_records(text: str, offset: int, header: Header, index: int, collector: Collector) -> None:
    if text and not text.endswith("\n"):
        last = text.count("\n") + 1
        raise IngestError(
            "the last line does not end: the file is cut short",
            code="truncated",
            where=f"line {last}",
        )
    width = 9 + len(header.samples)
    calls: dict[str, Call] = {}
    number = header.lines
    for line in _lines(text, offset):
        number += 1
        collector.number = number
        try:
            read_record(line, index + 9, width, calls, collector)
        except IngestError as error:
            raise IngestError(error.reason, code=error.code, where=f"line {number}") from None


def _lines(text: str, at: int) -> Iterator[str]:
    """Yield lines one by one: a list of them all would double a genome's memory."""
    while (end := text.find("\n", at)) >= 0:
        yield text[at:end]
        at = end + 1


def read_record(
    line: str, column: int, width: int, calls: dict[str, Call], collector: Collector
) -> None:
    """Read one record into the collector; calls: GTs read before. Raises IngestError."""
    read_fields(line.split("\t"), column, width, calls, collector)


def read_fields(
    fields: list[str], column: int, width: int, calls: dict[str, Call], collector: Collector
) -> None:
    """Read one record's columns into the collector. Raises IngestError."""
    if len(fields) != width:
        raise IngestError(
            f"{len(fields)} tab-separated columns where the header promises {width}",
            code="bad_record",
        )
    contig, pos, _, ref, alt, _, flt, info, fmt = fields[:9]
    check_position(pos)
    if flt not in {"PASS", "."}:
        call: Call = "filtered"
    elif fmt == "GT" or fmt.startswith("GT:"):
        gt = fields[column].rstrip("\r").partition(":")[0]
        known = calls.get(gt)
        if known is None:
            known = calls[gt] = parse_gt(gt)
        call = known
    else:
        call = "no_genotype"
    if is_block(alt, info):
        end = _block_end(info, int(pos), ref)
        doubt = _doubt(fmt, fields[column].rstrip("\r"))
        collector.add_block(contig, int(pos), end, ref, call, doubt)
    else:
        collector.add(contig, int(pos), ref, alt, call)


def check_position(pos: str) -> None:
    """Refuse a POS that is no whole number. Raises IngestError ``bad_position``."""
    if not (pos.isascii() and pos.isdigit() and len(pos) <= 10):
        raise IngestError("POS is not a whole number", code="bad_position")


def _block_end(info: str, pos: int, ref: str) -> int:
    """Return a block's last base: INFO/END, or the end of REF."""
    if info == "." or "END=" not in info:
        return pos + len(ref) - 1
    found = _END.search(info)
    if not found:
        raise IngestError("INFO/END is not a whole number", code="bad_block")
    return int(found[1])


def _doubt(fmt: str, sample: str) -> str | None:
    """Return why a block's own quality does not support it: GQ, else MIN_DP or DP."""
    cells = dict(zip(fmt.split(":"), sample.split(":"), strict=False))
    depth = cells.get("MIN_DP", cells.get("DP", "."))
    return block_quality(_whole(cells.get("GQ", ".")), _whole(depth))


def _whole(text: str) -> int | None:
    if text in {"", "."}:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise IngestError("a quality or depth is not a whole number", code="bad_block")
    return int(text)
