"""`omic check` and the words beside a file, at the command line: nothing is sent, nothing is needed."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from compute.ingest import parse, write_packed
from marketplace.client.cli import app
from marketplace.client.cli import main as omic_main
from marketplace.client.package import _openable
from marketplace.client.passport import Region, cut_vcf
from tests.compute.ingest.real import HOME
from tests.compute.ingest.test_ingest_consumer import TABLE
from tests.compute.ingest.vcf_text import vcf

ONE = vcf(("1", 5, "A", "G", "0/1"), ("1", 9, "C", "T", "1/1"))


def said(*arguments):
    done = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["check", *map(str, arguments)])
    assert done.exit_code == 0, done.output
    return done.output


def refused(monkeypatch, capsys, *arguments):
    monkeypatch.setattr("sys.argv", ["omic", "check", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        omic_main()
    assert ended.value.code == 2
    return " ".join(capsys.readouterr().err.split())


def test_the_summary_is_in_words_and_counts_what_was_skipped():
    text = said(HOME / "HG00187.hg38.g.vcf.gz")
    for words in ("genome build", "GRCh38", "call rate", "het/hom ratio", "1.467", "Ti/Tv", "1.833",
                  "sex the X chromosome suggests", "no call: block low quality", "726",
                  "Nothing has left this machine"):  # fmt: skip
        assert words in text, words
    assert "content_digest" not in text and "{" not in text


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("l1000_v12.gct", ("--modality", "expression", "--sample", "LJP005_A375_24H_X1_B19:A04",
                           "--namespace", "Probe", "--unit", "log2"), "row metadata column"),
        ("olink_wide.csv", ("--modality", "proteomics", "--sample", "GSM1009661", "--namespace",
                            "UniProt", "--unit", "NPX"), "NPX"),
        ("proteinGroups.txt", ("--modality", "proteomics", "--sample", "AC384"), "skipped: decoy"),
        ("MTBLS263.mztab", ("--modality", "metabolomics", "--sample", "3samples_sampl1_POS"),
         "ChEBI"),
        ("methylation.csv", ("--modality", "methylation", "--sample", "GSM3074480"), "beta"),
        ("biom_sparse.json", ("--modality", "microbiome", "--sample", "Sample1"), "count"),
        ("phenopacket.json", ("--modality", "clinical"), "HP 13, OMIM 1"),
        ("fhir_glucose.json", ("--modality", "clinical"), "LOINC 1"),
        ("openehr_laboratory.json", ("--modality", "clinical"), "skipped: unknown terminology"),
    ],
)  # fmt: skip
def test_every_format_has_a_summary(name, options, words):
    assert words in said(HOME / name, *options)


def test_raw_data_with_the_arrays_alleles(tmp_path):
    (tmp_path / "alleles.tsv").write_bytes(TABLE)
    text = said(HOME / "23andme.txt", "--build", "GRCh37", "--alleles", tmp_path / "alleles.tsv")
    assert "array-manifest" in text and "skipped: no reference allele" in text


def test_callability_is_explained_and_regions_change_it(tmp_path):
    (tmp_path / "mine.vcf").write_bytes(vcf(("1", 5, "A", "G", "0/1"), meta=()))
    assert "--regions" in said(tmp_path / "mine.vcf")
    (tmp_path / "called.bed").write_text("1\t0\t1000\n")
    text = said(tmp_path / "mine.vcf", "--regions", tmp_path / "called.bed")
    assert "covered bases beside the sites" in text and "1000" in text


def test_refusals_name_the_option_to_give(monkeypatch, capsys, tmp_path):
    (tmp_path / "two.vcf").write_bytes(vcf(("1", 5, "A", "G", "0/1", "0/0"), samples=("a", "b")))
    for arguments, words in (
        ((HOME / "23andme.txt",), "add --build GRCh37 or GRCh38"),
        ((HOME / "23andme.txt", "--build", "GRCh37"), "--alleles FILE"),
        ((tmp_path / "two.vcf",), "--sample NAME"),
        ((tmp_path / "two.vcf",), "omic custodian split"),
        ((tmp_path / "two.vcf", "--build", "hg19"), "--build is one of"),
        ((tmp_path / "no.vcf",), "cannot read"),
        ((tmp_path / "two.vcf", "--modality", "x"), "modality"),
    ):
        assert words in refused(monkeypatch, capsys, *arguments)


def test_as_json_for_programs():
    done = CliRunner().invoke(app, ["--json", "check", str(HOME / "HG00187.hg38.g.vcf.gz")])
    assert json.loads(done.output)["no_calls"] == {"block_low_quality": 726}


def test_the_archive_of_my_data_holds_what_programs_open():
    g = parse((HOME / "HG00187.hg38.g.vcf.gz").read_bytes(), "genotypes", "x")
    files = dict(_openable("data/d", "x", write_packed(g)))
    assert set(files) == {"data/d.genotypes.omic", "data/d.genotypes.vcf", "data/d.covered.bed"}
    assert files["data/d.genotypes.vcf"].startswith(b"##fileformat=VCF")
    (part,) = [
        line
        for line in cut_vcf(
            write_packed(parse(ONE, "genotypes", "x")), Region("1", 5, 6)
        ).splitlines()
        if line[:1] != b"#"
    ]
    assert part == b"1\t5\t.\tA\tG\t.\tPASS\t.\tGT\t0/1"
    assert dict(_openable("data/d", "x.tsv", b"a\tb\n")) == {"data/d.x.tsv": b"a\tb\n"}
