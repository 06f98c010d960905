"""The fold: who may do what when, and that a stop always stops."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ledger import (
    RULES,
    ConsistencyError,
    Entry,
    Leaf,
    LedgerError,
    Pins,
    Record,
    RefusedError,
    State,
    UnknownEntry,
    UnknownReference,
    canonical,
    cosign,
    fingerprint,
    unsigned_entry,
)
from ledger.fold_parties import RECOVERY_WAIT_MS
from ledger.leaf import parse_leaf
from tests.ledger.ledger_scenes import (
    DAY,
    EXAMPLE_OF,
    START,
    STEPS,
    Scene,
    fields_of,
    ident,
    key,
    make_trust,
    pk,
)

TYPES = sorted(type_ for type_, _ in RULES)
FAR = START + 400 * DAY


def written(*labels):
    scene = Scene()
    for label in labels:
        scene.put(label)
    return scene


@pytest.fixture
def granted():
    return written("grant")


# Who may sign what -----------------------------------------------------------------------------

# A key of every other kind of actor there is in the scenes, each registered or pinned.
IMPOSTORS = ("other owner", "researcher", "reviewer", "marketplace", "compute", "operator", "thief")
ALLOWED_TOO = {
    "consent.withdrawn": {"marketplace"},
    "consent.paused": {"marketplace"},
    "compute.released": {"compute"},
    "web.released": {"operator"},
}


@pytest.mark.parametrize("type_", TYPES)
@pytest.mark.parametrize("impostor", IMPOSTORS)
def test_a_wrong_key_is_refused(type_, impostor):
    label = EXAMPLE_OF[type_]
    scene = Scene().need("other owner", "researcher", "reviewer", *STEPS[label][1])
    usual = STEPS[label][2]
    if impostor in usual or impostor in ALLOWED_TOO.get(type_, ()):
        return  # this one may sign it; see the tests of that type
    forged = scene.example(label, [impostor, *usual[1:]])
    with pytest.raises(RefusedError):
        scene.add(forged)
    # positive control: the right key, in the same scene, is admitted
    scene.add(scene.example(label))


@pytest.mark.parametrize(
    ("label", "signer"), [("compute released", "compute"), ("web released", "operator")]
)
def test_some_statements_have_two_possible_signers(label, signer):
    Scene().put(label)
    Scene().put(label, [signer])


@pytest.mark.parametrize("label", ["owner", "researcher", "reviewer"])
@pytest.mark.parametrize("cosigner", ["thief", "marketplace", "operator", "compute"])
def test_enrolment_needs_a_pinned_cosigner(label, cosigner):
    scene = Scene()
    with pytest.raises(RefusedError):
        scene.put(label, [label, cosigner])
    scene.put(label)


def test_the_pin_of_persons_is_needed_not_any_attesters():
    trust = make_trust(pins=Pins(attesters={"sector": (pk("attester"),)}))
    with pytest.raises(RefusedError, match="cosigner"):
        Scene(trust).put("owner")


def test_a_claim_counts_only_from_its_own_attester():
    pins = Pins(
        attesters={"person_verified": (pk("attester"),), "sector": (pk("attester"),)},
    )
    scene = Scene(make_trust(pins=pins)).need("researcher")
    with pytest.raises(RefusedError, match="non_profit"):
        scene.put("claims")
    scene.put("claims", claims={"sector": "academic"})


@pytest.mark.parametrize("role", ["auditor", "attester", "marketplace", "compute", "operator"])
def test_services_are_recognised_by_pins(role):
    fields = {"party": ident(role), "role": role}
    scene = Scene()
    with pytest.raises(RefusedError):
        scene.add(scene.entry("party.registered", {**fields, "keys": [key("thief")]}, ["thief"]))
    if role != "auditor":
        scene.add(scene.entry("party.registered", {**fields, "keys": [key(role)]}, [role]))
        assert scene.state.parties[ident(role)].role == role


def test_a_false_key_for_an_existing_party_is_refused():
    scene = written("owner")
    with pytest.raises(RefusedError, match="exists"):
        scene.put("owner", ["thief", "attester"], keys=[key("thief")])
    with pytest.raises(RefusedError, match="signer"):
        scene.put("key added", ["thief"], key=key("thief"))


def test_a_key_belongs_to_one_party_for_ever():
    scene = written("owner", "key removed")
    for label, changes in (
        ("key added", {"key": key("owner two")}),
        ("key added", {"key": key("owner")}),
        ("other owner", {"keys": [key("other owner"), key("owner two")]}),
    ):
        with pytest.raises(RefusedError, match="before"):
            scene.put(label, **changes)


def test_a_removed_key_signs_nothing_more():
    scene = written("key added")
    scene.put("dataset", ["owner two"])
    scene.put("key removed")
    with pytest.raises(RefusedError):
        scene.put("second dataset", ["owner two"])
    with pytest.raises(RefusedError, match="last"):
        scene.put("key removed", fingerprint=fingerprint(pk("owner")))


def test_a_rotated_key_hands_over():
    scene = written("key rotated")
    with pytest.raises(RefusedError):
        scene.put("dataset", ["owner"])
    scene.put("dataset", ["owner new"])


def test_a_role_cannot_be_changed_to_make_a_person_public():
    scene = written("owner")
    with pytest.raises(RefusedError, match="role"):
        scene.put("key added", role="researcher")


def test_recovery_waits_and_can_be_cancelled():
    scene = written("recovery")
    early = {"key": key("owner recovered")}
    with pytest.raises(RefusedError, match="waiting"):
        scene.put("key added", ["owner recovered"], **early)
    scene.now += RECOVERY_WAIT_MS + DAY
    mark = scene.state.savepoint()
    scene.state.admit(*_entry_and_leaf(scene, "key added", ["owner recovered"], **early))
    scene.state.rollback(mark)
    with pytest.raises(RefusedError, match="only itself"):
        scene.put("key added", ["owner recovered"], key=key("thief"))
    scene.put("recovery cancelled")
    with pytest.raises(RefusedError):
        scene.put("key added", ["owner recovered"], **early)


def _entry_and_leaf(scene, label, signers=None, **changes):
    entry = scene.example(label, signers, **changes)
    return entry, scene.leaf(entry)[0]


def test_recovery_needs_its_waiting_time():
    with pytest.raises(RefusedError, match="7 days"):
        written("owner").put("recovery", effective_at=START + DAY)


def test_a_deputy_acts_within_its_mandate():
    scene = written("mandate")
    basis = {"kind": "deputy", "mandate": scene.at["mandate"]}
    scene.put("dataset", ["other owner"], basis=basis)
    for wrong in (
        {"kind": "guardian", "mandate": scene.at["mandate"]},
        {"kind": "deputy", "mandate": scene.at["owner"]},
        {"kind": "self"},
    ):
        with pytest.raises(RefusedError):
            scene.put("second dataset", ["other owner"], basis=wrong)
    scene.now = START + 11 * DAY
    with pytest.raises(RefusedError):
        scene.put("second dataset", ["other owner"], basis=basis)


def test_an_ended_mandate_ends():
    scene = written("mandate ended")
    basis = {"kind": "deputy", "mandate": scene.at["mandate"]}
    with pytest.raises(RefusedError):
        scene.put("dataset", ["other owner"], basis=basis)


def under_a_mandate():
    """Two consents in force: one by the deputy, one by the owner, and a basis for more."""
    scene = written("mandate", "dataset", "second dataset", "compute key")
    basis = {"kind": "deputy", "mandate": scene.at["mandate"]}
    terms = {**fields_of(scene, "grant")["terms"], "valid_until": START + 5 * DAY}
    by_hand = {"terms": terms, "terms_sha256": hashlib.sha256(canonical(terms)).hexdigest()}
    at = scene.put("grant", ["other owner"], basis=basis, **by_hand)
    scene.put("second grant")
    return scene, at


@pytest.mark.parametrize("named", [True, False])
def test_what_was_consented_under_a_mandate_ends_with_it_early_too(named):
    """Whether or not the owner who ends it knows of every consent given in their name."""
    scene, at = under_a_mandate()
    assert grants(scene) == [ident("grant"), ident("second grant")]
    end = scene.put("mandate ended", ["owner"], **({"stops": [at]} if named else {}))
    assert grants(scene) == [ident("second grant")]
    assert scene.refold().grants[ident("grant")].stopped_at == end
    assert scene.refold().mandates[ident("mandate")].ended == end
    # What is named stands in the clear, for who reads public leaves alone.
    assert parse_leaf(scene.leaves[end]).stops == ((at,) if named else ())


def test_a_mandates_end_stops_nothing_else():
    scene, _ = under_a_mandate()
    with pytest.raises(RefusedError, match="no consent given under this mandate"):
        scene.put("mandate ended", ["owner"], stops=[scene.at["second grant"]])
    with pytest.raises(RefusedError, match="no consent given under this mandate"):
        scene.put("mandate ended", ["other owner"], stops=[scene.at["second grant"]])


def test_a_guardian_needs_an_attester():
    scene = written("owner", "other owner")
    changes = {"kind": "guardian"}
    with pytest.raises(RefusedError):
        scene.put("mandate", ["other owner", "thief"], **changes)
    with pytest.raises(RefusedError):
        scene.put("mandate", ["owner", "attester"], **changes)
    scene.put("mandate", ["other owner", "attester"], **changes)


# Grants and stops ------------------------------------------------------------------------------


def grants(scene):
    return [grant.id for grant in scene.state.live_grants()]


def test_a_grant_is_in_force(granted):
    assert grants(granted) == [ident("grant")]
    assert granted.state.grant_in_force(ident("grant"))
    assert not granted.state.grant_in_force(ident("nobody"))
    assert granted.state.consent_blocked() is None


@pytest.mark.parametrize("signer", ["dataset key", "owner"])
@pytest.mark.parametrize("label", ["withdrawn", "paused", "replaced", "erased", "objection"])
def test_every_stop_stops(label, signer, granted):
    if signer not in STEPS[label][2] and label in ("erased", "objection"):
        with pytest.raises(RefusedError):
            granted.put(label, [signer])
        return
    granted.put(label, [signer])
    assert grants(granted) == []
    assert not granted.state.grant_in_force(ident("grant"))


@pytest.mark.parametrize("label", ["withdrawn", "paused"])
def test_the_marketplace_may_stop_and_must_say_so(label, granted):
    with pytest.raises(RefusedError):
        granted.put(label, ["marketplace"])
    for signer in ("thief", "dataset key", "owner"):
        with pytest.raises(RefusedError):
            granted.put(label, [signer], basis={"kind": "operator"})
    granted.put(label, ["marketplace"], basis={"kind": "operator"})
    assert grants(granted) == []


@pytest.mark.parametrize("label", ["withdrawn", "paused", "replaced", "erased", "objection"])
def test_a_stop_acts_without_its_envelope(label, granted):
    index = granted.put(label)
    state = granted.refold(erased={index})
    assert state.live_grants() == []
    assert state.grants[ident("grant")].stopped_at == (None if label == "paused" else index)
    assert "1 personal entries" in state.consent_blocked()


def test_a_stop_with_a_forged_signer_still_stops_and_is_noted(granted):
    forged = granted.example("withdrawn", ["thief"])
    leaf, _ = granted.leaf(forged)
    with pytest.raises(RefusedError):
        granted.state.check(forged, leaf)
    state = granted.refold()
    state.apply(Record(state.size, leaf, forged, b""))
    assert state.live_grants() == []
    assert [index for index, _ in state.violations] == [4]


def test_a_forged_grant_has_no_effect_and_is_noted():
    scene = written("compute key", "dataset")
    forged = scene.example("grant", ["thief"])
    scene.state.apply(Record(scene.state.size, scene.leaf(forged)[0], forged, b""))
    assert scene.state.grants == {}
    assert "key" in scene.state.violations[0][1]


def test_a_pause_ends_only_by_its_own_resume(granted):
    granted.put("paused")
    with pytest.raises(RefusedError, match="paused already"):
        granted.put("paused")
    with pytest.raises(RefusedError):
        granted.put("resumed", resumes=[granted.at["grant"]])
    granted.put("resumed")
    assert grants(granted) == [ident("grant")]
    with pytest.raises(RefusedError):
        granted.put("resumed")


def test_a_paused_grant_can_be_withdrawn_for_good(granted):
    granted.put("paused")
    granted.put("withdrawn")
    with pytest.raises(RefusedError):
        granted.put("resumed")


def test_a_second_withdrawal_is_refused_and_changes_nothing(granted):
    first = granted.put("withdrawn")
    with pytest.raises(RefusedError, match=f"stopped by leaf {first}"):
        granted.put("withdrawn")
    state = granted.refold()
    repeat = granted.example("withdrawn")
    state.apply(Record(state.size, granted.leaf(repeat)[0], repeat, b""))
    assert state.grants[ident("grant")].stopped_at == first


def test_one_standing_grant_for_a_dataset(granted):
    with pytest.raises(RefusedError, match="in force"):
        granted.put("grant", grant=ident("again"))
    granted.put("withdrawn")
    with pytest.raises(RefusedError, match="exists already"):
        granted.put("grant")  # a replayed grant cannot undo the withdrawal
    granted.put("grant", grant=ident("again"))
    assert grants(granted) == [ident("again")]


def test_an_order_has_a_grant_of_its_own(granted):
    with pytest.raises(RefusedError, match="order"):
        granted.put("grant", grant=ident("g2"), order=ident("order"))
    granted.need("order")
    granted.put("grant", grant=ident("g2"), order=ident("order"))
    with pytest.raises(RefusedError, match="in force"):
        granted.put("grant", grant=ident("g3"), order=ident("order"))
    assert len(grants(granted)) == 2
    granted.put("failed")
    with pytest.raises(RefusedError, match="closed"):
        granted.put("grant", grant=ident("g4"), order=ident("order"))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"terms": {"v": 2}}, "terms_sha256"),
        ({"recipient": {"key_id": "epoch-9", "region": "local"}}, "published"),
        ({"recipient": {"key_id": "epoch-1", "region": "GB"}}, "published"),
        ({"dataset": ident("nothing")}, "not registered"),
        ({"owner": ident("other owner"), "subject": None}, "another owner|signer"),
    ],
)
def test_what_a_grant_must_fit(change, match):
    scene = written("compute key", "dataset", "other owner")
    with pytest.raises(RefusedError, match=match):
        scene.put("grant", **change)
    scene.put("grant")


@pytest.mark.parametrize("days", [-2, 90])
def test_a_recipient_key_counts_only_while_valid(days):
    scene = written("compute key", "dataset")
    scene.now = START + days * DAY
    if days < 0:
        scene.state.time = scene.now
    with pytest.raises(RefusedError, match="valid now"):
        scene.put("grant")
    assert scene.state.compute_key_for("local", scene.now) is None
    assert scene.state.compute_key_for("local", START) == "epoch-1"


def test_rekeying_moves_a_grant_unchanged(granted):
    granted.need("next compute key")
    with pytest.raises(RefusedError, match="terms"):
        other = {"terms": {"v": 9}}
        import hashlib

        digest = hashlib.sha256(canonical(other["terms"])).hexdigest()
        granted.put("rekeyed", terms_sha256=digest, **other)
    granted.put("rekeyed")
    assert grants(granted) == [ident("grant two")]
    assert granted.state.grants[ident("grant")].stopped_at == granted.at["rekeyed"]
    with pytest.raises(RefusedError):
        granted.put("rekeyed", grant=ident("grant three"))


def test_rekeying_may_keep_the_id_and_does_not_end_a_pause(granted):
    granted.put("paused")
    granted.put("rekeyed", grant=ident("grant"))
    assert grants(granted) == []
    granted.put("resumed")
    assert grants(granted) == [ident("grant")]
    assert granted.state.grants[ident("grant")].index == granted.at["rekeyed"]


def test_an_objection_stops_all_and_lifting_revives_none(granted):
    granted.put("second grant")
    with pytest.raises(RefusedError, match="every grant in force"):
        granted.put("objection", stops=[granted.at["grant"]])
    granted.put("objection")
    assert grants(granted) == []
    for label in ("grant", "second grant"):
        with pytest.raises(RefusedError, match="objects"):
            granted.put(label, grant=ident("new"))
    with pytest.raises(RefusedError, match="already"):
        granted.put("objection")
    granted.put("objection lifted")
    assert grants(granted) == []
    granted.put("grant", grant=ident("new"))
    assert grants(granted) == [ident("new")]


def test_a_replayed_entry_is_refused(granted):
    granted.put("objection")
    lifted = granted.example("objection lifted")
    granted.add(lifted)
    granted.add(
        granted.entry("objection.raised", {"owner": ident("owner"), "stops": []}, ["owner"])
    )
    with pytest.raises(RefusedError, match="this id"):
        granted.add(lifted)


def test_a_dataset_belongs_to_its_owner_and_a_participant_too():
    scene = written("dataset", "other owner")
    fields = {**fields_of(scene, "second dataset"), "owner": ident("other owner")}
    with pytest.raises(RefusedError, match="participant"):
        scene.add(scene.entry("dataset.registered", fields, ["other owner"]))
    fields["participant"] = ident("somebody")
    scene.add(scene.entry("dataset.registered", fields, ["other owner"]))
    with pytest.raises(RefusedError, match="another owner"):
        scene.put("offer", datasets=[ident("dataset"), ident("second dataset")])


def test_a_dataset_out_of_use_takes_no_grant(granted):
    granted.put("replaced")
    with pytest.raises(RefusedError, match="erased or replaced"):
        granted.put("grant", grant=ident("new"))


# Missing and erased envelopes ------------------------------------------------------------------


@pytest.mark.parametrize("label", ["owner", "dataset", "grant"])
def test_a_missing_envelope_blocks_consent_decisions(label, granted):
    assert granted.refold().consent_blocked() is None
    state = granted.refold(erased={granted.at[label]})
    assert state.missing == {granted.at[label]}
    assert f"first leaf {granted.at[label]}" in state.consent_blocked()


def test_an_erased_envelope_does_not(granted):
    granted.put("second dataset")
    granted.put("second grant")
    granted.put("erased")
    gone = set(granted.state.erases_of_dataset(ident("dataset")))
    assert gone == {granted.at["dataset"], granted.at["grant"]}
    fresh = granted.refold(erased=gone)
    assert (fresh.missing, fresh.erased, fresh.violations) == (set(), gone, [])
    assert fresh.consent_blocked() is None
    assert [g.id for g in fresh.live_grants()] == [ident("second grant")] == grants(granted)


def test_erasure_names_every_entry_about_the_dataset_and_no_others(granted):
    granted.put("paused")
    granted.put("second dataset")
    all_of_it = granted.state.erases_of_dataset(ident("dataset"))
    assert granted.at["paused"] in all_of_it
    granted.put("compute key", key_id="x")
    for wrong in (
        all_of_it[1:],
        [*all_of_it, granted.at["owner"]],
        [*all_of_it, granted.at["compute key"]],
        [*all_of_it, 999],
    ):
        with pytest.raises(RefusedError, match=r"erases|other datasets"):
            granted.put("erased", erases=sorted(wrong))
    granted.put("erased")


def test_nobody_erases_what_is_anothers(granted):
    granted.need("other owner")
    fields = {**fields_of(granted, "second dataset"), "owner": ident("other owner")}
    fields |= {"participant": ident("p2")}
    index = granted.add(granted.entry("dataset.registered", fields, ["other owner"]))
    end = {"dataset": ident("second dataset"), "owner": ident("other owner"), "stops": []}
    with pytest.raises(RefusedError, match="not the owner's"):
        entry = {**end, "erases": [granted.at["grant"], index]}
        granted.add(granted.entry("dataset.erased", entry, ["other owner"]))
    granted.add(granted.entry("dataset.erased", {**end, "erases": [index]}, ["other owner"]))


def test_a_removed_key_cannot_be_hidden_by_an_erasure(granted):
    """An operator drops the envelope and has an accomplice's erasure name its leaf."""
    granted.put("key removed")
    hidden = granted.at["key removed"]
    granted.need("other owner")
    fields = {**fields_of(granted, "second dataset"), "owner": ident("other owner")}
    fields |= {"participant": ident("p2")}
    index = granted.add(granted.entry("dataset.registered", fields, ["other owner"]))
    end = {"dataset": ident("second dataset"), "owner": ident("other owner"), "stops": []}
    forged = granted.entry("dataset.erased", {**end, "erases": [hidden, index]}, ["other owner"])
    state = granted.refold(erased={hidden})
    state.apply(Record(state.size, granted.leaf(forged)[0], forged, b""))
    assert state.missing == {hidden}
    assert state.consent_blocked() is not None


