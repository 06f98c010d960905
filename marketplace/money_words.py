"""One movement of an order's money in words, for the buyer's page and command. Pure."""

from collections.abc import Mapping
from typing import Any

from marketplace import currencies
from marketplace.texts import mark, say

_WHY = {
    "fewer_people": mark("%(1)s, because fewer people took part than were priced"),
    "surplus": mark("%(1)s, because it was not asked for"),
    "outside": mark("%(1)s, by hand at the payment company"),
    "outside_loss": mark("%(1)s, by hand at the payment company"),
}
_DISPUTE = {
    "open": mark("Your bank holds %(1)s while it decides"),
    "won": mark("Your bank held %(1)s and gave it back to us"),
    "lost": mark("Your bank gave %(1)s back to you"),
}


def moved(move: Mapping[str, Any]) -> str:
    """Say what a movement was; see `order_money.moves` and MoneyMoveOut."""
    currency = str(move["currency"])
    amount, tax = currencies.words(int(move["amount"]), currency), int(move["tax"])
    if move["kind"] == "dispute":
        return say(_DISPUTE.get(move["state"], mark("Your bank asks about %(1)s")), amount)
    if move["kind"] == "invoice":
        return say("%(1)s to be transferred against an invoice", amount)
    held = say("%(1)s with %(2)s tax", amount, currencies.words(tax, currency)) if tax else amount
    if move["kind"] == "paid":
        by = move["by"]
        return say("%(1)s paid by %(2)s", held, by) if by else say("%(1)s paid", held)
    sent = move["state"] == "sent"
    gone = say("%(1)s given back", held) if sent else say("%(1)s on its way back to you", held)
    why = _WHY.get(str(move["reason"]))
    return say(why, gone) if why else gone
