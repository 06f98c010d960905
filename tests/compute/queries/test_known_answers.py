"""Every row of plink2's answers on the shipped cohort, against the engine on the cut files."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from compute.queries import parse_query, run
from tests.compute.cohort import cohort, parsed

KNOWN = Path(__file__).parents[2] / "data" / "known_answers"
GENES = ("ENSG00000189339", "ENSG00000215790", "ENSG00000227775")
ALL = {
    "v": 1,
    "family": "genotype_counts",
    "build": "GRCh37",
    "params": {"variants": {"panel": "all"}},
}


def rows(name):
    lines = (KNOWN / name).read_text().splitlines()
    columns = lines[0].lstrip("#").split("\t")
    return [dict(zip(columns, line.split("\t"), strict=True)) for line in lines[1:]]


def six(value):
    """Six significant digits, as plink2 prints."""
    return f"{value:.6g}"


def off_by(printed, value):
    """How far, relatively, a value lies outside what its six printed digits stand for."""
    unit = 10.0 ** (math.floor(math.log10(float(printed))) - 5)
    return (abs(float(printed) - value) - unit / 2) / value


def by_id(answer):
    return {f"snp_{r['contig']}_{r['pos']}": r for r in answer.rows()}


def test_an_of_the_cut_equals_obs_ct_for_every_snp():
    people = [genotypes for genotypes, _, _ in parsed()]
    an = sum(g.ploidy.astype(int) for g in people)
    names = [f"snp_{c + 1}_{p}" for c, p in zip(people[0].contig.tolist(), people[0].pos.tolist())]
    expected = {row["ID"]: int(row["OBS_CT"]) for row in rows("geuvadis.afreq")}
    assert len(expected) == 3204
    assert dict(zip(names, an.tolist(), strict=True)) == expected


@pytest.mark.parametrize("stem", ["geuvadis", "geuvadis_CEU", "geuvadis_YRI"])
def test_allele_frequencies(stem):
    found = by_id(run(parse_query(ALL), cohort(stem.partition("_")[2] or None)))
    known = rows(f"{stem}.afreq")
    assert len(known) == len(found) == 3204
    for row in known:
        mine = found[row["ID"]]
        assert (mine["ref"], mine["alt"], mine["an"]) == (
            row["REF"],
            row["ALT"],
            int(row["OBS_CT"]),
        )
        assert six(mine["af"]) == row["ALT_FREQS"]


def test_strata_equal_the_populations_counted_alone():
    query = {**ALL, "params": {"variants": {"panel": "all"}, "by": "population"}}
    answer = run(parse_query(query), cohort())
    assert answer.people == {"CEU": 90, "YRI": 88}
    for stratum in ("CEU", "YRI"):
        known = {row["ID"]: row for row in rows(f"geuvadis_{stratum}.afreq")}
        mine = [row for row in answer.rows() if row["stratum"] == stratum]
        assert len(mine) == 3204
        for row in mine:
            expected = known[f"snp_{row['contig']}_{row['pos']}"]
            assert (six(row["af"]), row["an"]) == (expected["ALT_FREQS"], int(expected["OBS_CT"]))


def test_hardy_weinberg():
    found = by_id(run(parse_query(ALL), cohort()))
    known = rows("geuvadis.hardy")
    assert len(known) == 3204
    for row in known:
        mine = found[row["ID"]]
        homs = {mine["ref"]: mine["hom_ref"], mine["alt"]: mine["hom_alt"]}
        assert homs[row["A1"]] == int(row["HOM_A1_CT"])
        assert homs[row["AX"]] == int(row["TWO_AX_CT"])
        assert mine["het"] == int(row["HET_A1_CT"])
        assert six(mine["hwe_p"]) == six(float(row["P"])), row
        assert mine["hwe_na"] == ""


def test_missingness():
    found = by_id(run(parse_query(ALL), cohort()))
    known = rows("geuvadis.vmiss")
    assert len(known) == 3204
    for row in known:
        mine = found[row["ID"]]
        assert mine["no_call"] == int(row["MISSING_CT"])
        assert mine["not_covered"] == 0
        assert six(1 - mine["call_rate"]) == row["F_MISS"] or mine["no_call"] == 0


@pytest.mark.parametrize("population", ["CEU", "YRI"])
@pytest.mark.parametrize("gene", GENES)
def test_regressions(population, gene):
    query = {
        "v": 1,
        "family": "cis_association",
        "build": "GRCh37",
        "params": {"gene": gene, "variants": {"panel": "all"}},
    }
    people = cohort(population)
    found = by_id(run(parse_query(query), people))
    known = rows(f"geuvadis_{population}.{gene}.glm.linear")
    assert len(known) == 3204
    absent = ties = 0
    for row in known:
        mine = found[row["ID"]]
        assert mine["n"] == int(row["OBS_CT"])
        if row["BETA"] == "NA":
            assert (row["ERRCODE"], mine["na"], mine["p"]) == (
                "CONST_OMITTED_ALLELE",
                "monomorphic",
                None,
            )
            absent += 1
            continue
        sign = 1 if row["A1"] == mine["a1"] else -1
        assert row["A1"] in (mine["ref"], mine["alt"])
        assert mine["na"] == ""
        for column, value in (
            ("BETA", sign * mine["beta"]),
            ("SE", mine["se"]),
            ("T_STAT", sign * mine["t"]),
        ):
            assert six(value) == six(float(row[column])), (row, column, value)
        if six(mine["p"]) != six(float(row["P"])):
            # plink2 v2.00a3.5's own tail of t is good to 1e-7 only (ours to 1e-13, see
            # test_statistics.py), so a p that close to a rounding tie may round the other way.
            ties += 1
            assert off_by(row["P"], mine["p"]) < 1e-7, row
    assert 0 < absent < 3204
    assert ties < 0.01 * 3204
