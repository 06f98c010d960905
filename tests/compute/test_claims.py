"""Claims folded from the ledger: pinned attesters only, the newest statement, until it expires."""

from types import SimpleNamespace

from compute import claims_of
from ledger import Attestation, Pins, fingerprint

GOOD, OTHER = b"g" * 32, b"o" * 32
PINS = Pins(attesters={"sector": (GOOD,), "non_profit": (GOOD,), "country": (OTHER,)})


def state(*statements):
    attestations = [
        Attestation(index, claims, expires, fingerprint(key))
        for index, (claims, expires, key) in enumerate(statements)
    ]
    return SimpleNamespace(parties={"p": SimpleNamespace(attestations=attestations)})


def values(*statements, now=10):
    claims = claims_of(state(*statements), PINS, "p", now)
    return {name: claim.value for name, claim in claims.attested.items()}


def test_a_pinned_attesters_statement_counts_until_it_expires():
    assert values(({"sector": "academic"}, 11, GOOD)) == {"sector": "academic"}
    assert values(({"sector": "academic"}, 10, GOOD)) == {}


def test_an_attester_counts_only_for_the_claims_its_key_is_pinned_for():
    assert values(({"sector": "academic", "country": "GB"}, 11, GOOD)) == {"sector": "academic"}
    assert values(({"sector": "academic", "country": "GB"}, 11, OTHER)) == {"country": "GB"}


def test_the_newest_statement_counts_even_when_it_has_expired():
    first, second = ({"sector": "academic"}, 99, GOOD), ({"sector": "insurer"}, 99, GOOD)
    assert values(first, second) == {"sector": "insurer"}
    assert values(first, ({"sector": "academic"}, 5, GOOD)) == {}
    assert values(first, ({"sector": "insurer"}, 99, OTHER)) == {"sector": "academic"}


def test_what_is_neither_text_nor_truth_is_not_a_claim():
    assert values(({"sector": ["academic"], "non_profit": True}, 11, GOOD)) == {"non_profit": True}


def test_of_an_unknown_party_nothing_is_known():
    assert claims_of(state(), PINS, "q", 1).attested == {}
