"""Who is paid for an answer, and what an owner is told: by name, also after an erasure."""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlmodel import select

from ledger import inclusion_proof, leaf_hash, tree_root
from marketplace.app import create_app
from marketplace.owners import Scope
from marketplace.share_tree import ShareTrees, tree_of
from marketplace.tables import Job, Share
from tests.marketplace.market_world import Party, new_id


def bought(world, owners):
    researcher = world.researcher()
    order = world.place(researcher)
    world.pay(researcher, order)
    return researcher, order


def paid(world, order):
    with world.services.db.read() as session:
        return set(session.exec(select(Share.owner).where(Share.order_id == order)).all())


def erase(world, owner):
    world.ledger.accept(world.stop(owner, "dataset.erased"))


def test_an_owner_who_erased_since_is_paid_although_a_fresh_fold_lost_the_grant(world):
    owners = [world.owner() for _ in range(3)]
    _researcher, order = bought(world, owners)
    world.answer(order, owners)
    erase(world, owners[0])
    world.fold_afresh()
    assert owners[0].grant not in world.follower.state.grants
    world.turn()
    assert world.ledger.state.orders[order].settlement is not None
    assert paid(world, order) == {owner.id for owner in owners}
    with world.services.db.read() as session:
        assert {job.paid for job in session.exec(select(Job)).all()} == {None}


def test_an_owner_who_erased_while_reviewers_decided_is_still_known(world):
    owners = [world.owner() for _ in range(2)]
    reviewers = [world.reviewer(), world.reviewer()]
    _researcher, order = bought(world, owners)
    job, scope = world.job(), [owner.grant for owner in owners]
    access = world.record_access(order, owners)
    world.deliver(job, "draft")
    draft = {"state": "awaiting_review", "draft_commitment": "2" * 64}
    assert world.outcome(job, access=access, scope=scope, **draft).status_code == 200
    for reviewer in reviewers:
        world.review(reviewer, order, "2" * 64)
    world.turn()
    job = world.job("release")
    world.publish(order, access)
    erase(world, owners[1])
    world.fold_afresh()
    world.http = create_app(world.services).test_client()
    done = {"state": "released", "result_sha256": "3" * 64}
    assert world.outcome(job, access=access, scope=scope, **done).status_code == 200
    world.turn()
    assert paid(world, order) == {owner.id for owner in owners}


@pytest.mark.parametrize("who", ["later", "stopped", "unknown", "too_many"])
def test_a_scope_that_pays_the_wrong_people_is_not_settled(world, who):
    owners = [world.owner() for _ in range(2)]
    _researcher, order = bought(world, owners)
    gone = world.owner()
    world.withdraw(gone)
    job, access = world.job(), world.record_access(order, owners)
    world.publish(order, access)
    wrong = {
        "later": lambda: world.owner().grant,  # consented after the data was judged
        "stopped": lambda: gone.grant,  # withdrew before
        "unknown": new_id,
        "too_many": lambda: owners[1].grant,
    }[who]()
    scope = [owners[0].grant, wrong, *([gone.grant] if who == "too_many" else [])]
    for name in ("result", "bundle", "auditor_bundle"):
        world.deliver(job, name)
    done = {"state": "released", "result_sha256": "3" * 64}
    assert world.outcome(job, access=access, scope=scope, **done).status_code == 200
    world.turn()
    assert world.ledger.state.orders[order].settlement is None
    assert paid(world, order) == set()


@given(st.integers(1, 80))
@settings(max_examples=60, deadline=None)
def test_a_kept_tree_gives_the_ledgers_root_and_proofs(size):
    hashes = [leaf_hash(n.to_bytes(4, "big")) for n in range(size)]
    tree = tree_of(hashes)
    assert (tree.size, tree.root) == (size, tree_root(hashes))
    assert all(tree.proof(n) == inclusion_proof(n, hashes) for n in range(size))


def test_a_settlements_shares_are_hashed_once_and_old_trees_go():
    calls, trees = [], ShareTrees(most_leaves=5)

    def leaves(order):
        return lambda: calls.append(order) or [os.urandom(32) for _ in range(2)]

    for order in ("a", "b", "a", "b", "c", "b", "c", "a"):
        trees.get(order, leaves(order))
    assert calls == ["a", "b", "c", "a"]


def test_shares_are_the_same_whoever_asks_first(world):
    owners = [world.owner() for _ in range(3)]
    _researcher, order = bought(world, owners)
    world.answer(order, owners)
    world.turn()
    got = [
        world.http.get("/api/v1/me/shares", headers=owner.auth).json["shares"][0]
        for owner in (*owners, *owners)
    ]
    assert got[:3] == got[3:]
    assert {one["share_root"] for one in got} == {
        world.ledger.state.orders[order].settlement.payload["share_root"]
    }