def close_account(scene):
    erases = scene.state.erases_of_account(ident("owner"))
    scene.put("erased", erases=erases)
    return set(erases)


def test_closing_an_account_leaves_nothing_needed(granted):
    granted.put("other owner")
    gone = close_account(granted)
    assert granted.at["owner"] in gone
    assert ident("owner") not in granted.state.parties
    fresh = granted.refold(erased=gone)
    assert (fresh.missing, fresh.violations) == (set(), [])
    assert list(fresh.parties) == [ident("other owner")]


def test_closing_after_an_earlier_erasure_folds_afresh(granted):
    granted.put("second grant")
    first = granted.put("erased")
    end = {
        "dataset": ident("second dataset"),
        "owner": ident("owner"),
        "stops": granted.state.stops_of_dataset(ident("second dataset")),
        "erases": granted.state.erases_of_account(ident("owner")),
    }
    assert first in end["erases"]
    granted.add(granted.entry("dataset.erased", end, ["owner"]))
    fresh = granted.refold(erased=set(end["erases"]))
    assert (fresh.missing, fresh.violations, fresh.dangling) == (set(), [], [])


def test_an_account_closes_only_when_all_of_it_goes(granted):
    granted.put("second dataset")
    with pytest.raises(RefusedError, match="other datasets"):
        close_account(granted)
    other = written("grant", "key removed")
    with pytest.raises(RefusedError, match="must stay"):
        close_account(other)


