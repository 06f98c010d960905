"""A match through the real worker: judged on what is stored, floors, charges, and near questions."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from functools import partial

import numpy as np
import pytest

from compute import worker_query
from compute.partitions import Plan
from compute.private import FormNoise
from compute.queries import catalogue, filters_of_text, parse_query, run
from compute.release import CohortFacts, release_gate
from compute.shelf import Shelf
from compute.worker_engine import answer_query, planned
from compute.worker_outcomes import Code
from tests.compute.noises import SILENT
from tests.compute.test_worker_families import (
    ALL,
    LOADINGS,
    LOWERED,
    ONTOLOGY,
    QUERIES,
    SCORE,
    asked,
    in_memory,
    lower,
    phenopacket,
    ref,
)
from tests.compute.worker_world import GENE, World

PEOPLE, MANY = 60, 100


def record(participant, number):
    """Like the families' records; number 4 states no height."""
    covariates = {"PC1": round(0.1 * (number % 7), 3), "case": float(number % 3 == 0)}
    if number != 4:
        covariates["height"] = 160.0 + number % 13
    value = {
        "schema": "omic.participant/1", "participant": participant,
        "sex": ("female", "male")[number % 2], "population": ("CEU", "YRI")[number // 2 % 2],
        "covariates": covariates,
    }  # fmt: skip
    return json.dumps(value).encode()


class MatchWorld(World):
    """Owners who allow both release modes; a reference shelf."""

    def terms(self, **more):
        settings = {"release_mode": self.mode, "lifetime_rho": "1/2", "order_share": "2/5"}
        return super().terms(**{**settings, **more})


def made_world(folder, mode, people, modalities=("genotypes", "expression")):
    for kind, name, text in (
        ("ontologies", "hp.json", json.dumps(ONTOLOGY)),
        ("scores", "PGS000999.txt", SCORE),
        ("loadings", "panel.tsv", LOADINGS),
    ):
        (folder / "reference" / kind).mkdir(parents=True)
        (folder / "reference" / kind / name).write_text(text)
    MatchWorld.mode = mode
    made = MatchWorld(folder)
    made.restart(references=Shelf(folder / "reference"))
    rng = np.random.default_rng(11)
    for number in range(people):
        person = made.enrol(rng, number, ("CEU", "YRI")[number % 2], modalities)
        for modality, text in (
            ("participant", record(person.participant, number)),
            ("clinical", phenopacket(number)),
        ):
            made.register(person, modality, text)
            made.grant(person, modality)
        made.people.append(person)
    return made


@pytest.fixture(scope="module")
def families(tmp_path_factory):
    """100 people with every kind of data, of whom one match stands for every family."""
    made = made_world(tmp_path_factory.mktemp("match"), "trusted", MANY)
    yield made
    made.shop.store.close()


@pytest.fixture
def small(tmp_path):
    """60 people with genotypes, records and clinical data, fresh for each test."""
    made = made_world(tmp_path, "trusted", PEOPLE, ("genotypes",))
    yield made
    made.shop.store.close()


def match_of(world):
    """Women with a term or its child, up to 171 tall: who that keeps is worked out in `kept`."""
    return filters_of_text(
        f"""has HP:0000001 {ref(world, "ontologies")}
        number height 160..171
        sex female
        measurement LOINC:2339-0 mg/dL mean 60..300
        feature expression Ensembl TPM {GENE} -100..100"""
    )


def kept(world):
    return [
        person
        for number, person in enumerate(world.people)
        if number % 2 == 0 and number % 13 < 12 and number != 4
    ]


def counts(match="", **params):
    """A trusted question of genotypes among whom lines of a match keep."""
    params = {"variants": {"panel": "all"}, **params}
    if match:
        params["match"] = filters_of_text(match)
    return {"v": 1, "family": "genotype_counts", "build": "GRCh37", "params": params}


def needed(query):
    parsed = parse_query(query)
    return tuple(name for name in ALL if name in parsed.modalities)


def ordered(world, query, **more):
    return world.order(query=query, modalities=needed(query), price=20_000, paid=20_000, **more)


@pytest.mark.parametrize("family", sorted({**QUERIES, **LOWERED}))
def test_a_matched_answer_is_that_of_a_cohort_without_the_others(families, family, monkeypatch):
    lower(monkeypatch)
    world = families
    value = asked(world, family)
    value["params"] = {**value["params"], "match": match_of(world)}
    query = parse_query(value)
    order = ordered(world, value)
    outcome = world.complete(order)
    assert outcome.state == "released", outcome
    result = world.result(order)
    whole, people = world.people, kept(world)
    assert 20 <= len(people) <= len(whole) - 20
    world.people = people
    try:
        plain = parse_query(asked(world, family))
        exact = run(plain, in_memory(world, plain))
    finally:
        world.people = whole
    facts = CohortFacts(len(people), 0, len(people), rest=len(whole) - len(people), unknown=1)
    gated = release_gate(exact, facts, mode="trusted", rho=0)
    assert gated.answer["facts"]["match"]["no_such_data"] == "<20"
    assert gated.answer["facts"]["match"]["people"] % 5 == 0
    for name, column in gated.answer["columns"].items():
        for told, expected in zip(result["answer"]["columns"][name], column, strict=True):
            if isinstance(told, float) and isinstance(expected, float):
                assert told == pytest.approx(expected, rel=1e-9), name
            else:
                assert told == expected, name
    assert result["answer"]["facts"]["match"] == gated.answer["facts"]["match"]
    assert result["n"] == {"bucket": "20-49", "of": "match"}
    access = world.access_of(order).payload
    opened = len(query.modalities) * MANY
    assert (access["cohort_size"], access["opened"]) == (MANY, opened)


def test_a_carriers_match_is_judged_on_stored_genotypes(families):
    world = families
    found, cohort = [], engine_cohort(world)
    answer_query(cohort, parse_query(counts("carries 1-1000-A-G")), judged=found.append)
    calls = [person.dosages[0] for person in world.people]
    mine = {person.participant: call for person, call in zip(world.people, calls, strict=True)}
    stored = [mine[member.participant] for member in cohort.members]
    assert found[0].kept.tolist() == [bool(call) for call in stored]
    assert found[0].unknown == stored.count(None)


def engine_cohort(world):
    """What the worker hands to the engine for an order that opens every kind of data."""
    seen = []
    real = worker_query.answer_query

    def spy(cohort, *rest, **more):
        seen.append(cohort)
        return real(cohort, *rest, **more)

    question = counts()
    question["params"]["match"] = match_of(world)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker_query, "answer_query", spy)
        world.run("query", ordered(world, question))
    return seen[0]


