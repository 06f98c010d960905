"""One movement of an order's money in words, for the buyer's page and command. Pure."""

from collections.abc import Mapping
from typing import Any

from marketplace import currencies
from marketplace.texts import Texts, mark, say

_REFUND = Texts(
    {
        "fewer_people": "because fewer people took part than were priced",
        "surplus": "because it was not asked for",
        "outside": "by hand at the payment company",
        "outside_loss": "by hand at the payment company",
    }
)
_DISPUTE = {
    "open": mark("Your bank holds %(1)s while it decides"),
    "won": mark("Your bank held %(1)s and gave it back to us"),
    "lost": mark("Your bank gave %(1)s back to you"),
}


def moved(move: Mapping[str, Any]) -> str:
    """Say what a movement was; see `order_money.moves` and MoneyMoveOut."""
    amount = currencies.words(int(move["amount"]), str(move["currency"]))
    if move["kind"] == "dispute":
        return say(_DISPUTE.get(move["state"], mark("Your bank asks about %(1)s")), amount)
    if move["kind"] == "invoice":
        return say("%(1)s to be transferred against an invoice", amount)
    tax, by = int(move["tax"]), move["by"]
    if tax:
        amount = say("%(1)s with %(2)s tax", amount, currencies.words(tax, str(move["currency"])))
    if move["kind"] == "paid":
        return say("%(1)s paid by %(2)s", amount, by) if by else say("%(1)s paid", amount)
    sent = move["state"] == "sent"
    gone = say("%(1)s given back" if sent else "%(1)s on its way back to you", amount)
    why = _REFUND.get(str(move["reason"]))
    return f"{gone}, {why}" if why else gone
