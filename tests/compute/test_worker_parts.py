"""An order's passes shared between workers: one answer, and nothing of it anywhere else.

Lead and helpers are workers of one directory, each with a fold, store and book of its own.
"""

import json
import logging
import sqlite3
from contextlib import contextmanager

import pytest

from compute import worker_helper, worker_lead, worker_query
from compute.arrays import pack, unpack
from compute.orderbook import Phase
from compute.part_store import Offer, PartStore
from compute.partitions import Plan
from compute.queries import filters_of_text
from compute.sealing import LocalKms, StoreError
from compute.worker_helper import help_with
from compute.worker_lead import Lead
from compute.worker_outcomes import Code
from compute.worker_steps import HELPER_STEPS
from ledger import sign_entry
from tests.compute.parts_world import PartsWorld, helping, part_message, small_chunks
from tests.compute.simulators import Death, now_ms
from tests.compute.test_worker_stops import Clock
from tests.compute.worker_world import new_id, reason_of

PANEL = {"variants": {"panel": "all"}}
QUERIES = {
    "genotype_counts": PANEL,
    "by stratum": {**PANEL, "by": "population"},
    "linear_association": {
        **PANEL, "trait": {"kind": "covariate", "name": "height"}, "covariates": ["PC1", "sex"]},
    "logistic_association": {**PANEL, "trait": {"kind": "covariate", "name": "case"}},
    "cohort_quality": {**PANEL, "by": "population"},
    "relatedness": PANEL,
    "matched": {**PANEL, "match": filters_of_text("number height 150..")},
}  # fmt: skip


def ask(name):
    family = "genotype_counts" if name in ("matched", "by stratum") else name
    return {"v": 1, "family": family, "build": "GRCh37", "params": QUERIES[name]}


@pytest.fixture
def small(monkeypatch):
    small_chunks(monkeypatch)


@pytest.fixture
def world(tmp_path, small):
    made = PartsWorld(tmp_path)
    yield made
    made.shop.store.close()


@pytest.fixture
def ingested(world):
    world.run("ingest")
    return world


def parts_file(world):
    return world.folder / "store.parts"


def left_over(world):
    """Rows in the file of partial sums, after whatever happened."""
    if not parts_file(world).exists():
        return 0
    with sqlite3.connect(parts_file(world)) as db:
        return sum(db.execute(f"SELECT count(*) FROM {name}").fetchone()[0]
                   for name in ("offer", "part", "offer_member"))  # fmt: skip


@contextmanager
def lead_waits(monkeypatch):
    """The lead takes nothing itself, so that helpers must sum all; it still waits and gathers."""
    with monkeypatch.context() as patch:
        patch.setattr(Lead, "_take_free", lambda self, pass_: None)
        yield


class Exact:
    """What the engine answered, before the gate; `last` as plain bytes and texts."""

    def __init__(self, monkeypatch):
        self.answers = []
        answer_query = worker_query.answer_query

        def noted(*arguments, **more):
            self.answers.append(answer_query(*arguments, **more))
            return self.answers[-1]

        monkeypatch.setattr(worker_query, "answer_query", noted)

    @property
    def last(self):
        found = self.answers[-1]
        columns = {
            name: column.tolist() if column.dtype.kind == "O" else column.tobytes()
            for name, column in found.columns.items()
        }
        return columns, dict(found.people), dict(found.facts)


@pytest.fixture
def exact(monkeypatch):
    return Exact(monkeypatch)


# -- the answer ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(QUERIES))
def test_the_answer_is_byte_for_byte_that_of_one_process(ingested, monkeypatch, exact, name):
    world = ingested
    with helping(world) as helpers, lead_waits(monkeypatch):
        world.ask(ask(name))
    shared = exact.last
    assert helpers.failed == []
    once = ("genotype_counts", "by stratum", "matched", "relatedness")
    passes = 1 if name in once else 2
    assert sum(helpers.done) == passes * 3
    world.lead(shared=False)
    world.ask(ask(name))
    assert len(exact.answers) == 2
    assert exact.last == shared
    assert left_over(world) == 0


