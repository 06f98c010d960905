import threading
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compute.accountant import (
    Accountant,
    BudgetExceededError,
    Charge,
    LedgerMismatchError,
    Stated,
)
from compute.tables import StoreStateError, open_engine, upgrade
from tests.compute.postgres import postgres_engine

LIMIT = Fraction(1, 10)
FIFTH = Fraction(1, 50)


def charges(*names, limit=LIMIT, share=Fraction(1)):
    return [Charge(name, (f"data-{name}",), limit, share) for name in names]


@pytest.fixture
def accountant(tmp_path):
    return fresh(tmp_path)


def fresh(folder, name="c.sqlite"):
    url = f"sqlite:///{folder / name}"
    upgrade(url)
    return Accountant(open_engine(url))


def test_a_charge_is_exact_and_to_person_and_dataset(accountant):
    for number in range(5):
        accountant.reserve("order", f"access{number}", charges("ann"), FIFTH)
    assert accountant.spent("ann") == LIMIT
    assert accountant.dataset_spent("data-ann") == LIMIT
    with pytest.raises(BudgetExceededError):
        accountant.reserve("order", "one more", charges("ann"), Fraction(1, 10**9))


def test_all_or_nobody(accountant):
    accountant.reserve("o", "a", charges("ann"), LIMIT)
    with pytest.raises(BudgetExceededError):
        accountant.reserve("o", "b", charges("bob", "ann"), FIFTH)
    assert accountant.spent("bob") == 0
    assert accountant.exhausted(charges("bob", "ann"), FIFTH) == {"ann"}


def test_repeating_an_access_charges_once(accountant):
    for _ in range(3):
        accountant.reserve("o", "a", charges("ann"), FIFTH)
    assert accountant.spent("ann") == FIFTH
    accountant.commit("a")
    accountant.commit("a")
    assert accountant.spent("ann") == FIFTH


def test_released_before_recording_is_given_back_and_committed_never(accountant):
    accountant.reserve("o", "a", charges("ann"), FIFTH)
    accountant.release("a")
    accountant.release("a")
    assert accountant.spent("ann") == 0
    accountant.reserve("o", "b", charges("ann"), FIFTH)
    accountant.commit("b")
    with pytest.raises(StoreStateError):
        accountant.release("b")
    with pytest.raises(StoreStateError):
        accountant.commit("a")


def test_a_refund_is_once_and_of_committed_charges_only(accountant):
    accountant.reserve("o", "a", charges("ann"), FIFTH)
    with pytest.raises(StoreStateError):
        accountant.refund("a")
    accountant.commit("a")
    for _ in range(2):
        accountant.refund("a")
        assert accountant.spent("ann") == accountant.dataset_spent("data-ann") == 0
    with pytest.raises(StoreStateError):
        accountant.commit("a")
    assert accountant.reconcile([], {"a"}, 0) == 0
    assert accountant.unknown(["a"]) == accountant.released(["a"]) == set()
    assert accountant.spent("ann") == 0


def test_one_order_may_take_its_share_only(accountant):
    asked = charges("ann", share=Fraction(1, 5))
    accountant.reserve("o", "a", asked, FIFTH)
    with pytest.raises(BudgetExceededError):
        accountant.reserve("o", "b", asked, FIFTH + Fraction(1, 10**6))


def test_a_dataset_is_charged_under_whatever_person_it_stands(accountant):
    shared = Charge("ann", ("d",), LIMIT), Charge("bob", ("d",), LIMIT)
    accountant.reserve("o", "a", [shared[0]], LIMIT)
    with pytest.raises(BudgetExceededError):
        accountant.reserve("o", "b", [shared[1]], FIFTH)


def test_refuses_a_person_twice_and_a_negative_charge(accountant):
    with pytest.raises(BudgetExceededError):
        accountant.reserve("o", "a", charges("ann", "ann"), FIFTH)
    with pytest.raises(BudgetExceededError):
        accountant.reserve("o", "a", charges("ann"), -FIFTH)


@given(st.lists(st.fractions(0, Fraction(1, 20), max_denominator=997), max_size=12))
@settings(max_examples=20, deadline=None)
def test_never_over_the_limit_and_never_a_rounding(tmp_path_factory, amounts):
    accountant = fresh(tmp_path_factory.mktemp("a"))
    total = Fraction(0)
    for number, amount in enumerate(amounts):
        fits = total + amount <= LIMIT
        try:
            accountant.reserve("o", f"a{number}", charges("ann"), amount)
            assert fits
            total += amount
        except BudgetExceededError:
            assert not fits
    assert accountant.spent("ann") == total <= LIMIT


