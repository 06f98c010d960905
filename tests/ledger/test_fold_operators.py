"""What operators state: bank transfers need two of them, custodians' splits act from their leaf."""

import pytest

from ledger import BANK, RefusedError, operators_for
from ledger.entries import public_key
from tests.ledger.ledger_scenes import STEPS, Scene, digest, fields_of, ident, make_trust, pk, seed

assert STEPS["acted"]


def scene_of_two():
    trust = make_trust()
    pins = trust.pins.__class__(
        marketplace=trust.pins.marketplace,
        compute=trust.pins.compute,
        operator=(pk("operator"), public_key(seed("second operator"))),
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
    mark(scene, "operator")
    with pytest.raises(RefusedError, match="another one must"):
        mark(scene, "operator")
    with pytest.raises(RefusedError, match="needs 2 operators, 1"):
        scene.put("paid", provider=BANK)
    mark(scene, "second operator", amount=said(scene)["amount"] + 1)
    with pytest.raises(RefusedError, match="needs 2 operators, 1"):
        scene.put("paid", provider=BANK)
    mark(scene, "second operator")
    scene.put("paid", provider=BANK)
    assert len(operators_for(scene.state, "bank.received", said(scene))) == 2
    assert scene.refold().bank_marks == scene.state.bank_marks


def test_money_goes_back_by_bank_only_with_two_operators_too():
    scene = scene_of_two().need("paid")
    with pytest.raises(RefusedError, match="needs 2 operators"):
        scene.put("refunded", provider=BANK)
    refund = fields_of(scene, "refunded")
    for name in ("operator", "second operator"):
        mark(scene, name, "bank.sent", amount=refund["amount"],
             reference_commitment=refund["reference_commitment"])  # fmt: skip
    scene.put("refunded", provider=BANK)


@pytest.mark.parametrize(
    "changes", [{"amount": 0}, {"currency": "eur"}, {"order": ident("nothing")}, {"more": 1}]
)
def test_a_mark_that_says_nothing_clear_is_refused(changes):
    with pytest.raises(RefusedError):
        mark(scene_of_two(), "operator", **changes)


def test_a_custodians_splits_are_kept_in_order():
    scene = scene_of_two()
    first = {"custodian": "biobank", "party": ident("biobank"), "percent": 30}
    scene.put("acted", action="custodian.split", details=first)
    scene.put("acted", action="custodian.split", details={**first, "percent": 10})
    splits = scene.state.custodian_splits["biobank"]
    assert [one.percent for one in splits] == [30, 10]
    assert splits[0].index < splits[1].index
    for wrong in ({**first, "percent": 101}, {**first, "percent": -1}, {"custodian": "x"}):
        with pytest.raises(RefusedError, match="custodian"):
            scene.put("acted", action="custodian.split", details=wrong)


def test_a_payout_is_recorded_once():
    scene = Scene()
    scene.put("payout made")
    with pytest.raises(RefusedError, match="already"):
        scene.put("payout made")
    assert scene.state.payouts[ident("payout")].payload["payout_root"] == digest("payouts")