def test_a_lead_takes_what_nobody_took_and_waits_for_nobody(ingested, exact):
    world = ingested
    world.ask(ask("linear_association"))
    shared = exact.last
    assert [number for _, _, number in world.told.all] == [0, 1, 2, 0, 1, 2]
    world.lead(shared=False)
    world.ask(ask("linear_association"))
    assert exact.last == shared
    assert left_over(world) == 0


def test_a_pass_of_one_partition_is_not_offered(ingested):
    world = ingested
    world.lead(shared=True)
    object.__setattr__(world.shop.helpers, "genotypes", 10**12)
    world.ask(ask("genotype_counts"))
    assert world.told.all == []
    assert not parts_file(world).exists()


def test_a_broker_that_is_away_costs_nothing_but_helpers(ingested, caplog):
    world = ingested

    def away(*_):
        raise ConnectionError("secret-address")

    world.told.send = away
    world.lead(shared=True)
    world.ask(ask("genotype_counts"))
    assert "ConnectionError" in caplog.text
    assert "secret-address" not in caplog.text


# -- what is said, and what lies where -------------------------------------------------------------


def test_messages_and_logs_carry_ids_and_numbers_alone(ingested, monkeypatch, caplog):
    world = ingested
    caplog.set_level(logging.DEBUG, "compute")
    with helping(world), lead_waits(monkeypatch):
        order, _ = world.ask(ask("genotype_counts"))
    assert set(world.told.all) == {(order, 1, number) for number in range(3)}
    for person in world.people:
        for secret in (person.participant, person.id, *(d.grant for d in person.data.values())):
            assert secret not in caplog.text


def test_what_is_left_is_ciphertext_and_opens_at_its_own_place_only(ingested, monkeypatch):
    world, seen = ingested, {}
    put_together = Lead._put_together

    def look(self, pass_):
        seen["bytes"] = parts_file(world).read_bytes()
        wal = parts_file(world).with_name("store.parts-wal")
        seen["bytes"] += wal.read_bytes() if wal.exists() else b""
        seen["offer"] = pass_.offer
        part = pass_.parts[0]
        seen["data"] = self._store.partial_sum(pass_.offer, 0)
        unpack(seen["data"], pass_.sums.shapes(part))
        put_together(self, pass_)

    monkeypatch.setattr(Lead, "_put_together", look)
    with helping(world), lead_waits(monkeypatch):
        world.ask(ask("genotype_counts"))
    assert seen["offer"].id.encode() in seen["bytes"]
    assert b"omic/arrays/v1" in seen["data"]
    assert b"omic/arrays/v1" not in seen["bytes"]
    after = parts_file(world).read_bytes()
    assert seen["offer"].id.encode() not in after  # overwritten, not only unlinked


# -- people who leave, and attempts that start over --------------------------------------------------


@pytest.mark.parametrize("way", ["consent.withdrawn", "consent.paused", "dataset.erased"])
def test_a_member_who_stops_in_the_middle_throws_every_part_away(ingested, monkeypatch, way):
    """Told to the helpers after some parts are left; both notice by themselves."""
    world, gone, thrown = ingested, ingested.people[3], []
    clock = Clock()
    world.lead(shared=True, clock=clock)
    left = PartStore.leave

    def leave(store, offer, number, by, data):
        kept = left(store, offer, number, by, data)
        if not thrown:
            thrown.append(offer.name)
            if way == "dataset.erased":
                world.send(erasure(world, gone))
            else:
                world.withdraw(gone, type_=way)
            clock.ahead += 4_000
        return kept

    monkeypatch.setattr(PartStore, "leave", leave)
    withdrawn = []
    withdraw = PartStore.withdraw
    monkeypatch.setattr(
        PartStore, "withdraw", lambda store, p: (withdrawn.append(p), withdraw(store, p))[1]
    )
    with helping(world) as helpers, lead_waits(monkeypatch):
        order, outcome = world.ask(ask("linear_association"))
    assert helpers.failed == []
    assert outcome.state == "awaiting_review"
    assert thrown[0] in withdrawn
    first, second = world.log.state.orders[order].accesses
    assert world.log.state.accesses[first].payload["cohort_size"] == 24
    assert world.log.state.accesses[second].payload["cohort_size"] == 23
    assert world.kept(order, 2)["answer"]["facts"]["model"]
    assert set(world.told.all) >= {(order, 2, 0)}
    assert left_over(world) == 0