def test_what_refers_to_something_erased_is_no_violation(granted):
    granted.put("erased")
    gone = set(granted.state.erases_of_dataset(ident("dataset")))
    state = granted.refold(erased=gone)
    late = granted.example("withdrawn")
    state.apply(Record(state.size, granted.leaf(late)[0], late, b""))
    assert (state.violations, len(state.dangling)) == ([], 1)
    control = written("compute key", "owner")
    control.at["grant"] = 0
    control.state.apply(Record(2, control.leaf(late)[0], late, b""))
    assert len(control.state.violations) == 1


def test_a_public_entry_cannot_hide():
    scene = written("order")
    leaf = Leaf("payment.received", 1, scene.now, b"c" * 32)
    scene.state.apply(Record(scene.state.size, leaf))
    assert "hides" in scene.state.violations[0][1]


# Versions --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("type_", "version"), [("consent.granted", 2), ("consent.lent", 1)])
@pytest.mark.parametrize("personal", [True, False])
def test_an_unknown_version_stops_consent_decisions_only(type_, version, personal, granted):
    entry = cosign(unsigned_entry(type_, {"id": "x"}, version), lambda m: _signature())
    body = (b"c" * 32, None) if personal else (None, entry)
    leaf = Leaf(type_, version, granted.now, *body)
    granted.need("claims")
    granted.state.apply(Record(granted.state.size, leaf))
    assert f"version {version}" in granted.state.consent_blocked()
    granted.put("order")  # the fold goes on
    with pytest.raises(UnknownEntry):
        granted.state.check(entry, leaf)


