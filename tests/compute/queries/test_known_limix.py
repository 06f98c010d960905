"""limix_qtl's own answers: its mixed model made again to the digits it printed, and ours beside it.

limix fits feature ~ 1 + PC1 … PC5 + dosage with a random effect of the covariance K, kinship on
chromosome 1. By maximum likelihood, the weight of K is found without any variant and kept; p is of
the likelihood ratio against chi-squared, and SE is |beta| over its root. Ours is that model without
kinship, which the second test shows on the same data, and p of Student's t.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy import optimize, stats

from compute.queries import run
from tests.compute.cohort import cohort
from tests.compute.queries.test_known_families import PANEL, ask, rows, text

PCS = ["PC1", "PC2", "PC3", "PC4", "PC5"]
# limix's K is kinship over the least diagonal element of all 178 people, kept within 0 and 1: that
# is what its published Geuvadis_chr1_kinship.normalized.txt holds.
LEAST_DIAGONAL = 979.016138781


@cache
def kinship():
    lines = [line.split("\t") for line in text(FILE).splitlines()]
    names = lines[0][1:]
    raw = {name: dict(zip(names, map(float, own), strict=True)) for name, *own in lines[1:]}
    people = [p.participant for p in cohort("CEU").people]
    matrix = np.array([[raw[one][other] for other in people] for one in people])
    return np.clip(matrix / LEAST_DIAGONAL, 0, 1)


FILE = "known_answers/Geuvadis_chr1_kinship.CEU.txt.gz"
KNOWN = "known_answers/Limix_cis_CEU_eQTLs.three_genes.txt.gz"
GENES = ["ENSG00000189339", "ENSG00000215790", "ENSG00000227775"]


def likelihood(weight, x, y):
    """(log likelihood up to a constant, beta) of y ~ N(x beta, s ((1 - weight) I + weight K))."""
    n = len(y)
    covariance = (1 - weight) * np.eye(n) + weight * kinship()
    root = np.linalg.cholesky(covariance)
    x, y = np.linalg.solve(root, x), np.linalg.solve(root, y)
    beta = np.linalg.lstsq(x, y, rcond=None)[0]
    left = ((y - x @ beta) ** 2).sum() / n
    return -n / 2 * np.log(left) - np.log(np.diag(root)).sum(), beta


@cache
def fixed(gene):
    """(x, y) without any variant, and the weight of K that makes y likeliest."""
    people = cohort("CEU").people
    y = np.array([p.features[gene] for p in people])
    x = np.array([[1.0, *(p.covariates[name] for name in PCS)] for p in people])
    found = optimize.minimize_scalar(
        lambda w: -likelihood(w, x, y)[0], bounds=(0, 1), method="bounded",
        options={"xatol": 1e-12},
    )  # fmt: skip
    return x, y, float(found.x)


def of_variant(gene, dosage, weight):
    """(beta, chi-squared of the likelihood ratio) of a dosage."""
    x, y, _ = fixed(gene)
    null, _ = likelihood(weight, x, y)
    full, beta = likelihood(weight, np.column_stack([x, dosage]), y)
    return beta[-1], 2 * (full - null)


@cache
def compared(gene):
    """[(limix's row, its sign, our row, dosage)] of each variant limix tested."""
    mine = run(ask("cis_association", **PANEL, gene=gene, covariates=PCS), cohort("CEU")).rows()
    place = {row["pos"]: at for at, row in enumerate(mine) if row["contig"] == "1"}
    found = []
    for row in (row for row in rows(KNOWN) if row["feature_id"] == gene):
        own = mine[place[int(row["position"])]]
        dosage = np.array([p.dosage[place[own["pos"]]] for p in cohort("CEU").people], float)
        found.append((row, 1 if row["assessed_allele"] == own["alt"] else -1, own, dosage))
    return found


def imputed(dosage):
    return np.where(dosage < 0, dosage[dosage >= 0].mean(), dosage)


def where_limix_stopped(gene):
    """The weight of K at which the first variant has limix's p: near the likeliest one."""
    row, _, _, dosage = compared(gene)[0]
    aim = stats.chi2.isf(float(row["p_value"]), 1)
    likeliest = fixed(gene)[2]
    return optimize.brentq(
        lambda w: of_variant(gene, imputed(dosage), w)[1] - aim, likeliest - 0.01, likeliest + 0.01,
        xtol=1e-14,
    )  # fmt: skip


@pytest.mark.parametrize("gene", GENES)
def test_limix_is_this_mixed_model_on_these_data(gene):
    """Every beta, SE and p to 1e-6, from one number a gene: where limix's search stopped.

    That is 4e-8 from the likeliest weight; for ENSG00000215790, whose likeliest weight is 0 and
    limix's search keeps off its ends, at 0.0000122.
    """
    x, y, likeliest = fixed(gene)
    weight = where_limix_stopped(gene)
    assert weight == pytest.approx(likeliest, abs=2e-5)
    assert abs(likelihood(likeliest, x, y)[0] - likelihood(weight, x, y)[0]) < 1e-4
    assert len(compared(gene)) > 250
    for row, sign, _, dosage in compared(gene):
        beta, ratio = of_variant(gene, imputed(dosage), weight)
        assert sign * beta == pytest.approx(float(row["beta"]), rel=1e-6, abs=1e-9), row
        assert stats.chi2.sf(ratio, 1) == pytest.approx(float(row["p_value"]), rel=1e-6), row
        assert abs(beta) / np.sqrt(ratio) == pytest.approx(float(row["beta_se"]), rel=1e-6), row


@pytest.mark.parametrize("gene", GENES)
def test_ours_is_that_model_without_kinship(gene):
    """Counts exactly; beta and p of the same model at weight 0, p by way of its likelihood ratio.

    n log(1 + t^2 / df) is the likelihood ratio that Student's t stands for. Whom a missing call
    leaves out is left out of the model too, where limix takes the mean.
    """
    for row, _, own, dosage in compared(gene):
        called = dosage >= 0
        assert own["n"] == called.sum() == round(90 * float(row["call_rate"]))
        af = own["ac"] / own["an"]
        assert min(af, 1 - af) == pytest.approx(float(row["maf"]), rel=1e-9)
        x, y, _ = fixed(gene)
        full = np.column_stack([x, dosage])[called]
        beta, *_ = np.linalg.lstsq(full, y[called], rcond=None)
        assert own["beta"] == pytest.approx(beta[-1], rel=1e-8, abs=1e-11)
        if called.all():
            assert own["beta"] == pytest.approx(
                of_variant(gene, dosage, 0.0)[0], rel=1e-8, abs=1e-11
            )
            ratio = own["n"] * np.log1p(own["t"] ** 2 / (own["n"] - 7))
            assert ratio == pytest.approx(of_variant(gene, dosage, 0.0)[1], rel=1e-8, abs=1e-9)


def test_what_kinship_moves():
    """Measured in limix's standard errors: nothing where the weight is 0, else less than one."""
    moved = {}
    for gene in GENES:
        ours = np.array([sign * own["beta"] for _, sign, own, _ in compared(gene)])
        theirs, se = (np.array([float(row[name]) for row, *_ in compared(gene)])
                      for name in ("beta", "beta_se"))  # fmt: skip
        moved[gene] = np.abs(ours - theirs) / se
        assert np.corrcoef(ours, theirs)[0, 1] > 0.9
    assert moved.pop("ENSG00000215790").max() < 5e-5
    for apart in moved.values():
        assert 0.1 < np.median(apart) < 0.4 and apart.max() < 1