def erasure(world, person):
    data, state = person.data["genotypes"], world.log.state
    fields = {
        "id": new_id(), "time": now_ms(), "dataset": data.id, "owner": person.id,
        "stops": state.stops_of_dataset(data.id), "erases": state.erases_of_dataset(data.id),
    }  # fmt: skip
    return sign_entry(person.seed, "dataset.erased", fields)


def test_a_cancelled_order_stops_its_lead_and_its_helpers(ingested, monkeypatch):
    world, clock, seen = ingested, Clock(), []
    world.lead(shared=True, clock=clock)

    def cancel(message):
        world.market.cancelled = True

    with helping(world, before=cancel) as helpers, lead_waits(monkeypatch):
        monkeypatch.setattr(worker_helper, "LOOK_MS", 0)
        order, outcome = world.ask(ask("linear_association"))
        seen.append(outcome)
    assert (outcome.state, outcome.code) == ("withheld", Code.CANCELLED.value)
    assert reason_of(world, order) == ["cancelled"]
    assert helpers.failed == []
    assert left_over(world) == 0


def held_open(world, monkeypatch, name="genotype_counts"):
    """Run an order until its lead waits for others, and kill it there: its offer stands."""
    withdraw = PartStore.withdraw
    with monkeypatch.context() as patch:
        patch.setattr(Lead, "_take_free", lambda self, pass_: None)
        patch.setattr(worker_lead.time, "sleep", lambda seconds: None)
        patch.setattr(Lead, "_await_others", lambda self, pass_: (_ for _ in ()).throw(Death()))
        patch.setattr(PartStore, "withdraw", lambda store, prefix: None)
        order = world.order(query=ask(name), modalities=("genotypes", "participant"))
        with pytest.raises(Death):
            world.run("query", order)
    assert PartStore.withdraw is withdraw
    held = world.shop.book.find(order)
    assert held.phase is Phase.RECORDED
    return order, world.shop.store.parts.find(worker_lead.offer_name(held))


def test_a_lead_killed_and_started_again_offers_afresh_and_late_sums_find_no_place(
    ingested, monkeypatch
):
    world = ingested
    order, offer = held_open(world, monkeypatch)
    store = world.shop.store.parts
    assert store.take(offer, 1, "slow")
    world.restart()
    world.lead(shared=True)
    store = world.shop.store.parts
    assert world.run("query", order).state == "awaiting_review"
    assert not store.leave(offer, 1, "slow", b"late")
    assert left_over(world) == 0


def test_a_helper_does_nothing_for_an_order_that_is_elsewhere_or_another_attempt(
    ingested, monkeypatch
):
    world = ingested
    order, offer = held_open(world, monkeypatch)
    helper = world.helper()
    assert help_with(helper, part_message(new_id(), 1, 0)) == 0
    assert help_with(helper, part_message(order, 2, 0)) == 0
    assert len(helper.store.parts.free(offer)) == 3
    assert help_with(helper, part_message(order, 1, 99)) == 3  # a hint, and nothing else
    assert help_with(helper, part_message(order, 1, 0)) == 0  # nothing is free any more
    helper.store.close()


