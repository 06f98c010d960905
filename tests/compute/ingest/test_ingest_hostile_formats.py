"""Hostile files of every format: a named refusal within the limits, in the child as in the open."""

from __future__ import annotations

import io
import json
import zipfile

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute.ingest import (
    MODALITIES,
    Hints,
    HostLimits,
    IngestError,
    Limits,
    ParserDiedError,
    ParserHost,
    parse,
    wire,
)
from tests.compute.ingest.hostile_files import big, hdf5, swapped, with_stated_size
from tests.compute.ingest.real import real, refused
from tests.compute.ingest.test_ingest_consumer import HINTS, zipped
from tests.compute.ingest.vcf_text import gz

SAMPLES = {
    "l1000_v12.gct": ("expression", "LJP005_A375_24H_X1_B19:A04", Hints(namespace="a", unit="b")),
    "geuvadis_expression.tsv": ("expression", "NA06986", Hints(unit="b")),
    "olink_wide.csv": ("proteomics", "GSM1009661", Hints(namespace="a", unit="b")),
    "proteinGroups.txt": ("proteomics", "AC384", Hints()),
    "MTBLS263.mztab": ("metabolomics", "3samples_sampl1_POS", Hints()),
    "biom_sparse.json": ("microbiome", "Sample1", Hints()),
    "lcms_cut.biom": ("metabolomics", "10863.107.1.b", Hints(namespace="a", unit="b")),
    "phenopacket.json": ("clinical", None, Hints()),
    "fhir_synthea.json": ("clinical", None, Hints()),
    "openehr_laboratory.json": ("clinical", None, Hints()),
    "HG00187.hg38.g.vcf.gz": ("genotypes", None, Hints()),
    "vcf/1kg_2020_chrM.vcf.gz": ("genotypes", "HG00096", Hints()),
    "vcf/1kg_2020_chrM.bcf": ("genotypes", "HG00096", Hints()),
    "vcf/CEUTrio.20.21.gatk3.4.g.vcf.bgz": ("genotypes", None, Hints()),
    "vcf/CEUTrio.20.21.gatk3.4.g.bcf": ("genotypes", None, Hints()),
    "23andme.txt": ("genotypes", None, HINTS),
    "ancestry.txt": ("genotypes", None, HINTS),
    "ftdna.csv": ("genotypes", None, HINTS),
    "myheritage.csv": ("genotypes", None, HINTS),
    "methylation.csv": ("methylation", "GSM3074483", Hints()),
    "fhir_glucose.json": ("clinical", None, Hints()),
    "openehr_vitals.json": ("clinical", None, Hints()),
}
BINARY = (".gz", ".bgz", ".bcf", ".biom")


@pytest.mark.parametrize("name", SAMPLES)
def test_bytes_that_are_no_utf8(name):
    modality, sample, hints = SAMPLES[name]
    if name.endswith(BINARY):
        return
    data = real(name)
    middle = data.index(b"\n", len(data) // 3) - 1
    error = refused(
        data[:middle] + b"\xff\xfe" + data[middle:], modality, sample=sample, hints=hints
    )
    assert error.code == "bad_utf8"


@pytest.mark.parametrize("modality", MODALITIES)
def test_bombs_are_refused_unread(modality):
    bomb = gz(b"0" * (40 << 20))
    assert refused(bomb, modality).code == "bomb"
    if modality != "participant":
        assert refused(zipped(("x.txt", b"0" * (40 << 20))), modality).code == "bomb"


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "/etc/passwd",
        "..\\x.txt",
        "C:x.txt",
        "a/b.txt",
        "..",
        "a\x01b",
        "x" * 300,
    ],
)
def test_path_tricks_in_a_zip(name):
    assert (
        refused(zipped((name, real("ftdna.csv"))), "genotypes", hints=HINTS).code == "bad_archive"
    )


def test_a_nul_in_a_zips_name():
    data = zipped(("good.txt?.sh", real("ftdna.csv"))).replace(b"good.txt?.sh", b"good.txt\0.sh")
    assert refused(data, "genotypes", hints=HINTS).code == "bad_archive"


def test_zips_that_are_not_what_they_say():
    one = real("ftdna.csv")
    few = Limits(max_members=3)
    many = zipped(*((f"{i}.txt", one) for i in range(4)))
    assert refused(many, "genotypes", hints=HINTS, limits=few).code == "bad_archive"
    two = zipped(("a.txt", one), ("b.txt", one))
    assert refused(two, "genotypes", hints=HINTS).code == "several_files"
    inner = zipped(("a.zip", zipped(("a.txt", one))))
    assert refused(inner, "genotypes", hints=HINTS).code == "not_vcf"
    with pytest.warns(UserWarning):
        twice = zipped(("a.txt", one), ("a.txt", one))
    assert refused(twice, "genotypes", hints=HINTS).code == "bad_archive"
    flagged = bytearray(zipped(("a.txt", one)))
    flagged[flagged.index(b"PK\x01\x02") + 8] |= 1
    assert refused(bytes(flagged), "genotypes", hints=HINTS).code == "bad_archive"
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.txt", one)
    assert refused(out.getvalue(), "genotypes", hints=HINTS).code == "bad_archive"
    lying = with_stated_size(zipped(("a.txt", one * 50)), 10)
    assert refused(lying, "genotypes", hints=HINTS).code in {"damaged", "truncated", "bad_record"}
    assert refused(zipped(("a.txt", b"")), "genotypes").code == "empty"
    assert refused(zipped(), "genotypes").code == "several_files"
    regions = zipped(("a.csv", real("methylation.csv")), ("b.bed", b"1\t2\t3\n"))
    assert refused(regions, "methylation").code == "several_files"


