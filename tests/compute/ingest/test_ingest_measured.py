"""Matrices and laboratory exports: one person's features out of each."""

from __future__ import annotations

import json
import math
from typing import get_args

import pytest

from compute import scope
from compute.ingest import (
    MODALITIES,
    Hints,
    Limits,
    ParserHost,
    content_digest,
    inspect,
    parse,
    parse_features,
    write_features,
)
from ledger.entry_types import RULES
from tests.compute.ingest.real import real, refused
from tests.compute.ingest.vcf_text import gz

RPKM = Hints(unit="normalised RPKM")
# (file, modality, sample, hints) -> (namespace, unit, features, missing, first id, its value)
FILES = [
    ("geuvadis_expression.tsv", "expression", "NA06986", RPKM,
     ("Ensembl", "normalised RPKM", 30, 0, "ENSG00000007923", 0.030330418)),
    ("l1000_v12.gct", "expression", "LJP005_A375_24H_X1_B19:A04",
     Hints(namespace="Affymetrix", unit="log2 intensity"),
     ("Affymetrix", "log2 intensity", 10, 0, "200814_at", 11.3336)),
    ("methylation.csv", "methylation", "GSM3074483", Hints(),
     ("CpG", "beta", 3, 1, "cg00000029", 0.423)),
    ("olink_wide.csv", "proteomics", "GSM1009661", Hints(namespace="HGNC", unit="NPX"),
     ("HGNC", "NPX", 20, 0, "A1BG", -0.08529)),
    ("proteinGroups.txt", "proteomics", "AC384", Hints(),
     ("UniProt", "LFQ intensity", 60, 43, None, None)),
    ("MTBLS263.mztab", "metabolomics", "3samples_sampl1_POS", Hints(),
     ("ChEBI", "Progenesis QI Normalised Abundance", 17, 0, "CHEBI:16737", 59131129.43)),
    ("biom_sparse.json", "microbiome", "Sample1", Hints(),
     ("OTU", "count", 5, 0, "GG_OTU_1", 0.0)),
    ("lcms_cut.biom", "metabolomics", "10863.107.1.b", Hints(namespace="mz-rt", unit="intensity"),
     ("mz-rt", "intensity", 20, 0, "X290.0883mz60.1277", None)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "modality", "sample", "hints", "expected"), FILES)
def test_one_persons_column_of_a_real_file(name, modality, sample, hints, expected):
    f = parse(real(name), modality, name, sample=sample, hints=hints)
    namespace, unit, features, missing, first, value = expected
    assert (f.modality, f.namespace, f.unit, f.ids[0]) == (
        modality,
        namespace,
        unit,
        first or f.ids[0],
    )
    if name != "proteinGroups.txt":
        assert len(f) == features
        assert sum(map(math.isnan, f.values)) == missing
    if value is not None:
        assert f.values[0] == value
    summary = inspect(gz(real(name)), modality, name, sample=sample, hints=hints)
    assert (summary.modality, summary.features) == (modality, len(f))
    assert summary.lowest <= summary.median <= summary.highest
    json.dumps(summary.as_dict())


@pytest.mark.parametrize(("name", "modality", "sample", "hints", "expected"), FILES)
def test_several_people_are_refused_until_one_is_named(name, modality, sample, hints, expected):
    assert refused(real(name), modality, hints=hints).code == "several_samples"
    error = refused(real(name), modality, hints=hints, sample="nobody")
    assert error.code == "unknown_sample"


@pytest.mark.parametrize(("name", "modality", "sample", "hints", "expected"), FILES)
def test_what_was_read_is_written_as_one_persons_file(name, modality, sample, hints, expected):
    f = parse(real(name), modality, name, sample=sample, hints=hints)
    again = parse(write_features(f), modality, "mine.tsv")
    assert content_digest(again) == content_digest(f)
    assert sample not in write_features(f).decode()


def test_the_confined_child_answers_the_same():
    with ParserHost() as host:
        for name, modality, sample, hints, _ in FILES:
            here = parse(real(name), modality, name, sample=sample, hints=hints)
            there = host.parse(real(name), modality, name, sample=sample, hints=hints)
            assert content_digest(here) == content_digest(there)
            assert (there.modality, dict(there.skipped)) == (modality, dict(here.skipped))


def test_maxquant_leaves_out_decoys_and_contaminants_and_counts_them():
    text = real("proteinGroups.txt").decode()
    header, *rows = [line.split("\t") for line in text.splitlines()]
    flags = ("Reverse", "Potential contaminant", "Only identified by site")
    marked = sum(
        any(row[header.index(n)] == "+" for n in flags if header.index(n) < len(row))
        for row in rows
    )
    f = parse(text.encode(), "proteomics", "p", sample="AC384")
    assert marked
    assert sum(f.skipped.values()) == marked
    assert len(f) == len(rows) - marked
    zeros = sum(
        row[header.index("LFQ intensity AC384")] == "0"
        for row in rows
        if not any(row[header.index(n)] == "+" for n in flags)
    )
    assert sum(map(math.isnan, f.values)) == zeros
    ibaq = parse(text.encode(), "proteomics", "p", sample="AC384", hints=Hints(unit="iBAQ"))
    assert ibaq.unit == "iBAQ"