def test_a_helper_opens_nobody_when_a_member_has_stopped_or_the_log_is_silent(
    ingested, monkeypatch
):
    world = ingested
    order, offer = held_open(world, monkeypatch)
    opened = []
    helper = world.helper()
    for name in ("batch", "reader"):
        monkeypatch.setattr(helper.vault, name, lambda *_: opened.append(1))
    world.log.down = True
    assert help_with(helper, part_message(order, 1, 0)) == 0
    world.log.down = False
    world.withdraw(world.people[0], type_="consent.paused")
    assert help_with(helper, part_message(order, 1, 0)) == 0
    assert opened == []
    assert len(helper.store.parts.free(offer)) == 3
    helper.store.close()


def test_a_helper_opens_nobody_for_an_access_the_log_does_not_have(ingested, monkeypatch):
    """Though the order book says it was recorded: whoever wrote that may have been wrong."""
    world, opened = ingested, []

    def dies(step):
        if step == "query_reserved":
            raise Death

    with monkeypatch.context() as patch:
        patch.setattr(worker_query, "checkpoint_step", dies)
        order = world.order(query=ask("genotype_counts"), modalities=("genotypes", "participant"))
        with pytest.raises(Death):
            world.run("query", order)
    book = world.shop.book
    held = book.move(book.find(order), Phase.RECORDED, access_index=1)
    plan = Plan(len(world.shop.variants), 24, (0, 1, 2), 1, 1)
    offer = Offer(new_id(), worker_lead.offer_name(held), plan.to_text())
    world.shop.store.parts.offer(offer, held.members, 3)
    helper = world.helper()
    for name in ("batch", "reader"):
        monkeypatch.setattr(helper.vault, name, lambda *_: opened.append(1))
    assert help_with(helper, part_message(order, 1, 0)) == 0
    assert opened == []
    assert len(helper.store.parts.free(offer)) == 3
    helper.store.close()


def test_an_offer_with_another_plan_is_not_worked(ingested, monkeypatch):
    world = ingested
    order, offer = held_open(world, monkeypatch)
    helper = world.helper()
    for changes in ({"chunks": [0]}, {"people": 23}, {"rows": 10**9}, {"threads": 0}):
        plan = {**json.loads(offer.plan), **changes}
        with sqlite3.connect(parts_file(world)) as db:
            db.execute("UPDATE offer SET plan=?", (json.dumps(plan),))
        assert help_with(helper, part_message(order, 1, 0)) == 0
    assert len(helper.store.parts.free(offer)) == 3
    helper.store.close()


def test_the_end_of_a_grant_deletes_the_partial_sums_it_had_a_part_in(ingested, monkeypatch):
    """The lead is dead; another worker of the directory follows the log."""
    world = ingested
    order, _ = held_open(world, monkeypatch)
    helper = world.helper()
    assert help_with(helper, part_message(order, 1, 0)) == 3
    world.withdraw(world.people[2])
    from compute.worker_stops import follow

    follow(helper)
    assert left_over(world) == 0
    helper.store.close()


# -- helpers that die, and parts that are not theirs -------------------------------------------------


def test_a_dead_helpers_partition_is_summed_by_the_lead_after_the_wait(
    ingested, monkeypatch, exact
):
    world, clock = ingested, Clock()
    world.wait_ms = 5_000
    world.lead(shared=True, clock=clock)
    monkeypatch.setattr(worker_helper, "checkpoint_step", lambda name: die(name))
    monkeypatch.setattr(PartStore, "give_back", lambda *_: None)  # the dead give nothing back
    slept = []

    def sleep(seconds):
        slept.append(clock.ahead)
        clock.ahead += 1_000

    def first_dies(self, pass_):
        helper = world.helper()
        with pytest.raises(Death):
            help_with(helper, part_message(self._run.held.order, 1, 1))
        helper.store.close()
        return take_free(self, pass_)

    take_free = Lead._take_free
    monkeypatch.setattr(Lead, "_take_free", first_dies)
    monkeypatch.setattr(Lead, "__init__", lambda self, run, pause=sleep: made(self, run, pause))
    world.ask(ask("genotype_counts"))
    shared = exact.last
    assert 5 <= len(slept) <= 7
    world.lead(shared=False)
    world.ask(ask("genotype_counts"))
    assert exact.last == shared