def _signature():
    from ledger import Signature

    return Signature("ed25519", b"k" * 32, (b"s" * 64,))


def test_an_unknown_entry_that_stops_is_a_final_stop(granted):
    leaf = Leaf("consent.lent", 1, granted.now, b"c" * 32, None, (granted.at["grant"],))
    granted.state.apply(Record(granted.state.size, leaf))
    assert granted.state.grants[ident("grant")].stopped_at == granted.state.size - 1


# Leaf and entry --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"stops": ()},
        {"stops": (1, 2)},
        {"resumes": (1,)},
        {"erases": (1,)},
        {"type": "consent.paused"},
    ],
)
def test_the_leaf_must_say_what_the_entry_says(change, granted):
    from dataclasses import replace

    entry, leaf = _entry_and_leaf(granted, "withdrawn")
    granted.state.check(entry, leaf)
    with pytest.raises(RefusedError):
        granted.state.check(entry, replace(leaf, **change))


def test_a_personal_entry_may_not_stand_in_the_clear(granted):
    entry, leaf = _entry_and_leaf(granted, "withdrawn")
    clear = Leaf(leaf.type, 1, leaf.time, None, entry, leaf.stops)
    with pytest.raises(RefusedError, match="clear"):
        granted.state.check(entry, clear)


def test_records_come_in_order(granted):
    state = State(granted.trust)
    with pytest.raises(ConsistencyError):
        state.apply(granted.record(1))
    state.apply(granted.record(0))
    with pytest.raises(ConsistencyError):
        state.refuse(granted.record(0), "again")


