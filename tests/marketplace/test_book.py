"""The book: balanced, posted once, nothing paid twice; and the published split."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from marketplace import book as b
from marketplace.book import Account, Book, BookError, Posting, Transaction, post, split

NOW = datetime(2026, 11, 23, tzinfo=UTC)
weights_of = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=4), st.integers(0, 50), min_size=1, max_size=30
)
totals = st.integers(0, 10**9)


def line(account, amount, owner="", currency="gbp"):
    return Posting(account, currency, amount, owner)


def transaction(name, *lines):
    return Transaction(name, NOW, lines)


def paid(order="o", amount=1000, currency="gbp", **more):
    return b.payment_received(order, amount, currency, time=NOW, payment=f"pi:{order}", **more)


# the split


@given(totals, weights_of)
def test_split_sums_exactly_and_is_never_negative(total, weights):
    if not any(weights.values()):
        total = 0
    shares = split(total, list(weights.items()))
    assert sum(shares.values()) == total
    assert min(shares.values()) >= 0
    assert set(shares) == set(weights)
    assert all(share == 0 for key, share in shares.items() if weights[key] == 0)


@given(totals, weights_of, st.randoms())
def test_split_does_not_depend_on_the_order_of_the_weights(total, weights, random):
    weights["a"] = weights.get("a", 0) + 1
    items = list(weights.items())
    shuffled = items.copy()
    random.shuffle(shuffled)
    assert list(split(total, items).items()) == list(split(total, shuffled).items())


@given(totals, weights_of)
def test_a_larger_weight_never_gets_less_and_equal_ones_differ_by_at_most_one(total, weights):
    weights["a"] = weights.get("a", 0) + 1
    shares = split(total, list(weights.items()))
    for one, weight in weights.items():
        for other, less in weights.items():
            if weight > less:
                assert shares[one] >= shares[other]
            if weight == less:
                assert abs(shares[one] - shares[other]) <= 1


@given(totals, weights_of)
def test_every_share_is_within_one_unit_of_its_quota(total, weights):
    weights["a"] = weights.get("a", 0) + 1
    whole = sum(weights.values())
    for key, share in split(total, list(weights.items())).items():
        assert -whole < share * whole - total * weights[key] < whole


@given(totals, st.sets(st.text("abcdef", min_size=1, max_size=4), min_size=1, max_size=30))
def test_with_equal_weights_more_money_never_means_less_for_anyone(total, keys):
    weights = [(key, 1) for key in keys]
    less, more = split(total, weights), split(total + 1, weights)
    assert all(more[key] >= less[key] for key in keys)


def test_split_by_hand():
    assert split(100, [("b", 1), ("a", 1), ("c", 1)]) == {"a": 34, "b": 33, "c": 33}
    assert split(10, [("x", 3), ("y", 3), ("z", 1)]) == {"x": 4, "y": 4, "z": 2}
    assert split(5, [("x", 0), ("y", 1)]) == {"x": 0, "y": 5}
    assert split(0, [("x", 0)]) == {"x": 0}


def test_one_share_may_fall_by_a_unit_as_the_docstring_says():
    weights = [("a", 6), ("b", 6), ("c", 2)]
    assert (split(10, weights)["c"], split(11, weights)["c"]) == (2, 1)


@pytest.mark.parametrize(
    ("total", "weights"),
    [
        (-1, [("a", 1)]),
        (1, []),
        (1, [("a", 0)]),
        (1, [("a", -1), ("b", 2)]),
        (1, [("a", 1), ("a", 2)]),
        (1.0, [("a", 1)]),
        (True, [("a", 1)]),
        (1, [("a", 1.5)]),
    ],
)
def test_split_refuses_what_it_cannot_do_exactly(total, weights):
    with pytest.raises(BookError):
        split(total, weights)


def test_split_of_a_hundred_thousand_is_quick_and_exact():
    weights = [(f"{i:032x}", 1 + i % 3) for i in range(100_000)]
    assert sum(split(12_345_678, weights).values()) == 12_345_678


# transactions


@given(st.lists(st.integers(-1000, 1000).filter(bool), min_size=1, max_size=8))
def test_only_balanced_lines_make_a_transaction(amounts):
    lines = [line(Account.STRIPE_CLEARING, amount) for amount in amounts]
    if sum(amounts):
        with pytest.raises(BookError, match="balance"):
            transaction("t", *lines)
    else:
        assert transaction("t", *lines[::-1]) == transaction("t", *lines)


def test_currencies_balance_each_on_their_own():
    with pytest.raises(BookError, match="balance"):
        transaction("t", line(Account.STRIPE_CLEARING, 5), line(Account.ESCROW, -5, "o", "usd"))


@pytest.mark.parametrize(
    "make",
    [
        lambda: line(Account.STRIPE_CLEARING, 0),
        lambda: line(Account.STRIPE_CLEARING, 1.0),
        lambda: line(Account.STRIPE_CLEARING, True),
        lambda: line(Account.ESCROW, 1),
        lambda: line(Account.STRIPE_CLEARING, 1, "somebody"),
        lambda: line(Account.STRIPE_CLEARING, 1, currency="GBP"),
        lambda: transaction("t"),
        lambda: transaction(
            "", line(Account.STRIPE_CLEARING, 1), line(Account.STRIPE_CLEARING, -1)
        ),
        lambda: Transaction(
            "t",
            datetime(2026, 1, 1),
            (line(Account.DISPUTED, 1), line(Account.STRIPE_CLEARING, -1)),
        ),
        lambda: paid(amount=0),
        lambda: paid(fee=1001),
        lambda: paid(into=Account.ESCROW),
        lambda: b.order_settled("o", "gbp", {"w": -1}, {}, time=NOW),
        lambda: b.order_settled("o", "gbp", {}, {}, time=NOW),
        lambda: b.order_settled("o", "gbp", {"w": 1}, {Account.ESCROW: 1}, time=NOW),
        lambda: b.payout_sent("w", 1, "gbp", time=NOW, transfer="t", account=Account.ESCROW),
        lambda: b.dispute_lost("d", "o", 5, "gbp", time=NOW, from_escrow=6),
    ],
)
def test_malformed_postings_are_book_errors(make):
    with pytest.raises(BookError):
        make()


# posting


def test_posting_twice_is_one_posting_and_other_lines_are_an_error():
    book = Book()
    assert post(book, paid()) is True
    assert post(book, paid()) is False
    assert (len(book), b.balance(book, Account.ESCROW, "o", currency="gbp")) == (1, 1000)
    with pytest.raises(BookError, match="other lines"):
        post(book, paid(amount=1001))
    assert b.trial_balance(book) == {"gbp": {Account.STRIPE_CLEARING: 1000, Account.ESCROW: -1000}}


def test_an_orders_life_by_hand():
    book = Book()
    post(book, paid(fee=30))
    shares = split(800, [("w1", 1), ("w2", 1), ("w3", 1)])
    fees = {Account.PLATFORM_INCOME: 100, Account.COMPUTE_FEE: 50}
    post(book, b.order_settled("o", "gbp", shares, fees, time=NOW, charity_shares={"cancer": 50}))
    post(book, b.payout_sent("w1", 267, "gbp", time=NOW, transfer="tr1"))
    post(
        book, b.payout_sent("cancer", 50, "gbp", time=NOW, transfer="tr2", account=Account.CHARITY)
    )
    assert b.balance(book, Account.ESCROW, "o", currency="gbp") == 0
    assert b.balance(book, Account.OWNERS_PAYABLE, "w1", currency="gbp") == 0
    assert b.balance(book, Account.OWNERS_PAYABLE, "w2", currency="gbp") == 267
    assert b.balance(book, Account.PLATFORM_INCOME, currency="gbp") == 100
    assert b.trial_balance(book) == {
        "gbp": {
            Account.STRIPE_CLEARING: 653,
            Account.OWNERS_PAYABLE: -533,
            Account.PLATFORM_INCOME: -100,
            Account.COMPUTE_FEE: -50,
            Account.PROCESSING_FEES: 30,
        }
    }


def test_nobody_is_paid_or_refunded_twice_or_too_much():
    book = Book()
    post(book, paid())
    refused = [
        b.order_refunded("o", 1001, "gbp", time=NOW, refund="r"),
        b.order_refunded("other", 1, "gbp", time=NOW, refund="r"),
        b.refund_sent("o", 1, "gbp", time=NOW, refund="r"),
        b.payout_sent("w", 1, "gbp", time=NOW, transfer="t"),
        b.order_settled("o", "gbp", {"w": 1001}, {}, time=NOW),
        b.order_settled("o", "usd", {"w": 1}, {}, time=NOW),
    ]
    before = b.trial_balance(book)
    for one in refused:
        with pytest.raises(BookError, match="holds"):
            post(book, one)
    assert (b.trial_balance(book), len(book)) == (before, 1)
    post(book, b.order_settled("o", "gbp", {"w": 1000}, {}, time=NOW))
    post(book, b.payout_sent("w", 1000, "gbp", time=NOW, transfer="t1"))
    for again in (
        b.payout_sent("w", 1000, "gbp", time=NOW, transfer="t2"),
        b.order_refunded("o", 1, "gbp", time=NOW, refund="r"),
    ):
        with pytest.raises(BookError):
            post(book, again)
    post(book, b.payout_reversed("w", 400, "gbp", time=NOW, reversal="x"))
    assert post(book, b.payout_sent("w", 400, "gbp", time=NOW, transfer="t3"))


def test_refunds_are_owed_then_sent():
    book = Book()
    post(book, paid())
    post(book, b.order_refunded("o", 1000, "gbp", time=NOW, refund="r"))
    assert b.balance(book, Account.REFUNDS_PAYABLE, "o", currency="gbp") == 1000
    post(book, b.refund_sent("o", 1000, "gbp", time=NOW, refund="r"))
    assert b.trial_balance(book) == {"gbp": {}}


@pytest.mark.parametrize("from_escrow", [0, 400, 1000])
def test_a_lost_dispute_takes_escrow_first_and_the_rest_is_our_loss(from_escrow):
    book = Book()
    post(book, paid())
    post(book, b.dispute_opened("d", 1000, "gbp", time=NOW, fee=15))
    post(book, b.dispute_lost("d", "o", 1000, "gbp", time=NOW, from_escrow=from_escrow))
    assert b.balance(book, Account.DISPUTE_LOSS, currency="gbp") == 1000 - from_escrow
    assert b.balance(book, Account.ESCROW, "o", currency="gbp") == 1000 - from_escrow
    assert b.balance(book, Account.DISPUTED, currency="gbp") == 0
    assert b.balance(book, Account.STRIPE_CLEARING, currency="gbp") == -15
    with pytest.raises(BookError, match="other lines"):
        post(book, b.dispute_won("d", 1000, "gbp", time=NOW))


def test_a_won_dispute_leaves_only_its_fee():
    book = Book()
    post(book, paid())
    post(book, b.dispute_opened("d", 1000, "gbp", time=NOW, fee=15))
    post(book, b.dispute_won("d", 1000, "gbp", time=NOW))
    assert b.trial_balance(book)["gbp"] == {
        Account.STRIPE_CLEARING: 985, Account.ESCROW: -1000, Account.PROCESSING_FEES: 15
    }  # fmt: skip


def test_a_book_is_rebuilt_from_its_transactions():
    book = Book()
    post(book, paid())
    post(book, paid("p", 300, "jpy", into=Account.BANK_CLEARING))
    post(book, b.order_settled("o", "gbp", {"w": 1000}, {}, time=NOW))
    again = b.rebuild(book)
    assert b.trial_balance(again) == b.trial_balance(book)
    assert list(again) == list(book)


class Life(RuleBasedStateMachine):
    """Orders paid, settled, refunded, disputed and owners paid out, each event repeated at will."""

    def __init__(self):
        super().__init__()
        self.book, self.count, self.expected = Book(), 0, {"in": 0, "out": 0}
        self.open, self.owed, self.known = {}, {}, []

    def post(self, one):
        assert post(self.book, one)
        self.known.append(one)

    @rule(amount=st.integers(1, 10_000))
    def pay(self, amount):
        self.count += 1
        self.open[f"o{self.count}"] = amount
        self.expected["in"] += amount
        self.post(paid(f"o{self.count}", amount))

    @precondition(lambda self: self.open)
    @rule(data=st.data(), owners=st.integers(1, 5))
    def settle(self, data, owners):
        order = data.draw(st.sampled_from(sorted(self.open)))
        amount = self.open.pop(order)
        fee = data.draw(st.integers(0, amount))
        shares = split(amount - fee, [(f"w{i}", 1) for i in range(owners)])
        for owner, share in shares.items():
            self.owed[owner] = self.owed.get(owner, 0) + share
        self.post(b.order_settled(order, "gbp", shares, {Account.PLATFORM_INCOME: fee}, time=NOW))

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def refund(self, data):
        order = data.draw(st.sampled_from(sorted(self.open)))
        amount = self.open.pop(order)
        self.expected["out"] += amount
        self.post(b.order_refunded(order, amount, "gbp", time=NOW, refund=order))
        self.post(b.refund_sent(order, amount, "gbp", time=NOW, refund=order))

    @precondition(lambda self: any(self.owed.values()))
    @rule(data=st.data())
    def payout(self, data):
        owner = data.draw(st.sampled_from(sorted(o for o, n in self.owed.items() if n)))
        amount = self.owed.pop(owner)
        self.count += 1
        self.expected["out"] += amount
        self.post(b.payout_sent(owner, amount, "gbp", time=NOW, transfer=f"t{self.count}"))
        with pytest.raises(BookError):
            post(
                self.book, b.payout_sent(owner, amount, "gbp", time=NOW, transfer=f"t{self.count}b")
            )

    @precondition(lambda self: self.known)
    @rule(data=st.data())
    def repeat(self, data):
        assert post(self.book, data.draw(st.sampled_from(self.known))) is False

    @invariant()
    def balanced(self):
        for accounts in b.trial_balance(self.book).values():
            assert sum(accounts.values()) == 0
        clearing = b.balance(self.book, Account.STRIPE_CLEARING, currency="gbp")
        assert clearing == self.expected["in"] - self.expected["out"]
        for owner, amount in self.owed.items():
            assert b.balance(self.book, Account.OWNERS_PAYABLE, owner, currency="gbp") == amount


Life.TestCase.settings = settings(max_examples=30, stateful_step_count=40, deadline=None)
TestLife = Life.TestCase
