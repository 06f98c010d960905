"""The published price rule: exact integers, on buckets, never on an exact count."""

from hypothesis import given
from hypothesis import strategies as st

from compute import HIGHEST, Release, bucket, rate_of
from marketplace.config import Fees
from marketplace.quotes import bucket_top, price

TRUSTED = Release(mode="trusted")
PEOPLE = st.integers(1, 200_000)
UNITS = st.dictionaries(
    st.sampled_from(["genotypes", "expression", "participant"]), st.integers(0, 10**6), min_size=1
)
FEES = st.builds(Fees, compute=st.integers(0, 10_000), platform_percent=st.integers(0, 50))


@given(PEOPLE)
def test_the_priced_number_is_the_top_of_the_public_bucket(people):
    top = bucket_top(people)
    assert bucket(top) == bucket(people)
    assert bucket(top + 1) != bucket(people)
    assert top >= people


@given(UNITS, PEOPLE, FEES)
def test_items_add_up_and_depend_on_the_bucket_only(units, people, fees):
    cost = price(units, people, TRUSTED, fees)
    assert sum(item["amount"] for item in cost.items) == cost.total
    assert cost == price(units, bucket_top(people), TRUSTED, fees)
    assert cost.total == cost.owners_total + cost.platform_fee + cost.compute_fee


@given(UNITS, PEOPLE, FEES)
def test_everybody_is_paid_at_least_what_they_ask_when_trusted(units, people, fees):
    cost = price(units, people, TRUSTED, fees)
    assert cost.owners_total // people >= sum(units.values())


@given(st.integers(1, 499), st.integers(1, 10))
def test_the_price_is_proportional_to_rho_and_exact_numbers_cost_more_than_any(rho, times):
    one, more = (rate_of(Release(mode="private", rho=fraction(n))) for n in (rho, rho * times))
    assert more == times * one
    assert one < rate_of(TRUSTED) == rate_of(Release(mode="private", rho=str(HIGHEST)))


def test_a_known_price():
    cost = price({"genotypes": 200}, 90, TRUSTED, Fees(compute=500, platform_percent=10))
    assert (cost.owners_total, cost.platform_fee, cost.total) == (19_800, 1_980, 22_280)


def fraction(n):
    from fractions import Fraction

    return str(Fraction(n, 1000))
