"""Every kind of answer has what the installed SDK's own types promise, with values of those types."""

import builtins
import importlib
import inspect
import pkgutil
import types
import typing
from typing import Any, Literal, Union, get_args, get_origin

import pytest
import stripe
from stripe._stripe_object import StripeObject

KINDS = {
    "payment_intent": "PaymentIntent", "charge": "Charge", "refund": "Refund", "dispute": "Dispute",
    "balance_transaction": "BalanceTransaction", "customer": "Customer", "account": "Account",
    "transfer": "Transfer", "payout": "Payout", "event": "Event", "payment_method": "PaymentMethod",
    "webhook_endpoint": "WebhookEndpoint", "transfer_reversal": "TransferReversal", "balance": "Balance",
    "account_link": "AccountLink",
}  # fmt: skip


class Names(dict):
    """Names under TYPE_CHECKING that nothing defines at run time count as Any."""

    def __missing__(self, _name):
        return Any


@pytest.fixture(scope="session")
def names():
    """Every class of the SDK by name, for resolving its forward references."""
    found: dict[str, Any] = {**vars(builtins), **vars(typing)}
    modules = [stripe, *(importlib.import_module(f"stripe.{folder}") for folder in ("checkout",))]
    for package in modules:
        for info in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
            if "service" in info.name or info.name.rpartition(".")[2].lstrip("_") in (
                "http_client",
            ):
                continue
            if info.name.rpartition(".")[2].startswith("_"):
                module = importlib.import_module(info.name)
                for name, value in vars(module).items():
                    if isinstance(value, type) or get_origin(value):
                        found.setdefault(name, value)
    return found


def problems(value, hint, names, path):
    """Say every way a JSON value differs from a type hint of the SDK."""
    origin, parts = get_origin(hint), get_args(hint)
    if hint is Any or isinstance(hint, (str, typing.TypeVar)):
        return []
    if origin in (Union, types.UnionType):
        tried = [problems(value, part, names, path) for part in parts]
        return [] if any(not found for found in tried) else min(tried, key=len)
    if origin is Literal:
        return [] if value in parts else [f"{path}: {value!r} not in {parts}"]
    if origin in (list, typing.List):  # noqa: UP006
        if not isinstance(value, list):
            return [f"{path}: not a list"]
        return [
            p
            for i, item in enumerate(value)
            for p in problems(item, parts[0], names, f"{path}[{i}]")
        ]
    cls = origin or hint
    if cls is types.NoneType:
        return [] if value is None else [f"{path}: not null"]
    if isinstance(cls, type) and issubclass(cls, StripeObject):
        return object_problems(value, cls, names, path)
    if cls is int and isinstance(value, bool):
        return [f"{path}: bool for int"]
    if isinstance(cls, type) and cls is not dict:
        return [] if isinstance(value, cls) else [f"{path}: {value!r} is not {cls.__name__}"]
    return []


def object_problems(value, cls, names, path):
    if not isinstance(value, dict):
        return [f"{path}: {value!r} is not an object {cls.__name__}"]
    if cls is StripeObject or cls.__name__ in ("UntypedStripeObject", "ListObject"):
        return []
    module = vars(importlib.import_module(cls.__module__))
    inner = {
        n: v for base in reversed(cls.__mro__) for n, v in vars(base).items() if isinstance(v, type)
    }
    scope = Names({**names, **module, **inner})
    found = []
    for name, text in inspect.get_annotations(cls).items():
        if name.startswith("_") or "ClassVar" in str(text):
            continue
        hint = typing.get_type_hints(_holder(name, text), globalns=module, localns=scope)[name]
        if name not in value:
            if type(None) not in get_args(hint) and name not in ("deleted",):
                found.append(f"{path}.{name}: missing")
            continue
        found += problems(value[name], hint, names, f"{path}.{name}")
    return found


def _holder(name, text):
    holder = type("Holder", (), {})
    holder.__annotations__ = {name: text}
    return holder


