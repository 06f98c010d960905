"""Splitting a study's file: each part reads as the sample did, and says nothing of anybody else."""

from __future__ import annotations

import json
import zlib

import numpy as np
import pgenlib
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compute.ingest import (
    CONTIGS as NAMES,
)
from compute.ingest import (
    IngestError,
    content_digest,
    parse,
    split_pgen,
    split_plink,
    split_vcf,
    write_bed,
    write_packed,
    write_vcf,
)
from compute.ingest.study_vcf import _Study
from marketplace.client import demo_data
from tests.compute.ingest.real import real, shipped, shipped_plink
from tests.compute.ingest.vcf_text import CONTIGS, bcf, bgzf, gz, vcf

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
    assert {k: v for k, v in one.no_calls.items() if v} == other.no_calls


def test_each_part_reads_as_its_sample_did():
    whole = (HEAD + BODY).encode()
    parts = {part.sample: part for part in split_vcf(whole, "all-sites")}
    assert list(parts) == ["ann", "bob"]
    for name, part in parts.items():
        mine = parse(part.data, "genotypes", "x")
        same(mine, parse(whole, "genotypes", "x", sample=name, callability="all-sites"))
        assert mine.callability == "all-sites"


def test_a_part_says_nothing_of_the_others_or_of_the_study():
    ann = next(iter(split_vcf((HEAD + BODY).encode())))
    for word in (b"bob", b"ann", b"Smith", b"AC=", b"2|1", b"rs1"):
        assert word not in ann.data


def test_where_memory_is_short_the_file_is_read_again(monkeypatch, tmp_path):
    people = [f"s{n}" for n in range(9)]
    records = [("1", 10 + n, "A", "G", *(f"{(n + p) % 2}/1" for p in range(9))) for n in range(40)]
    path = tmp_path / "s.vcf"
    path.write_bytes(vcf(*records, samples=people))
    monkeypatch.setattr("compute.ingest.study_table.BUDGET", 30)
    passes, read = [], _Study.read
    monkeypatch.setattr(
        _Study, "read", lambda self, first: passes.append(first) or read(self, first)
    )
    parts = list(split_vcf(path))
    assert len(passes) > 2
    assert [part.sample for part in parts] == people
    for part in parts:
        same(
            parse(part.data, "genotypes", "x"),
            parse(path.read_bytes(), "genotypes", "x", sample=part.sample),
        )


ODD = ("0/1", "1|0", "./.", ".", "0", "1", "./1", "0/0/1", "1/1:9", "0|0:.:3")


def study(lines, people, seed, kinds=ODD):
    """A VCF whose lines are usual, multi-allelic, filtered, symbolic, without GT, or unsorted."""
    random = np.random.default_rng(seed)
    records = []
    for n in range(lines):
        kind = random.integers(0, 12)
        gts = random.choice(kinds if kind < 6 else ODD[:3], people).tolist()
        form = "GT:DP:X" if any(":" in gt for gt in gts) else "GT"
        alt = {7: "G,T", 8: "AC", 9: "<DEL>", 10: "C,<INS>"}.get(kind, "G")
        if kind == 11:
            form, gts = "DP", ["5"] * people
        flt = "q10" if random.random() < 0.1 else "PASS"
        contig = str(random.choice(["1", "2", "X", "GL7"]))
        records.append((contig, 1000 + 7 * n, "A", alt, *gts, {"filter": flt, "format": form}))
    random.shuffle(records)
    return vcf(*records, samples=[f"s{n}" for n in range(people)], contigs={**CONTIGS, "GL7": 9999})


@pytest.mark.parametrize("people", [1, 2, 7])
@pytest.mark.parametrize("large", [False, True])
def test_the_scanner_reads_what_the_strict_reader_reads(monkeypatch, people, large, tmp_path):
    """Every kind of line, unsorted, cut at any byte, by the scanner or without it."""
    monkeypatch.setattr("compute.ingest.study_lines.LARGE", 0 if large else 1 << 40)
    monkeypatch.setattr("compute.ingest.study_stream._STEP", 501)
    monkeypatch.setattr("compute.ingest.study_stream._BLOCKS", 1)
    data = study(200, people, people)
    for form in (data, gz(data), bgzf(data, tmp_path)):
        for part in split_vcf(form):
            whole = parse(data, "genotypes", "x", sample=part.sample)
            same(parse(part.data, "genotypes", "x"), whole)


