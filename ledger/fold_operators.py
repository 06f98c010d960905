"""Rules of the fold for what operators state: bank transfers by two people, custodians' splits.

An operator's entry is public and only states something, except for these actions:

bank.received, bank.sent   {order, amount, currency, reference_commitment}: seen on the bank's
                           statement. A payment.* entry whose provider is `bank-transfer` counts
                           only after two different people said the same of it.
custodian.split            {custodian, party, percent}: the custodian's part of each share of
                           people whose consent comes after this entry, paid to `party`.

These are for people: the trust policy names their keys as treasurers. A key a process holds, such
as the ledger's own, says nothing about money.
"""

from typing import Any

from ledger import kinds as k
from ledger.envelope import fingerprint
from ledger.errors import RefusedError
from ledger.fold_model import Act, CustodianSplit, OperatorAct, Tables

BANK = "bank-transfer"
BANK_ACTIONS = {"payment.received": "bank.received", "payment.refunded": "bank.sent"}
MONEY = {*BANK_ACTIONS.values(), "custodian.split"}
OPERATORS_NEEDED = 2
_MARK = k.shape(order=k.ID, amount=k.AMOUNT, currency=k.CURRENCY, reference_commitment=k.COMMITMENT)
_SPLIT = k.shape(custodian=k.CODE, party=k.ID, percent=k.COUNT)


def _mark(action: str, said: Any, actor: str) -> tuple[str, ...]:
    names = ("order", "amount", "currency", "reference_commitment")
    return (action, *(str(said[name]) for name in names), actor)


def check_acted(state: Tables, act: Act) -> None:
    """Refuse operator.acted about money by any but a treasurer, or with malformed details."""
    action, details = act.payload["action"], act.payload.get("details") or {}
    if action in MONEY and not state.pins.is_service("treasurer", act.actor):
        raise RefusedError(f"operator.acted: {action} is for a treasurer's key, a person's own")
    if action in BANK_ACTIONS.values():
        _check_mark(state, act, action, details)
    if action == "custodian.split" and not (_SPLIT.test(details) and details["percent"] <= 100):
        raise RefusedError(f"operator.acted: details of {action} must be {_SPLIT.says}, <= 100")


def _check_mark(state: Tables, act: Act, action: str, details: Any) -> None:
    if not _MARK.test(details):
        raise RefusedError(f"operator.acted: details of {action} must be {_MARK.says}")
    order = state.orders.get(details["order"])
    if order is None or order.payload["price"]["currency"] != details["currency"]:
        raise RefusedError(f"operator.acted: {action} names no order priced in that currency")
    if _mark(action, details, act.actor) in state.bank_marks:
        raise RefusedError("operator.acted: this operator said so already; another one must")


def apply_acted(state: Tables, act: Act) -> None:
    """Note what the operator states, and what of it counts (see the module)."""
    action, details = act.payload["action"], act.payload.get("details") or {}
    said = OperatorAct(act.index, act.now, act.actor, action, details)
    state.journal.put(state.operator_acts, act.index, said)
    if action in BANK_ACTIONS.values():
        state.journal.add(state.bank_marks, _mark(action, details, act.actor))
    if action == "custodian.split":
        split = CustodianSplit(act.index, details["party"], details["percent"])
        known = state.custodian_splits.get(details["custodian"], ())
        state.journal.put(state.custodian_splits, details["custodian"], (*known, split))


def operators_for(state: Tables, action: str, said: Any) -> set[str]:
    """Return the fingerprints of the pinned treasurers who stated this bank transfer."""
    pinned = {fingerprint(key) for key in state.pins.treasurer}
    return {name for name in pinned if _mark(action, said, name) in state.bank_marks}


def require_bank_marks(state: Tables, act: Act) -> None:
    """Refuse a bank transfer that two different operators have not stated. Raises RefusedError."""
    if act.payload["provider"] != BANK or act.rule.type not in BANK_ACTIONS:
        return
    said = len(operators_for(state, BANK_ACTIONS[act.rule.type], act.payload))
    if said < OPERATORS_NEEDED:
        raise RefusedError(
            f"{act.rule.type}: a bank transfer needs {OPERATORS_NEEDED} operators, {said} said so"
        )
