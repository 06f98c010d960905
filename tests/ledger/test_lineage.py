"""Stops that outlive a rekeying, and leaves that say whom they are about."""

from dataclasses import replace

import pytest

from ledger.envelope import about_tag
from ledger.errors import RefusedError
from ledger.fold_model import UnknownReference
from ledger.leaf import parse_leaf
from ledger.mirror_copy import Keeps
from ledger.state import State
from tests.ledger.ledger_scenes import DAY, START, Scene, ident
from tests.ledger.ledger_world import Owner
from tests.ledger.test_mirror import Copy


@pytest.fixture
def rekeyed():
    """A scene with a withdrawal signed before its grant was rekeyed, not in the log yet."""
    scene = Scene()
    scene.put("grant")
    scene.withdrawal, scene.pause = scene.example("withdrawn"), scene.example("paused")
    scene.put("rekeyed")
    return scene


def stops(scene):
    return {name: grant.stopped_at for name, grant in scene.state.grants.items()}


def test_a_stop_signed_before_a_rekeying_is_sequenced_and_stops(rekeyed):
    assert rekeyed.state.live_grants()
    index = rekeyed.add(rekeyed.withdrawal)
    assert rekeyed.state.live_grants() == []
    assert index in stops(rekeyed).values()
    assert stops(rekeyed) == {n: g.stopped_at for n, g in rekeyed.refold().grants.items()}
    # The control: once it has really stopped, the same stop comes too late.
    with pytest.raises(RefusedError, match=f"stopped by leaf {index}"):
        rekeyed.add(rekeyed.example("withdrawn"))


def test_a_stop_acts_through_every_rekeying_from_public_leaves_alone(rekeyed):
    rekeyed.put("rekeyed", replaces=rekeyed.at["rekeyed"], grant=ident("grant three"))
    index = rekeyed.add(rekeyed.withdrawal)
    # Its own envelope withheld: the stop acts all the same.
    state = State(rekeyed.trust)
    for at in range(len(rekeyed.leaves)):
        state.apply(rekeyed.record(at, erased={index}))
    assert state.live_grants() == []
    assert state.ended_by(parse_leaf(rekeyed.leaves[index])) == [
        rekeyed.at["grant"],
        *[at for at, leaf in enumerate(rekeyed.leaves) if b"consent.rekeyed" in leaf],
    ]


def test_a_pause_signed_before_a_rekeying_pauses(rekeyed):
    index = rekeyed.add(rekeyed.pause)
    (grant,) = [g for g in rekeyed.state.grants.values() if g.stopped_at is None]
    assert grant.paused_at == index
    assert rekeyed.state.live_grants() == []


def rekey(owner, grant, replaces, sealed):
    import hashlib

    value = {**grant.entry.payload, "replaces": replaces}
    for name in ("id", "time", "schema", "actor", "basis", "subject"):
        value.pop(name)
    value["sealed_grant_sha256"] = hashlib.sha256(sealed).hexdigest()
    return owner._sign("consent.rekeyed", value, {"sealed_grant": sealed}, owner.dataset_seed)


def test_the_sealed_grants_of_all_rekeyings_go_in_log_and_mirror(running, tmp_path):
    owner, client = Owner(running.keys), running.client()
    grant = owner.grant(b"first")
    first = [running.keys.compute_key(), owner.register(), owner.register_dataset(), grant]
    at = client.append(first, wait=True)[-1].index
    early = owner.withdraw(grant, at)
    copy = Copy(running, tmp_path / "mirror.db", Keeps.GRANTS, running.tokens.grants)
    copy.mirror.sync()
    again = client.append([rekey(owner, grant, at, b"second")], wait=True)[0].index
    copy.mirror.sync()
    stores = (running.log.store, copy.store)
    assert [s.attachments([at, again], "sealed_grant") for s in stores] == [{again: b"second"}] * 2
    client.append([early], wait=True)
    copy.mirror.sync()
    assert [s.attachments([at, again], "sealed_grant") for s in stores] == [{}] * 2


# -- whom a leaf is about


def test_a_tag_names_its_party_to_who_knows_it_only():
    scene = Scene()
    scene.put("grant")
    leaves = [parse_leaf(data) for data in scene.leaves]
    owner = ident("owner")
    mine = [about_tag(owner, one.commitment) == one.about for one in leaves if one.commitment]
    assert mine and all(mine)
    tags = {one.about for one in leaves if one.commitment}
    assert len(tags) == len(mine)  # no two alike
    assert about_tag(ident("other owner"), leaves[-1].commitment) != leaves[-1].about


def test_a_leaf_that_says_it_is_about_somebody_else_has_no_effect():
    scene = Scene()
    scene.put("dataset")
    entry = scene.example("offer")
    leaf, _ = scene.leaf(entry)
    scene.state.check(entry, leaf)  # the control
    with pytest.raises(RefusedError, match="about somebody else"):
        scene.state.check(entry, replace(leaf, about=b"x" * 16))


def test_a_fresh_follower_sees_that_somebody_else_erased_an_envelope():
    """The log withholds a grant's envelope and has a helper's erasure name it."""
    scene = Scene()
    scene.put("grant")
    scene.need("other owner")
    other = {"dataset": ident("ghost"), "owner": ident("other owner"), "stops": []}
    entry = scene.entry("dataset.erased", {**other, "erases": [scene.at["grant"]]}, ["other owner"])
    # A log under its operator's control sequences what it would refuse.
    leaf, salt = scene.leaf(entry)
    from ledger.envelope import entry_bytes
    from ledger.leaf import format_leaf

    scene.leaves.append(format_leaf(leaf))
    scene.opened[len(scene.leaves) - 1] = (entry_bytes(entry), salt)
    fresh = scene.refold(erased={scene.at["grant"]})
    assert fresh.missing == {scene.at["grant"]}
    assert "cannot be read" in fresh.consent_blocked()
    assert any("about somebody else" in reason for _, reason in fresh.violations)
    # The control: what the owner erases is excused.
    own = Scene()
    own.put("erased")
    gone = set(own.state.erases_of_dataset(ident("dataset"))) - {own.at["erased"]}
    fresh = own.refold(erased=gone & set(own.opened))
    assert fresh.consent_blocked() is None and fresh.violations == []


def test_a_recovery_can_be_cancelled_by_what_its_public_leaf_shows():
    scene = Scene()
    scene.put("recovery")
    tag = parse_leaf(scene.leaves[scene.at["recovery"]]).about.hex()
    with pytest.raises(UnknownReference):
        scene.put("recovery cancelled", recovery=ident("another"))
    scene.put("recovery cancelled", recovery=tag)
    assert scene.state.recoveries[ident("recovery")].cancelled == scene.at["recovery cancelled"]


def test_the_waiting_time_cannot_be_signed_away():
    scene = Scene()
    with pytest.raises(RefusedError, match="7 days at least"):
        scene.put("recovery", effective_at=START + 6 * DAY)
