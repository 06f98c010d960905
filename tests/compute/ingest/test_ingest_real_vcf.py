"""Published VCF, gVCF and BCF files made to be awkward (tests/data/ingest/vcf), as they are."""

from __future__ import annotations

import gzip

import pytest

from compute.builds import contig_lengths
from compute.ingest import IngestError, content_digest, inspect, parse, split_vcf
from tests.compute.ingest.real import real, refused
from tests.compute.ingest.vcf_text import gz

TRIO = "vcf/CEUTrio.20.21.gatk3.4.g"
# What is wrong with each file, as it is published.
REFUSED = {
    "33alleles.vcf": "no_sample",
    "out_of_order_contigs.vcf.gz": "no_sample",
    "malformed.vcf": "build_unclear",
    "sample.bcf": "build_unclear",
    "sample.vcf.gz": "build_unclear",
    "sample_all_missing_gts.vcf.gz": "build_unclear",
    "multi-contig.bcf": "build_unclear",
    "test-hemi.vcf.gz": "build_unclear",
    "triploid.vcf.gz": "build_unclear",
    "mixed_ploidy.vcf.gz": "build_wrong",
    "multi-contig.bcf.csi": "other_file",
    "CEUTrio.20.21.gatk3.4.g.vcf.bgz.tbi": "other_file",
}
FIRST = {"malformed.vcf": "C1046::HG02024", "mixed_ploidy.vcf.gz": "S1", "test-hemi.vcf.gz": "15G15594"}  # fmt: skip


def stated(name):
    """The file's text with GRCh37's lengths in place of its own lines of contigs."""
    data = real(f"vcf/{name}")
    text = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    first, *rest = (line for line in text.splitlines() if not line.startswith(b"##contig"))
    sizes = contig_lengths("GRCh37").items()
    lines = [first, *(f"##contig=<ID={c},length={size}>".encode() for c, size in sizes), *rest]
    return b"\n".join(lines) + b"\n"


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_file_lacks_is_named(name):
    bare = name.endswith((".csi", ".tbi")) or REFUSED[name] == "no_sample"
    sample = None if bare else FIRST.get(name, "1" if name.startswith("tri") else "NA00001")
    assert refused(real(f"vcf/{name}"), "genotypes", sample=sample).code == REFUSED[name]


@pytest.mark.parametrize("name", ["sample.bcf", "1kg_2020_chrM.bcf", "test-haploidX.vcf.gz"])
def test_several_people_are_refused_until_one_is_named(name):
    assert refused(real(f"vcf/{name}"), "genotypes").code == "several_samples"


def test_a_gvcf_says_the_same_as_vcf_and_as_bcf():
    """One woman's chromosomes 20 and 21 by GATK 3.4: blocks of two levels of quality."""
    one, other = (parse(real(f"{TRIO}.{end}"), "genotypes", "x") for end in ("vcf.bgz", "bcf"))
    assert content_digest(one) == content_digest(other)
    assert (one.callability, one.build, one.records) == ("gvcf-blocks", "GRCh37", 19910)
    assert dict(one.no_calls) == dict(other.no_calls) == {"block_low_quality": 5562}
    s = inspect(real(f"{TRIO}.vcf.bgz"), "genotypes", "x")
    assert (s.variants, s.het, s.hom_alt, s.covered_bases) == (1457, 1034, 182, 305109)
    assert (round(s.het_hom_ratio, 3), round(s.ti_tv, 3), s.call_rate) == (5.681, 1.515, 1.0)


def test_filtered_and_spanning_alleles_of_the_mitochondrion():
    one, other = (
        parse(real(f"vcf/1kg_2020_chrM.{end}"), "genotypes", "x", sample="HG00096")
        for end in ("vcf.gz", "bcf")
    )
    assert content_digest(one) == content_digest(other)
    assert (one.build, one.records, len(one)) == ("GRCh38", 23, 42)
    assert dict(one.no_calls) == {"filtered": 23}
    assert dict(one.skipped) == {"symbolic_allele": 4}  # "*"


def test_men_of_one_x_stay_haploid_and_each_part_reads_as_its_sample():
    data = real("vcf/test-haploidX.vcf.gz")
    for part in split_vcf(data):
        whole = parse(data, "genotypes", "x", sample=part.sample)
        mine = parse(part.data, "genotypes", "x")
        assert set(mine.ploidy.tolist()) == {0, 1} and len(mine) == 777
        assert mine.dosage.tolist() == whole.dosage.tolist()
        assert dict(mine.no_calls) == dict(whole.no_calls)
    assert part.sample == "38008"
    assert inspect(data, "genotypes", "x", sample="37150").sex_check == "male"


def test_the_specifications_own_example():
    """Filter, multi-allelic sites, a site without ALT, a half-stated X, under a stated build."""
    found = {}
    for name in ("NA00001", "NA00002", "NA00003"):
        g = parse(stated("sample.vcf.gz"), "genotypes", "x", sample=name)
        keys = zip(g.pos.tolist(), g.alt, strict=True)
        calls = zip(g.dosage.tolist(), g.ploidy.tolist(), strict=True)
        found[name] = dict(zip(keys, calls, strict=True))
        assert g.no_calls["filtered"] == 1
    none, one, two, ref = (-1, 0), (1, 2), (2, 2), (0, 2)
    at = [(14370, "A"), (17330, "A"), (1110696, "G"), (1110696, "T"), (1234567, "GAC")]
    assert [[person[key] for key in at] for person in found.values()] == [
        [ref, none, one, one, ref],
        [one, none, one, one, one],
        [two, none, ref, two, none],
    ]
    assert found["NA00001"][10, "A"] == (0, 1)


def test_one_two_and_three_copies_under_a_stated_build():
    calls = {}
    for name in ("S1", "S2", "S3"):
        g = parse(stated("mixed_ploidy.vcf.gz"), "genotypes", "x", sample=name)
        keys = zip(g.pos.tolist(), g.alt, strict=True)
        calls[name] = dict(
            zip(keys, zip(g.dosage.tolist(), g.ploidy.tolist(), strict=True), strict=True)
        )
    assert [own[2, "C"] for own in calls.values()] == [(0, 1), (1, 1), (0, 1)]
    assert [own[3, "C"] for own in calls.values()] == [(1, 2), (0, 1), (1, 1)]
    assert [own[1, "G"] for own in calls.values()] == [(0, 2), (0, 2), (2, 2)]
    assert calls["S1"][6, "C"] == calls["S1"][6, "G"] == (-1, 0)  # three copies: no call


def test_the_file_published_as_malformed_is_refused_by_line():
    """Under a stated build: a record with more columns than there are samples."""
    data = stated("malformed.vcf")
    error = refused(gz(data), "genotypes", sample="C1046::HG02024")
    assert (error.code, error.where) == ("bad_record", "line 79")
    with pytest.raises(IngestError):
        list(split_vcf(data))


def test_a_symbolic_allele_is_counted_and_the_other_alt_is_kept():
    g = parse(real("vcf/test-multiallelic-homozygous-alt.vcf.gz"), "genotypes", "x")
    assert (g.alt, g.dosage.tolist(), g.ploidy.tolist()) == (("A",), [0], [2])
    assert dict(g.skipped) == {"symbolic_allele": 1}
