"""Genotypes: what is read, what is counted, what is refused and how it is said."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compute.ingest import IngestError, Limits, content_digest, inspect, parse_genotypes
from tests.compute.ingest.vcf_text import CONTIGS, bcf, bgzf, gz, vcf

GOOD = vcf(("1", 100, "A", "G", "0/1"), ("1", 200, "C", "T", "1|1"), ("2", 50, "G", "A", "./."))


def parse(data, **more):
    return parse_genotypes(data, "my.vcf", **more)


def refused(code, data, **more):
    with pytest.raises(IngestError) as caught:
        parse(data, **more)
    assert caught.value.code == code, caught.value
    assert str(caught.value).startswith("my.vcf")
    return caught.value


def test_reads_calls_and_no_calls():
    g = parse(GOOD)
    assert (g.sample, g.build, g.callability, g.records) == ("s1", "GRCh37", "all-sites", 3)
    assert g.pos.tolist() == [100, 200, 50]
    assert g.dosage.tolist() == [1, 2, -1]
    assert g.ploidy.tolist() == [2, 2, 0]
    assert g.no_calls == {"missing": 1}


def test_every_container_reads_the_same(tmp_path):
    digest = content_digest(parse(GOOD))
    for data in (
        gz(GOOD),
        bgzf(GOOD, tmp_path),
        bcf(GOOD, tmp_path),
        gz(GOOD[:300]) + gz(GOOD[300:]),
    ):
        assert content_digest(parse(data)) == digest


def test_a_descriptor_reads_as_bytes_do(tmp_path):
    for data in (GOOD, bgzf(GOOD, tmp_path), bcf(GOOD, tmp_path)):
        fd = os.memfd_create("t")
        try:
            os.write(fd, data)
            assert content_digest(parse(fd)) == content_digest(parse(GOOD))
        finally:
            os.close(fd)


def test_split_site_keeps_the_other_alt_in_place():
    g = parse(
        vcf(
            ("1", 100, "A", "G,T", "1/2"),
            ("1", 200, "A", "G,T", "2/2"),
            ("1", 300, "A", "C,*,<DEL>", "1/3"),
        )
    )
    rows = list(zip(g.pos.tolist(), g.alt, g.dosage.tolist(), g.ploidy.tolist(), strict=True))
    assert rows == [
        (100, "G", 1, 2),
        (100, "T", 1, 2),
        (200, "G", 0, 2),
        (200, "T", 2, 2),
        (300, "C", 1, 2),
    ]
    assert g.skipped == {"symbolic_allele": 2}


def test_what_is_no_call_says_why():
    g = parse(
        vcf(
            ("1", 1, "A", "G", "0/1", {"filter": "q10"}),
            ("1", 2, "A", "G", "./1"),
            ("1", 3, "A", "G", "12", {"format": "DP"}),
            ("1", 4, "A", "G", "0/0/1"),
            ("1", 5, "A", "G", "."),
            ("1", 6, "A", "G", "0/1", {"filter": "."}),
        )
    )
    assert g.dosage.tolist() == [-1, -1, -1, -1, -1, 1]
    assert g.no_calls == {
        "filtered": 1,
        "half_call": 1,
        "no_genotype": 1,
        "ploidy": 1,
        "missing": 1,
    }


def test_haploid_and_covered_sites_without_alt():
    g = parse(vcf(("X", 5, "A", "G", "1"), ("X", 9, "T", ".", "0"), ("MT", 3, "C", "T", "0")))
    assert (g.dosage.tolist(), g.ploidy.tolist()) == ([1, 0, 0], [1, 1, 1])
    assert g.alt == ("G", ".", "T")


def test_chr_prefix_unsorted_and_unplaced():
    g = parse(
        vcf(
            ("chr2", 5, "a", "g", "0/1"), ("chr1", 7, "A", "G", "0/0"), ("GL0", 1, "A", "G", "0/0"),
            contigs={"chr1": CONTIGS["1"], "chr2": CONTIGS["2"], "GL0": 77},
        )
    )  # fmt: skip
    assert (g.contig.tolist(), g.ref, g.skipped) == ([0, 1], ("A", "A"), {"other_contig": 1})


def test_sample_is_picked_by_name():
    data = vcf(("1", 1, "A", "G", "0/1", "1/1"), samples=("ann", "bob"))
    assert parse(data, sample="bob").dosage.tolist() == [2]
    assert "2 samples" in str(refused("several_samples", data))
    refused("unknown_sample", data, sample="eve")
    refused("no_sample", vcf(samples=()))
    refused("duplicate_sample", vcf(samples=("a", "a")))


@pytest.mark.parametrize(
    ("contigs", "code"),
    [
        ({}, "build_unclear"),
        ({"MT": 16569}, "build_unclear"),
        ({"GL1": 5}, "build_unclear"),
        ({"1": 247249719}, "build_wrong"),
        ({"1": 249250621, "2": 242193529}, "build_wrong"),
    ],
)
def test_build_is_told_or_refused(contigs, code):
    refused(code, vcf(("1", 1, "A", "G", "0/1"), contigs=contigs))


def test_grch38_is_told():
    assert parse(vcf(contigs={"chr22": 50818468, "chrM": 16569})).build == "GRCh38"


def test_callability_is_declared_or_variant_only():
    bare = vcf(("1", 1, "A", "G", "0/1"), meta=())
    assert parse(bare).callability == "variant-only"
    assert parse(bare, callability="all-sites").callability == "all-sites"
    refused("callability_conflict", GOOD, callability="variant-only")
    refused("bad_header", vcf(meta=("##omic_callability=everything",)))
    blocks = vcf(("1", 1, "A", "<NON_REF>", "0/0"), ("1", 9, "A", "G,<NON_REF>", "0/1"), meta=())
    assert parse(blocks).callability == "gvcf-blocks"
    refused("callability_conflict", blocks, callability="all-sites")


@pytest.mark.parametrize(
    ("record", "code"),
    [
        (("1", 0, "A", "G", "0/1"), "bad_position"),
        (("1", "x", "A", "G", "0/1"), "bad_position"),
        (("1", -4, "A", "G", "0/1"), "bad_position"),
        (("1", 249250622, "A", "G", "0/1"), "bad_position"),
        (("1", 9, "", "G", "0/1"), "bad_allele"),
        (("1", 9, "R", "G", "0/1"), "bad_allele"),
        (("1", 9, "A", "A", "0/1"), "bad_allele"),
        (("1", 9, "A", "G,G", "0/1"), "bad_allele"),
        (("1", 9, "A", "G;T", "0/1"), "bad_allele"),
        (("1", 9, "A", "G", "0/2"), "bad_genotype"),
        (("1", 9, "A", "G", "0/x"), "bad_genotype"),
        (("1", 9, "A", "G", ""), "bad_genotype"),
        (("1", 9, "A", "G", "0/99999999999"), "bad_genotype"),
        (("1", 9, "A", "G", "0/1\t0/1"), "bad_record"),
        (("1", 9, "A", "G"), "bad_record"),
        (("1", 9, "A", ",".join("A" + "C" * n for n in range(1, 1002)), "0/1"), "too_many_alleles"),
    ],
)
def test_bad_records_are_refused_by_line(record, code):
    error = refused(code, vcf(("1", 1, "A", "G", "0/0"), record))
    assert error.where == "line 12"


def test_duplicates_name_both_lines():
    data = vcf(("1", 5, "A", "G", "0/1"), ("1", 9, "A", "T", "0/1"), ("1", 5, "A", "T,G", "0/0"))
    error = refused("duplicate_site", data)
    assert error.where == "line 13"
    assert "line 11" in error.reason


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty"),
        (b"hello", "not_vcf"),
        (b"##fileformat=VCFv4.2\n", "not_vcf"),
        (b"\x1f\x8b garbage garbage garbage", "damaged"),
        (GOOD[:-5], "truncated"),
        (gz(GOOD)[:-9], "truncated"),
        (gz(GOOD)[:-3], "truncated"),
        (GOOD.replace(b"#CHROM\tPOS", b"#CHROM POS"), "bad_header"),
        (GOOD.replace(b"##contig", b"contig", 1), "bad_header"),
        (GOOD.replace(b"PASS", b"P\xffSS", 1), "bad_utf8"),
        (GOOD.replace(b"PASS", b"P\0SS", 1), "bad_text"),
    ],
)
def test_what_is_not_a_whole_vcf(data, code):
    refused(code, data)


def test_bgzf_without_its_end_block_is_truncated(tmp_path):
    assert "end-of-file block" in refused("truncated", bgzf(GOOD, tmp_path)[:-28]).reason
    refused("truncated", bcf(GOOD, tmp_path)[:-28])


def test_truncated_anywhere_is_refused_or_named(tmp_path):
    whole = bgzf(vcf(*(("1", n, "A", "G", "0/1") for n in range(1, 4000))), tmp_path)
    for size in range(0, len(whole) - 1, 512):
        with pytest.raises(IngestError):
            parse(whole[:size])


def test_bombs_stop_early():
    refused("bomb", gz(GOOD + b"1\t1\t.\tA\tG\t.\t.\t.\tGT\t0/0\n" * 3_000_000))
    refused("bomb", gz(b"\0" * 40_000_000))
    refused("header_too_large", vcf(meta=["##x=" + "y" * 100] * 30), limits=Limits(max_header=2000))
    refused("too_large", GOOD, limits=Limits(max_input=100))
    refused("too_many_records", GOOD, limits=Limits(max_records=2))


def test_summary_for_the_owner():
    data = vcf(
        ("1", 1, "A", "G", "0/1"), ("1", 2, "C", "T", "1/1"), ("1", 3, "A", "C", "0/1"),
        ("1", 4, "A", "T", "0/0"), ("1", 5, "A", "AT", "0/1"), ("1", 6, "A", "G", "./."),
    )  # fmt: skip
    s = inspect(data, "genotypes", "/home/me/../my file\n.vcf")
    assert (s.records, s.variants, s.called, s.het, s.hom_alt) == (6, 6, 5, 3, 1)
    assert (s.call_rate, s.het_hom_ratio, s.ti_tv) == (5 / 6, 3.0, 2.0)
    assert s.as_dict()["content_digest"] == content_digest(parse(data)).hex()


def test_the_owners_check_reads_every_container(tmp_path):
    """Plain gzip too, which htslib alone cannot open."""
    for data in (GOOD, gz(GOOD), bgzf(GOOD, tmp_path), bcf(GOOD, tmp_path)):
        assert inspect(data, "genotypes", "x").records == 3


@pytest.mark.parametrize(
    ("magic", "word"),
    [
        (b"TBI\1", "index"),
        (b"CSI\1", "index"),
        (b"BAI\1", "index"),
        (b"BAM\1", "reads"),
        (b"CRAM", "reads"),
    ],
)
def test_indexes_and_reads_are_named(magic, word):
    assert word in refused("other_file", gz(magic + b"\0" * 40)).reason


def test_names_in_messages_are_tame():
    with pytest.raises(IngestError) as caught:
        parse_genotypes(b"x", "../../etc/pass\x1b[31mwd\n" + "a" * 500)
    assert caught.value.name.startswith("pass?[31mwd?aaa")
    assert len(caught.value.name) == 80


def test_htslib_must_agree(tmp_path):
    """A line htslib stops at is found by the owner's check even where ours would read on."""
    odd = GOOD.replace(b"\tGT\t0/1", b"\tGT:DP\t0/1:x", 1)
    with pytest.raises(IngestError) as caught:
        inspect(odd, "genotypes", "my.vcf")
    assert caught.value.code == "damaged"


