"""gVCF reference blocks and callable regions: covered hom-ref is told from not covered."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute.builds import CONTIG_CODE
from compute.ingest import (
    Hints,
    Limits,
    ParserHost,
    content_digest,
    covered,
    inspect,
    pack_regions,
    parse,
    reference_ploidy,
)
from compute.ingest.intervals import IntervalBuilder
from tests.compute.ingest.real import real, refused
from tests.compute.ingest.vcf_text import bcf, vcf

CODE = {name: CONTIG_CODE[name] for name in ("1", "2", "22", "X", "MT")}
META = (
    '##INFO=<ID=END,Number=1,Type=Integer,Description="end">',
    '##FORMAT=<ID=GQ,Number=1,Type=Integer,Description="quality">',
    '##FORMAT=<ID=MIN_DP,Number=1,Type=Integer,Description="depth">',
    '##ALT=<ID=NON_REF,Description="any other">',
)


def gvcf(*records):
    """Records: (chrom, pos, ref, alt, info, "GT:GQ" cells)."""
    rows = [
        "\t".join(
            [c, str(p), ".", r, a, ".", "PASS", i, "GT:GQ:DP"[: 5 + 3 * (s.count(":") > 1)], s]
        )
        for c, p, r, a, i, s in records
    ]
    return vcf(meta=META) + ("\n".join(rows) + "\n").encode()


def at(person, *places, span=None):
    contig = np.array([CODE[c] for c, _ in places], np.int8)
    pos = np.array([p for _, p in places], np.int32)
    widths = None if span is None else np.array(span)
    return covered(person, contig, pos, widths).tolist()


BLOCKS = gvcf(
    ("1", 100, "A", "<NON_REF>", "END=199", "0/0:60"),
    ("1", 200, "C", "G,<NON_REF>", ".", "0/1:99"),
    ("1", 201, "T", "<NON_REF>", "END=250", "0/0:10"),
    ("1", 251, "T", "<NON_REF>", "END=300", "0/0:20"),
    ("1", 301, "T", "<NON_REF>", "END=400", "0/0:40"),
    ("1", 401, "T", "<NON_REF>", "END=500", "./.:0"),
    ("X", 5_000_000, "T", "<NON_REF>", "END=5000009", "0:99"),
)


def test_blocks_say_where_the_reference_was_seen(tmp_path):
    for data in (BLOCKS, bcf(BLOCKS, tmp_path)):
        g = parse(data, "genotypes", "g")
        assert g.callability == "gvcf-blocks"
        c = g.covered
        assert list(zip(c.contig.tolist(), c.start.tolist(), c.end.tolist(), c.ploidy.tolist(),
                        strict=True)) == [
            (0, 100, 199, 2), (0, 251, 400, 2), (CODE["X"], 5_000_000, 5_000_009, 1),
        ]  # fmt: skip
        assert dict(g.no_calls) == {"block_low_quality": 1, "missing": 1}
        assert dict(g.skipped) == {}
        assert g.alt == ("G",)


def test_covered_hom_ref_is_not_the_same_as_not_covered():
    g = parse(BLOCKS, "genotypes", "g")
    places = (("1", 99), ("1", 100), ("1", 199), ("1", 200), ("1", 220), ("1", 300), ("1", 450),
              ("2", 150), ("X", 5_000_005))  # fmt: skip
    assert at(g, *places) == [False, True, True, True, False, True, False, False, True]
    assert at(g, ("1", 198), ("1", 198), span=[2, 3]) == [True, False]  # a deletion must fit whole
    x = reference_ploidy(g, np.array([CODE["X"]], np.int8), np.array([5_000_000], np.int32))
    assert x.tolist() == [1]


def test_a_real_gvcf():
    g = parse(real("HG00187.hg38.g.vcf.gz"), "genotypes", "g")
    assert (g.build, g.callability, g.records) == ("GRCh38", "gvcf-blocks", 1000)
    summary = inspect(real("HG00187.hg38.g.vcf.gz"), "genotypes", "g")
    assert (summary.variants, summary.covered_bases) == (41, 983)
    assert summary.no_calls == {"block_low_quality": 726}
    # The blocks of depth 0 that the file opens with are written 0/0 and cover nothing.
    assert at(g, ("22", 10_510_001), ("22", 10_571_576)) == [False, False]
    lines = gzip.decompress(real("HG00187.hg38.g.vcf.gz")).decode().splitlines()
    strong = [f for line in lines if line[0] != "#" and (f := line.split("\t"))[4] == "<NON_REF>"
              and int(f[9].split(":")[2]) >= 20]  # fmt: skip
    assert len(strong) > 40
    assert all(at(g, *(("22", int(f[1])) for f in strong)))
    assert sum(int(f[7][4:]) - int(f[1]) + 1 for f in strong) == 983


@pytest.mark.parametrize(
    ("record", "code"),
    [
        (("1", 100, "A", "<NON_REF>", "END=99", "0/0:60"), "bad_position"),
        (("1", 100, "A", "<NON_REF>", "END=999999999", "0/0:60"), "bad_position"),
        (("1", 100, "A", "<NON_REF>", "END=x", "0/0:60"), "bad_block"),
        (("1", 100, "A", "<NON_REF>", "END=120", "0/0:many"), "bad_block"),
        (("1", 100, "R", "<NON_REF>", "END=120", "0/0:60"), "bad_allele"),
        (("1", 150, "A", "<NON_REF>", "END=220", "0:60"), "bad_block"),
    ],
)
def test_bad_blocks(record, code):
    first = ("1", 100, "A", "<NON_REF>", "END=199", "0/0:60")
    assert refused(gvcf(first, record), "genotypes").code == code


def test_a_gvcf_is_not_all_sites():
    assert refused(BLOCKS, "genotypes", callability="all-sites").code == "callability_conflict"


BED = b"track name=x\nchr1\t99\t300\nchr1\t300\t400\tname\nGL1\t0\t5\nX\t10\t20\nMT\t0\t10\n"
VARIANTS = vcf(("1", 120, "A", "G", "0/1"), ("1", 150, "A", "G", "./."), ("X", 3_000_000, "C", "T", "1"),
               meta=())  # fmt: skip


def test_callable_regions_beside_a_variant_only_file():
    plain = parse(VARIANTS, "genotypes", "g")
    assert plain.callability == "variant-only"
    assert at(plain, ("1", 120), ("1", 130)) == [False, False]
    packed = pack_regions(VARIANTS, "me.vcf", BED)
    for g in (parse(VARIANTS, "genotypes", "g", hints=Hints(regions=BED)),
              parse(packed, "genotypes", "g")):  # fmt: skip
        assert g.callability == "variant-only"
        assert at(g, ("1", 99), ("1", 100), ("1", 150), ("1", 400), ("1", 401), ("X", 15)) == [
            False, True, False, True, False, True,
        ]  # fmt: skip
        assert dict(g.skipped) == {"other_contig_region": 1, "region_ploidy_unknown": 1}
        assert g.covered.ploidy.tolist() == [2, 1]  # one X, as this person's own calls say
    assert inspect(packed, "genotypes", "g").covered_bases == 311


@pytest.mark.parametrize(
    ("bed", "code"),
    [
        (b"1\t5\t5\n", "bad_regions"),
        (b"1\t5\t999999999\n", "bad_regions"),
        (b"1\t-5\t9\n", "bad_regions"),
        (b"1 5 9\n", "bad_regions"),
        (b"GL1\t5\t9\n", "bad_regions"),
        (b"1\t5\t9", "truncated"),
        (b"\xff\n", "bad_utf8"),
    ],
)
def test_bad_regions(bed, code):
    assert refused(VARIANTS, "genotypes", hints=Hints(regions=bed)).code == code


def test_regions_belong_to_variant_only_files():
    hints = Hints(regions=b"1\t5\t9\n")
    assert refused(BLOCKS, "genotypes", hints=hints).code == "callability_conflict"
    packed = pack_regions(VARIANTS, "me.vcf", BED)
    assert refused(packed, "genotypes", hints=hints).code == "hint_conflict"


def test_too_many_stretches():
    bed = b"".join(b"1\t%d\t%d\n" % (10 * i, 10 * i + 2) for i in range(1, 20))
    limits = Limits(max_intervals=5)
    error = refused(VARIANTS, "genotypes", hints=Hints(regions=bed), limits=limits)
    assert error.code == "too_many_records"


def test_the_confined_child_answers_the_same():
    with ParserHost() as host:
        for data, hints in ((BLOCKS, Hints()), (VARIANTS, Hints(regions=BED)),
                            (pack_regions(VARIANTS, "v.vcf", BED), Hints())):  # fmt: skip
            here, there = (
                parse(data, "genotypes", "x", hints=hints),
                host.parse(data, "genotypes", "x", hints=hints),
            )
            assert content_digest(here) == content_digest(there)
            assert there.covered.end.tolist() == here.covered.end.tolist()


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 300), st.integers(0, 40)), max_size=40))
def test_stretches_cover_exactly_what_was_added(pieces):
    builder = IntervalBuilder(Limits())
    truth = set()
    for contig, start, length in pieces:
        builder.add(contig, start, start + length, 2)
        truth |= {(contig, p) for p in range(start, start + length + 1)}
    found = builder.finish()
    bases = {
        (c, p)
        for c, s, e in zip(found.contig.tolist(), found.start.tolist(), found.end.tolist(),
                           strict=True)
        for p in range(s, e + 1)
    }  # fmt: skip
    assert bases == truth
    assert found.bases() == len(truth)  # disjoint: no base counted twice