# Orders and money ------------------------------------------------------------------------------


def test_an_order_runs_through():
    scene = written("approved", "access", "review", "published", "settlement", "payout")
    order = scene.state.orders[ident("order")]
    assert (order.status, order.paid(), order.accesses) == ("settled", 500, [ident("access")])
    assert order.settlement.index == scene.at["settlement"]
    assert scene.refold().orders == scene.state.orders


REFUSED_STEPS = [
    (["order"], "access", {}, "not paid"),
    (["order"], "published", {}, "newest access"),
    (["order"], "order", {}, "exists"),
    (["order"], "refunded", {}, "left"),
    (["order"], "disputed", {}, "no payment"),
    (["paid"], "paid", {}, "reference"),
    (["paid"], "paid", {"currency": "eur", "reference_commitment": "ab" * 32}, "currency"),
    (["paid"], "refunded", {"amount": 501}, "left"),
    (["refunded"], "access", {}, "not paid"),
    (["failed"], "approved", {}, "placed"),
    (["failed"], "cancelled", {}, "already"),
    (["access"], "access", {"attempt": 2}, "exists"),
    (["access"], "access", {"access": ident("a2")}, "attempt"),
    (["paid"], "access", {"judged_size": 99}, "judged_size"),
    (["paid"], "access", {"order": None}, "ingest"),
    (["paid"], "access", {"purpose": "ingest"}, "ingest"),
    (["paid"], "access", {"query_digest": "0" * 64}, "query_digest"),
    (["access"], "published", {"access": ident("a2")}, "newest access"),
    (["published"], "published", {}, "published already"),
    (["published"], "access", {"access": ident("a2"), "attempt": 2}, "published already"),
    (["access"], "settlement", {}, "published access"),
    (["settlement"], "settlement", {}, "published access"),
    (["published"], "settlement", {"gross": 499}, "add up"),
    (["published"], "settlement", {"gross": 600, "owners_total": 500}, "add up"),
    (["review"], "review", {}, "has decided"),
    (["settlement", "owner"], "payout", {"settlements": [0]}, "settles nothing"),
    (["compute key"], "compute key", {}, "published already"),
    ([], "compute key", {"not_after": 1}, "before"),
    (["researcher"], "claims", {"expires_at": 1}, "expired"),
    (["claims"], "order", {"attestations": [0]}, "attests nothing"),
]