def test_digest_ignores_what_does_not_matter():
    moved = vcf(
        ("2", 50, "G", "A", "."),
        ("1", 200, "C", "T", "1/1"),
        ("1", 100, "A", "G", "1|0"),
        samples=("other",),
    )
    other = vcf(
        ("1", 100, "A", "G", "0/0"), ("1", 200, "C", "T", "1|1"), ("2", 50, "G", "A", "./.")
    )
    assert content_digest(parse(moved)) == content_digest(parse(GOOD))
    assert content_digest(parse(other)) != content_digest(parse(GOOD))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_damage_is_our_refusal_or_a_reading(data):
    """Flip bytes anywhere: the parser answers or refuses, and never fails another way."""
    body = bytearray(data.draw(st.sampled_from([GOOD, gz(GOOD)])))
    for _ in range(data.draw(st.integers(1, 6))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        g = parse(bytes(body))
    except IngestError:
        return
    assert len(g.pos) == len(g.ref) == len(g.alt) == len(g.dosage)
    assert np.all((g.dosage >= -1) & (g.dosage <= g.ploidy))


def test_bcf_counts_no_calls_as_vcf_does(tmp_path):
    data = vcf(
        ("1", 1, "A", "G", "0/1", {"filter": "q10"}),
        ("1", 2, "A", "G", "./1"),
        ("1", 3, "A", "G", "12", {"format": "DP"}),
        ("1", 4, "A", "G", "0/0/1"),
        ("1", 5, "A", "G,T", "2"),
        ("1", 6, "A", "G", "0/1", {"filter": "."}),
    )
    text, binary = parse(data), parse(bcf(data, tmp_path))
    assert binary.no_calls == text.no_calls
    assert content_digest(binary) == content_digest(text)