def test_a_good_small_hdf5():
    f = parse(hdf5(lambda _: None), "microbiome", "b", hints=Hints(namespace="x"))
    assert (f.ids, f.values.tolist(), f.unit) == (("a", "b"), [1.0, 2.0], "count")


@pytest.mark.parametrize(
    ("build", "code"),
    [
        (swapped("sample/ids", h5py.ExternalLink("/etc/passwd", "/x")), "not_biom"),
        (swapped("observation/ids", h5py.SoftLink("/sample/ids")), "not_biom"),
        (swapped("sample/matrix", h5py.SoftLink("/")), "not_biom"),
        (swapped("sample/matrix/indptr", np.array([0, 9])), "not_biom"),
        (swapped("sample/matrix/indptr", np.array([0, 1, 2])), "not_biom"),
        (swapped("sample/matrix/indices", np.array([0, 7])), "not_biom"),
        (swapped("sample/matrix/indices", np.array([0, 0])), "not_biom"),
        (swapped("sample/matrix/indices", np.array([-1, 0])), "not_biom"),
        (swapped("sample/matrix/data", np.array([1.0, np.nan])), "bad_value"),
        (swapped("sample/matrix/data", np.array([1.0, np.inf])), "bad_value"),
        (swapped("sample/matrix/data", np.array([[1.0], [2.0]])), "not_biom"),
        (big, "too_many_records"),
    ],
)
def test_hostile_hdf5(build, code):
    assert refused(hdf5(build), "microbiome", hints=Hints(namespace="x")).code == code


def test_hdf5_stored_outside_the_file():
    def outside(file):
        del file["sample/matrix/data"]
        file["sample/matrix"].create_dataset(
            "data", shape=(2,), dtype="f8", external=[("/etc/passwd", 0, 16)]
        )

    assert refused(hdf5(outside), "microbiome", hints=Hints(namespace="x")).code == "not_biom"


def test_an_hdf5_of_another_kind():
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        file["matrix/data"] = [1]
    assert refused(out.getvalue(), "expression").code == "not_biom"


def test_wide_and_long_tables():
    wide = "##unit=x\ngene\t" + "\t".join(f"s{i}" for i in range(30_000)) + "\n"
    assert refused(wide, "expression").code == "too_many_records"
    cell = "##unit=x\ngene\tme\n" + "A" * (2 << 20) + "\t1\n"
    assert refused(cell, "expression").code == "bad_record"
    cell = "##unit=x\ngene\tme\n" + "A" * (9 << 20) + "\t1\n"
    assert refused(cell, "expression").code == "line_too_long"


def test_the_child_refuses_the_same_and_lives():
    limits = HostLimits(wall_s=30)
    deep = ('{"resourceType":' + "[" * 1_000_000).encode()
    fat = json.dumps({"resourceType": "Bundle", "entry": [{}] * 500_000}).encode()
    with ParserHost(limits) as host:
        for data, modality, codes in (
            (deep, "clinical", {"bad_json"}),
            (fat, "clinical", {"no_terms", "too_large"}),
            (gz(b"0" * (40 << 20)), "clinical", {"bomb"}),
            (zipped(("../x", b"1")), "genotypes", {"bad_archive"}),
            (hdf5(big), "microbiome", {"too_many_records"}),
            (real("lcms_cut.biom")[:4096], "microbiome", {"damaged"}),
        ):
            with pytest.raises(IngestError) as caught:
                host.parse(data, modality, "x")
            assert caught.value.code in codes, caught.value
        assert host.parse(real("phenopacket.json"), "clinical", "x").terms


@pytest.mark.parametrize("name", ["phenopacket.json", "fhir_glucose.json"])
def test_a_lying_child_is_not_believed(name):
    good = wire.encode(parse(real(name), "clinical", "x"))
    assert wire.decode(good)
    for before, after in ((b'"clinical"', b'"clinicaX"'), (b"HP:00", b"XX:00"), (b"LOINC", b"LOONC"),
                          (b'"source":"fhir"', b'"source":"fhiR"'), (b'"sex":"', b'"sex":[')):  # fmt: skip
        if before in good:
            with pytest.raises(ParserDiedError):
                wire.decode(good.replace(before, after))


@given(st.sampled_from(MODALITIES), st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(modality, data):
    try:
        parse(data, modality, "f")
    except IngestError as error:
        assert error.name == "f"


@given(st.sampled_from(sorted(SAMPLES)), st.data())
def test_one_changed_byte_is_read_or_refused(name, draw):
    modality, sample, hints = SAMPLES[name]
    data = bytearray(real(name))
    at = draw.draw(st.integers(0, len(data) - 1))
    data[at] = draw.draw(st.integers(0, 255))
    try:
        parse(bytes(data), modality, "f", sample=sample, hints=hints)
    except IngestError as error:
        assert error.name == "f"