@pytest.mark.parametrize(
    "family", ["genotype_counts", "cis_association", "cohort_quality", "clinical_counts"]
)
def test_work_and_progress_are_the_scopes_whoever_matches(families, family):
    world = families
    cohort = engine_cohort(world)
    assert all(set(member.grants) == set(ALL) for member in cohort.members)
    seen = set()
    for line in ("sex female", "number height 150..", "number height 160..163"):
        params = {**QUERIES[family](world), "match": filters_of_text(line)}
        query = parse_query({"v": 1, "family": family, "build": "GRCh37", "params": params})
        ticks, told = [], []
        answer_query(cohort, query, lambda t=ticks: t.append(1), lambda *at, t=told: t.append(at))
        assert told[-1] == (planned(query, Plan(12, len(cohort.members), (0,))),) * 2
        seen.add((len(ticks), tuple(told)))
    assert len(seen) == 1


@pytest.mark.parametrize("line", ["number height ..162", "number height 160..171"])
def test_a_match_too_small_or_all_but_a_few_is_withheld_by_one_code_and_charged(small, line):
    """15 of 60 are up to 162 tall; all but 5 are up to 171."""
    world = small
    order = ordered(world, counts(line))
    outcome = world.complete(order)
    assert (outcome.state, outcome.code) == ("withheld", "below_floor")
    access = world.access_of(order).payload
    assert access["cohort_size"] == PEOPLE
    given = world.shop.accountant.exact_given
    first = world.people[0]
    assert given(f"{first.id}/{first.participant}") == 13  # twelve variants, and how many matched


def test_a_match_that_told_only_that_it_was_too_small_closes_the_others(small):
    world = small
    assert world.complete(ordered(world, counts("number height ..162"))).code == "below_floor"
    nearly = world.run("query", ordered(world, counts("number height ..164")))
    assert (nearly.state, nearly.code) == ("refused", Code.NEAR_COHORT.value)
    apart = world.run("query", ordered(world, counts("number height 166..")))
    assert apart.state == "awaiting_review"


def test_exact_answers_of_one_scope_cannot_differ_by_a_match(small):
    world = small
    women = counts("sex female")
    assert world.complete(ordered(world, women)).state == "released"
    region = counts("sex female", variants={"region": "1:1000-16000"})
    assert world.complete(ordered(world, women)).state == "released"
    assert world.complete(ordered(world, region)).state == "released"
    assert world.complete(ordered(world, counts("sex male"))).state == "released"
    for other in (
        counts("sex female\nnumber height 161.."),  # women but a few
        counts("sex female male"),
        counts(),  # everybody
        counts(by="sex"),
    ):
        outcome = world.run("query", ordered(world, other))
        assert (outcome.state, outcome.code) == ("refused", Code.NEAR_COHORT.value), other