made = Lead.__init__


def die(name):
    assert name in HELPER_STEPS
    raise Death


def test_a_helper_that_is_heard_of_is_waited_for(tmp_path):
    """By the lead's own clock alone: a helper's may be wrong."""
    from compute.part_store import Standing

    class Run:
        class shop:
            clock = staticmethod(lambda: now[0])

            class helpers:
                wait_ms = 100

            class store:
                parts = None

            new_id = staticmethod(lambda: "me")

    now, lead, heard = [0], Lead(Run), {}
    assert not lead._is_overdue(heard, 0, Standing(0, False))
    now[0] = 99
    assert not lead._is_overdue(heard, 0, Standing(0, False))
    assert not lead._is_overdue(heard, 0, Standing(1, False))
    now[0] = 198
    assert not lead._is_overdue(heard, 0, Standing(1, False))
    now[0] = 199
    assert lead._is_overdue(heard, 0, Standing(1, False))
    assert lead._is_overdue(heard, 1, None)


def flipped(db, offer):
    row = db.execute("SELECT sealed FROM part WHERE number=0").fetchone()[0]
    db.execute("UPDATE part SET sealed=? WHERE number=0", (row[:-1] + bytes([row[-1] ^ 1]),))


def exchanged(db, offer):
    found = {number: (key, sealed) for number, key, sealed in
             db.execute("SELECT number, wrapped_key, sealed FROM part WHERE number >= 0")}  # fmt: skip
    for number, other in ((0, 1), (1, 0)):
        db.execute(
            "UPDATE part SET wrapped_key=?, sealed=? WHERE number=?", (*found[other], number)
        )


def emptied(db, offer):
    db.execute("UPDATE part SET wrapped_key=NULL WHERE number=2")


def textual(db, offer):
    db.execute("UPDATE part SET sealed='text' WHERE number=2")


@pytest.mark.parametrize("bend", [flipped, exchanged, emptied, textual])
def test_a_part_that_was_changed_or_put_elsewhere_is_refused_and_summed_again(
    ingested, monkeypatch, caplog, exact, bend
):
    world, put_together = ingested, Lead._put_together

    def bent(self, pass_):
        with sqlite3.connect(parts_file(world)) as db:
            bend(db, pass_.offer)
        put_together(self, pass_)

    with helping(world), lead_waits(monkeypatch):
        monkeypatch.setattr(Lead, "_put_together", bent)
        world.ask(ask("genotype_counts"))
    shared = exact.last
    assert "refused" in caplog.text
    world.lead(shared=False)
    world.ask(ask("genotype_counts"))
    assert exact.last == shared


def test_sums_of_other_shapes_are_refused_though_their_seal_is_right(
    ingested, monkeypatch, caplog, exact
):
    world, leave = ingested, PartStore.leave

    def wrong(store, offer, number, by, data):
        return leave(store, offer, number, by, data[:-8] if number else pack({}))

    monkeypatch.setattr(PartStore, "leave", wrong)
    with helping(world), lead_waits(monkeypatch):
        world.ask(ask("genotype_counts"))
    shared = exact.last
    assert caplog.text.count("refused (arrays)") == 3
    world.lead(shared=False)
    world.ask(ask("genotype_counts"))
    assert exact.last == shared


# -- progress ----------------------------------------------------------------------------------------


def test_a_buyer_is_told_of_partitions_whoever_summed_them(ingested, monkeypatch):
    world = ingested
    with helping(world), lead_waits(monkeypatch):
        world.ask(ask("linear_association"))
    told = [one for one in world.market.told if one.step == "summing"]
    # Records twice and what the family learns, one run of people each; two passes of three parts.
    assert {one.total for one in told} == {9}
    assert told[-1].done == 9
    assert [one.done for one in told] == sorted(one.done for one in told)