def test_a_bcf_is_split_as_its_vcf_is(tmp_path):
    # Symbolic alleles make pysam write an INFO/END these headers do not declare.
    data = study(60, 3, 1, ODD[:6]).replace(b"<DEL>", b"T").replace(b"<INS>", b"TT")
    (tmp_path / "s.bcf").write_bytes(bcf(data, tmp_path))
    for one, other in zip(split_vcf(tmp_path / "s.bcf"), split_vcf(data), strict=True):
        same(parse(one.data, "genotypes", "x"), parse(other.data, "genotypes", "x"))


def test_reference_blocks_of_several_samples_stay_each_ones_own():
    blocks = (
        "1\t5\t.\tA\t<NON_REF>\t.\tPASS\tEND=9\tGT:GQ\t0/0:99\t0/0:3\n"
        "1\t10\t.\tC\tT,<NON_REF>\t.\tPASS\t.\tGT:GQ\t0/1:9\t0/0:50\n"
    )
    whole = (HEAD + blocks).encode()
    ann, bob = (parse(part.data, "genotypes", "x") for part in split_vcf(whole))
    for name, part in (("ann", ann), ("bob", bob)):
        same(part, parse(whole, "genotypes", "x", sample=name))
    assert (ann.callability, ann.covered.bases(), bob.covered.bases()) == ("gvcf-blocks", 5, 0)
    assert content_digest(ann) == content_digest(parse(whole, "genotypes", "x", sample="ann"))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (HEAD + BODY[:-1], "truncated"),
        (HEAD + "1\t5\t.\tA\tG\t.\tPASS\t.\tGT\t0/1\n", "bad_record"),
        (HEAD + BODY + BODY.splitlines()[0] + "\n", "duplicate_site"),
        (HEAD + "1\t5\t.\tA\tG\t.\tPASS\t.\tGT\t0/1\t0/2\n", "bad_genotype"),
        (HEAD + "1\t0\t.\tA\tG\t.\tPASS\t.\tGT\t0/1\t0/1\n", "bad_position"),
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


def test_plink_files_give_the_demos_own_cut():
    parts = {p.sample: p for p in split_plink(*map(shipped, ("bed", "bim", "fam")), "GRCh37")}
    assert len(parts) == 178
    for person in demo_data.people()[::37]:
        mine = parse(parts[person.participant].data, "genotypes", "x")
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
        g = parse(part.data, "genotypes", "x")
        rows = zip(
            g.contig.tolist(), g.pos.tolist(), g.dosage.tolist(), g.ploidy.tolist(), strict=True
        )
        return {(NAMES[c], pos): (dosage, ploidy) for c, pos, dosage, ploidy in rows}

    none = (-1, 0)
    assert calls(man) == {("1", 9): none, ("MT", 100): (1, 1), ("X", 100000): (1, 2),
                          ("X", 3000000): none, ("Y", 3000000): (1, 1)}  # fmt: skip
    assert calls(woman) == {("1", 9): (1, 2), ("MT", 100): none, ("X", 100000): (2, 2),
                            ("X", 3000000): (2, 2), ("Y", 3000000): none}  # fmt: skip


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


PSAM = "#IID\tSEX\nman\t1\nwoman\t2\n"
PVAR = (
    "##contig=<ID=1,length=249250621>\n#CHROM\tPOS\tID\tREF\tALT\tFILTER\n"
    "1\t9\tp\tG\tA\tPASS\n1\t20\tm\tG\tA,T\tPASS\n1\t30\tf\tC\tT\tq10\n"
    "X\t3000000\tx\tG\tA\t.\nMT\t100\tn\tG\tA\t.\n1\t40\td\tG\t<DEL>\t.\n"
)
ALLELES = [(0, 1, -9, -9), (1, 2, 0, 2), (0, 1, 1, 1), (1, 1, 0, 1), (0, 1, 1, 1), (0, 0, 0, 1)]


def pgen(tmp_path, alleles=ALLELES):
    path = tmp_path / "s.pgen"
    with pgenlib.PgenWriter(
        str(path).encode(), 2, variant_ct=len(alleles), allele_ct_limit=3, nonref_flags=False
    ) as out:
        for row in alleles:
            out.append_alleles(np.array(row, np.int32), allele_ct=3 if max(row) > 1 else 2)
    return path


def test_pgen_with_multi_allelic_and_filtered_sites_and_sex(tmp_path):
    man, woman = split_pgen(pgen(tmp_path), PVAR.encode(), PSAM.encode())
    assert man.skipped == {"alleles_not_bases": 1} and man.records == 6
    g, w = (parse(part.data, "genotypes", "x") for part in (man, woman))
    assert list(zip(g.pos.tolist(), g.alt, strict=True)) == [
        (9, "A"), (20, "A"), (20, "T"), (30, "T"), (3000000, "A"), (100, "A")]  # fmt: skip
    assert g.dosage.tolist() == [1, 1, 1, -1, 1, -1] and g.ploidy.tolist() == [2, 2, 2, 0, 1, 0]
    assert w.dosage.tolist() == [-1, 0, 1, -1, 1, 1] and w.ploidy.tolist() == [0, 2, 2, 0, 2, 1]
    assert w.no_calls == {"filtered": 1, "missing": 1} and g.build == "GRCh37"


