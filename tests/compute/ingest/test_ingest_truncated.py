"""Files cut short at every 1 KiB, through the confined child: a named refusal, within the limits.

A format that knows its end is refused wherever it is cut. A table of lines does not know it: cut
within a line it is refused, cut at a line's end it is a valid shorter file, and what its owner is
shown counts exactly the lines that are left.
"""

from __future__ import annotations

import gzip
import re
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

import pytest

from compute.ingest import (
    FeatureSummary,
    Hints,
    HostLimits,
    IngestError,
    ParserHost,
    parse,
    summarise,
    write_packed,
)
from tests.compute.ingest.real import real
from tests.compute.ingest.test_ingest_consumer import HINTS, zipped
from tests.compute.ingest.test_ingest_hostile_formats import SAMPLES
from tests.compute.ingest.vcf_text import bcf, bgzf, gz, vcf

BLOCK = 1024
MEMORY = 512 << 20
HOSTS = 2  # as the worker's
# What a refusal of a file that is cut may be called; any other would send its owner the wrong way.
NAMED = {
    "truncated", "damaged", "bad_record", "bad_header", "bad_json", "bad_genotype", "bad_position",
    "bad_utf8", "no_records", "no_samples", "no_sample", "not_vcf", "not_json", "not_features",
    "not_mztab", "not_biom", "not_clinical", "not_packed", "build_unclear", "unknown_sample",
    "bad_archive", "bad_value", "no_features", "no_alleles", "no_abundance",
}  # fmt: skip


def steps(data):
    """Where to cut: every 1 KiB, and a small file at every 40 bytes."""
    end = len(data.rstrip())
    return range(BLOCK, end, BLOCK) if end > 4 * BLOCK else range(10, end, 40)


def line_end(data, cut):
    """The place after the last line that ends before a cut."""
    return data.rfind(b"\n", 0, cut) + 1


class Children:
    """Confined children, two at work at once."""

    def __init__(self):
        self.hosts = [ParserHost() for _ in range(HOSTS)]
        self.free = SimpleQueue()
        for host in self.hosts:
            self.free.put(host)
        self.peak = 0

    def read(self, data, modality, sample, hints):
        """Return what was read, or the refusal."""
        host = self.free.get()
        try:
            return host.parse(data, modality, "cut", sample=sample, hints=hints)
        except IngestError as error:
            return error
        finally:
            self.peak = max(self.peak, host.used.peak)
            self.free.put(host)

    def all(self, pieces, modality, sample, hints):
        with ThreadPoolExecutor(HOSTS) as pool:
            return list(pool.map(lambda one: self.read(one, modality, sample, hints), pieces))


@pytest.fixture(scope="module")
def children():
    made = Children()
    yield made
    for host in made.hosts:
        host.close()
    assert 0 < made.peak <= MEMORY
    limits = HostLimits()
    assert (limits.memory, limits.wall_s) == (MEMORY, 60.0)


def refuse(children, data, modality, sample, hints):
    """Hold that a file is read whole, and refused by name wherever it is cut."""
    cuts = list(steps(data))
    (whole,) = children.all([data], modality, sample, hints)
    assert not isinstance(whole, IngestError), whole
    for cut, found in zip(
        cuts, children.all([data[:c] for c in cuts], modality, sample, hints), strict=True
    ):
        assert isinstance(found, IngestError), f"cut at {cut} of {len(data)} was read"
        assert found.code in NAMED and found.name == "cut", found


def lines_not_meta(text):
    return sum(not line.startswith(b"#") for line in text.splitlines())


def rows_below_header(text):
    return max(lines_not_meta(text) - 1, 0)


def summary_rows(found):
    """What the owner is shown of a file's length: lines read, whether kept or counted as left out."""
    summary = summarise(found)
    if not isinstance(summary, FeatureSummary):
        return summary.records
    sections = sum(
        n for why, n in summary.skipped.items() if why.startswith(("section_", "written_"))
    )
    return summary.features + sum(summary.skipped.values()) - sections


def download(vendor):
    """A vendor's file of a usual shape, 40 KB of it: header as in its sample, then many markers."""
    first = b"rs1\t" if vendor.endswith(".txt") else b'"rs1"'
    head = real(vendor).partition(first)[0]
    row = {
        "23andme.txt": b"rs%d\t1\t%d\tAG\n", "ancestry.txt": b"rs%d\t1\t%d\tA\tG\n",
        "ftdna.csv": b'"rs%d","1","%d","AG"\n', "myheritage.csv": b'"rs%d","1","%d","AG"\n',
    }[vendor]  # fmt: skip
    return head + b"".join(row % (n, 101 if n == 1 else 1000 + n) for n in range(1, 1800))