# -- the store of partial sums -------------------------------------------------------------------------


@pytest.fixture
def parts(tmp_path):
    made = PartStore(tmp_path / "s.parts", LocalKms(b"k" * 32))
    yield made
    made.close()


def an_offer(name="o/1/root", id_="a" * 32):
    return Offer(id_, name, Plan(10, 2, (0,)).to_text())


def test_two_never_take_one_partition_and_what_is_not_ones_own_is_not_kept(parts):
    offer = an_offer()
    assert parts.find(offer.name) is None
    parts.offer(offer, ["g1"], 2)
    assert parts.find(offer.name) == offer
    assert parts.given(offer) is None
    assert parts.take(offer, 0, "one")
    assert not parts.take(offer, 0, "two")
    assert not parts.take(offer, 7, "two")
    assert not parts.leave(offer, 0, "two", b"x")
    assert parts.leave(offer, 0, "one", b"sums")
    assert not parts.leave(offer, 0, "one", b"again")
    assert parts.partial_sum(offer, 0) == b"sums"
    parts.seize(offer, 0, "lead")
    assert parts.standing(offer)[0].done
    assert parts.free(offer) == [1]
    assert parts.take(offer, 1, "one")
    parts.give_back(offer, 1, "two")
    assert parts.free(offer) == []
    parts.give_back(offer, 1, "one")
    assert parts.free(offer) == [1]


def test_a_seized_partition_is_not_its_first_takers_any_more(parts):
    offer = an_offer()
    parts.offer(offer, [], 1)
    assert parts.take(offer, 0, "one")
    assert parts.beat(offer, 0, "one")
    assert parts.standing(offer)[0].beat == 1
    parts.seize(offer, 0, "lead")
    assert not parts.beat(offer, 0, "one")
    assert not parts.leave(offer, 0, "one", b"late")


def test_an_offer_of_the_same_name_takes_the_place_of_the_older(parts):
    old, new = an_offer(id_="a" * 32), an_offer(id_="b" * 32)
    parts.offer(old, ["g"], 1)
    parts.take(old, 0, "one")
    parts.offer(new, ["g"], 1)
    assert not parts.leave(old, 0, "one", b"late")
    assert parts.find(new.name) == new
    assert parts.free(new) == [0]
    with pytest.raises(StoreError):
        parts.partial_sum(old, 0)


def test_what_was_left_opens_under_its_own_offer_plan_and_number_only(parts):
    offer = an_offer()
    parts.offer(offer, [], 2, b"given")
    parts.take(offer, 0, "one")
    parts.leave(offer, 0, "one", b"sums")
    assert parts.given(offer) == b"given"
    for other in (
        Offer(offer.id, "o/2/root", offer.plan),
        Offer(offer.id, "o/1/other", offer.plan),
        Offer(offer.id, offer.name, Plan(11, 2, (0,)).to_text()),
    ):
        with pytest.raises(StoreError):
            parts.partial_sum(other, 0)
    with pytest.raises(StoreError):
        parts.partial_sum(offer, 1)


def test_withdrawing_takes_every_offer_of_the_prefix_and_no_other(parts):
    for number, name in enumerate(("o/1/a", "o/2/a", "p/1/a")):
        parts.offer(an_offer(name, str(number) * 32), ["g"], 1)
    parts.withdraw("o/1/")
    assert [parts.find(name) is None for name in ("o/1/a", "o/2/a", "p/1/a")] == [
        True,
        False,
        False,
    ]
    parts.destroy(["other"])
    assert parts.find("p/1/a") is not None
    parts.destroy(["g"])
    assert parts.find("o/2/a") is None
    assert parts.find("p/1/a") is None


def test_a_file_that_is_none_is_a_named_error(tmp_path):
    path = tmp_path / "s.parts"
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(StoreError):
        PartStore(path, LocalKms(b"k" * 32)).find("o/1/a")
