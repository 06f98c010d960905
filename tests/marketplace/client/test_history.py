"""What an owner's client shows is the ledger, over a thousand random histories.

The reference is kept by hand while the history is made: who was in which access, whose terms said
no to which order. The client sees the public leaves, the access trees and its own home only.
"""

import os

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compute import parse_terms, preset
from ledger import access_tag, activity_commitment
from marketplace.client.history import (
    ADMIN,
    INGEST,
    MINE,
    REFUSAL,
    USE,
    Held,
    Mine,
    csv_rows,
    events,
)
from tests.compute.consent_world import ConsentWorld, new_id

PEOPLE = 3
RESEARCH = {"primary": "HMB", "commercial": False, "sponsor": "a university"}
ANCESTRY = {"primary": "POA", "commercial": False}
COMMERCIAL = {"primary": "HMB", "commercial": True}
PURPOSES = (RESEARCH, ANCESTRY, COMMERCIAL)
OPEN, NON_PROFIT, ASKING = "open", "non profit", "asking"
# Written down by hand, not by the matcher: whether terms of a kind permit a purpose of ours, asked
# by an academic non-profit buyer.
PERMITS = {
    (OPEN, 0): True, (OPEN, 1): True, (OPEN, 2): True,
    (NON_PROFIT, 0): True, (NON_PROFIT, 1): True, (NON_PROFIT, 2): False,
    (ASKING, 0): False, (ASKING, 1): False, (ASKING, 2): False,
}  # fmt: skip
ASKS = {"id": "DUO:0000020", "parameters": {"investigators": ["x"]}}
STEPS = st.one_of(
    st.tuples(st.just("give"), st.integers(0, PEOPLE - 1), st.sampled_from([OPEN, NON_PROFIT, ASKING])),
    st.tuples(st.just("withdraw"), st.integers(0, PEOPLE - 1), st.none()),
    st.tuples(st.just("order"), st.integers(0, len(PURPOSES) - 1), st.none()),
    st.tuples(st.just("use"), st.integers(0, 2**PEOPLE - 1), st.none()),
    st.tuples(st.just("ingest"), st.integers(0, 2**PEOPLE - 1), st.none()),
)  # fmt: skip


class Story:
    """A history with what each person should see of it, noted as it is made."""

    def __init__(self):
        self.world = ConsentWorld()
        self.people = [self.world.join() for _ in range(PEOPLE)]
        self.buyer = self.world.buyer(sector="academic", non_profit=True, organisation="a college")
        self.expected = [[] for _ in range(PEOPLE)]
        self.held = [[] for _ in range(PEOPLE)]
        self.signed = [{} for _ in range(PEOPLE)]
        self.kind, self.orders, self.trees = [None] * PEOPLE, [], {}

    def do(self, step, what, more):
        getattr(self, step)(what, more)
        self.world.now += 1000

    def give(self, who, kind):
        person = self.people[who]
        if self.kind[who] is not None:
            return
        name = "non_profit_research" if kind == NON_PROFIT else "everything_at_a_price"
        terms = preset(name, valid_from=0, price=1).to_dict()
        if kind == ASKING:
            terms["modifiers"] = [{"id": ASKS["id"], "parameters": ASKS["parameters"]}]
        key = os.urandom(32)
        self.world.give(person, terms)
        self.kind[who] = kind
        self.note_mine(who, person.grant_index, "consent.granted")
        self.held[who].append(
            Held(person.grant, person.dataset, person.grant_index, key, parse_terms(terms))
        )

    def note_mine(self, who, index, type_):
        self.signed[who][index] = type_
        self.expected[who].append((MINE, index))

    def withdraw(self, who, _):
        if self.kind[who] is None:
            return
        index = self.world.withdraw(self.people[who])
        self.kind[who] = None
        self.note_mine(who, index, "consent.withdrawn")
        last = self.held[who].pop()
        self.held[who].append(
            Held(last.grant, last.dataset, last.index, last.activity_key, last.terms, None, index)
        )

    def order(self, number, _):
        order, index = self.world.place(self.buyer, PURPOSES[number])
        self.orders.append(order)
        for who, kind in enumerate(self.kind):
            if kind is not None and not PERMITS[kind, number]:
                self.expected[who].append((REFUSAL, index))

    def use(self, mask, _):
        if self.orders:
            self._open(mask, self.orders[-1], USE)

    def ingest(self, mask, _):
        self._open(mask, None, INGEST)

    def _open(self, mask, order, kind):
        chosen = [w for w in range(PEOPLE) if mask >> w & 1 and self.held[w]]
        access = self.world.next_access = new_id()
        keys = [self.held[who][-1].activity_key for who in chosen] + [os.urandom(32)]
        if kind == INGEST:
            keys = [bytes.fromhex(activity_commitment(key)) for key in keys]
        tags = sorted(access_tag(key, access) for key in keys)
        root, index = self.world.access(order, tags, "ingest" if kind == INGEST else "HMB")
        self.trees[root] = tags
        for who in chosen:
            self.expected[who].append((kind, index))

    def seen(self, who):
        mine = Mine(self.people[who].id, self.held[who], self.signed[who])
        world = self.world
        return events(world.state, world.records, mine, self.trees.__getitem__, world.pins)


@given(st.lists(STEPS, max_size=12))
@settings(
    max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
)
def test_activity_is_the_ledger_over_a_thousand_histories(steps):
    story = Story()
    for step in steps:
        story.do(*step)
    for who in range(PEOPLE):
        seen = [(event.kind, event.index) for event in story.seen(who)]
        assert seen == story.expected[who]


def one_use():
    story = Story()
    for step in (("give", 0, OPEN), ("give", 1, ASKING), ("order", 0, None), ("use", 0b001, None)):
        story.do(*step)
    return story


def test_a_use_says_who_why_and_how_anybody_can_check_it():
    story = one_use()
    use = next(event for event in story.seen(0) if event.kind == USE)
    assert (use.organisation, use.attested, use.purpose) == ("a college", True, "HMB")
    assert use.query == "genotype_counts"
    assert use.datasets == (story.people[0].dataset,)
    assert "access tree" in use.proof


def test_a_refusal_says_in_plain_words_why():
    (refusal,) = [event for event in one_use().seen(1) if event.kind == REFUSAL]
    assert refusal.text.startswith("Not used unless you say yes: only together with people")


def test_a_stop_by_somebody_else_is_shown_as_theirs():
    story = one_use()
    story.world.withdraw(story.people[0])
    last = story.seen(0)[-1]
    assert (last.kind, "somebody else" in last.text) == (ADMIN, True)


def test_a_spreadsheet_runs_nothing_a_researcher_wrote():
    story = one_use()
    order, _ = story.world.place(story.buyer, {**ANCESTRY, "project": "=HYPERLINK(1)"})
    story.orders.append(order)
    story.do("use", 0b001, None)
    rows = list(csv_rows(story.seen(0)))
    assert len(rows) == 1 + len(story.seen(0))
    assert any("'=HYPERLINK(1)" in row for row in rows)