@pytest.mark.parametrize(("before", "label", "change", "match"), REFUSED_STEPS)
def test_a_step_out_of_turn_is_refused(before, label, change, match):
    scene = written(*before)
    entry = scene.entry(STEPS[label][0], {**fields_of(scene, label), **change}, STEPS[label][2])
    with pytest.raises(RefusedError, match=match):
        scene.add(entry)


def test_a_withheld_result_lets_the_job_run_once_more():
    scene = written("published")
    scene.put("withheld")
    assert scene.state.orders[ident("order")].status == "withheld"
    scene.put("access", access=ident("a2"), attempt=2)
    scene.put("published", access=ident("a2"))
    assert scene.state.orders[ident("order")].status == "published"


def test_a_late_payment_is_recorded_and_can_be_refunded():
    scene = written("expired", "paid", "refunded")
    assert scene.state.orders[ident("order")].paid() == 300


def test_a_review_needs_an_attested_reviewer():
    scene = written("reviewer", "access")
    scene.at["reviewer claims"] = -1
    with pytest.raises(RefusedError, match="output_reviewer"):
        scene.put("review")


def test_ingest_has_no_order():
    scene = Scene()
    scene.put(
        "access", order=None, purpose="ingest", query_digest=None, code_digest=None, release=None
    )
    assert scene.state.accesses[ident("access")].payload["order"] is None


