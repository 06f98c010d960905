"""Rules of the fold for orders, money, accesses, results and the services' own statements.

An order moves placed -> approved -> running -> published -> settled, or is closed on the way;
`_CLOSING` and `_OPEN` are its transition table. Whether a use was permitted is judged by compute.
"""

from collections.abc import Callable

from ledger.errors import RefusedError
from ledger.fold_consents import CLOSED
from ledger.fold_model import (
    Access,
    Act,
    ComputeKey,
    Done,
    OrderState,
    Payment,
    Review,
    Tables,
    UnknownReference,
)
from ledger.fold_operators import require_bank_marks
from ledger.fold_signers import get_party

REVIEWER_CLAIM = "output_reviewer"
INGEST = "ingest"


def _order(state: Tables, act: Act) -> OrderState:
    order = state.orders.get(act.payload["order"])
    if order is None:
        raise UnknownReference(f"{act.rule.type}: order {act.payload['order']} is not placed")
    return order


def _open_order(state: Tables, act: Act) -> OrderState:
    order = _order(state, act)
    if order.status in CLOSED:
        raise RefusedError(f"{act.rule.type}: order {order.id} is {order.status} already")
    return order


def check_placed(state: Tables, act: Act) -> None:
    """Refuse order.placed twice, or with attestations that state nothing of its researcher."""
    payload = act.payload
    if payload["order"] in state.orders:
        raise RefusedError(f"order.placed: order {payload['order']} exists already")
    stated = {item.index for item in state.parties[payload["researcher"]].attestations}
    if set(payload["attestations"]) - stated:
        raise RefusedError("order.placed: attestations names a leaf that attests nothing of it")


def apply_placed(state: Tables, act: Act) -> None:
    """Add an order, placed."""
    order = OrderState(act.payload["order"], act.index, act.payload)
    state.journal.put(state.orders, order.id, order)


def check_approved(state: Tables, act: Act) -> None:
    """Refuse order.approved for any but an order just placed."""
    if _order(state, act).status != "placed":
        raise RefusedError("order.approved: only an order just placed can be approved")


def check_closing(state: Tables, act: Act) -> None:
    """Refuse to close an order that is closed already."""
    _open_order(state, act)


def apply_status(state: Tables, act: Act) -> None:
    """Give the order the status its entry type names, with the reason."""
    order = _order(state, act)
    state.journal.change(order, "status", act.rule.type.removeprefix("order."))
    state.journal.change(order, "reason", act.payload["reason"])


def check_payment(state: Tables, act: Act) -> None:
    """Refuse payment.* in another currency, recorded before, or of more than was received."""
    # A payment that arrives after the order closed must be recorded, or nobody could refund it.
    order, payload = _order(state, act), act.payload
    if payload["currency"] != order.payload["price"]["currency"]:
        raise RefusedError(f"{act.rule.type}: the order is priced in another currency")
    if (act.rule.type, payload["reference_commitment"]) in state.references:
        raise RefusedError(f"{act.rule.type}: this reference is recorded already")
    if act.rule.type == "payment.refunded" and payload["amount"] > order.paid():
        raise RefusedError("payment.refunded: more than is left of what was received")
    if act.rule.type == "payment.disputed" and not order.payments:
        raise RefusedError("payment.disputed: the order has no payment")
    require_bank_marks(state, act)


def apply_payment(state: Tables, act: Act) -> None:
    """Add the payment to its order; its reference cannot be recorded again."""
    payload, kind = act.payload, act.rule.type.removeprefix("payment.")
    payment = Payment(
        kind,
        payload["amount"],
        payload["currency"],
        payload["provider"],
        payload["reference_commitment"],
        act.index,
    )
    state.journal.add(state.references, (act.rule.type, payment.reference_commitment))
    order = _order(state, act)
    state.journal.push(order.payments, payment, of=order)


def check_access(state: Tables, act: Act) -> None:
    """Refuse access.recorded unless it is of a paid, open order as ordered, or an ingest."""
    payload = act.payload
    if payload["access"] in state.accesses:
        raise RefusedError(f"access.recorded: access {payload['access']} exists already")
    if payload["judged_size"] > act.index:
        raise RefusedError("access.recorded: judged_size lies beyond this entry")
    if (payload["order"] is None) != (payload["purpose"] == INGEST):
        raise RefusedError("access.recorded: ingest has no order, and every other use has one")
    if payload["order"] is not None:
        _check_order_access(state, act)


def _check_order_access(state: Tables, act: Act) -> None:
    order, payload = _open_order(state, act), act.payload
    if order.paid() < order.payload["price"]["amount"]:
        raise RefusedError(f"access.recorded: order {order.id} is not paid")
    for name in ("query_digest", "code_digest"):
        if payload[name] != order.payload[name]:
            raise RefusedError(f"access.recorded: {name} is not the one that was ordered")
    attempts = [state.accesses[name].payload["attempt"] for name in order.accesses[-1:]]
    if attempts and payload["attempt"] <= attempts[0]:
        raise RefusedError("access.recorded: attempt must rise with each access of an order")


def apply_access(state: Tables, act: Act) -> None:
    """Add the access; its order, if it has one, is running."""
    access = Access(act.payload["access"], act.index, act.payload)
    state.journal.put(state.accesses, access.id, access)
    if act.payload["order"] is not None:
        order = _order(state, act)
        state.journal.push(order.accesses, access.id, of=order)
        state.journal.change(order, "status", "running")


def check_access_refused(state: Tables, act: Act) -> None:
    """Refuse access.refused for an order that is closed."""
    _open_order(state, act)


def apply_access_refused(state: Tables, act: Act) -> None:
    """Note the refusal at its order."""
    order = _order(state, act)
    state.journal.push(order.refusals, Done(act.index, act.payload), of=order)


