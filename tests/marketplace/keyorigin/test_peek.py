"""What the key pages say is in a file is what compute will find in it, or a refusal of both."""

import json
import os

import pytest

from compute.ingest import Hints, IngestError, inspect
from ledger import b64
from marketplace.keyorigin.words import words
from tests.compute.ingest.real import real
from tests.compute.ingest.test_ingest_consumer import FILES, HEAD, HINTS, zipped
from tests.compute.ingest.vcf_text import CONTIGS, bgzf, gz, vcf
from tests.marketplace.keyorigin.conftest import CHROMIUM

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None and not os.environ.get("CI"), reason="no Chromium here"),
]
PEEK = """return Promise.all(x.map((text) => m.peek(new File([b.unb64(text)], 'f'))
  .catch((error) => ({ refusals: [error.message] }))));"""
BUILD37 = HEAD + "rs1\t1\t101\tAA\n"
FEATURES = (
    b"##namespace=Ensembl\n##unit=TPM\n##assay=RNA-seq\nfeature_id\tvalue\nENSG1\t1.5\nENSG2\tNA\n"
)
GRCH38 = {"1": 248956422, "chr22": 50818468}


def peeked(js, *files):
    return js("peek", PEEK, [b64(data) for data in files])


def told(found):
    return dict(found["facts"])


def counted(text):
    return int(text.replace(",", ""))


def some_calls(**more):
    """Five variants: one on one copy, two on both, one without a call, one filtered."""
    calls = ("0/1", "1/1", "1|1", "./.")
    rows = [("1", 100 + i, "A", "G", call) for i, call in enumerate(calls)]
    return vcf(*rows, ("1", 200, "A", "G", "0/1", {"filter": "q10"}), **more)


@pytest.mark.parametrize("form", ["plain", "gzip", "bgzf", "zip"])
def test_a_vcf_is_told_as_compute_counts_it(js, form, tmp_path):
    data = some_calls()
    file = {"plain": data, "gzip": gz(data), "bgzf": bgzf(data, tmp_path)}.get(form)
    (found,) = peeked(js, file or zipped(("me.vcf", data), ("callable.bed", b"1\t1\t9\n")))
    facts, summary = told(found), inspect(data, "genotypes", "f")
    assert found["refusals"] == []
    assert (found["kind"], found["modality"]) == ("VCF", "genotypes")
    assert facts["Genome build"] == summary.build == "GRCh37"
    assert facts["People in it"] == "1"
    assert counted(facts["Variants"]) == summary.variants == 5
    assert facts["Calls"] == f"{100 * summary.call_rate:.1f} %"
    assert counted(facts["Differing on one copy"]) == summary.het
    assert counted(facts["Differing on both copies"]) == summary.hom_alt


@pytest.mark.parametrize(
    ("data", "build", "said"),
    [
        (some_calls(contigs=GRCH38 | {"1": 248956422}), "GRCh38", None),
        (some_calls(contigs={"1": CONTIGS["1"], "2": 242193529}), None, "another genome build"),
        (some_calls(contigs={"1": 247249719}), None, "another genome build"),  # NCBI36
        (some_calls(contigs={}), None, "genome build is unclear"),
        (vcf(("1", 5, "A", "G", "0/1", "0/0"), samples=("a", "b")), None, "holds 2 people"),
        (vcf(("1", 5, "A", "G"), samples=()), None, "lists variants of nobody"),
        (some_calls()[:-1], None, "cut short"),
        (gz(some_calls())[:-9], None, "damaged or cut short"),
        (zipped(("a.vcf", b"x"), ("b.vcf", b"y")), None, "holds 2 data files"),
        (b"PK\3\4" + bytes(40), None, "archive is cut short"),
    ],
)  # fmt: skip
def test_a_vcf_of_the_other_build_is_told_and_what_is_unclear_is_refused_by_both(
    js, data, build, said
):
    (found,) = peeked(js, data)
    if said is None:
        assert (found["refusals"], told(found)["Genome build"]) == ([], build)
        assert inspect(data, "genotypes", "f").build == found["format"]["build"] == build
        return
    assert any(said in one for one in found["refusals"]), found["refusals"]
    with pytest.raises(IngestError):
        inspect(data, "genotypes", "f")


