"""What operators state: bank transfers need two of them, custodians' splits act from their leaf."""

import pytest

from ledger import BANK, Pins, PolicyError, RefusedError, operators_for
from ledger.entries import public_key
from tests.ledger.ledger_scenes import STEPS, Scene, digest, fields_of, ident, make_trust, pk, seed

assert STEPS["acted"]


def scene_of_two():
    trust = make_trust()
    pins = trust.pins.__class__(
        marketplace=trust.pins.marketplace,
        compute=trust.pins.compute,
        operator=(pk("operator"),),
        treasurer=(public_key(seed("first person")), public_key(seed("second person"))),
        attesters=trust.pins.attesters,
    )
    return Scene(make_trust(pins=pins)).need("order")


def said(scene, **changes):
    order = fields_of(scene, "paid")
    details = {
        "order": order["order"],
        "amount": order["amount"],
        "currency": order["currency"],
        "reference_commitment": order["reference_commitment"],
    }
    return {**details, **changes}


def mark(scene, operator, action="bank.received", **changes):
    return scene.put("acted", [operator], action=action, details=said(scene, **changes))


def test_a_bank_transfer_counts_after_two_different_operators():
    scene = scene_of_two()
    with pytest.raises(RefusedError, match="needs 2 operators, 0"):
        scene.put("paid", provider=BANK)
    mark(scene, "first person")
    with pytest.raises(RefusedError, match="another one must"):
        mark(scene, "first person")
    with pytest.raises(RefusedError, match="needs 2 operators, 1"):
        scene.put("paid", provider=BANK)
    mark(scene, "second person", amount=said(scene)["amount"] + 1)
    with pytest.raises(RefusedError, match="needs 2 operators, 1"):
        scene.put("paid", provider=BANK)
    mark(scene, "second person")
    scene.put("paid", provider=BANK)
    assert len(operators_for(scene.state, "bank.received", said(scene))) == 2
    assert scene.refold().bank_marks == scene.state.bank_marks
    assert [act.action for act in scene.state.operator_acts.values()] == ["bank.received"] * 3
    assert scene.refold().operator_acts == scene.state.operator_acts


def test_money_goes_back_by_bank_only_with_two_operators_too():
    scene = scene_of_two().need("paid")
    with pytest.raises(RefusedError, match="needs 2 operators"):
        scene.put("refunded", provider=BANK)
    refund = fields_of(scene, "refunded")
    for name in ("first person", "second person"):
        mark(scene, name, "bank.sent", amount=refund["amount"],
             reference_commitment=refund["reference_commitment"])  # fmt: skip
    scene.put("refunded", provider=BANK)


def test_the_ledger_processs_own_key_is_no_person():
    scene = scene_of_two()
    for action in ("bank.received", "bank.sent"):
        with pytest.raises(RefusedError, match="treasurer"):
            mark(scene, "operator", action)
    split = {"custodian": "biobank", "party": ident("biobank"), "percent": 30}
    with pytest.raises(RefusedError, match="treasurer"):
        scene.put("acted", ["operator"], action="custodian.split", details=split)
    scene.put("acted", ["operator"], action="auditor.read")  # all else it may say
    mark(scene, "second person")
    with pytest.raises(RefusedError, match="needs 2 operators, 1"):
        scene.put("paid", provider=BANK)


def test_one_key_is_not_pinned_as_a_person_and_as_a_process():
    key = pk("operator")
    with pytest.raises(PolicyError, match="person's own"):
        Pins(operator=(key,), treasurer=(key,))


@pytest.mark.parametrize(
    "changes", [{"amount": 0}, {"currency": "eur"}, {"order": ident("nothing")}, {"more": 1}]
)
def test_a_mark_that_says_nothing_clear_is_refused(changes):
    with pytest.raises(RefusedError):
        mark(scene_of_two(), "first person", **changes)


def test_a_custodians_splits_are_kept_in_order():
    scene = scene_of_two()
    first = {"custodian": "biobank", "party": ident("biobank"), "percent": 30}
    scene.put("acted", ["first person"], action="custodian.split", details=first)
    scene.put("acted", ["first person"], action="custodian.split", details={**first, "percent": 10})
    splits = scene.state.custodian_splits["biobank"]
    assert [one.percent for one in splits] == [30, 10]
    assert splits[0].index < splits[1].index
    for wrong in ({**first, "percent": 101}, {**first, "percent": -1}, {"custodian": "x"}):
        with pytest.raises(RefusedError, match="custodian"):
            scene.put("acted", ["first person"], action="custodian.split", details=wrong)


def test_a_payout_is_recorded_once():
    scene = Scene()
    scene.put("payout made")
    with pytest.raises(RefusedError, match="already"):
        scene.put("payout made")
    assert scene.state.payouts[ident("payout")].payload["payout_root"] == digest("payouts")
