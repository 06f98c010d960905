"""Every family through the real worker: order, access entry, vault, sums, gate, encrypted answer."""

from __future__ import annotations

import json

import numpy as np
import pytest

from compute.copies import SharedVariants
from compute.partitions import Plan
from compute.queries import (
    CohortData,
    PersonData,
    VariantTable,
    catalogue,
    parse_query,
    relatedness,
    run,
)
from compute.queries.cohort_pca import CohortPca
from compute.release import CohortFacts, release_gate
from compute.shelf import Shelf
from compute.worker_engine import planned
from compute.worker_outcomes import Code
from tests.compute import worker_world as ww
from tests.compute.worker_world import GENE, POSITIONS, World

ALL = ("genotypes", "expression", "participant", "clinical")
ONTOLOGY = {"graphs": [{"nodes": [], "edges": [
    {"sub": "http://purl.obolibrary.org/obo/HP_0000002", "pred": "is_a",
     "obj": "http://purl.obolibrary.org/obo/HP_0000001"}]}]}  # fmt: skip
SCORE = (
    "#pgs_id=PGS000999\n#genome_build=GRCh37\n"
    "chr_name\tchr_position\teffect_allele\tother_allele\teffect_weight\n"
    + "".join(f"1\t{pos}\tG\tA\t{0.1 * k}\n" for k, pos in enumerate(POSITIONS))
)
LOADINGS = "##build=GRCh37\nvariant\taf\tPC1\n" + "".join(
    f"1-{pos}-A-G\t0.4\t{0.1 * (k - 5)}\n" for k, pos in enumerate(POSITIONS)
)


def record(participant, number, dosages):
    value = {
        "schema": "omic.participant/1", "participant": participant,
        "sex": ("female", "male")[number % 2], "population": ("CEU", "YRI")[number % 2],
        "covariates": {"PC1": round(0.1 * (number % 7), 3), "height": 160.0 + number % 13,
                       "case": float((number + (dosages[0] or 0)) % 3 == 0)},
    }  # fmt: skip
    return json.dumps(value).encode()


def phenopacket(number):
    value = {
        "id": f"case{number}",
        "subject": {"id": "x", "sex": "FEMALE",
                    "timeAtLastEncounter": {"age": {"iso8601duration": f"P{40 + number % 30}Y"}}},
        "phenotypicFeatures": [
            {"type": {"id": "HP:0000002", "label": "b"}, "excluded": number % 2 == 1,
             "onset": {"age": {"iso8601duration": f"P{20 + 2 * (number % 9)}Y"}}},
            *([{"type": {"id": "HP:0000003", "label": "c"}}] if number % 3 == 0 else []),
        ],
        "measurements": [
            {"assay": {"id": "LOINC:2339-0", "label": "Glucose"},
             "timeObserved": {"timestamp": f"2024-01-01T{hour:02d}:00:00Z"},
             "value": {"quantity": {"unit": {"id": "UCUM:mg/dL", "label": "mg/dL"},
                                    "value": 60.0 + 10 * ((hour + number) % 16)}}}
            for hour in range(24)
        ],
        "metaData": {"created": "2024-01-01T00:00:00Z", "createdBy": "x", "resources": [{"id": "hp", "name": "HPO", "url": "http://purl.obolibrary.org/obo/hp.owl", "version": "1", "namespacePrefix": "HP", "iriPrefix": "http://purl.obolibrary.org/obo/HP_"}],
                     "phenopacketSchemaVersion": "2.0"},
    }  # fmt: skip
    return json.dumps(value).encode()


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """48 people, each with genotypes, expression, a record and clinical data, ingested for real."""
    folder = tmp_path_factory.mktemp("families")
    for kind, name, text in (
        ("ontologies", "hp.json", json.dumps(ONTOLOGY)),
        ("scores", "PGS000999.txt", SCORE),
        ("loadings", "panel.tsv", LOADINGS),
    ):
        (folder / "reference" / kind).mkdir(parents=True)
        (folder / "reference" / kind / name).write_text(text)
    made = World(folder)
    made.restart(references=Shelf(folder / "reference"))
    rng = np.random.default_rng(11)
    for number in range(48):
        person = made.enrol(rng, number, ("CEU", "YRI")[number % 2], ("genotypes", "expression"))
        for modality, text in (
            ("participant", record(person.participant, number, person.dosages)),
            ("clinical", phenopacket(number)),
        ):
            made.register(person, modality, text)
            made.grant(person, modality)
        made.people.append(person)
    yield made
    made.shop.store.close()


def ref(world, kind):
    return next(item.sha256 for item in world.shop.references.items() if item.kind == kind)


