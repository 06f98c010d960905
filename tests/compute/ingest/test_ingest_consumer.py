"""Raw data of the four array vendors."""

from __future__ import annotations

import io
import zipfile

import pytest

from compute.ingest import Hints, ParserHost, content_digest, inspect, parse
from tests.compute.ingest.real import real, refused
from tests.compute.ingest.vcf_text import gz, vcf

FILES = (
    "23andme.txt", "ancestry.txt", "ftdna.csv", "myheritage.csv", "23andme_allele.txt",
    "ancestry_multi_sep.txt", "ftdna_famfinder.csv", "myheritage_extra_quotes.csv",
)  # fmt: skip
# rs1 AA, rs2 CC, rs3 GG, rs4 TT, rs5 --, rs6 GC, rs7 TC, rs8 AT in each of the four.
TABLE = b"##build=GRCh37\n" + b"".join(
    b"1\t%d\t%s\n" % (pos, alleles)
    for pos, alleles in ((101, b"A\tG"), (102, b"T\tC"), (103, b"G\tA,C"), (105, b"A\tC"),
                         (106, b"G\tC"), (107, b"C\tT"), (108, b"A\tT"))
)  # fmt: skip
HINTS = Hints(build="GRCh37", alleles=TABLE)
HEAD = "# 23andMe\n# reference human assembly build 37\n# rsid\tchromosome\tposition\tgenotype\n"


def zipped(*members):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return out.getvalue()


def rows(g):
    return list(
        zip(g.pos.tolist(), g.ref, g.alt, g.dosage.tolist(), g.ploidy.tolist(), strict=True)
    )


@pytest.mark.parametrize("name", FILES)
def test_each_vendor_as_downloaded(name):
    data = real(name)
    for form in (data, gz(data), zipped((name, data)), data.replace(b"\n", b"\r\n")):
        g = parse(form, "genotypes", name, hints=HINTS)
        assert rows(g) == [
            (101, "A", "G", 0, 2), (102, "T", "C", 2, 2), (103, "G", "A", 0, 2),
            (103, "G", "C", 0, 2), (105, "A", "C", -1, 0), (106, "G", "C", 1, 2),
            (107, "C", "T", 1, 2), (108, "A", "T", 1, 2),
        ]  # fmt: skip
        assert (g.callability, g.build) == ("array-manifest", "GRCh37")
        unplaced = 2 if name == "23andme.txt" else 0  # rs9 and rs10 name no place
        expected = {"no_reference_allele": 1} | ({"unplaced": 2} if unplaced else {})
        assert dict(g.skipped) == expected
        assert dict(g.no_calls) == {"missing": 1}
    summary = inspect(data, "genotypes", name, hints=HINTS)
    assert (summary.records, summary.het) == (8 + unplaced, 3)


def test_without_ref_and_alt_nothing_is_kept_and_the_file_says_so():
    error = refused(real("23andme.txt"), "genotypes", hints=Hints(build="GRCh37"))
    assert error.code == "no_alleles"
    assert "8 sites" in error.reason


def test_the_build_must_be_known():
    assert refused(real("ftdna.csv"), "genotypes").code == "build_unclear"
    told = HEAD + "rs1\t1\t101\tAA\n"
    assert parse(told.encode(), "genotypes", "f", hints=Hints(alleles=TABLE)).build == "GRCh37"
    marked = HEAD.replace("build 37", "") + "rs3094315\t1\t817186\tAA\nrs1\t1\t101\tAA\n"
    table38 = TABLE.replace(b"GRCh37", b"GRCh38")
    assert parse(marked.encode(), "genotypes", "f", hints=Hints(alleles=table38)).build == "GRCh38"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (HEAD.replace("37", "36") + "rs1\t1\t101\tAA\n", "build_wrong"),
        (HEAD + "rs3094315\t1\t817186\tAA\n", "build_wrong"),  # a marker on GRCh38
        (HEAD + "rs1\t1\t101\tAG\nrs1\t1\t999999999\tAA\n", "bad_position"),
        (HEAD + "rs1\t1\t101\tAZ\n", "bad_genotype"),
        (HEAD + "rs1\t1\t101\n", "bad_record"),
        (HEAD + "rs1\t1\tten\tAA\n", "bad_record"),
        (HEAD + "../../etc/passwd\t1\t101\tAA\n", "bad_record"),
        (HEAD + "rs1\t1\t101\tAA", "truncated"),
        (HEAD + "rs1\t1\t101\tA\tA\n", "bad_record"),
        (HEAD.replace("genotype", "allele1\tallele2") + "rs1\t1\t101\tAA\n", "bad_record"),
        (HEAD + HEAD.replace("genotype", "allele1\tallele2") + "rs1\t1\t101\tA\tA\n", "bad_record"),
        (HEAD, "no_records"),
        ("# 23andMe\n# build 37\nrs1\t1\t101\tAA\n", "bad_record"),
        (HEAD + "rs1\t1\t101\tTT\nrs2\t1\t102\tAA\n", "alleles_differ"),
        (HEAD + "rs1\t2\t101\tAA\n", "no_alleles"),
        ("# Circle\nMARKERNAME\tCHROM\tPOS\tGT\n", "not_vcf"),
    ],
)
def test_bad_downloads(text, code):
    assert refused(text, "genotypes", hints=Hints(alleles=TABLE)).code == code