# Claims ----------------------------------------------------------------------------------------


def test_claims_expire_and_the_newest_counts():
    scene = written("claims")
    state, me = scene.state, ident("researcher")
    assert state.claims(me, START) == {"sector": "academic", "non_profit": True}
    assert state.claims(me, START + 30 * DAY) == {}
    assert state.claims(me, START, Pins()) == {}
    assert state.claims(ident("nobody"), START) == {}
    scene.put("claims", claims={"sector": "insurer"}, expires_at=START + DAY)
    assert state.claims(me, START) == {"sector": "insurer", "non_profit": True}
    # an expired newer statement does not bring an older one back
    assert state.claims(me, START + 2 * DAY) == {"non_profit": True}


# The fold as a whole ---------------------------------------------------------------------------


def test_a_public_fold_reads_public_leaves_and_decides_no_consent():
    scene = written("grant", "settlement", "withdrawn")
    state = scene.refold(erased=set(scene.opened), personal=False)
    assert state.violations == []
    assert state.orders == scene.state.orders
    assert (state.parties.keys(), state.missing) == ({ident("researcher")}, set())
    assert "public leaves only" in state.consent_blocked()


@pytest.mark.parametrize("label", STEPS)
def test_the_follower_gets_what_the_log_admitted(label):
    scene = Scene()
    scene.put(label)
    assert scene.refold() == scene.state


@pytest.mark.parametrize("label", STEPS)
def test_a_rollback_leaves_no_trace(label):
    scene = Scene().need(*STEPS[label][1])
    before = scene.refold()
    entry, leaf = _entry_and_leaf(scene, label)
    mark = scene.state.savepoint()
    inner = scene.state.savepoint()
    scene.state.admit(entry, leaf)
    scene.state.release(inner)
    assert scene.state != before
    scene.state.rollback(mark)
    before.shared = scene.state.shared  # a cache of equal values, no part of the meaning
    assert scene.state == before
    scene.state.admit(entry, leaf)  # and it can be done again
    with pytest.raises(LedgerError):
        scene.state.rollback(0)