def test_pgen_files_that_do_not_fit_are_refused(tmp_path):
    path, bare = pgen(tmp_path), PVAR.partition("\n")[2]
    for pvar, psam, build, code in (
        (bare, PSAM, None, "build_unclear"),
        (PVAR, PSAM, "GRCh38", "build_wrong"),
        (PVAR, PSAM + "third\t1\n", None, "bad_plink"),
        (PVAR, PSAM.replace("woman", "man"), None, "duplicate_sample"),
        (PVAR.rsplit("1\t40", 1)[0], PSAM, None, "bad_plink"),
        (PVAR.replace("\t20\t", "\tx\t"), PSAM, None, "bad_plink"),
    ):
        with pytest.raises(IngestError) as refused:
            list(split_pgen(path, pvar.encode(), psam.encode(), build))
        assert refused.value.code == code, refused.value
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(IngestError) as refused:
        list(split_pgen(path, PVAR.encode(), PSAM.encode()))
    assert refused.value.code == "bad_plink"
    with pytest.raises(IngestError, match="zstd"):
        list(split_pgen(path, b"\x28\xb5\x2f\xfd....", PSAM.encode()))


@pytest.mark.peer
def test_bed_and_pgen_of_plink2_say_the_same(tmp_path):
    _bed, made = shipped_plink(tmp_path)
    pvar, psam = (made.with_suffix(f".{s}").read_bytes() for s in ("pvar", "psam"))
    beds = split_plink(*map(shipped, ("bed", "bim", "fam")), "GRCh37")
    pgens = split_pgen(made, pvar, psam, "GRCh37", "array-manifest")
    for one, other in zip(beds, pgens, strict=True):
        assert one.sample == other.sample
        assert content_digest(parse(one.data, "genotypes", "x")) == content_digest(
            parse(other.data, "genotypes", "x")
        )


GENOTYPES = parse(study(80, 1, 3), "genotypes", "x")


def test_packed_genotypes_come_back_whole():
    back = parse(write_packed(GENOTYPES), "genotypes", "x")
    same(back, GENOTYPES)
    assert back.callability == GENOTYPES.callability
    assert content_digest(back) == content_digest(GENOTYPES)
    none = parse(vcf(), "genotypes", "x")
    assert len(parse(write_packed(none), "genotypes", "x")) == 0


def test_packed_genotypes_are_written_as_a_vcf_that_reads_the_same(tmp_path):
    again = write_vcf(GENOTYPES)
    g = parse(again, "genotypes", "x")
    assert content_digest(g) == content_digest(GENOTYPES) and g.callability == GENOTYPES.callability
    bcf(again, tmp_path)  # htslib reads it
    whole = parse(real("HG00187.hg38.g.vcf.gz"), "genotypes", "x")
    back = parse(write_packed(whole), "genotypes", "x")
    assert content_digest(back) == content_digest(whole)
    first = write_bed(back.covered).decode().splitlines()[0].split("\t")
    assert int(first[1]) == whole.covered.start[0] - 1 and int(first[2]) == whole.covered.end[0]


def test_a_packed_file_cut_anywhere_is_refused():
    data = write_packed(GENOTYPES)
    for size in range(8, len(data)):
        with pytest.raises(IngestError):
            parse(data[:size], "genotypes", "x")


def test_a_packed_file_may_not_inflate_without_bounds():
    data = write_packed(GENOTYPES)
    size = int.from_bytes(data[8:12], "little")
    head = json.loads(data[12 : 12 + size])
    bomb = zlib.compress(b"\0" * (40 << 20))
    head["parts"][0] = ["sites", len(bomb), 40 << 20]
    text = json.dumps(head).encode()
    calls = data[12 + size + json.loads(data[12 : 12 + size])["parts"][0][1] :]
    made = data[:8] + len(text).to_bytes(4, "little") + text + bomb + calls
    with pytest.raises(IngestError) as refused:
        parse(made, "genotypes", "x")
    assert refused.value.code == "bomb"


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_damaged_packed_file_is_refused_or_reads_as_genotypes_may(data):
    body = bytearray(write_packed(GENOTYPES))
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(8, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        g = parse(bytes(body), "genotypes", "x")
    except IngestError:
        return
    assert ((g.dosage >= -1) & (g.dosage <= g.ploidy)).all() and (g.pos >= 1).all()