@pytest.mark.parametrize(
    "name", ["circledna.txt", "genesforgood.txt", "livingdna.csv", "tellmeGen.txt"]
)
def test_another_vendors_download_is_refused_by_naming_those_that_are_read(name):
    error = refused(real(name), "genotypes", hints=HINTS)
    assert error.code == "not_vcf" and "MyHeritage" in error.reason


def test_a_download_saved_on_windows_reads_the_same():
    data = real("23andme_win.txt")
    assert b"\r\n" in data
    mine, other = (parse(d, "genotypes", "x", hints=HINTS) for d in (data, real("23andme.txt")))
    assert content_digest(mine) == content_digest(other)


def test_everything_left_out_is_counted_and_named():
    text = HEAD + "".join(
        f"{row}\n"
        for row in ("rs1\t1\t101\tAA", "rsI\t1\t104\tDI", "rsU\t0\t0\tAA", "rsO\tGL1\t5\tAA",
                    "rsD\t1\t101\tAA", "rsE\t1\t106\tGG", "rsF\t1\t106\tCC", "rsG\t1\t107\tC",
                    "rs9\t1\t999\tAA")
    )  # fmt: skip
    g = parse(text.encode(), "genotypes", "f", hints=Hints(alleles=TABLE))
    assert dict(g.skipped) == {
        "indel_letters": 1, "unplaced": 1, "other_contig": 1, "duplicate_marker": 2,
        "no_reference_allele": 1,
    }  # fmt: skip
    assert dict(g.no_calls) == {
        "discordant_marker": 1, "one_letter_of_two_copies": 1, "missing": 1,
    }  # fmt: skip
    assert rows(g)[0] == (101, "A", "G", 0, 2)


def test_a_man_has_one_x_and_everybody_one_kind_of_mt():
    places = range(10_000_000, 10_000_000 + 60)
    table = b"##build=GRCh37\nMT\t50\tA\tG\n" + b"".join(b"X\t%d\tA\tG\n" % p for p in places)
    lines = [f"r{p}\tX\t{p}\t{'GG' if p % 2 else 'AA'}" for p in places]
    text = HEAD + "\n".join([*lines, "m\tMT\t50\tGG"]) + "\n"
    summary = inspect(text.encode(), "genotypes", "f", hints=Hints(alleles=table))
    g = parse(text.encode(), "genotypes", "f", hints=Hints(alleles=table))
    assert set(g.ploidy.tolist()) == {1}
    assert sorted(set(g.dosage.tolist())) == [0, 1]
    assert summary.sex_check == "male"
    woman = text.replace("\tAA", "\tAG")
    again = parse(woman.encode(), "genotypes", "f", hints=Hints(alleles=table))
    assert again.ploidy[:-1].tolist() == [2] * 60
    assert again.ploidy[-1] == 1


def test_the_table_may_be_a_vcf():
    sites = vcf(("1", 101, "A", "G", "."), ("1", 102, "C", "CT", "."))
    hints = Hints(build="GRCh37", alleles=gz(sites))
    g = parse(real("ftdna.csv"), "genotypes", "f", hints=hints)
    assert rows(g) == [(101, "A", "G", 0, 2)]


@pytest.mark.parametrize(
    "table",
    [b"1\t101\tA\tG\n", b"##build=GRCh36\n1\t101\tA\tG\n", b"##build=GRCh37\n1\t101\tA\n",
     b"##build=GRCh37\n1\t0\tA\tG\n", b"##build=GRCh37\n1\t9\tA\tG\n1\t9\tC\tG\n",
     b"##build=GRCh37\n1\t9\tA\tA\n"],
)  # fmt: skip
def test_bad_tables(table):
    hints = Hints(build="GRCh37", alleles=table)
    assert refused(real("ftdna.csv"), "genotypes", hints=hints).code == "bad_alleles"


def test_an_array_covers_its_own_sites_alone():
    error = refused(real("ftdna.csv"), "genotypes", hints=HINTS, callability="all-sites")
    assert error.code == "callability_conflict"


def test_the_confined_child_answers_the_same():
    with ParserHost() as host:
        for name in FILES:
            for data in (real(name), zipped((name, real(name)))):
                here = parse(data, "genotypes", name, hints=HINTS)
                there = host.parse(data, "genotypes", name, hints=HINTS)
                assert content_digest(here) == content_digest(there)
                assert (there.sample, there.skipped) == (here.sample, here.skipped)
