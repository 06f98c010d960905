"""Files made to hurt, through the confined child at its usual limits: each is a named refusal.

What the issue promises is 60 seconds and 512 MiB. Time is not measured here: the child's own limits
are those, and the kernel says how much memory it took.
"""

from __future__ import annotations

import json

import pytest

from compute.ingest import HostLimits, IngestError, ParserHost
from tests.compute.ingest.test_ingest_consumer import HEAD, zipped
from tests.compute.ingest.test_ingest_hostile_formats import hdf5
from tests.compute.ingest.vcf_text import gz, vcf

MEMORY = 512 << 20
GOOD = vcf(("1", 1, "A", "G", "0/1"))
MILLION = 10**6


def line(*fields):
    return GOOD + b"\t".join(fields) + b"\n"


def alts():
    """A million different ALT alleles of ten bases."""
    bases = bytes.maketrans(b"0123456789", b"ACGTACGTAC")
    return b",".join(b"A" + f"{n:06}".encode().translate(bases) for n in range(MILLION))


def ending(alt=b"G", info=b".", gt=b"0/1"):
    return (b"1", b"2", b".", b"A", alt, b".", b"PASS", info, b"GT", gt)


def table(rows):
    head = b"##namespace=a\n##unit=b\n##assay=c\nfeature_id\tvalue\n"
    return head + rows


