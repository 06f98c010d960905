"""Principal components of a cohort: against a plain SVD, plink2 itself, and what may not leave."""

from __future__ import annotations

import math

import numpy as np
import pytest

from compute.kernels import TW_5_PERCENT, tracy_widom
from compute.queries import CohortData, PersonData, QueryError, VariantTable, reduce, run, start
from compute.queries.catalogue import learned_frame
from compute.queries.cohort_pca import FEWEST, LEAST_PEOPLE, components, groups
from compute.release import CohortFacts, WithheldError, release_gate
from tests.compute.cohort import cohort
from tests.compute.queries.test_plink2_families import bed, go, table
from tests.compute.queries.test_plink2_peer import plink2
from tests.compute.spec import families_world as w

__all__ = ["bed", "plink2"]
PANEL = {"variants": {"panel": "all"}}


def made(sizes, variants=400, seed=2, missing=0.03, apart=0.15, rare=30):
    """People of populations "A", "B", …, of these sizes; some variants rare, on X, or haploid."""
    rng = np.random.default_rng(seed)
    base = np.r_[rng.uniform(0.2, 0.8, variants), rng.uniform(0.001, 0.03, rare)]
    places = [(22 if at % 17 == 3 else at % 2, 1000 + at, "A", "G") for at in range(len(base))]
    order = np.argsort([place[0] for place in places], kind="stable")
    own = [
        np.clip(base + rng.normal(0, apart, len(base)) * (base > 0.1), 0.001, 0.95) for _ in sizes
    ]
    people = []
    for number, (size, af) in enumerate(zip(sizes, own, strict=True)):
        for at in range(size):
            dosage = rng.binomial(2, af).astype(np.int8)
            dosage[rng.random(len(dosage)) < missing] = -1 - (at % 2)
            ploidy = None
            if at % 5 == 0:  # a caller that wrote one copy here and there
                ploidy = np.where(dosage < 0, 0, 2).astype(np.int8)
                single = (rng.random(len(dosage)) < 0.02) & (dosage >= 0)
                dosage[single], ploidy[single] = np.minimum(dosage[single], 1), 1
            strata = {"population": "ABCDEF"[number], "sex": ("female", "male")[at % 2]}
            ordered = None if ploidy is None else ploidy[order]
            people.append(PersonData(f"{number}-{at}", dosage[order], ordered, strata))
    return CohortData.of(VariantTable.of("GRCh37", [places[at] for at in order.tolist()]), people)


def rows_of(answer, kind):
    return [row for row in answer.rows() if row["table"] == kind]


def matrix(answer, kind):
    """Numbers of one kind of row: (rows, components)."""
    names = [name for name in answer.columns if name.startswith("pc")]
    return np.array([[row[name] for name in names] for row in rows_of(answer, kind)], np.float64)


def asked(data, **params):
    return run(w.ask("cohort_pca", {**PANEL, **params}), data)


# -- the slow reference ----------------------------------------------------------------------------

SPECS = [
    # sizes, components, min_call_percent
    ((40, 40), 1, 90),
    ((40, 40), 4, 90),
    ((50, 30, 25), 3, 97),
    ((60, 45, 30, 21), 10, 50),
]


@pytest.mark.parametrize(("sizes", "count", "least"), SPECS)
def test_components_equal_a_plain_svd(sizes, count, least):
    data = made(sizes)
    answer = asked(data, components=count, min_call_percent=least, by="population")
    expected = w.components(data, count, least)
    names = [name for name, _ in expected["variants"]]
    loadings = rows_of(answer, "loading")
    assert [f"{r['contig']}-{r['pos']}-{r['ref']}-{r['alt']}" for r in loadings] == names
    assert [r["af"] for r in loadings] == pytest.approx([af for _, af in expected["variants"]])
    assert matrix(answer, "eigenvalue")[0] == pytest.approx(expected["values"], rel=1e-5)
    assert matrix(answer, "share")[0] == pytest.approx(expected["share"], rel=1e-5)
    shown = [at for at in range(count) if f"pc{at + 1}" not in answer.facts["hidden"]]
    assert shown, "a structured cohort shows something"
    mine = matrix(answer, "loading")
    for at in shown:
        sign = np.sign(mine[:, at] @ expected["loadings"][:, at])
        assert mine[:, at] == pytest.approx(sign * expected["loadings"][:, at], rel=1e-4, abs=1e-6)
        assert mine[np.abs(mine[:, at]).argmax(), at] > 0
        for row in (*rows_of(answer, "mean"), *rows_of(answer, "sd")):
            own = [p.strata["population"] == row["group"] for p in data.people]
            scores = sign * expected["scores"][own, at]
            number = scores.mean() if row["table"] == "mean" else scores.std(ddof=1)
            assert row["n"] == sum(own)
            assert row[f"pc{at + 1}"] == pytest.approx(number, rel=1e-4, abs=1e-7)


