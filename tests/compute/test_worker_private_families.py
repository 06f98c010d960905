"""Every private family through the real worker: order, charge, vault, sums, noise, sealed answer."""

import json
from fractions import Fraction
from functools import partial

import numpy as np
import pytest

from compute.ingest import parse
from compute.private import FormNoise
from compute.queries import CohortData, PersonData, VariantTable, catalogue, parse_query, run
from tests.compute.noises import SILENT
from tests.compute.test_worker_families import phenopacket
from tests.compute.worker_world import GENE, POSITIONS, World

PEOPLE = 104
# family -> parameters, the rho that makes it useful for so few people
QUERIES = {
    "genotype_counts": ({"variants": ["1-1000-A-G", "1-2000-A-G"]}, "1/40"),
    "clinical_counts": ({"terms": ["HP:0000003"]}, "1/40"),
    "age_at_onset": ({"terms": ["HP:0000002"], "width": 20, "oldest": 80}, "1/20"),
    "feature_distribution": ({"feature": GENE, "low": "0", "high": "10", "bins": 2}, "1/40"),
    "score_distribution": (
        {"weights": {"1-1000-A-G": "1", "1-2000-A-G": "0.5"}, "low": "0", "high": "3", "bins": 2},
        "1/40",
    ),
    "private_association": (
        {"feature": GENE, "low": "0", "high": "10", "variants": ["1-3000-A-G"]},
        "3/20",
    ),
    "top_counts": ({"k": 2, "variants": ["1-1000-A-G", "1-2000-A-G", "1-3000-A-G"]}, "1/40"),
    "top_association": (
        {"k": 1, "features": [GENE], "namespace": "Ensembl", "unit": "TPM", "low": "0",
         "high": "10", "variants": ["1-1000-A-G", "1-2000-A-G", "1-3000-A-G"]},
        "1/40",
    ),
}  # fmt: skip

BY_SEX = {"by": "sex", "levels": ["female", "male"]}
SPLIT = {
    **{f"{family}, by sex": (QUERIES[family][0] | BY_SEX, "1/40")
       for family in ("genotype_counts", "clinical_counts", "age_at_onset", "feature_distribution",
                      "score_distribution")},
    "private_association, of a category": (
        QUERIES["private_association"][0] | {"covariates": {"sex": "female|male"}}, "1/40"
    ),
}  # fmt: skip
FEW = ("top_association", "private_association, of a category")  # useful from some 300 people on


def record(participant, number):
    """A third of the people have no sex stated, and are of no listed level."""
    stated = {"sex": ("female", "male")[number % 2]} if number % 3 else {}
    told = {"schema": "omic.participant/1", "participant": participant, **stated}
    return json.dumps(told).encode()


class PrivateFamilies(World):
    def terms(self, **more):
        settings = {"release_mode": "private", "lifetime_rho": "1/2", "order_share": "2/5"}
        return super().terms(**{**settings, **more})


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    made = PrivateFamilies(tmp_path_factory.mktemp("private_families"))
    rng = np.random.default_rng(12)
    for number in range(PEOPLE):
        person = made.enrol(rng, number, "CEU", ("genotypes", "expression"))
        made.register(person, "participant", record(person.participant, number))
        made.grant(person, "participant")
        made.register(person, "clinical", phenopacket(number))
        made.grant(person, "clinical")
        made.people.append(person)
    yield made
    made.shop.store.close()


def exact_of(world, query):
    """The same cohort as plain arrays, straight from what its people hold."""
    people = []
    for person in world.people:
        measured = parse(person.data["expression"].plaintext, "expression", "x")
        told = parse(person.data["participant"].plaintext, "participant", "x")
        clinical = parse(person.data["clinical"].plaintext, "clinical", "x")
        spoken = clinical.demographics.sex if "clinical" in query.needs.modalities else "unknown"
        people.append(
            PersonData(
                f"{person.id}/{person.participant}",
                np.array([-1 if d is None else d for d in person.dosages], np.int8),
                features=dict(zip(measured.ids, measured.values.tolist(), strict=True)),
                feature_kind=(measured.namespace, measured.unit),
                strata={"sex": told.sex if told.sex != "unknown" else spoken},
                clinical=clinical,
            )
        )
    table = VariantTable.of("GRCh37", [(0, pos, "A", "G") for pos in POSITIONS])
    return run(query, CohortData.of(table, people))


def test_every_private_family_is_run():
    private = {name for name, family in catalogue().items() if "private" in family.modes}
    assert private == set(QUERIES)


@pytest.mark.parametrize("name_of", [*sorted(QUERIES), *SPLIT])
def test_a_private_family_end_to_end(world, monkeypatch, name_of):
    params, rho = (QUERIES | SPLIT)[name_of]
    asked = {"v": 1, "family": name_of.partition(",")[0], "build": "GRCh37", "params": params}
    query = parse_query(asked)
    needed = tuple(sorted(query.needs.modalities))
    release = {"mode": "private", "rho": rho}
    person = world.people[0]
    name = f"{person.id}/{person.participant}"
    before = world.shop.accountant.spent(name)
    with monkeypatch.context() as patched:
        patched.setattr("compute.worker_query.FormNoise", partial(FormNoise, **SILENT))
        if name_of in FEW:  # whatever these may spend
            patched.setattr("compute.worker_judge.require_useful", lambda *_, **__: {})
        paid = {"price": 10_000, "paid": 10_000}
        order = world.order(query=asked, modalities=needed, release=release, **paid)
        outcome = world.run("query", order)
    assert outcome.state == "released", outcome
    told = world.result(order)["answer"]
    expected = FormNoise(query, **SILENT).add(exact_of(world, query), Fraction(rho))
    assert told["columns"] == expected["columns"]
    assert told["facts"] == expected["facts"]
    assert told["privacy"]["rho"] == rho
    assert told["privacy"]["count_sd"] > 0
    assert world.shop.accountant.spent(name) - before == Fraction(rho)
    assert world.access_of(order).payload["cohort_size"] == PEOPLE
