"""Scopes: who is in, who is left out and why, for any mixture of grants."""

import copy
from collections import Counter
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compute import (
    Claims,
    Purpose,
    Scope,
    TermsError,
    bucket,
    parse_scope,
    preset,
    resolve_scope,
    terms_sha256,
)
from compute.ontology import TEST_SUBSET
from compute.verdict import GROUPS
from ledger.fold_model import Dataset, Grant, split_terms

OPEN = preset("everything_at_a_price", valid_from=0, price=250).to_dict()
NON_PROFIT = preset("non_profit_research", valid_from=0).to_dict()
MINE = preset("my_condition_free", valid_from=0, diseases=["MONDO:0005148"]).to_dict()
ASK = {**OPEN, "modifiers": [{"id": "DUO:0000020", "parameters": {"investigators": ["x"]}}]}
PURPOSE = Purpose(primary="HMB", commercial=False)
CLAIMS = Claims.model_validate(
    {
        "party": "me",
        "attested": {
            "sector": {"value": "academic", "attester": "a", "expires_at": 10**6},
            "non_profit": {"value": True, "attester": "a", "expires_at": 10**6},
        },
    }
)
ORDER = "0" * 32


@dataclass
class World:
    """A ledger state of datasets and live grants, made by small numbers."""

    datasets: dict = field(default_factory=dict)
    grants: list = field(default_factory=list)

    def live_grants(self):
        return self.grants

    def is_shared(self, body):
        return False  # so that each hash is compared

    def grant(
        self,
        person,
        terms=OPEN,
        modality="genotypes",
        *,
        owner=None,
        build="GRCh37",
        facets=None,
        region="GB",
        order=None,
        sha=None,
        dataset=None,
    ):
        index = len(self.grants)
        owner = owner or f"owner{person:02}"
        name = dataset or f"dataset{index}"
        self.datasets.setdefault(
            name,
            Dataset(
                id=name,
                owner=f"owner{person:02}",
                participant=f"{person:032x}",
                modality=modality,
                ciphertext_sha256="",
                size=1,
                header_size=1,
                format={"build": build},
                region="GB",
                index=index,
                signing_key="",
            ),
        )
        body, window = split_terms(copy.deepcopy(terms))
        self.grants.append(
            Grant(
                id=f"grant{index}",
                owner=owner,
                dataset=name,
                offer=None,
                body=body,
                window=window,
                terms_sha256=sha or terms_sha256(terms),
                facets=facets or {},
                recipient={"key_id": "k", "region": region},
                sealed_grant_sha256="",
                activity_commitment="",
                order=order,
                index=index,
            )
        )
        return self


def resolve(world, *modalities, order=None, purpose=PURPOSE, claims=CLAIMS, **more):
    scope = Scope(modalities=modalities or ("genotypes",), region="GB", **more)
    return resolve_scope(
        world,
        scope,
        purpose,
        claims,
        family="freq",
        release={"mode": "private", "rho": "0"},
        now_ms=1,
        order=order,
    )


def people(result):
    return [int(m.participant, 16) for m in result.people]


def test_members_come_sorted_by_participant_with_their_price():
    result = resolve(World().grant(3).grant(1).grant(2, NON_PROFIT))
    assert people(result) == [1, 2, 3]
    assert [m.price for m in result.people] == [250, 0, 250]
    assert result.price == 500
    assert result.left_out == Counter()


def test_a_person_needs_a_matching_grant_for_every_modality_asked():
    world = (
        World().grant(1).grant(1, modality="expression").grant(2).grant(3, modality="expression")
    )
    result = resolve(world, "genotypes", "expression")
    assert people(result) == [1]
    assert set(result.people[0].grants) == {"genotypes", "expression"}
    assert result.left_out == Counter(modality=2)
    assert result.price == 500


def test_the_datasets_of_one_person_are_one_member_and_the_newest_grant_counts():
    result = resolve(World().grant(1).grant(1).grant(1, MINE))
    assert [m.grants["genotypes"].id for m in result.people] == ["grant1"]
    assert result.left_out == Counter()


def test_the_same_pseudonym_of_two_owners_is_two_people():
    world = World().grant(1)
    world.datasets["d"] = replace(world.datasets["dataset0"], id="d", owner="other")
    world.grant(1, dataset="d", owner="other")
    assert len(resolve(world).people) == 2


@pytest.mark.parametrize(
    ("left_out", "make"),
    [
        ("purpose", lambda w: w.grant(1, MINE)),
        ("place", lambda w: w.grant(1, region="US")),
        ("place", lambda w: w.grant(1, {**OPEN, "regions": ["US"]})),
        ("build", lambda w: w.grant(1, build="GRCh38")),
        ("time", lambda w: w.grant(1, {**OPEN, "valid_until": 1})),
        ("query", lambda w: w.grant(1, {**OPEN, "query_families": ["count"]})),
        ("needs_owner", lambda w: w.grant(1, ASK)),
        ("needs_owner", lambda w: w.grant(1, order="f" * 32)),
        ("price", lambda w: w.grant(1, {**OPEN, "currency": "usd"})),
        ("price", lambda w: w.grant(1, {**OPEN, "prices": {}})),
        ("facets", lambda w: w.grant(1, facets={"population": "YRI"})),
        ("facets", lambda w: w.grant(1, facets={"sex": "CEU"})),
        ("modality", lambda w: w.grant(1, modality="expression")),
        ("invalid", lambda w: w.grant(1, {"v": 1})),
        ("invalid", lambda w: w.grant(1, sha="f" * 64)),
    ],
)
def test_one_person_left_out_for_one_reason(left_out, make):
    world = make(World()).grant(2, facets={"population": "CEU"})
    result = resolve(world, build="GRCh37", facets={"population": ["CEU", "GBR"]})
    assert people(result) == [2]
    assert result.left_out == Counter({left_out: 1})
    assert left_out in GROUPS


