r"""One person's genotypes in a compact file of our own: what a split or a settled file becomes.

    "OMICGT1\n" | u32 length of head | head (JSON) | parts

A part of a study of 200,000 variants is 6 MB as a VCF and 0.4 MB so; the table of sites is the same
bytes in every participant's file and is made once. Parts, in this order, integers little-endian:

    sites    zlib: u32 rows of each contig (25); the steps from position to position as four planes
             of bytes, lowest first (first step from 0, anew on each contig); a byte an allele pair
             (4 x REF + ALT of "ACGT", 255 other); the other pairs as lines REF<TAB>ALT
    calls    two bits a row, lowest first: copies of ALT, 3 no call
    haploid  zlib: a bit a row, lowest first: called on one copy (only where there is one)
    covered  zlib: stretches as contig i1, ploidy i1, start i4, end i4 (only where stated)

Rows are sorted by contig, position, REF, ALT and none stands twice. `parse_packed` trusts nothing.
"""

from __future__ import annotations

import json
import re
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast, get_args

import numpy as np
import numpy.typing as npt

from compute.builds import CONTIGS, LENGTHS, Build
from compute.coverage import place
from compute.errors import IngestError
from compute.ingest.vcf import settle_callability
from compute.parsed import CALLABILITIES, Callability, Genotypes, Int8, Int32, Intervals, Limits

MAGIC: Final = b"OMICGT1\n"
OTHER: Final = 255
NO_CALL_CODE: Final = 3
_MAX_HEAD: Final = 1 << 20
_PARTS: Final = ("sites", "calls", "haploid", "covered")
_PAIRS: Final = tuple((ref, alt) for ref in "ACGT" for alt in "ACGT")
_PAIR_CODE: Final = {pair: code for code, pair in enumerate(_PAIRS)}
_OTHER_PAIR: Final = re.compile(r"([ACGTN]+)\t([ACGTN]+|\.)\Z")
_SHIFTS: Final = np.array([0, 2, 4, 6], np.uint8)

Octets = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Sites:
    """A table of sites, packed: rows, and the bytes of its part before and after zlib."""

    rows: int
    plain: int
    packed: bytes


def pack_sites(contig: Int8, pos: Int32, code: Octets, others: Sequence[tuple[str, str]]) -> Sites:
    """Pack sorted sites; code: `pair_code` of each row, others: the pairs of its OTHER rows."""
    counts = np.bincount(contig, minlength=len(CONTIGS)).astype("<u4")
    step = np.diff(pos, prepend=0).astype(np.int64)
    first = np.flatnonzero(np.diff(contig, prepend=-1))
    step[first] = pos[first]
    planes = step.astype("<u4").view(np.uint8).reshape(-1, 4).T
    lines = "".join(f"{ref}\t{alt}\n" for ref, alt in others).encode()
    plain = b"".join([counts.tobytes(), planes.tobytes(), code.tobytes(), lines])
    return Sites(len(pos), len(plain), zlib.compress(plain, 6))


def pair_code(ref: str, alt: str) -> int:
    """Return the byte of an allele pair."""
    return _PAIR_CODE.get((ref, alt), OTHER)