# -- what compute made of a file ---------------------------------------------------------------


def mine(world, owner):
    return world.http.get("/api/v1/me/datasets", headers=owner.auth).json["datasets"]


def test_an_owner_learns_what_compute_reported_of_its_file(world):
    good, bad = world.owner(), world.owner()
    world.turn()
    assert [(one["state"], one["compute"]) for one in mine(world, good)] == [("registered", None)]
    world.clock.forward(world.services.config.limits.ingest_quiet_ms + 1)
    world.turn()
    codes = {good.dataset: "ingested", bad.dataset: "file.bad_header"}
    assert world.outcome(world.job("ingest"), state="ingested", datasets=codes).status_code == 200
    (one,) = mine(world, bad)
    assert one["dataset"] == bad.dataset
    assert one["index"] == world.ledger.state.datasets[bad.dataset].index
    assert (one["uploaded"], one["compute"], one["compute_at"]) == (
        True, "file.bad_header", world.clock(),
    )  # fmt: skip
    assert mine(world, good)[0]["compute"] == "ingested"
    researcher = world.researcher()
    refused = world.http.get("/api/v1/me/datasets", headers=researcher.auth)
    assert refused.status_code == 403
    assert world.http.get("/api/v1/me/datasets").status_code == 401


def test_an_erased_dataset_stays_in_the_list_without_what_was_reported(world):
    owner = world.owner()
    index = world.ledger.state.datasets[owner.dataset].index
    world.clock.forward(world.services.config.limits.ingest_quiet_ms + 1)
    world.turn()
    world.outcome(world.job("ingest"), state="ingested", datasets={owner.dataset: "ingested"})
    erase(world, owner)
    world.turn()
    for _ in range(2):
        (one,) = mine(world, owner)
        assert (one["state"], one["index"], one["uploaded"]) == ("erased", index, False)
        assert one["compute"] is None
        world.fold_afresh()
        world.http = create_app(world.services).test_client()


def test_the_owners_page_says_in_plain_words_that_a_file_was_refused(world):
    owner = world.owner()
    world.clock.forward(world.services.config.limits.ingest_quiet_ms + 1)
    world.turn()
    world.outcome(
        world.job("ingest"), state="ingested", datasets={owner.dataset: "file.bad_header"}
    )
    link = world.http.post("/api/v1/session/link", headers=owner.auth).json["url"]
    from marketplace import accounts
    from marketplace.web.sessions import cookie_name

    opened = accounts.redeem_link(world.services, link.partition("#")[2])
    world.http.set_cookie(cookie_name(world.services.config), opened.token)
    page = world.http.get("/me").get_data(as_text=True)
    assert "Compute could not use the file" in page
    assert "file.bad_header" in page


# -- a hundred thousand people ------------------------------------------------------------------


def test_an_outcome_may_name_a_hundred_thousand_grants_and_nothing_else_may_be_that_long(world):
    owner = world.owner()
    _researcher, order = bought(world, [owner])
    job, access = world.job(), world.record_access(order, [owner])
    beat = f"/worker/v1/jobs/{job[0]}/heartbeat"
    long = {"lease": job[1], "more": "x" * (2 << 20)}
    assert world.http.post(beat, json=long, headers=world.worker_auth).status_code == 413
    scope = [new_id() for _ in range(100_000)]
    done = {"state": "released", "access": access, "scope": scope, "result_sha256": "3" * 64}
    assert world.outcome(job, **done).status_code == 200


class Counted(dict):
    """A table that counts how often it was gone through."""

    passes = 0

    def items(self):
        self.passes += 1
        return super().items()


def test_the_people_of_a_custodian_cost_one_pass_over_the_fold(world):
    custodian = world.register(Party(), "owner")
    split = {"custodian": "biobank", "party": custodian.id, "percent": 30}
    world.operate(0, "custodian.split", split)
    people = [world.owner(upload=False, custodian="biobank") for _ in range(4)]
    _researcher, order = bought(world, people)
    state = world.services.view.refresh().state
    state.grant_at = Counted(state.grant_at)
    scope = Scope(state, world.trust.pins, order)
    used = [scope.used(one.grant) for one in people]
    assert [(one.custodian_party, one.percent) for one in used] == [(custodian.id, 30)] * 4
    assert state.grant_at.passes == 1