def samples(dev):
    """One answer of every kind, plain and after everything that changes it."""
    v1 = dev.v1
    price = {"currency": "gbp", "unit_amount": 900, "product_data": {"name": "x"}}
    session = v1.checkout.sessions.create(
        {
            "mode": "payment",
            "line_items": [{"price_data": price, "quantity": 1}],
            "success_url": "http://x.example",
            "customer_email": "a@b.example",
        }
    )
    yield session
    dev.dev(f"checkout/{session.id}/pay")
    yield v1.checkout.sessions.retrieve(session.id)
    yield from v1.checkout.sessions.line_items.list(session.id).data
    yield from taxed_and_by_wallet(dev)
    declined = v1.payment_intents.create({"amount": 900, "currency": "gbp"})
    with pytest.raises(stripe.CardError):
        v1.payment_intents.confirm(declined.id, {"payment_method": "pm_card_chargeDeclined"})
    disputed = v1.payment_intents.create(
        {
            "amount": 900,
            "currency": "gbp",
            "confirm": True,
            "payment_method": "pm_card_createDispute",
        }
    )
    yield v1.payment_methods.retrieve(disputed.payment_method)
    v1.refunds.create(
        {"payment_intent": v1.checkout.sessions.retrieve(session.id).payment_intent, "amount": 100}
    )
    account = v1.accounts.create({"type": "express", "country": "GB"})
    yield v1.account_links.create(
        {
            "account": account.id,
            "type": "account_onboarding",
            "return_url": "http://x.example",
            "refresh_url": "http://x.example",
        }
    )
    yield account
    dev.dev(f"accounts/{account.id}/onboard")
    transfer = v1.transfers.create({"amount": 500, "currency": "gbp", "destination": account.id})
    yield v1.transfers.reversals.create(transfer.id, {"amount": 100})
    yield v1.payouts.create({"amount": 100, "currency": "gbp"}, {"stripe_account": account.id})
    yield from v1.charges.list(None, {"stripe_account": account.id}).data
    yield from v1.balance_transactions.list(None, {"stripe_account": account.id}).data
    v1.customers.create({"email": "a@b.example"})
    yield v1.balance.retrieve()
    for service in (
        v1.payment_intents,
        v1.charges,
        v1.refunds,
        v1.disputes,
        v1.balance_transactions,
        v1.customers,
        v1.accounts,
        v1.transfers,
        v1.events,
        v1.webhook_endpoints,
    ):
        yield from service.list({"limit": 100}).data


def taxed_and_by_wallet(dev):
    """A session in dollars with tax on top and an invoice, paid from a stablecoin wallet."""
    price = {"currency": "usd", "unit_amount": 900, "tax_behavior": "exclusive"}
    price["product_data"] = {"name": "x", "tax_code": "txcd_10000000"}
    session = dev.v1.checkout.sessions.create(
        {
            "mode": "payment",
            "line_items": [{"price_data": price, "quantity": 1}],
            "success_url": "http://x.example",
            "automatic_tax": {"enabled": True},
            "tax_id_collection": {"enabled": True},
            "invoice_creation": {"enabled": True},
            "payment_method_types": ["card", "crypto"],
        }
    )
    dev.dev(f"checkout/{session.id}/pay", card="usdc")
    paid = dev.v1.checkout.sessions.retrieve(session.id, {"expand": ["payment_intent"]})
    assert paid.payment_status == "paid"
    yield dev.v1.checkout.sessions.retrieve(session.id)
    yield dev.v1.payment_methods.retrieve(paid.payment_intent.payment_method)
    dev.v1.refunds.create({"payment_intent": paid.payment_intent.id, "amount": 100})


def test_a_stablecoin_pays_dollars_only(fresh):
    price = {"currency": "gbp", "unit_amount": 900, "product_data": {"name": "x"}}
    wanted = {"mode": "payment", "line_items": [{"price_data": price, "quantity": 1}],
              "success_url": "http://x.example", "payment_method_types": ["crypto"]}  # fmt: skip
    with pytest.raises(stripe.InvalidRequestError, match="not available for gbp"):
        fresh.v1.checkout.sessions.create(wanted)


def test_every_answer_parses_into_the_sdks_types(fresh, names):
    seen, wrong = set(), []
    for answer in samples(fresh):
        body = answer.to_dict()
        kind = body["object"]
        assert body["livemode"] is False
        seen.add(kind)
        cls = {"checkout.session": stripe.checkout.Session, "item": stripe.LineItem}.get(
            kind
        ) or getattr(stripe, KINDS[kind])
        assert isinstance(answer, cls)
        wrong += object_problems(body, cls, names, kind)
    assert sorted(set(wrong)) == []
    assert seen == {*KINDS, "checkout.session", "item"}


def test_the_check_itself_finds_faults(names):
    good = {"id": "re_1", "amount": 1, "created": 1, "currency": "usd", "object": "refund"}
    assert object_problems(good, stripe.Refund, names, "refund") == []
    assert object_problems({**good, "amount": "1"}, stripe.Refund, names, "refund")
    assert object_problems(
        {k: v for k, v in good.items() if k != "amount"}, stripe.Refund, names, "refund"
    )
    assert object_problems({**good, "object": "charge"}, stripe.Refund, names, "refund")


def test_every_event_type_we_send_is_one_the_sdk_knows(fresh, names):
    known = set(
        get_args(
            typing.get_type_hints(
                _holder("type", stripe.Event.__annotations__["type"]),
                vars(importlib.import_module("stripe._event")),
                Names(names),
            )["type"]
        )
    )
    sent = {
        event.type
        for answer in [list(samples(fresh))]
        for event in fresh.v1.events.list({"limit": 100}).data
        if answer
    }
    assert len(sent) > 10
    assert sent <= known