def test_a_groups_mean_has_the_error_and_interval_of_its_people_and_a_hidden_one_none():
    answer = asked(made((60, 45)), components=2, by="population")
    told = {(row["table"], row["group"]): row for row in answer.rows()}
    for group in {row["group"] for row in rows_of(answer, "mean")}:
        mean, sd, error, low, high = (
            told[kind, group] for kind in ("mean", "sd", "mean_se", "mean_low", "mean_high")
        )
        assert len({row["n"] for row in (mean, sd, error, low, high)}) == 1
        for pc in ("pc1", "pc2"):
            if pc in answer.facts["hidden"]:
                assert {row[pc] for row in (mean, sd, error, low, high)} == {None}
                continue
            se = sd[pc] / mean["n"] ** 0.5
            assert error[pc] == pytest.approx(se, rel=1e-5)
            assert low[pc] == pytest.approx(mean[pc] - 1.95996 * se, rel=1e-4, abs=1e-9)
            assert high[pc] == pytest.approx(mean[pc] + 1.95996 * se, rel=1e-4, abs=1e-9)
    assert "pc1" not in answer.facts["hidden"] and "pc2" in answer.facts["hidden"]
    assert "tracy_widom" in answer.facts["errors"]


def test_merged_halves_equal_the_whole():
    data = made((30, 30))
    query = w.ask("cohort_pca", PANEL)
    frame = learned_frame(query, data)
    left, right = start(query, frame), start(query, frame)
    for at, person in enumerate(data.people):
        (left if at % 3 else right).add(person)
    left.merge(right)
    merged, whole = reduce(query, left), run(query, data)
    for name, column in whole.columns.items():
        if column.dtype.kind == "f":
            assert merged.columns[name] == pytest.approx(column, rel=1e-5, abs=1e-9, nan_ok=True)
        else:
            assert merged.columns[name].tolist() == column.tolist()


# -- plink2 ----------------------------------------------------------------------------------------


@pytest.mark.peer
def test_components_equal_plink2(plink2, bed, tmp_path):
    """Eigenvalues to the digits printed; scores, their means by population and loadings."""
    data, count = cohort(), 10
    go(plink2, bed, "--bfile", "g", "--mac", "20", "--maf", "0.01", "--geno", "0.1",
       "--pca", str(count), "meanimpute", "allele-wts")  # fmt: skip
    query = w.ask("cohort_pca", {**PANEL, "components": count, "by": "population"})
    partial = start(query, learned_frame(query, data))
    partial.add_people(data.people)
    answer = reduce(query, partial)
    values = [float(line) for line in (bed / "o.eigenval").read_text().split()]
    assert matrix(answer, "eigenvalue")[0].tolist() == values
    scores = {row["IID"]: row for row in table(bed / "o.eigenvec")}
    weights = [row for row in table(bed / "o.eigenvec.allele") if row["A1"] == row["ALT"]]
    found = components(partial)
    assert len(weights) == len(found.loadings) == 2788
    for at in range(count):
        name = f"PC{at + 1}"
        theirs = np.array([float(scores[p.participant][name]) for p in data.people])
        assert abs(theirs @ found.scores[:, at]) == pytest.approx(1, abs=1e-5)
        loadings = np.array([float(row[name]) for row in weights])
        assert abs(np.corrcoef(loadings, found.loadings[:, at])[0, 1]) > 1 - 1e-6
        sign = np.sign(theirs @ found.scores[:, at])
        for row in rows_of(answer, "mean"):
            own = [p.strata["population"] == row["group"] for p in data.people]
            if row[f"pc{at + 1}"] is not None:
                assert row[f"pc{at + 1}"] == pytest.approx(sign * theirs[own].mean(), abs=2e-6)


# -- what may not leave ----------------------------------------------------------------------------


