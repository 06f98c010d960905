"""One movement of an order's money in words, for the buyer's page and command. Pure."""

from collections.abc import Mapping
from typing import Any

from marketplace import currencies

_REFUND = {
    "fewer_people": "because fewer people took part than were priced",
    "surplus": "because it was not asked for",
    "outside": "by hand at the payment company",
    "outside_loss": "by hand at the payment company",
}
_DISPUTE = {
    "open": "Your bank holds {amount} while it decides",
    "won": "Your bank held {amount} and gave it back to us",
    "lost": "Your bank gave {amount} back to you",
}


def moved(move: Mapping[str, Any]) -> str:
    """Say what a movement was; see `order_money.moves` and MoneyMoveOut."""
    amount = currencies.words(int(move["amount"]), str(move["currency"]))
    if move["kind"] == "dispute":
        return _DISPUTE.get(move["state"], "Your bank asks about {amount}").format(amount=amount)
    if move["kind"] == "invoice":
        return f"{amount} to be transferred against an invoice"
    tax = int(move["tax"])
    held = f" with {currencies.words(tax, str(move['currency']))} tax" if tax else ""
    if move["kind"] == "paid":
        return f"{amount}{held} paid" + (f" by {move['by']}" if move["by"] else "")
    gone = "given back" if move["state"] == "sent" else "on its way back to you"
    why = _REFUND.get(str(move["reason"]))
    return f"{amount}{held} {gone}" + (f", {why}" if why else "")