PANEL = {"variants": {"panel": "all"}}
TERM = {"kind": "term", "term": "HP:0000001"}
FEATURE = {"namespace": "Ensembl", "unit": "TPM", "features": [GENE]}
QUERIES = {
    "genotype_counts": lambda w: {**PANEL, "by": "population"},
    "cis_association": lambda w: {**PANEL, "gene": GENE, "transform": "inverse_normal"},
    "linear_association": lambda w: {
        **PANEL, "trait": {"kind": "covariate", "name": "height"}, "covariates": ["PC1", "sex"]},
    "logistic_association": lambda w: {
        **PANEL, "trait": {"kind": "covariate", "name": "case"}, "test": "wald"},
    "polygenic_score": lambda w: {"score": ref(w, "scores"), "by": "population"},
    "feature_summary": lambda w: {**FEATURE, "by": "population"},
    "feature_differential": lambda w: {
        **FEATURE, "groups": {"kind": "stratum", "stratum": "population", "a": "CEU", "b": "YRI"}},
    "clinical_counts": lambda w: {
        "terms": ["HP:0000001", "HP:0000003"], "ontology": ref(w, "ontologies")},
    "clinical_crosstab": lambda w: {
        "first": {**TERM, "ontology": ref(w, "ontologies")},
        "second": {"kind": "term", "term": "HP:0000003"}},
    "time_in_range": lambda w: {
        "code": "LOINC:2339-0", "unit": "mg/dL", "low": "70", "high": "180", "by": "sex"},
    "feature_by_genotype": lambda w: {
        "feature": GENE, "namespace": "Ensembl", "unit": "TPM",
        "variant": f"1-{POSITIONS[0]}-A-G"},
    "age_at_onset": lambda w: {
        "terms": ["HP:0000001"], "ontology": ref(w, "ontologies"), "width": 10, "oldest": 80},
    "linkage": lambda w: {"variants": {"region": "1:1-12000"}},
    "ancestry_projection": lambda w: {"loadings": ref(w, "loadings"), "by": "population"},
    "cohort_quality": lambda w: PANEL,
}  # fmt: skip

# Asked with floors lowered: pairs want a hundred variants, components 200 people.
LOWERED = {
    "relatedness": lambda w: PANEL,
    "cohort_pca": lambda w: {**PANEL, "components": 1, "by": "population"},
}


def lower(monkeypatch):
    monkeypatch.setattr(relatedness, "MIN_VARIANTS", len(POSITIONS))
    monkeypatch.setattr(CohortPca, "least_people", 20)


def asked(world, family):
    params = {**QUERIES, **LOWERED}[family](world)
    return {"v": 1, "family": family, "build": "GRCh37", "params": params}


def in_memory(world, query):
    """The same cohort as plain arrays, straight from what its people hold."""
    table = VariantTable.of("GRCh37", [(0, pos, "A", "G") for pos in POSITIONS])
    from compute.ingest import parse

    people = []
    for person in world.people:
        texts = {name: data.plaintext for name, data in person.data.items()}
        told = parse(texts["participant"], "participant", "x")
        measured = parse(texts["expression"], "expression", "x")
        people.append(
            PersonData(
                f"{person.owner if hasattr(person, 'owner') else person.id}/{person.participant}",
                np.array([-1 if d is None else d for d in person.dosages], np.int8),
                None,
                {"population": told.population, "sex": told.sex},
                told.covariates,
                dict(zip(measured.ids, measured.values.tolist(), strict=True)),
                (measured.namespace, measured.unit),
                parse(texts["clinical"], "clinical", "x"),
            )
        )
    data = CohortData.of(table, people)
    references = {name: world.shop.references.parsed(name) for name in query.needs.references}
    from dataclasses import replace

    return CohortData(replace(data.frame, references=references), data.people)


def test_every_trusted_family_is_run():
    trusted = {name for name, family in catalogue().items() if "trusted" in family.modes}
    assert {*QUERIES, *LOWERED} == trusted


@pytest.mark.parametrize("family", sorted({**QUERIES, **LOWERED}))
def test_the_encrypted_answer_is_the_exact_one_after_the_gate(world, family, monkeypatch):
    lower(monkeypatch)
    query = parse_query(asked(world, family))
    needed = tuple(name for name in ALL if name in query.needs.modalities)
    order = world.order(query=asked(world, family), modalities=needed)
    outcome = world.complete(order)
    assert outcome.state == "released", outcome
    result = world.result(order)
    exact = run(query, in_memory(world, query))
    gated = release_gate(exact, CohortFacts(48, 0, 48), mode="trusted", rho=0)
    assert result["answer"]["columns"].keys() == gated.answer["columns"].keys()
    for name, column in gated.answer["columns"].items():
        mine = result["answer"]["columns"][name]
        for told, expected in zip(mine, column, strict=True):
            if isinstance(told, float) and isinstance(expected, float):
                assert told == pytest.approx(expected, rel=1e-9), name
            else:
                assert told == expected, name
    access = world.access_of(order).payload
    assert (access["cohort_size"], access["opened"]) == (48, 48 * len(needed))
    summed = [one for one in world.market.told if one.step == "summing"]
    assert summed[-1].done == summed[-1].total == planned(query, Plan(12, 48, (0,)))


def test_a_reference_the_shelf_lacks_closes_the_order(world):
    query = {"v": 1, "family": "polygenic_score", "build": "GRCh37", "params": {"score": "0" * 64}}
    order = world.order(query=query)
    assert world.complete(order).code == Code.NOT_RELEASABLE.value


def test_components_are_refused_to_a_cohort_below_their_own_floor(world):
    order = world.order(query=asked(world, "cohort_pca"), modalities=("genotypes", "participant"))
    outcome = world.run("query", order)
    assert (outcome.state, outcome.code) == ("refused", Code.COHORT_FLOOR.value)


def test_relatedness_of_a_dozen_variants_is_refused(world):
    query = {"v": 1, "family": "relatedness", "build": "GRCh37", "params": PANEL}
    assert world.complete(world.order(query=query)).code == Code.NOT_RELEASABLE.value


def test_nothing_of_a_clinical_file_but_codes_is_stored(world):
    held = [h for h in world.shop.store.heads() if h.modality == "clinical"]
    assert len(held) == 48
    assert isinstance(world.shop.variants, SharedVariants)
    assert ww.GENE  # the world's own gene is what expression is asked of