def test_the_same_match_on_other_data_or_people_is_another_match(small):
    world = small
    women = counts("sex female")
    assert world.complete(ordered(world, women)).state == "released"
    changed = world.people[1]
    world.withdraw(changed, "participant")
    world.register(changed, "participant", record(changed.participant, 1))
    world.grant(changed, "participant")
    again = world.run("query", ordered(world, women))
    assert (again.state, again.code) == ("refused", Code.NEAR_COHORT.value)


def test_a_match_beside_a_question_about_something_else_is_answered(small):
    world = small
    terms = {"v": 1, "family": "clinical_counts", "params": {"terms": ["HP:0000002"]}}
    assert world.complete(ordered(world, terms)).state == "released"
    assert world.complete(ordered(world, counts("sex female"))).state == "released"
    again = world.run("query", ordered(world, counts()))
    assert (again.state, again.code) == ("refused", Code.NEAR_COHORT.value)


# -- private ---------------------------------------------------------------------------------------

PRIVATE = 104


@pytest.fixture(scope="module")
def private(tmp_path_factory):
    made = made_world(tmp_path_factory.mktemp("match_private"), "private", PRIVATE)
    yield made
    made.shop.store.close()


ASKED = {
    "genotype_counts": {"variants": ["1-1000-A-G", "1-2000-A-G"]},
    "clinical_counts": {"terms": ["HP:0000003"]},
    "age_at_onset": {"terms": ["HP:0000003"], "width": 20, "oldest": 80},
    "feature_distribution": {"feature": GENE, "low": "0", "high": "10", "bins": 2},
    "score_distribution": {
        "weights": {"1-1000-A-G": "1", "1-2000-A-G": "0.5"}, "low": "0", "high": "3", "bins": 2},
    "private_association": {
        "feature": GENE, "low": "0", "high": "10", "variants": ["1-3000-A-G"]},
    "top_counts": {"k": 2, "variants": ["1-1000-A-G", "1-2000-A-G", "1-3000-A-G"]},
    "top_association": {
        "k": 1, "features": [GENE], "namespace": "Ensembl", "unit": "TPM", "low": "0",
        "high": "10", "variants": ["1-1000-A-G", "1-2000-A-G", "1-3000-A-G"]},
}  # fmt: skip
# Anybody's terms allow 1/2 in all, and an association takes 3/20: it is asked of some only.
ONCE = {("private_association", "nobody"), ("top_association", "nobody")}
MATCHES = {"some": "sex female\nnumber height 160..170", "nobody": "number height 500.."}


def is_kept(number, case):
    return case == "some" and number % 2 == 0 and number % 13 <= 10 and number != 4


def test_every_private_family_is_asked():
    assert set(ASKED) == {n for n, f in catalogue().items() if "private" in f.modes}


@pytest.mark.parametrize(
    ("family", "case"),
    [(name, case) for name in sorted(ASKED) for case in MATCHES
     if (name, case) not in ONCE],
)  # fmt: skip
def test_noise_is_added_to_whom_a_match_keeps_and_nothing_else_tells_how_many(
    private, monkeypatch, family, case
):
    world = private
    monkeypatch.setattr(worker_query, "FormNoise", partial(FormNoise, **SILENT))
    if family == "top_association":  # useful from some 300 people on, whatever these may spend
        monkeypatch.setattr("compute.worker_judge.require_useful", lambda *_, **__: {})
    params = {**ASKED[family], "match": filters_of_text(MATCHES[case])}
    value = {"v": 1, "family": family, "build": "GRCh37", "params": params}
    query = parse_query(value)
    rho = "3/20" if family == "private_association" else "1/40"
    before = world.shop.accountant.spent(f"{world.people[1].id}/{world.people[1].participant}")
    order = ordered(world, value, release={"mode": "private", "rho": rho})
    outcome = world.run("query", order)
    assert outcome.state == "released", outcome
    result = world.result(order)
    whole = world.people
    world.people = [p for number, p in enumerate(whole) if is_kept(number, case)]
    try:
        plain = replace(query, params=query.params.model_copy(update={"match": None}))
        exact = run(plain, in_memory(world, plain)) if world.people else None
    finally:
        world.people = whole
    if exact is not None:
        told = FormNoise(query, **SILENT).add(exact, Fraction(rho))
        assert result["answer"]["columns"] == told["columns"]
    assert result["n"] == {"bucket": "100-199", "of": "scope"}
    assert {"path": "facts/match", "code": "not_noised"} in result["suppressed"]
    assert "match" not in result["answer"]["facts"]
    assert world.access_of(order).payload["cohort_size"] == PRIVATE
    spent = world.shop.accountant.spent(f"{whole[1].id}/{whole[1].participant}")
    assert spent - before == Fraction(rho)
