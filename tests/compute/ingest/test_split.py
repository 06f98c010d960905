"""Splitting a study's file: each part reads as the sample did, and says nothing of anybody else."""

from __future__ import annotations

from importlib.resources import files

import numpy as np
import pytest

from compute.ingest import IngestError, parse, split_plink, split_vcf
from marketplace.client import demo_data

HEAD = (
    "##fileformat=VCFv4.2\n##source=Dr Smith /home/smith/cohort\n"
    "##contig=<ID=1,length=249250621>\n##contig=<ID=X,length=155270560>\n"
    '##FORMAT=<ID=GT,Number=1,Type=String,Description="x">\n'
    "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tann\tbob\n"
)
BODY = (
    "1\t100\trs1\tA\tG,T\t9\tPASS\tAC=3;AN=4\tGT:DP\t0/1:9\t2|1:8\n"
    "1\t200\t.\tC\tT\t9\tLowQual\t.\tGT\t0/1\t1/1\n"
    "1\t300\t.\tC\t<DEL>,A\t9\t.\t.\tDP\t1\t2\n"
    "X\t3000000\t.\tC\tT\t9\tPASS\t.\tGT\t0/1\t1\n"
)


def same(one, other):
    assert one.ref == other.ref and one.alt == other.alt and one.build == other.build
    for name in ("contig", "pos", "dosage", "ploidy"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name
    assert (one.records, one.skipped) == (other.records, other.skipped)
    # A record without GT is written as ./. in a part.
    assert sum(one.no_calls.values()) == sum(other.no_calls.values())


def test_each_part_reads_as_its_sample_did():
    whole = (HEAD + BODY).encode()
    parts = {part.sample: part for part in split_vcf(whole, "all-sites")}
    assert list(parts) == ["ann", "bob"]
    for name, part in parts.items():
        mine = parse(part.vcf, "genotypes", "x")
        same(mine, parse(whole, "genotypes", "x", sample=name, callability="all-sites"))
        assert mine.callability == "all-sites"


def test_a_part_says_nothing_of_the_others_or_of_the_study():
    ann = next(iter(split_vcf((HEAD + BODY).encode())))
    for word in (b"bob", b"ann", b"Smith", b"AC=", b"2|1", b"rs1"):
        assert word not in ann.vcf


def test_many_samples_in_groups(monkeypatch):
    monkeypatch.setattr("compute.ingest.split.GROUP_CELLS", 4)
    assert [part.sample for part in split_vcf((HEAD + BODY).encode())] == ["ann", "bob"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (HEAD + BODY[:-1], "truncated"),
        (HEAD + "1\t5\t.\tA\tG\t.\tPASS\t.\tGT\t0/1\n", "bad_record"),
        (HEAD + "1\t5\t.\tA\t<NON_REF>\t.\tPASS\tEND=9\tGT\t0/0\t0/0\n", "is_gvcf"),
        (HEAD.replace("ann", "bob") + BODY, "duplicate_sample"),
        (HEAD.replace("length=", "len=") + BODY, "build_unclear"),
        (HEAD.replace("\tann\tbob", ""), "no_sample"),
        ("nothing\n", "not_vcf"),
    ],
)
def test_refused(text, code):
    with pytest.raises(IngestError) as refused:
        list(split_vcf(text.encode()))
    assert refused.value.code == code


def shipped(suffix):
    return files("marketplace.client.demo_data").joinpath(f"Geuvadis.{suffix}").read_bytes()


def test_plink_files_give_the_demos_own_cut():
    parts = {p.sample: p for p in split_plink(*map(shipped, ("bed", "bim", "fam")), "GRCh37")}
    assert len(parts) == 178
    for person in demo_data.people()[::37]:
        mine = parse(parts[person.participant].vcf, "genotypes", "x")
        cut = parse(demo_data.vcf(person.participant), "genotypes", "x")
        assert np.array_equal(mine.dosage, cut.dosage) and mine.ref == cut.ref
        assert mine.callability == "array-manifest"


FAM = "f man 0 0 1 -9\nf woman 0 0 2 -9\n"
BIM = (
    "23 a 0 3000000 A G\n23 par 0 100000 A G\n24 y 0 3000000 A G\n26 m 0 100 A G\n"
    "0 nowhere 0 5 A G\n1 indel 0 5 I D\n1 plain 0 9 A G\n"
)
# man, woman: X het hom-A; PAR het hom-A; Y hom-A missing; MT hom-A het; then plain: missing, het.
CODES = [(2, 0), (2, 0), (0, 1), (0, 2), (0, 0), (0, 0), (1, 2)]
BED = b"\x6c\x1b\x01" + bytes(a | b << 2 for a, b in CODES)


def test_plink_ploidy_by_sex_chromosome_and_par():
    man, woman = split_plink(BED, BIM.encode(), FAM.encode(), "GRCh37")
    assert dict(man.skipped) == {"no_place": 1, "alleles_not_bases": 1}

    def calls(part):
        rows = [line.split("\t") for line in part.vcf.decode().splitlines() if line[0] != "#"]
        return {(r[0], int(r[1])): r[9] for r in rows}

    assert calls(man) == {("1", 9): "./.", ("MT", 100): "1", ("X", 100000): "0/1",
                          ("X", 3000000): ".", ("Y", 3000000): "1"}  # fmt: skip
    assert calls(woman) == {("1", 9): "0/1", ("MT", 100): ".", ("X", 100000): "1/1",
                            ("X", 3000000): "1/1", ("Y", 3000000): "./."}  # fmt: skip


@pytest.mark.parametrize(
    ("bed", "bim", "fam"),
    [
        (b"PK" + BED, BIM, FAM),
        (BED[:-1], BIM, FAM),
        (BED, BIM.replace("3000000", "x", 1), FAM),
        (BED, BIM, "f man 0 0\n"),
        (BED, BIM, FAM.replace("woman", "man")),
    ],
)
def test_plink_files_that_do_not_fit_are_refused(bed, bim, fam):
    with pytest.raises(IngestError):
        list(split_plink(bed, bim.encode(), fam.encode(), "GRCh37"))
