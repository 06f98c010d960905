"""Files made to hurt or cut short, of every kind: how each is made and what its refusal is called."""

from __future__ import annotations

import io
import json
import struct

import h5py
import numpy as np

from compute.ingest import parse, write_packed
from tests.compute.ingest.real import real
from tests.compute.ingest.test_ingest_consumer import HEAD, zipped
from tests.compute.ingest.vcf_text import gz, vcf


def hdf5(build):
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        file.attrs["format-version"] = [2, 1]
        file["observation/ids"] = ["a", "b"]
        file["sample/ids"] = ["me"]
        file["sample/matrix/data"] = np.array([1.0, 2.0])
        file["sample/matrix/indices"] = np.array([0, 1])
        file["sample/matrix/indptr"] = np.array([0, 2])
        build(file)
    return out.getvalue()


def swapped(path, value):
    def build(file):
        del file[path]
        file[path] = value

    return build


def big(file):
    del file["observation/ids"]
    file.create_dataset("observation/ids", shape=(10**12,), dtype="f8", chunks=(1024,))


def with_stated_size(data, size):
    """Write another uncompressed size into the central directory and the local header."""
    out = bytearray(data)
    at = data.index(b"PK\x01\x02")
    out[at + 24 : at + 28] = struct.pack("<I", size)
    out[22:26] = struct.pack("<I", size)
    return bytes(out)


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
    **{f"the name {name!r:.20} in a zip": ("genotypes", lambda name=name: zipped((name, GOOD)), "bad_archive")
       for name in ("../../etc/x", "/etc/passwd", "..\\x.txt", "C:x.txt", "a/b.txt", "..", "a\x01b", "x" * 300)},
    "a zip of two people's files": (
        "genotypes", lambda: zipped(("a.vcf", GOOD), ("b.vcf", GOOD)), "several_files"),
    "a zip in a zip": ("genotypes", lambda: zipped(("a.zip", zipped(("a.vcf", GOOD)))), "not_vcf"),
    "a zip that lies about a size": (
        "genotypes", lambda: with_stated_size(zipped(("a.vcf", GOOD * 50)), 10), "damaged"),
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
        "microbiome", lambda: hdf5(big), "too_many_records"),
    "a table in HDF5 that is a link to a file": (
        "microbiome", lambda: hdf5(swapped("sample/ids", h5py.ExternalLink("/etc/passwd", "/x"))), "not_biom"),
    "HDF5 with NaN": (
        "microbiome", lambda: hdf5(swapped("sample/matrix/data", np.array([1.0, np.nan]))), "bad_value"),
    "HDF5 whose rows point outside": (
        "microbiome", lambda: hdf5(swapped("sample/matrix/indices", np.array([0, 7]))), "not_biom"),
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
    "one site twice": (
        "genotypes", lambda: vcf(("1", 5, "A", "G", "0/1"), ("1", 5, "A", "G", "1/1")), "duplicate_site"),
    "a body of two people": (
        "genotypes", lambda: vcf(("1", 5, "A", "G", "0/1", "1/1"), samples=("a", "b")), "several_samples"),
    "a bundle of two people": (
        "clinical", lambda: json.dumps({"resourceType": "Bundle", "entry": [
            {"resource": {"resourceType": "Patient", "id": one}} for one in "ab"]}).encode(), "several_people"),
    "a VCF cut within a line": ("genotypes", lambda: GOOD[:-4], "truncated"),
    "a VCF cut within its header": ("genotypes", lambda: GOOD[:60], "not_vcf"),
    "a gzip cut short": ("genotypes", lambda: gz(GOOD)[:-9], "truncated"),
    "a BGZF without its last block": (
        "genotypes", lambda: real("vcf/CEUTrio.20.21.gatk3.4.g.vcf.bgz")[:-28], "truncated"),
    "a BGZF cut short": (
        "genotypes", lambda: real("vcf/CEUTrio.20.21.gatk3.4.g.vcf.bgz")[: 100 << 10], "truncated"),
    "a BCF cut short": (
        "genotypes", lambda: real("vcf/CEUTrio.20.21.gatk3.4.g.bcf")[: 100 << 10], "truncated"),
    "a zip cut short": ("genotypes", lambda: zipped(("a.vcf", GOOD))[:-30], "damaged"),
    "a packed genome cut short": (
        "genotypes", lambda: write_packed(parse(GOOD, "genotypes", "x"))[:-5], "truncated"),
    "a table cut within a line": ("expression", lambda: table(b"f\t1\ng\t2\n")[:-1], "truncated"),
    "a GCT cut at a line's end": (
        "expression", lambda: real("l1000_v12.gct")[: real("l1000_v12.gct").rindex(b"\n", 0, -1) + 1], "truncated"),
    "an mzTab cut short": ("metabolomics", lambda: real("MTBLS263.mztab")[:20_000], "truncated"),
    "an HDF5 cut short": ("microbiome", lambda: real("lcms_cut.biom")[:4096], "damaged"),
    "a BIOM in JSON cut short": ("microbiome", lambda: real("biom_sparse.json")[:600], "truncated"),
    **{f"{name} cut short": ("clinical", lambda name=name: real(name)[:1024], "truncated")
       for name in ("phenopacket.json", "fhir_synthea.json", "openehr_laboratory.json")},
    "a deep participant record": ("participant", lambda: b'{"a":' * 60_000, "bad_participant"),
}  # fmt: skip
