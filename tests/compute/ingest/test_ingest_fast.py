"""The column reader gives, or refuses, exactly what the strict reader does."""

import gzip
import zlib
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compute.errors import IngestError
from compute.ingest import vcf_columns
from compute.ingest.source import decode, inflate
from compute.ingest.vcf import parse_vcf
from compute.ingest.vcf_fast import parse_vcf_bytes
from compute.parsed import DEFAULT_LIMITS

HEAD = (
    "##fileformat=VCFv4.2\n##contig=<ID=chr1,length=248956422>\n##contig=<ID=chr2,length=242193529>\n"
    "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tA\tB\n"
)
FIELD = {
    "contig": st.sampled_from(["chr1", "chr1", "chr1", "chr2", "2", "chrX", "chrUn_x", ""]),
    "pos": st.sampled_from([*map(str, range(1, 12)), "0", "248956423", "x", "", "01", "9999999999"]),
    "ref": st.sampled_from(["A", "A", "C", "AC", "a", "N", "<X>", "", "R"]),
    "alt": st.sampled_from(["G", "G", "T", "GT", "G,T", "g", ".", "*", "<NON_REF>", "A", "", "AC"]),
    "filter": st.sampled_from(["PASS", ".", "LowQual", "PASS;q", ""]),
    "info": st.sampled_from([".", "END=5", "AC=1;END=3", "END=x", "DP=3"]),
    "format": st.sampled_from(["GT", "GT:DP", "GT:GQ", "DP", "GTX", "DP:GT", ""]),
    "gt": st.sampled_from(["0/1", "1|1", "0/0", "./.", "0", "1", ".", "0/2", "./1", "1/1:3", "0/1/1",
                           "0|1:30", "/1", "x", "", "2/1", "10/1", "0/1\r"]),
}  # fmt: skip
LINE = st.tuples(*FIELD.values(), FIELD["gt"]).map(
    lambda v: "\t".join([v[0], v[1], "id", v[2], v[3], "9", *v[4:]])
)
GOOD = st.builds(
    lambda pos, ref, alt, gt: f"chr1\t{pos}\t.\t{ref}\t{alt}\t.\tPASS\t.\tGT\t{gt}\t{gt}",
    st.integers(1, 60),
    st.sampled_from(["A", "C", "AC"]),
    st.sampled_from(["G", "T", "GG", "G,T", "."]),
    st.sampled_from(["0/1", "1|1", "./.", "0", "1/1"]),
)


def outcome(read):
    try:
        found = read()
    except IngestError as error:
        return error.code, error.reason, error.where
    if found is None:
        return None
    return {field.name: listed(getattr(found, field.name)) for field in fields(found)}


def listed(value):
    if isinstance(value, np.ndarray):
        return value.dtype, value.tolist()
    if value is not None and hasattr(value, "start"):
        return [getattr(value, name).tolist() for name in ("contig", "start", "end", "ploidy")]
    return value


def both(data, sample="A"):
    options = {"sample": sample, "callability": None, "limits": DEFAULT_LIMITS}
    fast = outcome(lambda: parse_vcf_bytes(data, **options))
    strict = outcome(lambda: parse_vcf(decode(data), **options))
    if fast is not None:
        assert fast == strict
    return fast


@given(st.lists(st.one_of(GOOD, GOOD, LINE), max_size=12), st.sampled_from(["A", "B"]))
@settings(deadline=None, max_examples=300)
def test_the_same_rows_or_the_same_refusal(lines, sample):
    both((HEAD + "".join(line + "\n" for line in lines)).encode(), sample)


@given(st.lists(GOOD, min_size=1, max_size=40), st.sampled_from([64, 200, 8 << 20]))
@settings(deadline=None, max_examples=100)
def test_pieces_join_where_lines_end(lines, piece):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vcf_columns, "PIECE", piece)
        assert both((HEAD + "".join(line + "\n" for line in lines)).encode()) is not None


@pytest.mark.parametrize("mark", ["\0", "é", "\ufeff"])
def test_text_that_is_not_plain_is_left_to_the_strict_reader(mark):
    line = f"chr1\t5\t{mark}\tA\tG\t.\tPASS\t.\tGT\t0/1\t0/1\n"
    assert both((HEAD + line).encode()) is None if mark != "\0" else True
    options = {"sample": "A", "callability": None, "limits": DEFAULT_LIMITS}
    assert parse_vcf_bytes((HEAD + line).encode(), **options) is None


def test_ragged_and_cut_files_are_left_to_the_strict_reader():
    line = "chr1\t5\t.\tA\tG\t.\tPASS\t.\tGT\t0/1\t0/1\n"
    options = {"sample": "A", "callability": None, "limits": DEFAULT_LIMITS}
    for body in (line + "chr1\t6\n", line[:-1], line + "\n"):
        assert parse_vcf_bytes((HEAD + body).encode(), **options) is None


def test_real_files_are_read_alike():
    read = 0
    for path in Path(__file__).parents[2].rglob("*.vcf*"):
        if path.name.endswith((".vcf", ".vcf.gz")):
            plain = inflate(path.read_bytes(), DEFAULT_LIMITS)
            read += both(plain, None) is not None
    assert read > 0


def test_inflating_names_what_is_wrong_whichever_library_does_it():
    good = gzip.compress(b"hello" * 1000)
    assert inflate(good, DEFAULT_LIMITS) == b"hello" * 1000
    assert inflate(good * 3, DEFAULT_LIMITS) == b"hello" * 3000
    for bad, code in ((good[:-9], "truncated"), (good[:20] + b"\xff" * 30, "damaged"),
                      (good[:-8] + bytes(8), "damaged")):  # fmt: skip
        with pytest.raises(IngestError) as refused:
            inflate(bad, DEFAULT_LIMITS)
        assert refused.value.code == code
    assert zlib.decompress(good, 31) == b"hello" * 1000
