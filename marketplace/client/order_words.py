"""A dry run, a quote and an order in lines of text, as the command prints them. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from marketplace.client.researcher import standing
from marketplace.client.terminal import money, pairs, when
from marketplace.money_words import moved

_ITEMS = {"compute": "Computing", "platform": "Platform"}


def dry_run_lines(answer: Mapping[str, Any]) -> Iterator[str]:
    """Yield what an order would give and cost; amounts are minor units."""
    yield f"About {answer['people']} people would be in scope."
    yield from left_out(answer)
    yield from filter(None, [answer["match"]])
    error = dict(answer["expected_error"])
    useless = "" if error.pop("useful", True) else " (too much to be of use)"
    more, needs = error.pop("more", ()), error.pop("needs", {})
    yield f"Expected error: {_listed(error)}{useless}"
    yield from (f"Expected error: {_listed(one)}" for one in more)
    if needs:
        yield f"Any one of these would do: {_listed(needs)}"
    yield from price_lines(answer["items"], answer["price"], answer["currency"])


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def left_out(answer: Mapping[str, Any]) -> Iterator[str]:
    """Say how many are left out for each reason, and who holds data on another build only."""
    reasons = ", ".join(f"{why} {people}" for why, people in answer["left_out"].items())
    if reasons:
        yield f"Left out, by reason: {reasons}"
    for build, people in answer["other_builds"].items():
        yield f"About {people} people hold data in {build} only: not included."


def price_lines(items: Sequence[Mapping[str, Any]], total: int, currency: str) -> list[str]:
    """Return the items of a price and their sum."""
    named = {_item(one, currency): money(one["amount"], currency) for one in items}
    return pairs({**named, "Price": money(total, currency)})


def _item(one: Mapping[str, Any], currency: str) -> str:
    if one["kind"] == "platform":
        return f"Platform, {one['percent']} % of the data"
    if one["kind"] != "data":
        return _ITEMS.get(str(one["kind"]), str(one["kind"]))
    each = f"{money(one['unit'], currency)} x rate {one['rate']}"
    return f"{one['modality']}: {one['people_priced']} people x {one.get('weight', 1)} x {each}"


def order_lines(status: Mapping[str, Any]) -> Iterator[str]:
    """Yield where an order stands, what was paid and went back, and what happened."""
    price = money(status["amount"], status["currency"])
    yield f"Order [bold]{standing(status)}[/], {price}, placed {when(status['created_at'])}"
    told = {
        "order": status["order"],
        "ledger entry": status["index"],
        "reason": status["why"] or status["reason"],
    }
    yield from pairs({name: value for name, value in told.items() if value is not None})
    for one in status["money"]:
        receipt = f"; receipt: {one['receipt_url']}" if one["receipt_url"] else ""
        yield f"  {when(one['at'])}  {moved(one)}{receipt}"
    for step in status["history"]:
        entry = "" if step["index"] is None else f", entry {step['index']}"
        yield f"  {when(step['at'])}  {step['event'].replace('_', ' ')}{entry}"
