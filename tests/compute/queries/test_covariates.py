"""The covariate path on real people, against least squares on the design matrix itself."""

from __future__ import annotations

import numpy as np
import pytest

from compute.queries import CohortData, PersonData, parse_query, run
from tests.compute.cohort import cohort

GENE = "ENSG00000215790"
PCS = ["PC1", "PC2", "PC3", "PC4", "PC5"]


def ask(covariates):
    return parse_query(
        {
            "v": 1,
            "family": "cis_association",
            "build": "GRCh37",
            "params": {"gene": GENE, "variants": {"panel": "all"}, "covariates": covariates},
        }
    )


def independent(people, covariates):
    """Per variant: numpy's lstsq, and SE from the pseudo-inverse; no shared code."""
    value = {
        "population": lambda p: float(p.strata["population"] == "YRI"),
        "sex": lambda p: float(p.strata["sex"] == "male"),
        **{pc: lambda p, pc=pc: p.covariates[pc] for pc in PCS},
    }
    y = np.array([p.features[GENE] for p in people])
    extra = np.array([[value[c](p) for c in covariates] for p in people]).reshape(len(people), -1)
    dosage = np.array([p.dosage for p in people], float)
    for v in range(dosage.shape[1]):
        called = dosage[:, v] >= 0
        x = np.column_stack([np.ones(called.sum()), dosage[called, v], extra[called]])
        slopes = np.linalg.lstsq(x, y[called], rcond=None)[0]
        residual = y[called] - x @ slopes
        df = called.sum() - x.shape[1]
        pinv = np.linalg.pinv(x)
        yield slopes[1], np.sqrt(residual @ residual / df * (pinv @ pinv.T)[1, 1])


@pytest.mark.parametrize("covariates", [["population"], PCS, ["population", "sex", *PCS]])
def test_beta_and_se_to_1e_9(covariates):
    people = cohort()
    answer = run(ask(covariates), people)
    assert len(answer.facts["model"]) == 2 + len(covariates)
    compared = 0
    for row, (beta, se) in zip(answer.rows(), independent(people.people, covariates), strict=True):
        if row["na"]:
            assert row["na"] in {"monomorphic", "collinear"}
            continue
        assert row["beta"] == pytest.approx(beta, rel=1e-9, abs=1e-9 * se)
        assert row["se"] == pytest.approx(se, rel=1e-9)
        compared += 1
    assert compared > 3000


def test_a_large_offset_costs_no_digits():
    """Counts of a highly expressed gene: the same spread about a mean of a million."""
    people = cohort("CEU")
    moved = CohortData(
        people.frame,
        tuple(
            PersonData(
                p.participant, p.dosage, p.ploidy, p.strata,
                {k: v + 1e5 for k, v in p.covariates.items()}, {GENE: p.features[GENE] + 1e6},
            )
            for p in people.people
        ),
    )  # fmt: skip
    here, there = run(ask(PCS), people), run(ask(PCS), moved)
    for name in ("beta", "se", "t"):
        fine = here.columns["na"] == ""
        assert there.columns[name][fine] == pytest.approx(
            here.columns[name][fine], rel=1e-6, abs=1e-9
        )