def test_terms_under_the_hash_of_others_are_not_judged_as_theirs():
    lenient, strict = terms_sha256(OPEN), terms_sha256(MINE)
    for world in (
        World().grant(1).grant(2, MINE, sha=lenient),
        World().grant(1, OPEN, sha=strict).grant(2, MINE),
    ):
        assert 2 not in people(resolve(world))
    stolen = World().grant(1, OPEN, sha=strict).grant(2, MINE)
    assert resolve(stolen).left_out == Counter(invalid=1, purpose=1)


def test_a_dataset_the_owner_does_not_have_is_no_consent():
    world = World().grant(1, owner="someone else")
    assert resolve(world).people == ()


def test_a_consent_for_one_order_answers_for_the_owner_there_and_nowhere_else():
    world = World().grant(1, ASK, order=ORDER).grant(2, ASK).grant(3, MINE, order=ORDER)
    assert people(resolve(world, order=ORDER)) == [1]
    assert people(resolve(world)) == []
    assert resolve(world, order=ORDER).left_out == Counter(needs_owner=1, purpose=1)


def test_facets_published_in_any_grant_count_and_a_contradiction_does_not():
    world = World()
    world.grant(1, facets={"population": "CEU"}).grant(1, modality="expression")
    world.grant(2, facets={"population": "CEU"}).grant(
        2, modality="expression", facets={"population": "YRI"}
    )
    result = resolve(world, "genotypes", "expression", facets={"population": ["CEU"]})
    assert people(result) == [1]


def test_no_attested_claims_and_nobody_who_excludes_insurers_is_in():
    assert resolve(World().grant(1).grant(2), claims=Claims(party="me")).left_out == Counter(
        buyer=2
    )


def test_each_text_of_terms_is_judged_once():
    class Counting:
        calls = 0

        def is_descendant(self, term, ancestor):
            Counting.calls += 1
            return TEST_SUBSET.is_descendant(term, ancestor)

    world = World()
    for person in range(50):
        world.grant(person, MINE)
    scope = Scope(modalities=("genotypes",), region="GB")
    purpose = Purpose(primary="DS", diseases=("MONDO:0005148",), commercial=False)
    result = resolve_scope(
        world,
        scope,
        purpose,
        CLAIMS,
        family="freq",
        release={"mode": "private"},
        now_ms=1,
        ontology=Counting(),
    )
    assert len(result.people) == 50
    assert Counting.calls <= 4


choices = st.tuples(
    st.integers(0, 6),
    st.sampled_from([OPEN, NON_PROFIT, MINE, ASK]),
    st.sampled_from(["genotypes", "expression"]),
    st.sampled_from(["GRCh37", "GRCh38"]),
    st.sampled_from([None, ORDER, "f" * 32]),
)


@given(st.lists(choices, max_size=12), st.randoms())
@settings(max_examples=60)
def test_everybody_is_in_or_left_out_once_in_any_order_of_grants(rows, random):
    world = World()
    for person, terms, modality, build, order in rows:
        world.grant(person, terms, modality, build=build, order=order)
    result = resolve(world, "genotypes", "expression", order=ORDER, build="GRCh37")
    assert len(result.people) + result.left_out.total() == len({row[0] for row in rows})
    random.shuffle(world.grants)
    again = resolve(world, "genotypes", "expression", order=ORDER, build="GRCh37")
    assert (again.people, again.left_out) == (result.people, result.left_out)


@given(st.lists(choices, min_size=1, max_size=10), st.data())
@settings(max_examples=60)
def test_removing_one_grant_never_adds_anybody(rows, data):
    world = World()
    for person, terms, modality, build, order in rows:
        world.grant(person, terms, modality, build=build, order=order)
    before = set(people(resolve(world, order=ORDER)))
    del world.grants[data.draw(st.integers(0, len(rows) - 1))]
    assert set(people(resolve(world, order=ORDER))) <= before


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"modalities": [], "region": "GB"},
        {"modalities": ["genotypes", "genotypes"], "region": "GB"},
        {"modalities": ["images"], "region": "GB"},
        {"modalities": ["genotypes"], "region": "GB", "facets": {"population": []}},
        {"modalities": ["genotypes"], "region": "GB", "facets": {"population": "CEU"}},
        {"modalities": ["genotypes"], "region": ""},
        {"modalities": ["genotypes"], "region": "GB", "match": {}},
    ],
    ids=str,
)
def test_scopes_that_make_no_sense_are_refused(value):
    with pytest.raises(TermsError):
        parse_scope(value)


def test_a_scope_survives_its_dict():
    scope = parse_scope({"modalities": ["genotypes"], "region": "GB", "facets": {"sex": ["XX"]}})
    assert parse_scope(scope.to_dict()) == scope


@given(st.integers(0, 10**9))
def test_a_bucket_holds_its_count_and_is_wide_enough(n):
    label = bucket(n)
    if n < 20:
        assert label == ("<20" if n else "0")
        return
    low, high = map(int, label.split("-"))
    assert low <= n <= high
    assert high + 1 >= 2 * low


def test_buckets_are_the_published_series():
    labels = [bucket(n) for n in (0, 1, 20, 50, 100, 200, 500, 1000, 2000)]
    assert labels == [
        "0",
        "<20",
        "20-49",
        "50-99",
        "100-199",
        "200-499",
        "500-999",
        "1000-1999",
        "2000-4999",
    ]
    with pytest.raises(TermsError):
        bucket(-1)
