"""X, Y and MT: one copy written twice is one copy, by build, sex and pseudo-autosomal region."""

from __future__ import annotations

import pytest

from compute.ingest import ParserHost, content_digest, parse, split_vcf, write_packed
from compute.ingest.sex import PAR_X
from tests.compute.ingest.vcf_text import vcf

X37 = {"1": 249250621, "X": 155270560, "Y": 59373566, "MT": 16569}
X38 = {"1": 248956422, "X": 156040895, "Y": 57227415, "MT": 16569}
BUILDS = {"GRCh37": X37, "GRCh38": X38}
MALE = tuple(("X", 5_000_000 + n, "A", "G", "1/1" if n % 3 else "0/0") for n in range(400))
FEMALE = tuple(("X", 5_000_000 + n, "A", "G", "0/1" if n % 3 else "0/0") for n in range(400))


def calls(data):
    g = parse(data, "genotypes", "x")
    at = ("X", "Y", "MT")
    rows = zip(
        g.contig.tolist(), g.pos.tolist(), g.alt, g.dosage.tolist(), g.ploidy.tolist(), strict=True
    )
    return {(at[c - 22], pos, alt): (d, p) for c, pos, alt, d, p in rows if c >= 22}, g


@pytest.mark.parametrize("build", BUILDS)
def test_a_mans_x_is_one_copy_outside_par(build):
    (first, last), (second, end) = PAR_X[build]
    edges = (first - 1, first, last, last + 1, second - 1, second, end, end + 1)
    extra = tuple(("X", pos, "A", "G", "1/1") for pos in edges)
    found, g = calls(vcf(*MALE, *extra, contigs=BUILDS[build]))
    one, two = (1, 1), (2, 2)
    assert [found["X", pos, "G"] for pos in edges] == [one, two, two, one, one, two, two, one]
    assert g.build == build


def test_two_alleles_of_one_copy_are_no_call_and_a_split_site_is_judged_whole():
    rows = (("X", 9_000_000, "A", "G,T", "0/2"), ("X", 9_000_001, "A", "G,T", "2/2"),
            ("X", 9_000_002, "A", "G", "0/1"), ("X", 9_000_003, "A", "G", "1"),
            ("X", 9_000_004, "A", "G", "./."))  # fmt: skip
    found, g = calls(vcf(*MALE, *rows))
    none = (-1, 0)
    assert found["X", 9_000_000, "G"] == found["X", 9_000_000, "T"] == none
    assert (found["X", 9_000_001, "G"], found["X", 9_000_001, "T"]) == ((0, 1), (1, 1))
    assert found["X", 9_000_002, "G"] == none and found["X", 9_000_003, "G"] == (1, 1)
    assert g.no_calls == {"two_alleles_of_one_copy": 2, "missing": 1}


def test_a_womans_x_stays_and_her_y_is_no_call():
    rows = (
        ("Y", 5_000_000, "A", "G", "0/0"),
        ("MT", 5, "A", "G", "1/1"),
        ("MT", 6, "A", "G", "0/1"),
    )
    found, g = calls(vcf(*FEMALE, *rows, contigs=X37))
    assert found["X", 5_000_001, "G"] == (1, 2) and found["Y", 5_000_000, "G"] == (-1, 0)
    assert (found["MT", 5, "G"], found["MT", 6, "G"]) == ((1, 1), (-1, 0))
    assert g.no_calls == {"y_of_a_woman": 1, "two_alleles_of_one_copy": 1}


def test_where_x_does_not_decide_only_y_and_mt_are_one_copy():
    found, _ = calls(
        vcf(("X", 9_000_000, "A", "G", "0/1"), ("Y", 5_000_000, "A", "G", "1/1"), contigs=X37)
    )
    assert (found["X", 9_000_000, "G"], found["Y", 5_000_000, "G"]) == ((1, 2), (1, 1))


def test_reference_blocks_of_a_mans_x_are_cut_at_par():
    (_, last), (second, _) = PAR_X["GRCh37"]
    head = vcf(*MALE, meta=('##INFO=<ID=END,Number=1,Type=Integer,Description="x">',), contigs=X37)
    block = f"X\t{last - 9}\t.\tA\t<NON_REF>\t.\tPASS\tEND={last + 10}\tGT:GQ\t0/0:99\n"
    block += f"X\t{second}\t.\tA\t<NON_REF>\t.\tPASS\tEND={second + 4}\tGT:GQ\t0/0:99\n"
    block += "MT\t100\t.\tA\t<NON_REF>\t.\tPASS\tEND=200\tGT:GQ\t0/0:99\n"
    g = parse(head + block.encode(), "genotypes", "x")
    c = g.covered
    assert list(zip(c.start.tolist(), c.end.tolist(), c.ploidy.tolist(), strict=True)) == [
        (last - 9, last, 2), (last + 1, last + 10, 1), (second, second + 4, 2), (100, 200, 1)]  # fmt: skip
    assert content_digest(parse(write_packed(g), "genotypes", "x")) == content_digest(g)


def test_a_split_part_and_the_confined_child_say_the_same():
    rows = (("X", 9_000_000, "A", "G,T", "0/2"), ("Y", 5_000_000, "A", "G", "1/1"))
    data = vcf(*MALE, *rows, contigs=X37)
    whole = content_digest(parse(data, "genotypes", "x"))
    (part,) = split_vcf(data)
    with ParserHost() as host:
        assert content_digest(host.parse(data, "genotypes", "x")) == whole
        assert content_digest(host.parse(part.data, "genotypes", "x")) == whole
