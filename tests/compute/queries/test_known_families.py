"""Other programs' answers: RAREMETALWORKER, plink2's scores; the difference explained."""

from __future__ import annotations

import csv
import gzip
import io
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from compute.ingest import CONTIGS
from compute.queries import (
    CohortData,
    Frame,
    PersonData,
    QueryError,
    VariantTable,
    parse_query,
    run,
)
from compute.queries.polygenic_score import PolygenicScore
from compute.queries.scorefile import parse_scorefile

DATA = Path(__file__).parents[2] / "data"
CODES = {"0/0": 0, "0/1": 1, "1/0": 1, "1/1": 2, "./.": -1}


def text(path):
    data = (DATA / path).read_bytes()
    return (gzip.decompress(data) if path.endswith(".gz") else data).decode()


def rows(path):
    lines = [line for line in text(path).splitlines() if not line.startswith("##")]
    body = [line.lstrip("#") for at, line in enumerate(lines) if at == 0 or line[:1] != "#"]
    return list(csv.DictReader(io.StringIO("\n".join(body)), delimiter="\t"))


@cache
def genotypes(path):
    """(table, sample names, dosage (people, variants)) of a small multi-sample VCF."""
    keys, calls, samples = [], [], []
    for line in text(path).splitlines():
        if line.startswith("#CHROM"):
            samples = line.split("\t")[9:]
        if line.startswith("#"):
            continue
        fields = line.split("\t")
        keys.append((CONTIGS.index(fields[0]), int(fields[1]), fields[3], fields[4]))
        calls.append([CODES[cell[:3].replace("|", "/")] for cell in fields[9:]])
    return VariantTable.of("GRCh37", keys), samples, np.array(calls, np.int8).T


def ask(family, **params):
    return parse_query({"v": 1, "family": family, "build": "GRCh37", "params": params})


@cache
def chr21():
    table, samples, dosage = genotypes("assoc/chr21.test.vcf.gz")
    traits = {row["iid"]: row for row in rows("assoc/chr21.test.tab.gz")}
    people = []
    for name, own in zip(samples, dosage, strict=True):
        told = {
            k: float(traits[name][k]) for k in ("rand_qt", "rand_binary") if traits[name][k] != "NA"
        }
        people.append(PersonData(name, own, None, {"sex": traits[name]["sex"]}, told))
    return CohortData(Frame(table), tuple(people))


PANEL = {"variants": {"panel": "all"}}


def test_linear_association_equals_plink2_and_raremetalworker():
    trait = {"kind": "covariate", "name": "rand_qt"}
    mine = run(ask("linear_association", **PANEL, trait=trait), chr21()).rows()
    plink2, metal = rows("assoc/chr21.test.rand_qt.glm.linear"), rows(
        "assoc/chr21.test.RAND_QT.singlevar.score.txt")  # fmt: skip
    assert len(mine) == len(plink2) == len(metal) == 111
    for row, peer, other in zip(mine, plink2, metal, strict=True):
        assert row["pos"] == int(peer["POS"]) and peer["A1"] in (row["ref"], row["alt"])
        sign = 1 if peer["A1"] == row["a1"] else -1  # plink2's A1 is the minor allele
        row |= {"beta": sign * row["beta"], "t": sign * row["t"]}
        for name, column in (("beta", "BETA"), ("se", "SE"), ("t", "T_STAT"), ("p", "P")):
            assert row[name] == pytest.approx(float(peer[column]), rel=5e-6), (row, column)
        assert row["ac"] == int(other["INFORMATIVE_ALT_AC"])
        assert sign * row["beta"] == pytest.approx(float(other["ALT_EFFSIZE"]), rel=6e-6)
        # RAREMETALWORKER's is the score test, whose residual variance is that of the null model
        # over n: z^2 = n t^2 / (t^2 + n - 2), against the normal and not Student's t.
        t2, n = row["t"] ** 2, row["n"]
        assert stats.chi2.sf(n * t2 / (t2 + n - 2), 1) == pytest.approx(
            float(other["PVALUE"]), rel=2e-5
        )


def test_linkage_equals_raremetalworkers_covariances():
    """Its matrix is a covariance of genotypes over the residual variance, six digits a cell."""
    lines = rows("assoc/chr21.test.RAND_QT.singlevar.cov.txt.gz")
    cells = {}
    for row in lines:
        places = map(int, row["MARKERS_IN_WINDOW"].rstrip(",").split(","))
        values = map(float, row["COV_MATRICES"].rstrip(",").split(","))
        cells |= {(int(row["CURRENT_POS"]), at): v for at, v in zip(places, values, strict=True)}
    span = {"variants": {"region": f"21:{lines[0]['CURRENT_POS']}-{lines[-1]['CURRENT_POS']}"}}
    mine = run(ask("linkage", **span), chr21()).rows()
    assert len(mine) == 111 * 110 // 2 and len(cells) == 111 * 112 // 2
    for row in mine:
        a, b = (int(row[name].split("-")[1]) for name in ("variant_a", "variant_b"))
        expected = cells[a, b] / np.sqrt(cells[a, a] * cells[b, b])
        assert row["n"] == 2504
        assert row["r"] == pytest.approx(expected, rel=2e-5, abs=1e-9), row