def test_a_refused_entry_changes_nothing(granted):
    before = granted.refold()
    with pytest.raises(RefusedError):
        granted.put("withdrawn", ["thief"])
    assert granted.state == before


class Consents(RuleBasedStateMachine):
    """Random histories of one owner: what is in force equals a model that knows only states."""

    def __init__(self):
        super().__init__()
        self.scene = Scene()
        self.model = {}
        self.objecting = False
        self.count = 0

    @initialize()
    def register(self):
        self.scene.need("compute key", "dataset", "second dataset")

    def _try(self, allowed, type_, fields):
        fields = {"owner": ident("owner"), **fields}
        entry = self.scene.entry(type_, fields, ["owner"])
        if allowed:
            return self.scene.add(entry)
        with pytest.raises(RefusedError):
            self.scene.add(entry)
        return None

    @rule(name=st.sampled_from(["dataset", "second dataset"]))
    def grant(self, name):
        self.count += 1
        fields = fields_of(self.scene, "grant") | {
            "grant": ident(f"g{self.count}"),
            "dataset": ident(name),
        }
        index = self._try(name not in self.model and not self.objecting, "consent.granted", fields)
        if index is not None:
            self.model[name] = [fields["grant"], index, None]

    def _named(self, name):
        grant, index, _ = self.model.get(name, (ident("none"), 0, None))
        return {"grant": grant, "dataset": ident(name)}, index

    @rule(name=st.sampled_from(["dataset", "second dataset"]))
    def withdraw(self, name):
        fields, index = self._named(name)
        self._try(name in self.model, "consent.withdrawn", {**fields, "stops": [index]})
        self.model.pop(name, None)

    @rule(name=st.sampled_from(["dataset", "second dataset"]))
    def pause(self, name):
        fields, index = self._named(name)
        allowed = name in self.model and self.model[name][2] is None
        at = self._try(allowed, "consent.paused", {**fields, "stops": [index]})
        if at is not None:
            self.model[name][2] = at

    @rule(name=st.sampled_from(["dataset", "second dataset"]))
    def resume(self, name):
        fields, _ = self._named(name)
        pause = self.model[name][2] if name in self.model else None
        self._try(pause is not None, "consent.resumed", {**fields, "resumes": [pause or 0]})
        if pause is not None:
            self.model[name][2] = None

    @rule()
    def object_to_all(self):
        stops = sorted(index for _, index, _ in self.model.values())
        self._try(not self.objecting, "objection.raised", {"stops": stops})
        if not self.objecting:
            self.objecting, self.model = True, {}

    @rule()
    def lift(self):
        self._try(self.objecting, "objection.lifted", {})
        self.objecting = False

    @invariant()
    def same_as_the_model(self):
        live = {grant.id for grant in self.scene.state.live_grants()}
        assert live == {grant for grant, _, pause in self.model.values() if pause is None}

    def teardown(self):
        fresh = self.scene.refold()
        assert fresh == self.scene.state
        assert fresh.violations == []


TestConsents = Consents.TestCase
TestConsents.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


POOL = [
    ident(name)
    for name in ("owner", "other owner", "researcher", "dataset", "second dataset", "grant")
] + [ident("order"), ident("access"), ident("nothing"), None, 0, 1, 3, [], [0], [3], [4, 5]]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(STEPS)), st.data())
def test_no_entry_breaks_the_fold(label, data):
    """Whatever an entry names, it is admitted or noted, and can be undone."""
    scene = Scene().need("second dataset", "grant", "access", "other owner", *STEPS[label][1])
    type_, _, usual = STEPS[label]
    fields = fields_of(scene, label)
    for _ in range(data.draw(st.integers(1, 2))):
        fields[data.draw(st.sampled_from(sorted(fields)))] = data.draw(st.sampled_from(POOL))
    try:
        entry = scene.entry(type_, fields, usual)
    except LedgerError:
        return
    leaf, salt = scene.leaf(entry)
    before = scene.refold()
    mark = scene.state.savepoint()
    scene.state.apply(Record(scene.state.size, leaf, entry, salt))
    assert scene.state.size == before.size + 1
    scene.state.rollback(mark)
    before.shared = scene.state.shared
    assert scene.state == before


def test_unknown_references_have_their_own_error(granted):
    with pytest.raises(UnknownReference):
        granted.put("withdrawn", stops=[0])
    assert isinstance(granted.example("withdrawn"), Entry)