def race(accountant, buyers=64):
    people = charges("ann", "bob", "eve")
    start, won = threading.Barrier(buyers), []

    def buy(number):
        start.wait()
        try:
            accountant.reserve(f"o{number}", f"{number:032x}", people, FIFTH)
            won.append(number)
        except BudgetExceededError:
            pass

    threads = [threading.Thread(target=buy, args=(number,)) for number in range(buyers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return won


def test_64_buyers_at_once_cannot_overspend(accountant):
    assert len(race(accountant)) == 5
    assert {accountant.spent(name) for name in ("ann", "bob", "eve")} == {LIMIT}


@pytest.mark.service
def test_64_buyers_at_once_cannot_overspend_on_postgresql():
    with postgres_engine() as engine:
        accountant = Accountant(engine)
        assert len(race(accountant)) == 5
        assert {accountant.spent(who) for who in ("ann", "bob", "eve")} == {LIMIT}


def stated(access, *names, strangers=0):
    return Stated(access, "order", FIFTH, tuple(charges(*names)), strangers)


def test_a_lost_database_is_rebuilt_from_the_ledger(accountant):
    accountant.reconcile([stated("a", "ann", "bob"), stated("b", "ann")], {"a", "b"}, 0)
    accountant.reconcile([stated("a", "ann", "bob"), stated("b", "ann")], {"a", "b"}, 0)
    assert (accountant.spent("ann"), accountant.spent("bob")) == (2 * FIFTH, FIFTH)
    assert accountant.unknown({"a", "b", "c"}) == {"c"}


def test_a_database_ahead_of_the_ledger_is_refused(accountant):
    accountant.reserve("o", "a", charges("ann"), FIFTH)
    accountant.commit("a")
    with pytest.raises(LedgerMismatchError, match="another ledger"):
        accountant.reconcile([], set(), 0)


def test_a_database_behind_by_charges_nobody_can_attribute_is_refused(accountant):
    with pytest.raises(LedgerMismatchError, match="behind"):
        accountant.reconcile([stated("a", "ann", strangers=2)], {"a"}, 1)
    assert accountant.spent("ann") == 0
    accountant.reconcile([stated("a", "ann", strangers=1)], {"a"}, 1)
    assert accountant.spent("ann") == FIFTH


def test_what_a_crash_left_reserved_follows_the_ledger(accountant):
    accountant.reserve("o", "a", charges("ann"), FIFTH)
    accountant.reserve("o", "b", charges("ann"), FIFTH)
    accountant.reconcile([], {"a"}, 0)
    assert accountant.open_reservations() == ["b"]
    with pytest.raises(StoreStateError):
        accountant.release("a")


def test_a_charge_given_back_too_early_is_charged_again(accountant):
    accountant.reserve("o", "a", charges("ann"), FIFTH)
    accountant.release("a")
    assert accountant.released({"a"}) == {"a"}
    accountant.reconcile([stated("a", "ann")], {"a"}, 0)
    assert accountant.spent("ann") == FIFTH


def test_copies_of_a_genome_share_a_budget_and_a_spent_one_refuses_nobody(accountant):
    def copy(name):
        return [Charge(name, (f"data-{name}",), LIMIT, Fraction(1), "genome")]

    accountant.reserve("o", "a", copy("ann"), LIMIT)
    assert accountant.summed("a") == {"genome"}
    # Her copy has a budget of its own to spend, and nothing tells that its data is left out.
    accountant.reserve("o", "b", copy("ann-again"), FIFTH)
    assert accountant.spent("ann-again") == FIFTH
    assert accountant.summed("b") == frozenset()
    accountant.release("a")
    accountant.reserve("o", "c", copy("third"), FIFTH)
    assert accountant.summed("c") == {"genome"}


def test_one_order_over_two_copies_charges_their_genome_once(accountant):
    both = [Charge(name, (f"d{name}",), LIMIT, Fraction(1), "g") for name in ("ann", "bob")]
    for number in range(5):
        accountant.reserve("o", f"a{number}", both, FIFTH)
        assert accountant.summed(f"a{number}") == {"g"}


def test_exact_statistics_have_a_cap_of_their_own(accountant):
    """Counted beside rho, atomically, given back with it, and rebuilt from what the ledger says."""
    capped = Charge("ann", ("d",), LIMIT, Fraction(1), exact=10)
    free = Charge("bob", ("e",), LIMIT, Fraction(1))
    accountant.reserve("o", "a", [capped, free], Fraction(0), 7)
    assert (accountant.exact_given("ann"), accountant.exact_given("bob")) == (7, 7)
    assert accountant.spent("ann") == 0
    assert accountant.exhausted([capped, free], Fraction(0), 4) == {"ann"}
    assert accountant.exhausted([capped, free], LIMIT, 3) == frozenset()
    with pytest.raises(BudgetExceededError):
        accountant.reserve("o", "b", [free, capped], Fraction(0), 4)
    assert accountant.exact_given("bob") == 7
    accountant.reserve("o", "c", [capped], Fraction(0), 3)
    accountant.release("c")
    assert accountant.exact_given("ann") == 7
    accountant.commit("a")
    accountant.reconcile([Stated("d", "o", Fraction(0), (capped,), exact=5)], {"a", "d"}, 0)
    assert accountant.exact_given("ann") == 12