def test_logistic_score_test_is_cochran_armitage_without_covariates():
    """z^2 = n r^2: the score test without covariates is n times a squared correlation."""
    trait = {"kind": "covariate", "name": "rand_binary"}
    people = chr21()
    answer = run(ask("logistic_association", **PANEL, trait=trait), people)
    used = [p for p in people.people if "rand_binary" in p.covariates]
    y = np.array([p.covariates["rand_binary"] for p in used])
    for at, row in enumerate(answer.rows()):
        r = np.corrcoef([p.dosage[at] for p in used], y)[0, 1]
        assert row["n"] == len(used) and row["z"] ** 2 == pytest.approx(len(used) * r * r, rel=1e-9)


@cache
def cineca():
    table, samples, dosage = genotypes("pgs/cineca_synthetic_subset.vcf.gz")
    score = parse_scorefile(text("pgs/PGS001229_22.txt").encode())
    people = tuple(PersonData(n, d) for n, d in zip(samples, dosage, strict=True))
    return CohortData(Frame(table, references={"a" * 64: score}), people)


def test_polygenic_scores_of_every_person_equal_plink2s():
    known = rows("pgs/cineca_PGS001229_22.sscore.gz")
    people = cineca()
    # plink2 ran with no-mean-imputation; test_plink2_families.py has its default beside ours.
    query = ask("polygenic_score", score="a" * 64, palindromic="as_written", missing="nothing")
    family = PolygenicScore()
    partial = family.start(query.params, people.frame)
    for person in people.people:
        partial.add(person)
    scores = np.array(partial.summaries().values["all"]["score"])
    expected = np.array([float(row["SCORE1_SUM"]) for row in known])
    assert [row["IID"] for row in known] == [p.participant for p in people.people]
    assert scores == pytest.approx(expected, rel=5e-6, abs=5e-7)
    answer = family.reduce(partial)
    assert (answer.facts["matched"], answer.facts["rows"]) == (829, 835)
    row = next(row for row in answer.rows() if row["metric"] == "score")
    assert (row["n"], row["mean"]) == (2504, pytest.approx(expected.mean(), rel=1e-6))


def test_dominant_and_recessive_rows_of_a_published_score_are_counted_as_such():
    """The same weights, of which the first row is dominant and the second recessive."""
    plain = cineca()
    score = parse_scorefile(text("pgs/scorefile_dominant_and_recessive.txt").encode())
    models = [score.weights.row(at).model for at in range(len(score.weights))]
    assert models[:3] == ["dominant", "recessive", "additive"] and set(models[2:]) == {"additive"}
    query = ask("polygenic_score", score="a" * 64, palindromic="as_written", missing="nothing")
    scores = []
    for references in (plain.frame.references, {"a" * 64: score}):
        partial = PolygenicScore().start(
            query.params, Frame(plain.frame.table, references=references)
        )
        for person in plain.people:
            partial.add(person)
        scores.append(np.array(partial.summaries().values["all"]["score"]))
    keys, copies = list(plain.frame.table.keys()), []
    for row in map(score.weights.row, (0, 1)):
        at = next(n for n, key in enumerate(keys) if key[1] == row.pos)
        alt = keys[at][3]
        calls = np.array([p.dosage[at] for p in plain.people])
        copies.append(np.where(calls < 0, 0, calls if alt == row.effect else 2 - calls))
    one, two = (score.weights.row(at).weight for at in (0, 1))
    moved = one * ((copies[0] >= 1) - copies[0]) + two * ((copies[1] == 2) - copies[1])
    assert scores[1] - scores[0] == pytest.approx(moved, abs=1e-9)
    assert np.abs(moved).max() > 0


def test_a_harmonised_file_of_the_catalogue_is_read_whole_and_others_are_refused():
    score = parse_scorefile(text("pgs/PGS000001_hmPOS_GRCh37.txt").encode())
    assert (score.pgs_id, score.build, score.rows, len(score.weights)) == (
        "PGS000001", "GRCh37", 77, 77)  # fmt: skip
    with pytest.raises(QueryError, match="states no build"):
        parse_scorefile(b"ID\teffect_allele\tPGS001229_22\n22:1:G:A\tG\t0.01\n")
