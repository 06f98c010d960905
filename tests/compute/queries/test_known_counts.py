"""plink2's counts of published cohorts, whose files go the way people's files go: split and parsed.

Neither file states lengths of chromosomes, so as they are both are refused; the lines are written
in here. CEU_Exon lies on NCBI36, which no person's file may: its records are numbered instead.
"""

from __future__ import annotations

import gzip
from functools import cache
from itertools import groupby

import pytest

from compute.builds import CONTIGS, LENGTHS
from compute.ingest import IngestError, parse, split_vcf
from compute.queries import CohortData, PersonData, VariantTable, align, parse_query, run
from tests.compute.queries.test_known_1000_genomes import people as tiny
from tests.compute.queries.test_known_answers import six
from tests.compute.queries.test_known_families import DATA, rows

FILES = {
    "CEU_Exon": ("cohort_missing/CEU_Exon.vcf.gz", "GRCh37", ""),
    "test_1000G_hg38": ("cohort_1kg/test_1000G_hg38.vcf.gz", "GRCh38", "chr"),
}


def stated(name):
    """The file with the lengths of its build's autosomes in the header."""
    path, build, prefix = FILES[name]
    head, body = gzip.decompress((DATA / path).read_bytes()).split(b"#CHROM", 1)
    lines = [line for line in head.splitlines() if not line.startswith(b"##contig")]
    sizes = zip(CONTIGS[:22], LENGTHS[build], strict=False)
    lines += [f"##contig=<ID={prefix}{c},length={size}>".encode() for c, size in sizes]
    return b"\n".join([*lines, b"#CHROM" + body])


def numbered(data):
    """The same records with 1, 2, 3, ... for positions: plink2's counts do not depend on them."""
    head, body = data.split(b"#CHROM", 1)
    first, *records = body.splitlines(keepends=True)
    fields = (line.split(b"\t", 2) for line in records)
    moved = (b"\t".join((f[0], b"%d" % n, f[2])) for n, f in enumerate(fields, 1))
    return head + b"#CHROM" + first + b"".join(moved)


@cache
def readable(name):
    return numbered(stated(name)) if name == "CEU_Exon" else stated(name)


@cache
def cohort(name):
    """Everybody of the file, split into one body a person, each parsed and aligned."""
    parts = split_vcf(readable(name), "all-sites")
    people = [(part.sample, parse(part.data, "genotypes", "x")) for part in parts]
    table = VariantTable.union(g for _, g in people)
    return CohortData.of(table, [PersonData(sample, *align(g, table)) for sample, g in people])


def counts(data, build):
    query = {"v": 1, "family": "genotype_counts", "build": build,
             "params": {"variants": {"panel": "all"}}}  # fmt: skip
    return run(parse_query(query), data).rows()


def split_sites(row, *columns):
    """One dict an ALT of a row of plink2's, whose columns hold a number for each."""
    alts = row["ALT"].split(",")
    cells = zip(alts, *(row[name].split(",") for name in columns), strict=True)
    return [{**row, **dict(zip(("ALT", *columns), own, strict=True))} for own in cells]


def by_place(name):
    """Variants of the file in its order: (contig, pos, ref), for plink2's rows name no position."""
    lines = (line.split("\t") for line in readable(name).decode().splitlines() if line[0] != "#")
    return [(f[0].removeprefix("chr"), int(f[1]), f[3]) for f in lines]


def paired(name, known, columns):
    """(our row, plink2's row) of every ALT."""
    build = FILES[name][1]
    mine = {(r["contig"], r["pos"], r["ref"], r["alt"]): r for r in counts(cohort(name), build)}
    found = []
    for place, row in zip(by_place(name), rows(f"known_answers/{known}.gz"), strict=True):
        found += [(mine[*place, one["ALT"]], one) for one in split_sites(row, *columns)]
    assert len(found) == len(mine)
    return found


@pytest.mark.parametrize("name", FILES)
def test_as_published_the_build_is_unclear_and_nobody_is_read(name):
    with pytest.raises(IngestError) as refused:
        next(iter(split_vcf((DATA / FILES[name][0]).read_bytes())))
    assert refused.value.code == "build_unclear"


def test_ncbi36_under_another_builds_header_is_found_by_its_positions():
    with pytest.raises(IngestError) as refused:
        list(split_vcf(stated("CEU_Exon"), "all-sites"))
    assert refused.value.code == "bad_position" and "19" in refused.value.reason


@pytest.mark.parametrize(("name", "people", "alts"), [
    ("CEU_Exon", 90, 1350), ("test_1000G_hg38", 2548, 3042)])  # fmt: skip
def test_genotype_counts_equal_plink2s(name, people, alts):
    pairs = paired(name, f"{name}.gcount", ("HET_REF_ALT_CTS",))
    assert (len(cohort(name).people), len(pairs)) == (people, alts)
    for own, peer in pairs:
        assert own["het"] == int(peer["HET_REF_ALT_CTS"]), peer
        assert own["no_call"] == int(peer["MISSING_CT"]), peer
        if "," not in peer["TWO_ALT_GENO_CTS"]:  # of several ALTs plink2 lists pairs of them
            assert own["hom_alt"] == int(peer["TWO_ALT_GENO_CTS"]), peer
            assert own["hom_ref"] == int(peer["HOM_REF_CT"]), peer


def test_allele_counts_equal_plink2s_and_the_other_alt_keeps_its_place():
    pairs = paired("CEU_Exon", "CEU_Exon.acount", ("ALT_CTS",))
    assert all(own["ac"] == int(peer["ALT_CTS"]) for own, peer in pairs)
    assert all(own["an"] == int(peer["OBS_CT"]) for own, peer in pairs)


def test_hardy_weinberg_equals_plink2s():
    """Of several ALTs plink2 tests each allele against all the rest, on the row it is A1 of."""
    ours = counts(cohort("CEU_Exon"), "GRCh37")
    mine = {(r["contig"], r["pos"], r["ref"], r["alt"]): r for r in ours}
    sites = groupby(rows("known_answers/CEU_Exon.hardy.gz"), key=lambda row: row["ID"])
    tested = 0
    for place, (_, site) in zip(by_place("CEU_Exon"), sites, strict=True):
        for row in site:
            alleles = {row["A1"], *row["AX"].split(",")} - {place[2]}
            if len(alleles) == 2:
                alleles &= {row["A1"]}
            for alt in alleles:
                own = mine[*place, alt]
                assert own["het"] == int(row["HET_A1_CT"]), row
                assert six(own["hwe_p"]) == six(float(row["P"])), row
                tested += 1
    assert tested == len(ours) == 1350


@pytest.mark.parametrize("name", ["test_1000G_hg38", "tiny1000G"])
def test_frequencies_equal_plink2s(name):
    if name == "tiny1000G":
        keyed = {":".join(str(r[k]) for k in ("contig", "pos", "ref", "alt")): r
                 for r in counts(tiny(), "GRCh38")}  # fmt: skip
        pairs = [(keyed[row["ID"]], row) for row in rows("known_answers/tiny1000G.afreq.gz")]
        assert len(pairs) == 1004
    else:
        pairs = paired(name, f"{name}.afreq", ("ALT_FREQS",))
    for own, peer in pairs:
        assert own["an"] == int(peer["OBS_CT"]), peer
        assert six(own["af"]) == six(float(peer["ALT_FREQS"])), peer