def test_an_identification_only_mztab_is_refused_by_name():
    error = refused(real("identification_only.mztab"), "proteomics")
    assert error.code == "no_abundance"


def test_olink_long_form():
    text = (
        "SampleID;Index;OlinkID;UniProt;Assay;QC_Warning;NPX\n"
        "a;1;OID1;P1;X;PASS;1.5\na;1;OID2;P2;Y;WARN;2.5\nb;2;OID1;P1;X;PASS;9\n"
    )
    f = parse_features(text.encode(), "o", modality="proteomics", sample="a")
    assert (f.namespace, f.unit, f.ids) == ("Olink", "NPX", ("OID1", "OID2"))
    assert f.values[0] == 1.5
    assert math.isnan(f.values[1])
    assert dict(f.skipped) == {"qc_warning": 1}


def test_a_matrix_may_state_its_own_metadata():
    text = "##unit=TPM\n##assay=RNA-seq\ngene\tme\nENSG00000000003\t1\nENSG00000000005\tNaN\n"
    f = parse_features(text.encode(), "m")
    assert (f.namespace, f.unit, f.assay) == ("Ensembl", "TPM", "RNA-seq")
    assert dict(f.skipped) == {"written_nan": 1}
    error = refused(text, "expression", hints=Hints(unit="count"))
    assert error.code == "hint_conflict"


M = "cpg,me\n"
E = "##unit=TPM\n##namespace=x\ngene\tme\n"


@pytest.mark.parametrize(
    ("text", "modality", "code"),
    [
        (M + "cg00000001,1.01\n", "methylation", "bad_value"),
        (M + "cg00000001,-0.1\n", "methylation", "bad_value"),
        (M + "cg00000001,inf\n", "methylation", "bad_value"),
        (M + "cg00000001,1e999\n", "methylation", "bad_value"),
        (M + "cg00000001,NaN\n", "methylation", "no_features"),
        (M + "cg00000001,0.1\ncg00000001,0.2\n", "methylation", "duplicate_feature"),
        (M + "cg00000001,0.1\ncg0000", "methylation", "truncated"),
        (M + 'cg00000001,"0.1\n', "methylation", "bad_record"),
        (M + "cg00000001,0.1,0.2\n", "methylation", "bad_record"),
        (M + "ACTB,0.1\n", "methylation", "bad_header"),
        (E + "A\t-1\n", "expression", "bad_value"),
        (E.replace("TPM", "count") + "A\t1.5\n", "expression", "bad_value"),
        (E.replace("##unit=TPM\n", "") + "A\t1\n", "expression", "bad_header"),
        (E.replace("me", "me\tme") + "A\t1\t2\n", "expression", "several_samples"),
        (E + "A b\t1\n", "expression", "bad_record"),
        (E + "A\t" + "9" * 400 + "\n", "expression", "bad_value"),
        ("#1.2\n1\t2\nName\tDescription\ta\nx\ty\t1\n", "expression", "truncated"),
        ("#1.2\nmany\nName\tDescription\ta\nx\ty\t1\n", "expression", "bad_header"),
        ("{}", "microbiome", "not_biom"),
        ("[1]", "microbiome", "not_features"),
    ],
)
def test_bad_tables(text, modality, code):
    assert refused(text, modality).code == code


def test_a_named_duplicate_sample():
    text = E.replace("me", "me\tme") + "A\t1\t2\n"
    assert refused(text, "expression", sample="me").code == "duplicate_sample"


def biom(**change):
    return json.dumps({**json.loads(real("biom_sparse.json")), **change})


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (biom(shape=[5, 7]), "not_biom"),
        (biom(shape=[10**9, 6]), "not_biom"),
        (biom(data=[[0, 9, 1]]), "not_biom"),
        (biom(data=[[-1, 0, 1]]), "not_biom"),
        (biom(data=[[0, 0, 1], [0, 0, 2]]), "not_biom"),
        (biom(data=[[0, 0, "x"]]), "bad_value"),
        (biom(data=[[0, 0, -4]]), "bad_value"),
        (biom(data={}), "not_biom"),
        (biom(matrix_type="dense"), "not_biom"),
        (biom(data=[[0, 0, 1]]).replace("[[0, 0, 1]]", "[[0, 0, NaN]]"), "bad_json"),
        (biom(data=[[0, 0, 1]]).replace("[[0, 0, 1]]", "[[0, 0, 1e999]]"), "bad_json"),
    ],
)
def test_bad_biom(text, code):
    assert refused(text, "microbiome", sample="Sample1").code == code


def test_limits_hold():
    few = Limits(max_features=3, max_columns=3)
    assert refused(real("methylation.csv"), "methylation", limits=few).code == "too_many_records"
    error = refused(real("biom_sparse.json"), "microbiome", sample="Sample1", limits=few)
    assert error.code == "too_many_records"
    error = refused(real("biom_sparse.json"), "microbiome", limits=Limits(max_json=100))
    assert error.code == "too_large"


def test_one_list_of_modalities():
    """compute.scope and the ledger name the same modalities as compute.parsed."""
    assert get_args(scope.Modality) == MODALITIES
    stated = RULES["dataset.registered", 1].fields["modality"]
    assert all(stated.test(modality) for modality in MODALITIES)
    assert not stated.test("anything")