def cut_to(name, size):
    """The plain text of a packed VCF without unplaced contigs, so many bytes of it."""
    lines = gzip.decompress(real(name)).splitlines(keepends=True)
    text = b"".join(line for line in lines if not re.match(rb"##contig=<ID=(HLA|.*_|EBV)", line))
    return text[: line_end(text, size)]


SAMPLE = "HG00096"
ENDLESS = {  # name: (modality, sample, hints, the file, how many rows a text holds)
    "a gVCF": ("genotypes", None, Hints(), lambda: cut_to("HG00187.hg38.g.vcf.gz", 48 << 10), lines_not_meta),
    "a VCF of several people": (
        "genotypes", SAMPLE, Hints(), lambda: cut_to("vcf/1kg_2020_chrM.vcf.gz", 1 << 20), lines_not_meta),
    "a VCF with long header": (
        "genotypes", None, Hints(), lambda: cut_to("vcf/CEUTrio.20.21.gatk3.4.g.vcf.bgz", 48 << 10), lines_not_meta),
    "23andme.txt": ("genotypes", None, HINTS, lambda: download("23andme.txt"), lines_not_meta),
    **{name: ("genotypes", None, HINTS, lambda name=name: download(name), rows_below_header)
       for name in ("ancestry.txt", "ftdna.csv", "myheritage.csv")},
    **{name: (*SAMPLES[name], lambda name=name: real(name), rows_below_header)
       for name in ("geuvadis_expression.tsv", "methylation.csv", "proteinGroups.txt")},
    "MTBLS263.mztab": (*SAMPLES["MTBLS263.mztab"], lambda: real("MTBLS263.mztab"),
                       lambda text: text.count(b"\nSML\t")),
    "olink_wide.csv": (*SAMPLES["olink_wide.csv"], lambda: real("olink_wide.csv"),
                       lambda text: 20 if b"\nGSM1009661," in text else 0),
}  # fmt: skip
WITH_AN_END = sorted(set(SAMPLES) - set(ENDLESS))


@pytest.mark.parametrize("name", WITH_AN_END)
def test_a_format_that_knows_its_end_is_refused_wherever_it_is_cut(children, name):
    modality, sample, hints = SAMPLES[name]
    refuse(children, real(name), modality, sample, hints)


@pytest.mark.parametrize("name", ENDLESS)
def test_a_table_of_lines_is_refused_within_a_line_and_counts_its_rows_at_a_lines_end(
    children, name
):
    modality, sample, hints, make, rows = ENDLESS[name]
    data = make()
    cuts = list(steps(data))
    ends = sorted({line_end(data, cut) for cut in cuts} - {0})
    within = [cut for cut in cuts if cut not in ends]
    assert within and ends
    for cut, found in zip(
        within, children.all([data[:c] for c in within], modality, sample, hints)
    ):
        assert isinstance(found, IngestError), f"cut within a line at {cut} was read"
        assert found.code in NAMED and found.name == "cut", found
    found = children.all([data[:e] for e in ends], modality, sample, hints)
    first = next(at for at, one in enumerate(found) if not isinstance(one, IngestError))
    for refusal in found[:first]:  # too little: of the header, or before the first row that is kept
        assert refusal.code in NAMED and refusal.name == "cut", refusal
    for end, one in zip(ends[first:], found[first:], strict=True):
        assert not isinstance(one, IngestError), f"cut at {end}: {one}"
        assert summary_rows(one) == rows(data[:end]), f"cut at {end}"


@pytest.mark.parametrize("name", ["a gVCF", "23andme.txt", "proteinGroups.txt"])
def test_a_packed_table_is_refused_wherever_it_is_cut(children, tmp_path, name):
    """Packed, a table knows its end: gzip its length, BGZF its last block, a zip its directory."""
    modality, sample, hints, make, _ = ENDLESS[name]
    data = make()
    for form in (gz(data), bgzf(data, tmp_path), zipped(("x.txt", data))):
        refuse(children, form, modality, sample, hints)


def test_bcf_and_packed_genotypes_are_refused_wherever_they_are_cut(children, tmp_path):
    rows = [
        ("1", 7 * n, "ACGT"[n % 4], "CGTA"[n % 4], ("0/1", "1/1", "./.")[n % 3])
        for n in range(1, 9000)
    ]
    data = vcf(*rows)
    for form in (bcf(data, tmp_path), write_packed(parse(data, "genotypes", "x"))):
        refuse(children, form, "genotypes", None, Hints())
