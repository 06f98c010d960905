"""3,202 people of the 1000 Genomes Project, males haploid on X: plink2's counts and scores."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from compute.ingest import CONTIGS
from compute.queries import (
    CohortData,
    Frame,
    PersonData,
    VariantTable,
    learned_frame,
    parse_query,
    run,
    start,
)
from compute.queries.scorefile import Weights, parse_scorefile
from tests.compute.queries.test_known_families import rows, text

CALLS = {"0|0": (0, 2), "0|1": (1, 2), "1|0": (1, 2), "1|1": (2, 2), "0": (0, 1), "1": (1, 1)}
STATES = {"hom_ref": "HOM_REF_CT", "het": "HET_REF_ALT_CTS", "hom_alt": "TWO_ALT_GENO_CTS",
          "hap_ref": "HAP_REF_CT", "hap_alt": "HAP_ALT_CTS", "no_call": "MISSING_CT"}  # fmt: skip


@cache
def people():
    lines = [line for line in text("cohort_1kg/tiny1000G.vcf.gz").splitlines() if line[:2] != "##"]
    samples, found = lines[0].split("\t")[9:], []
    for line in lines[1:]:
        fields = line.split("\t")
        key = (CONTIGS.index(fields[0]), int(fields[1]), fields[3], fields[4])
        found.append((key, [CALLS[cell] for cell in fields[9:]]))
    found.sort(key=lambda one: one[0])
    calls = np.array([own for _, own in found], np.int8).transpose(1, 2, 0)
    members = tuple(
        PersonData(name, np.ascontiguousarray(own[0]), np.ascontiguousarray(own[1]))
        for name, own in zip(samples, calls, strict=True)
    )
    table = VariantTable.of("GRCh38", [key for key, _ in found])
    score = parse_scorefile(text("pgs/PGS001229_GRCh38.tiny1000G.txt").encode())
    return CohortData(Frame(table, references={"a" * 64: score}), members)


def ask(family, **params):
    return parse_query({"v": 1, "family": family, "build": "GRCh38", "params": params})


def test_genotype_counts_equal_plink2s_on_every_chromosome():
    answer = run(ask("genotype_counts", variants={"panel": "all"}), people())
    names = ("contig", "pos", "ref", "alt")
    mine = {":".join(str(row[name]) for name in names): row for row in answer.rows()}
    known = rows("known_answers/tiny1000G.gcount")
    assert len(known) == len(mine) == 1004
    for row in known:
        own = mine[row["ID"]]
        assert {state: own[state] for state in STATES} == {
            state: int(row[name]) for state, name in STATES.items()
        }, row
    assert sum(row["hap_alt"] for row in mine.values()) > 0


def test_scores_equal_plink2s_for_every_person():
    """plink2 was run by chr:pos names, which leaves out sites of several ALTs and other strands."""
    used = set(text("pgs/tiny1000G_PGS001229.sscore.vars").split())
    score = people().frame.references["a" * 64]
    every = map(score.weights.row, range(len(score.weights)))
    weights = [w for w in every if f"{CONTIGS[w.contig]}:{w.pos}" in used]
    assert len(weights) == len(used) == 970
    data = replace(people(), frame=replace(people().frame, references={
        "a" * 64: replace(score, weights=Weights.of(weights), rows=len(weights))}))  # fmt: skip
    query = ask("polygenic_score", score="a" * 64, palindromic="as_written")
    partial = start(query, learned_frame(query, data))
    partial.add_people(people().people)
    mine = np.array(partial.summaries().values["all"]["score"])
    known = rows("pgs/tiny1000G_PGS001229.sscore.gz")
    assert [row["IID"] for row in known] == [p.participant for p in people().people]
    # plink2 writes six digits.
    expected = np.array([float(row["SCORE1_SUM"]) for row in known])
    assert mine == pytest.approx(expected, rel=5e-6, abs=1e-5)