def test_a_component_few_people_make_up_is_hidden():
    data = made((110, 110), apart=0.12)
    twins = [
        PersonData(f"t{at}", data.people[0].dosage, None, data.people[0].strata) for at in range(8)
    ]
    answer = asked(CohortData.of(data.frame.table, [*data.people, *twins]), components=3)
    assert answer.facts["hidden"]["pc2"] == "few_people"  # nine people with one genome
    assert np.isnan(matrix(answer, "loading")[:, 1]).all()
    assert np.isnan(matrix(answer, "mean")[:, 1]).all()
    assert np.isfinite(matrix(answer, "loading")[:, 0]).all()
    assert np.isfinite(matrix(answer, "eigenvalue")).all()


def test_noise_is_hidden():
    answer = asked(made((230,)), components=4)
    assert answer.facts["hidden"] == {f"pc{k}": "noise" for k in (1, 2, 3, 4)}
    assert not np.isfinite(matrix(answer, "loading")).any()


def test_the_statistic_of_noise_follows_tracy_and_widoms_law():
    rng, found = np.random.default_rng(4), []
    for _ in range(300):
        z = rng.normal(size=(60, 400))
        z -= z.mean(axis=0)
        values = np.linalg.eigvalsh(z @ z.T / 400)
        found.append(tracy_widom(values[:-2:-1], values.sum(), (values**2).sum(), 60)[0])
    assert np.mean(found) == pytest.approx(-1.2065, abs=0.25)
    assert np.mean(np.array(found) > TW_5_PERCENT) <= 0.06


def test_small_groups_are_told_as_one():
    """Alone, a group's mean would follow from the others': all of them add up to nothing."""
    for sizes, expected in (
        ((60, 50, 8, 14), {"A": 60, "B": 50, "other": 22}),
        ((60, 50, 8), {"A": 60, "other": 58}),
        ((60, 50), {"A": 60, "B": 50}),
        ((100, 3), {"other": 103}),
    ):
        data = made(sizes)
        query = w.ask("cohort_pca", {**PANEL, "by": "population"})
        partial = start(query, learned_frame(query, data))
        partial.add_people(data.people)
        partial.finish()
        found = {name: len(own) for name, own in groups(partial).items()}
        assert found == expected
        assert min(found.values()) >= FEWEST


def test_nobodys_coordinate_leaves():
    data = made((110, 110))
    answer = asked(data, by="population")
    assert len(answer) == 3 + 5 * 2 + len(rows_of(answer, "loading"))
    assert {row["n"] for row in answer.rows() if row["table"] in ("mean", "sd")} == {110}


def test_fewer_people_than_the_familys_own_floor_are_withheld():
    answer = asked(made((60, 60)))
    few = CohortFacts(LEAST_PEOPLE - 1, 0, 100)
    with pytest.raises(WithheldError) as error:
        release_gate(answer, few, mode="trusted", rho=0)
    assert error.value.code == "below_floor"
    enough = CohortFacts(LEAST_PEOPLE, 0, 100)
    told = release_gate(answer, enough, mode="trusted", rho=0).answer["columns"]
    assert told["table"].count("loading") == len(rows_of(answer, "loading"))


def test_rare_badly_called_and_other_than_autosomal_variants_are_left_out():
    data = made((50, 50), rare=40)
    answer = asked(data)
    loadings = rows_of(answer, "loading")
    assert {row["contig"] for row in loadings} == {"1", "2"}
    assert all(0.1 <= row["af"] <= 0.9 for row in loadings)  # 20 copies of 200 and more
    assert answer.facts["variants_left_out"]["rare"] > 20
    strict = asked(data, min_call_percent=98)
    assert strict.facts["variants_left_out"]["few_calls"] > 0
    assert math.isclose(sum(matrix(answer, "loading")[:, 0] ** 2), 1, rel_tol=1e-4)


def test_too_few_variants_and_too_many_people_are_refused(monkeypatch):
    with pytest.raises(QueryError) as error:
        asked(made((40, 40), variants=45, rare=0), components=5)
    assert error.value.code == "too_small"
    for name, most in (("MAX_PEOPLE", 79), ("MAX_GENOTYPES", 20_000)):
        with monkeypatch.context() as patched:
            patched.setattr(f"compute.queries.cohort_pca.{name}", most)
            with pytest.raises(QueryError) as error:
                asked(made((40, 40)))
            assert error.value.code == "too_large"