def check_result(state: Tables, act: Act) -> None:
    """Refuse result.* unless it follows the newest access of a running order."""
    order = _open_order(state, act)
    if order.status != "running" or order.accesses[-1:] != [act.payload["access"]]:
        raise RefusedError(f"{act.rule.type}: it must follow the newest access of its order")


def apply_published(state: Tables, act: Act) -> None:
    """Note the result: the order is published."""
    order = _order(state, act)
    state.journal.change(order, "result", Done(act.index, act.payload))
    state.journal.change(order, "status", "published")


def check_withheld(state: Tables, act: Act) -> None:
    """Refuse result.withheld unless it follows the newest access, published or not."""
    # Withheld may follow published: a stop that was sequenced before the publication wins.
    order = _order(state, act)
    if order.status not in ("running", "published"):
        raise RefusedError(f"result.withheld: order {order.id} is {order.status}")
    if order.accesses[-1:] != [act.payload["access"]]:
        raise RefusedError("result.withheld: it must follow the newest access of its order")


def apply_withheld(state: Tables, act: Act) -> None:
    """Take the result back: the order is withheld."""
    order = _order(state, act)
    state.journal.push(order.withheld, Done(act.index, act.payload), of=order)
    state.journal.change(order, "result", None)
    state.journal.change(order, "status", "withheld")


def check_review(state: Tables, act: Act) -> None:
    """Refuse review.decided by one's own party, unattested reviewers, or a second time."""
    order, payload = _open_order(state, act), act.payload
    if payload["reviewer"] == order.payload["researcher"]:
        raise RefusedError("review.decided: nobody reviews the output of its own order")
    reviewer = get_party(state, payload["reviewer"], act)
    if not any(
        item.claims.get(REVIEWER_CLAIM) and act.now < item.expires_at
        for item in reviewer.attestations
        if state.pins.may_attest(REVIEWER_CLAIM, item.attester)
    ):
        raise RefusedError(f"review.decided: the reviewer has no attested {REVIEWER_CLAIM}")
    decided = {(item.reviewer, item.draft_commitment) for item in order.reviews}
    if (reviewer.id, payload["draft_commitment"]) in decided:
        raise RefusedError("review.decided: this reviewer has decided about this draft")


def apply_review(state: Tables, act: Act) -> None:
    """Note what a reviewer decided about a draft."""
    p, order = act.payload, _order(state, act)
    review = Review(p["reviewer"], p["draft_commitment"], p["decision"], act.index)
    state.journal.push(order.reviews, review, of=order)


def check_settlement(state: Tables, act: Act) -> None:
    """Refuse settlement.made unless its parts add up to a gross paid for what is published."""
    order, payload = _order(state, act), act.payload
    if order.status != "published" or order.accesses[-1:] != [payload["access"]]:
        raise RefusedError("settlement.made: settles the published access of an order, once")
    parts = payload["platform_fee"] + payload["compute_fee"] + payload["owners_total"]
    if parts != payload["gross"] or payload["gross"] > order.paid():
        raise RefusedError("settlement.made: the parts must add up to a gross that was paid")
    if payload["currency"] != order.payload["price"]["currency"]:
        raise RefusedError("settlement.made: the order is priced in another currency")


def apply_settlement(state: Tables, act: Act) -> None:
    """Note how the money was split: the order is settled."""
    order = _order(state, act)
    state.journal.change(order, "settlement", Done(act.index, act.payload))
    state.journal.change(order, "status", "settled")
    state.journal.put(state.settlements, act.index, order.id)


def check_payout(state: Tables, act: Act) -> None:
    """Refuse payout.sent of settlements this ledger does not have."""
    get_party(state, act.payload["owner"], act)
    if not all(index in state.settlements for index in act.payload["settlements"]):
        raise UnknownReference("payout.sent: settlements names a leaf that settles nothing")


def apply_payout(state: Tables, act: Act) -> None:
    """Note the payout at its owner."""
    state.journal.push(state.parties[act.payload["owner"]].payouts, act.index)


def check_payout_made(state: Tables, act: Act) -> None:
    """Refuse payout.made a second time."""
    if act.payload["payout"] in state.payouts:
        raise RefusedError("payout.made: this payout is recorded already")


def apply_payout_made(state: Tables, act: Act) -> None:
    """Note the payout by its number."""
    state.journal.put(state.payouts, act.payload["payout"], Done(act.index, act.payload))


def check_compute_key(state: Tables, act: Act) -> None:
    """Refuse compute.key_published under a taken number, or with its end before its start."""
    if act.payload["key_id"] in state.compute_keys:
        raise RefusedError("compute.key_published: this key_id is published already")
    if act.payload["not_before"] >= act.payload["not_after"]:
        raise RefusedError("compute.key_published: not_before must lie before not_after")


def apply_compute_key(state: Tables, act: Act) -> None:
    """Add a recipient key of a region, for consents from not_before to not_after (ms)."""
    p = act.payload
    key = ComputeKey(
        key_id=p["key_id"],
        region=p["region"],
        crypt4gh_public=p["crypt4gh_public"],
        hpke_public=p["hpke_public"],
        not_before=p["not_before"],
        not_after=p["not_after"],
        index=act.index,
    )
    state.journal.put(state.compute_keys, key.key_id, key)


def apply_release(state: Tables, act: Act) -> None:
    """Note which code and image compute runs from here on."""
    state.journal.push(state.compute_releases, Done(act.index, act.payload))


def always(_state: Tables, _act: Act) -> None:
    """Accept, and change nothing: the entry only states something."""


Step = Callable[[Tables, Act], None]