def pack_calls(code: Octets) -> bytes:
    """Return two-bit codes (copies of ALT, 3 no call) as the part has them."""
    padded = np.zeros(-(-len(code) // 4) * 4, np.uint8)
    padded[: len(code)] = code
    return cast("bytes", (padded.reshape(-1, 4) << _SHIFTS).sum(1, dtype=np.uint8).tobytes())


def assemble(
    head: Mapping[str, Any], sites: Sites, calls: bytes, haploid: npt.NDArray[np.bool_] | None,
    covered: Intervals | None = None,
) -> bytes:  # fmt: skip
    """Return a whole file. head: build, callability, records, skipped, no_calls."""
    parts = [("sites", sites.packed, sites.plain), ("calls", calls, len(calls))]
    if haploid is not None and haploid.any():
        parts.append(_zipped("haploid", np.packbits(haploid, bitorder="little").tobytes()))
    if covered is not None:
        parts.append(_zipped("covered", _stretches(covered)))
    sizes = [[name, len(data), plain] for name, data, plain in parts]
    stated = {**head, "rows": sites.rows, "parts": sizes}
    text = json.dumps(stated, separators=(",", ":")).encode()
    return b"".join([MAGIC, struct.pack("<I", len(text)), text, *(data for _, data, _ in parts)])


def write_packed(g: Genotypes) -> bytes:
    """Return genotypes as the file to encrypt; `parse_packed` gives them back, but for the name."""
    code = np.array([pair_code(*pair) for pair in zip(g.ref, g.alt, strict=True)], np.uint8)
    others = [(g.ref[at], g.alt[at]) for at in np.flatnonzero(code == OTHER).tolist()]
    calls = np.where(g.ploidy > 0, g.dosage, NO_CALL_CODE).astype(np.uint8)
    head = {"build": g.build, "callability": g.callability, "records": g.records,
            "skipped": dict(g.skipped), "no_calls": dict(g.no_calls)}  # fmt: skip
    sites = pack_sites(g.contig, g.pos, code, others)
    return assemble(head, sites, pack_calls(calls), g.ploidy == 1, g.covered)


def _zipped(name: str, data: bytes) -> tuple[str, bytes, int]:
    return name, zlib.compress(data, 6), len(data)


def _stretches(c: Intervals) -> bytes:
    columns = (c.contig, c.ploidy, c.start.astype("<i4"), c.end.astype("<i4"))
    return b"".join(column.tobytes() for column in columns)


def is_packed(plain: bytes) -> bool:
    """Tell whether inflated bytes are such a file."""
    return plain.startswith(MAGIC)


def parse_packed(plain: bytes, *, callability: Callability | None, limits: Limits) -> Genotypes:
    """Parse such a file. Raises IngestError ``bad_packed``, ``truncated``, ``too_many_records``."""
    try:
        return _parse(plain, callability, limits)
    except IngestError:
        raise
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError, zlib.error) as error:
        raise _bad("its parts do not fit together") from error


def _parse(plain: bytes, callability: Callability | None, limits: Limits) -> Genotypes:
    head, parts = _open(plain, limits)
    rows = _whole(head["rows"])
    declared: Callability = _one_of(CALLABILITIES, head["callability"])
    build: Build = _one_of(get_args(Build), head["build"])
    contig, pos, ref, alt = _sites(parts["sites"], rows, build)
    code, ploidy = _calls(parts["calls"], parts.get("haploid"), rows)
    return Genotypes(
        sample="sample", build=build,
        callability=settle_callability(declared, callability, gvcf=False),
        contig=contig, pos=pos, ref=ref, alt=alt, dosage=code, ploidy=ploidy,
        records=_whole(head["records"]), skipped=_counts(head["skipped"]),
        no_calls=_counts(head["no_calls"]),
        covered=_covered(parts["covered"], build) if "covered" in parts else None,
    )  # fmt: skip


def _open(plain: bytes, limits: Limits) -> tuple[dict[str, Any], dict[str, bytes]]:
    if len(plain) < 12 or len(plain) < 12 + struct.unpack_from("<I", plain, 8)[0]:
        raise IngestError("the file is cut short in its head", code="truncated")
    (size,) = struct.unpack_from("<I", plain, 8)
    if size > _MAX_HEAD:
        raise _bad("its head is too large")
    head = json.loads(plain[12 : 12 + size])
    if _whole(head["rows"]) > limits.max_records:
        raise IngestError(f"more than {limits.max_records} sites", code="too_many_records")
    names = [name for name, _, _ in head["parts"]]
    if names != [name for name in _PARTS if name in names] or not {"sites", "calls"} <= set(names):
        raise _bad("it lacks a part, or names one that is not known")
    return head, _inflated(plain, 12 + size, head["rows"], head["parts"], limits)


def _inflated(
    plain: bytes, at: int, rows: int, parts: list[Any], limits: Limits
) -> dict[str, bytes]:
    end = at + sum(_whole(size) for _, size, _ in parts)
    if len(plain) != end:
        code = "truncated" if len(plain) < end else "bad_packed"
        raise IngestError("the file is shorter or longer than its head says", code=code)
    # Of regular sites almost nothing is left; the calls beside them are never packed that far.
    room = {"sites": 100 + 9 * rows, "haploid": rows // 8 + 1, "covered": 10 * limits.max_intervals}
    found = {}
    for name, size, stated in parts:
        data = plain[at : at + size]
        at += size
        if name != "calls":
            if _whole(stated) > size * limits.max_ratio + room[name]:
                raise IngestError("a part inflates to far more than its size", code="bomb")
            data = zlib.decompressobj().decompress(data, stated + 1)
        if len(data) != stated:
            raise _bad(f"its part {name} has another length than stated")
        found[name] = data
    return found


def _sites(
    data: bytes, rows: int, build: Build
) -> tuple[Int8, Int32, tuple[str, ...], tuple[str, ...]]:
    counts = np.frombuffer(data, "<u4", len(CONTIGS)).astype(np.int64)
    head = 4 * len(CONTIGS)
    if counts.sum() != rows or len(data) < head + 5 * rows:
        raise _bad("its table of sites does not hold the rows stated")
    planes = np.frombuffer(data, np.uint8, 4 * rows, head).reshape(4, rows)
    step = np.ascontiguousarray(planes.T).view("<u4").reshape(-1)
    code = np.frombuffer(data, np.uint8, rows, head + 4 * rows)
    ref, alt = _alleles(code, data[head + 5 * rows :].decode("ascii"))
    _refuse_repeated(step, counts, ref, alt)
    contig = np.repeat(np.arange(len(CONTIGS), dtype=np.int8), counts)
    return contig, _positions(step, counts, build), ref, alt


def _positions(step: npt.NDArray[np.uint32], counts: npt.NDArray[np.int64], build: Build) -> Int32:
    """Return positions: steps never go back, so each contig's first and last tell its range."""
    found, at = np.empty(len(step), np.int32), 0
    for length, count in zip(LENGTHS[build], counts.tolist(), strict=True):
        if count:
            pos = np.cumsum(step[at : at + count], dtype=np.int64)
            if pos[0] < 1 or pos[-1] > length:
                raise _bad("a position lies outside its chromosome")
            found[at : at + count] = pos
        at += count
    return found


def _refuse_repeated(
    step: npt.NDArray[np.uint32], counts: npt.NDArray[np.int64],
    ref: tuple[str, ...], alt: tuple[str, ...],
) -> None:  # fmt: skip
    tied = step == 0
    starts = (np.cumsum(counts) - counts)[counts > 0]
    tied[starts] = False
    for row in np.flatnonzero(tied).tolist():
        if (ref[row - 1], alt[row - 1]) >= (ref[row], alt[row]):
            raise _bad("a variant stands twice, or its sites are not sorted")


def _alleles(code: Octets, lines: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if (((code >= len(_PAIRS)) & (code != OTHER)) | (code % 5 == 0) & (code != OTHER)).any():
        raise _bad("an allele pair is not known")  # 0, 5, 10 and 15 are a base and itself
    known = np.array([*(r for r, _ in _PAIRS)], object), np.array([*(a for _, a in _PAIRS)], object)
    ref, alt = (table[np.minimum(code, 15)] for table in known)
    places = np.flatnonzero(code == OTHER).tolist()
    pairs = [_OTHER_PAIR.match(line) for line in lines.split("\n")[:-1]]
    if len(pairs) != len(places) or (lines and not lines.endswith("\n")):
        raise _bad("it lists another number of alleles than rows that need them")
    for at, pair in zip(places, pairs, strict=True):
        if pair is None or pair[1] == pair[2] or pair.groups() in _PAIR_CODE:
            raise _bad("an allele is not made of A, C, G, T, N, or equals REF")
        ref[at], alt[at] = pair[1], pair[2]
    return tuple(ref.tolist()), tuple(alt.tolist())


def _calls(calls: bytes, haploid: bytes | None, rows: int) -> tuple[Int8, Int8]:
    if len(calls) != -(-rows // 4):
        raise _bad("its calls are not one for each row")
    packed = np.frombuffer(calls, np.uint8)
    code = ((packed[:, None] >> _SHIFTS) & 3).reshape(-1)[:rows].astype(np.int8)
    called = code != NO_CALL_CODE
    single = np.zeros(rows, np.bool_)
    if haploid is not None:
        if len(haploid) != -(-rows // 8):
            raise _bad("its marks of single copies are not one for each row")
        bits = np.unpackbits(np.frombuffer(haploid, np.uint8), count=rows, bitorder="little")
        single = bits.astype(np.bool_)
    if (single & (code > 1)).any():
        raise _bad("a call on one copy has two, or is none")
    ploidy = np.where(called, np.where(single, 1, 2), 0).astype(np.int8)
    return np.where(called, code, -1).astype(np.int8), ploidy


def _covered(data: bytes, build: Build) -> Intervals:
    count, rest = divmod(len(data), 10)
    if rest:
        raise _bad("its stretches are cut")
    contig, ploidy = (np.frombuffer(data, np.int8, count, at * count) for at in (0, 1))
    start, end = (np.frombuffer(data, "<i4", count, at * count) for at in (2, 6))
    if ((contig < 0) | (contig >= len(CONTIGS)) | ((ploidy != 1) & (ploidy != 2))).any():
        raise _bad("a stretch is of no contig or ploidy")
    lengths = np.array(LENGTHS[build], np.int64)
    first, last = place(contig, start), place(contig, end)
    if ((start < 1) | (end < start) | (end > lengths[contig])).any():
        raise _bad("a stretch lies outside its chromosome")
    if (first[1:] <= last[:-1]).any():
        raise _bad("its stretches overlap or are not sorted")
    return Intervals(contig, start.astype(np.int32), end.astype(np.int32), ploidy)


def _one_of(known: Sequence[Any], value: Any) -> Any:
    if value not in known:
        raise _bad("its head states no known build or callability")
    return value


def _whole(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 53:
        raise _bad("a number in its head is not a count")
    return value


def _counts(value: Any) -> dict[str, int]:
    if not isinstance(value, dict) or len(value) > 100:
        raise _bad("its counts are no table")
    if any(len(key) > 60 or not key.isidentifier() for key in value):
        raise _bad("a reason in its counts is no name")
    return {str(key): _whole(number) for key, number in value.items()}


def _bad(what: str) -> IngestError:
    return IngestError(f"the packed genotypes are damaged: {what}", code="bad_packed")