BUNDLE = b'{"resourceType":"Bundle",'
HOSTILE = {
    "a million ALT alleles": ("genotypes", lambda: line(*ending(alt=alts())), "too_many_alleles"),
    "a million short ALT alleles": (
        "genotypes", lambda: line(*ending(alt=b"C," * MILLION + b"T")), "too_many_alleles"),
    "a million ALT alleles in gzip": (
        "genotypes", lambda: gz(line(*ending(alt=alts()))), "too_many_alleles"),
    "a header line of 100 MB": (
        "genotypes", lambda: GOOD.replace(b"##omic", b"##x=" + b"y" * 10**8 + b"\n##omic"),
        "line_too_long"),
    "a header of three million lines": (
        "genotypes", lambda: GOOD.replace(b"##omic", b"##x=1\n" * 3_000_000 + b"##omic"),
        "header_too_large"),
    "a record of 100 MB": ("genotypes", lambda: line(*ending(info=b"A=1;" * 25 * MILLION)), "line_too_long"),
    "a GT of a million alleles": ("genotypes", lambda: line(*ending(gt=b"0/" * MILLION + b"9")), "bad_genotype"),
    "a REF of five million bases": (
        "genotypes", lambda: line(b"1", b"2", b".", b"ACGTR" * MILLION, *ending()[4:]), "bad_allele"),
    "a million samples": (
        "genotypes", lambda: GOOD.replace(b"\ts1\n", b"".join(b"\ts%d" % n for n in range(MILLION)) + b"\n"),
        "several_samples"),
    "one name for two samples": ("genotypes", lambda: vcf(samples=("a", "a")), "duplicate_sample"),
    "a gzip bomb": ("genotypes", lambda: gz(b"0" * (200 << 20)), "bomb"),
    "a bomb that is a VCF": (
        "genotypes", lambda: gz(GOOD + b"1\t1\t.\tA\tG\t.\t.\t.\tGT\t0/0\n" * 2 * MILLION), "bomb"),
    "a zip bomb": ("genotypes", lambda: zipped(("a.txt", b"0" * (100 << 20))), "bomb"),
    "a path in a zip": ("genotypes", lambda: zipped(("../../etc/x", GOOD)), "bad_archive"),
    "raw data with a line of 50 MB": (
        "genotypes", lambda: HEAD.encode() + b"rs1\t1\t5\tAA" + b"\tA" * 25 * MILLION + b"\n",
        "line_too_long"),
    "records out of the chromosome": ("genotypes", lambda: vcf(("1", 249250622, "A", "G", "0/1")), "bad_position"),
    "no UTF-8": ("genotypes", lambda: GOOD.replace(b"PASS", b"P\xff\xfeS"), "bad_utf8"),
    "a cell of 50 MB": ("expression", lambda: b"##unit=x\ngene\tme\n" + b"A" * 50 * MILLION + b"\t1\n", "line_too_long"),
    "a million columns": (
        "expression", lambda: b"##unit=x\ngene\t" + b"\t".join(b"s%d" % n for n in range(MILLION)) + b"\n",
        "too_many_records"),
    "two columns of one name": ("expression", lambda: b"##unit=x\ngene\ta\ta\nENSG1\t1\t2\n", "several_samples"),
    "six million features": (
        "expression", lambda: table(b"".join(b"f%d\t1\n" % n for n in range(6 * MILLION))), "too_large"),
    "NaN": ("expression", lambda: table(b"f\tNaN\n"), "bad_value"),
    "infinity": ("expression", lambda: table(b"f\t1e999\n"), "bad_value"),
    "a Parquet file": ("expression", lambda: b"PAR1" + b"\x15\x04" * 1000 + b"PAR1", "other_file"),
    "a table in HDF5 larger than its file": (
        "microbiome", lambda: hdf5(lambda file: (
            file.__delitem__("observation/ids"),
            file.create_dataset("observation/ids", shape=(10**12,), dtype="f8", chunks=(1024,)))),
        "too_many_records"),
    "deep JSON": ("clinical", lambda: BUNDLE + b'"x":' + b"[" * 20 * MILLION, "bad_json"),
    "fat JSON": (
        "clinical", lambda: json.dumps({"resourceType": "Bundle", "entry": [{}] * 9 * MILLION}).encode(),
        "too_large"),
    "JSON of a million fields": (
        "clinical", lambda: BUNDLE + b",".join(b'"k%d":1' % n for n in range(MILLION)) + b"}", "no_terms"),
    "a JSON number of ten million digits": ("clinical", lambda: BUNDLE + b'"x":' + b"9" * 10 * MILLION + b"}", "bad_json"),
    "a JSON string of 30 MB": ("clinical", lambda: BUNDLE + b'"x":"' + b"A" * 30 * MILLION + b'"}', "no_terms"),
    "JSON with NaN": ("clinical", lambda: BUNDLE + b'"x":NaN}', "bad_json"),
    "one JSON field twice": ("clinical", lambda: BUNDLE + b'"x":1,"x":2}', "bad_json"),
    "a BIOM of two million cells": (
        "microbiome", lambda: b'{"format":"Biological Observation Matrix 1.0.0","data":['
        + b"[0,0,1]," * 2 * MILLION + b"[0,0,1]]}", "not_biom"),
    "a deep participant record": ("participant", lambda: b'{"a":' * 60_000, "bad_participant"),
}  # fmt: skip


@pytest.fixture(scope="module")
def host():
    with ParserHost() as host:
        yield host


def test_the_limits_are_those_promised():
    limits = HostLimits()
    assert (limits.memory, limits.cpu_s, limits.wall_s) == (MEMORY, 60, 60.0)
    assert limits.answer <= limits.memory


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_a_named_refusal_and_the_next_is_read(host, name):
    modality, make, code = HOSTILE[name]
    with pytest.raises(IngestError) as caught:
        host.parse(make(), modality, "../../x\n.vcf")
    assert (caught.value.code, caught.value.name) == (code, "x?.vcf"), str(caught.value)
    assert host.used.peak <= MEMORY
    assert len(host.parse(GOOD, "genotypes", "x")) == 1


def test_records_out_of_order_are_read_in_order(host):
    g = host.parse(vcf(("2", 9, "A", "G", "0/1"), ("1", 9, "A", "G", "1/1")), "genotypes", "x")
    assert (g.contig.tolist(), g.dosage.tolist()) == ([0, 1], [2, 1])