@pytest.mark.parametrize("name", FILES)
def test_raw_data_of_each_vendor_is_told_as_downloaded(js, name):
    data = real(name)
    stated = data + b"rs3094315,1,752566,AA\n" if name.endswith("csv") else data
    files = data, gz(data), zipped((name, data)), stated
    plain, packed, archive, placed = peeked(js, *files)
    assert plain == packed == archive
    summary, facts = inspect(data, "genotypes", name, hints=HINTS), told(plain)
    assert counted(facts["Markers"]) == summary.records
    assert counted(facts["Markers without an answer"]) == summary.no_calls["missing"]
    assert "which of them is the reference" in plain["warnings"][0]
    # These samples name no build, as compute says too; a known marker tells it.
    assert "on which genome build" in plain["refusals"][0]
    with pytest.raises(IngestError, match="genome build is unclear"):
        inspect(data, "genotypes", name, hints=Hints(alleles=HINTS.alleles))
    if name.endswith("csv") and "famfinder" not in name and "quotes" not in name:
        assert (placed["refusals"], told(placed)["Genome build"]) == ([], "GRCh37")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BUILD37, None),
        (BUILD37.replace("build 37", "build 38"), None),
        (BUILD37.replace("37", "36"), "speaks of build 36"),
        (BUILD37 + "rs3094315\t1\t817186\tAA\n", "speaks of GRCh37, GRCh38"),
        (BUILD37 + "rs3094315\t1\t742429\tAA\n", "speaks of GRCh37, NCBI36"),
        (BUILD37[:-1], "cut short"),
        (HEAD, "lists no marker"),
    ],
)
def test_the_build_of_raw_data_is_settled_as_compute_settles_it(js, text, said):
    (found,) = peeked(js, text.encode())
    table = b"##build=%s\n1\t101\tA\tG\n" % (
        b"GRCh38" if "38" in text.split("rs")[0] else b"GRCh37"
    )
    hints = Hints(alleles=table)
    if said is None:
        wanted = inspect(text.encode(), "genotypes", "f", hints=hints).build
        assert (found["refusals"], found["format"]["build"]) == ([], wanted)
        return
    assert any(said in one for one in found["refusals"]), found["refusals"]
    with pytest.raises(IngestError):
        inspect(text.encode(), "genotypes", "f", hints=hints)


def test_an_expression_table_is_told_as_compute_counts_it(js):
    found, unnamed, empty = peeked(
        js, FEATURES, FEATURES.replace(b"##unit=TPM\n", b""), FEATURES[: FEATURES.index(b"ENSG1")]
    )
    summary, facts = inspect(FEATURES, "expression", "f"), told(found)
    assert (found["modality"], found["refusals"]) == ("expression", [])
    assert (facts["Names from"], facts["Unit"], facts["Measured by"]) == (
        summary.namespace, summary.unit, summary.assay,
    )  # fmt: skip
    assert counted(facts["Features"]) == summary.features
    assert counted(facts["Not measured"]) == summary.missing == 1
    assert "does not say its unit" in unnamed["refusals"][0]
    assert "lists no measurement" in empty["refusals"][0]


def test_what_another_vendor_or_a_picture_is_is_not_known(js):
    names = ("circledna.txt", "genesforgood.txt", "livingdna.csv", "tellmeGen.txt")
    for found in peeked(js, *map(real, names), b"\x89PNG\r\n\x1a\n", b"%PDF-1.7\n"):
        assert "not a kind of file we know" in found["refusals"][0]
    empty, nothing = peeked(js, b"", vcf())
    assert "empty" in empty["refusals"][0]
    assert nothing["refusals"] == ["The file lists no variant."]


def test_the_lengths_of_both_builds_are_in_the_bundle():
    assert words()["builds"]["GRCh38"]["22"] == 50818468
    assert json.dumps(words()["builds"]["GRCh37"]["1"]) == str(CONTIGS["1"])
