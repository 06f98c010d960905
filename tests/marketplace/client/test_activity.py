"""`omic activity`: an owner's uses and shares, proved against the ledger, and lies made loud."""

import os
from dataclasses import replace

import pytest

from ledger import NotFoundError, access_tag, activity_commitment, b64, tree_root_of
from marketplace.client.activity import activity, verify_share
from marketplace.client.errors import LedgerChangedError
from marketplace.client.home import Home
from marketplace.client.session import Session
from tests.marketplace.market_world import digest, new_id


class SimView:
    """What a client folded of the simulated ledger."""

    def __init__(self, world):
        self.world, self.follower = world, self

    def sync(self):
        self.world.follower.sync()
        return self.world.follower.state

    def records(self, start, end):
        """What the follower would fetch again, verified."""
        return iter(self.world.ledger.records[start:end])


class SimTrees:
    """Serves the access trees somebody put there."""

    def __init__(self):
        self.trees, self.asked = {}, 0

    def access_tree(self, root):
        self.asked += 1
        try:
            return self.trees[root]
        except KeyError:
            raise NotFoundError("no such tree") from None


class SimMarket:
    """The real marketplace for one owner, without HTTP."""

    def __init__(self, world, owner):
        self.world, self.owner, self.lie = world, owner, 0

    def get(self, path):
        answer = self.world.http.get(f"/api/v1{path}", headers=self.owner.auth).json
        for share in answer["shares"]:
            share["amount"] += self.lie
        return answer

    def listed(self, path, name):
        return self.get(path)[name]


class SimSession(Session):
    """A session whose servers are simulators."""

    market = None
    ledger = None

    def __init__(self, home, view, trees, market):
        self.home, self.view = home, view
        self.ledger, self.market = trees, market


class Story:
    """Three owners, one settled order, and the ingest before it."""

    def __init__(self, world, path):
        self.world, self.path, self.trees = world, path, SimTrees()
        self.owners = [world.owner() for _ in range(3)]
        self.researcher = world.researcher()
        self.ingest = self.record(None, "ingest", self.owners)
        self.order = world.place(self.researcher)
        world.pay(self.researcher, self.order)

    def record(self, order, purpose, owners):
        """Put access.recorded on the ledger with real tags; return the access id."""
        access = new_id()
        keys = [owner.activity_key for owner in owners]
        if purpose == "ingest":
            keys = [bytes.fromhex(activity_commitment(key)) for key in keys]
        tags = sorted(access_tag(key, access) for key in keys)
        placed = {} if order is None else self.world.ledger.state.orders[order].payload
        fields = {
            "access": access, "order": order, "purpose": purpose,
            "query_digest": placed.get("query_digest"), "code_digest": placed.get("code_digest"),
            "judged_size": self.world.ledger.state.size, "judged_root": "0" * 64, "cohort_size": len(tags),
            "opened": len(tags), "cohort_root": tree_root_of(tags).hex(), "excluded": {},
            "release": placed.get("release"), "region": "local", "attempt": 1,
        }  # fmt: skip
        attachments = {"access_tree": b"".join(tags)}
        self.world.submit(self.world.compute, "access.recorded", fields, attachments=attachments)
        self.trees.trees[tree_root_of(tags)] = tags
        return access

    def run(self, owners):
        """Do the worker's part of the order, with these owners in the cohort."""
        job = self.world.job()
        access = self.record(self.order, "HMB", owners)
        self.world.publish(self.order, access)
        for name in ("result", "bundle", "auditor_bundle"):
            assert self.world.deliver(job, name).status_code == 200
        scope = [owner.grant for owner in owners]
        done = {"access": access, "scope": scope, "result_sha256": digest(b"encrypted")}
        assert self.world.outcome(job, state="released", **done).status_code == 200
        self.world.turn()
        return access

    def session(self, owner):
        home = Home(self.path / owner.id)
        home.write("identity.json", {"party": owner.id, "role": "owner", "origin": "log.test"})
        grant = {"grant": owner.grant, "dataset": owner.dataset, "index": owner.grant_index}
        home.write(f"grants/{owner.grant}.json", {**grant, "activity_key": b64(owner.activity_key)})
        market = SimMarket(self.world, owner)
        return SimSession(home, SimView(self.world), self.trees, market)


@pytest.fixture
def story(world, tmp_path):
    return Story(world, tmp_path)


def test_each_owner_sees_ingest_and_use_with_purpose_buyer_and_share(story):
    access = story.run(story.owners)
    total = 0
    for owner in story.owners:
        ingest, use = activity(story.session(owner))
        assert (ingest.access, ingest.order, ingest.purpose, ingest.share) == (
            story.ingest, None, "ingest", None,
        )  # fmt: skip
        assert (use.access, use.order, use.organisation) == (access, story.order, "a university")
        assert (use.purpose, use.state, use.currency) == ("HMB", "answer released", "gbp")
        assert use.datasets == (owner.dataset,)
        total += use.share
    settled = story.world.ledger.state.orders[story.order].settlement.payload
    assert total == settled["owners_total"] > 0


def test_an_owner_outside_the_cohort_sees_no_use(story):
    left_out, *rest = story.owners
    story.run(rest)
    assert [use.purpose for use in activity(story.session(left_out))] == ["ingest"]
    stranger = replace(rest[0], activity_key=os.urandom(32))
    assert activity(story.session(stranger)) == []


def test_a_use_not_yet_answered_is_in_progress(story):
    story.record(story.order, "HMB", story.owners)
    (_, use) = activity(story.session(story.owners[0]))
    assert (use.state, use.share) == ("in progress", None)


def test_a_share_that_is_not_the_settled_one_is_loud(story):
    story.run(story.owners)
    session = story.session(story.owners[0])
    session.market.lie = -1
    with pytest.raises(LedgerChangedError, match="not the one on the ledger"):
        activity(session)


def test_a_share_proof_is_bound_to_owner_place_and_root(story):
    story.run(story.owners)
    owner, other = story.owners[:2]
    (share,) = SimMarket(story.world, owner).get("/me/shares")["shares"]
    settled = story.world.ledger.state.orders[story.order].settlement.payload
    verify_share(share, owner.id, settled)
    for wrong, who, against in [
        (share, other.id, settled),
        ({**share, "index": (share["index"] + 1) % 3}, owner.id, settled),
        ({**share, "currency": "usd"}, owner.id, settled),
        ({**share, "salt": "00" * 32}, owner.id, settled),
        ({**share, "proof": share["proof"][:-1]}, owner.id, settled),
        (share, owner.id, {**settled, "share_root": "11" * 32}),
    ]:
        with pytest.raises(LedgerChangedError):
            verify_share(wrong, who, against)


def test_an_access_tree_nobody_serves_is_loud(story):
    story.run(story.owners)
    story.trees.trees.clear()
    with pytest.raises(LedgerChangedError, match="access tree"):
        activity(story.session(story.owners[0]))


def test_a_verified_tree_is_kept_and_not_asked_for_again(story):
    story.run(story.owners)
    session = story.session(story.owners[0])
    first = activity(session)
    asked = story.trees.asked
    assert activity(session) == first
    assert story.trees.asked == asked > 0
