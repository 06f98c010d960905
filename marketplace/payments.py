"""Thin adapter to Stripe: what the marketplace server asks of it, in our own values.

Rules: amounts are integers in the currency's smallest unit; every write carries the caller's
idempotency key; the API version is pinned; state is always fetched again, never inferred from the
order of events, so a webhook gives only ids; a live key is refused unless asked for. Unless payment
methods are named, Stripe offers every method switched on for the account (cards, stablecoins).
After PaymentUnavailableError repeat the call with the same key; when that keeps failing, fetch the
state before using a new key, for Stripe also replays a failure it has stored. A key a day old it
may have forgotten: look for what the call made (`find_refund`, `find_transfer`) before repeating.
Holds no state, logs nothing and never puts a key or a Stripe request in an error message.
Spec: https://docs.stripe.com/api, through the official `stripe` SDK.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import stripe

from marketplace.errors import (
    ConfigError,
    PaymentRefusedError,
    WebhookRefusedError,
)
from marketplace.payment_lists import Lists, call
from marketplace.payment_values import (
    MADE_WITH,
    AccountState,
    Checkout,
    CheckoutState,
    DisputeState,
    Payment,
    PayoutState,
    RefundState,
    TransferState,
    WebhookEvent,
    account_state_from,
    checkout_state_from,
    dispute_state_from,
    id_of,
    refund_state_from,
    transfer_state_from,
    webhook_event_from,
)

__all__ = [
    "API_VERSION",
    "AccountState",
    "Checkout",
    "CheckoutOptions",
    "CheckoutState",
    "DisputeState",
    "Payment",
    "Payments",
    "PayoutState",
    "RefundState",
    "TransferState",
    "WebhookEvent",
]

API_VERSION = "2026-10-28.endive"
WEBHOOK_TOLERANCE_SECONDS = 300
TIMEOUT_SECONDS = 20.0
NETWORK_RETRIES = 2
KEYS_HOLD_MS = 20 * 3_600_000  # of the 24 hours Stripe promises

CRYPTO = "crypto"  # stablecoins; Stripe takes them for prices in US dollars
CHARGE = "payment_intent.latest_charge.balance_transaction"


@dataclass(frozen=True, slots=True)
class CheckoutOptions:
    """What every checkout page asks for.

    methods: Stripe's names, or none for all that are switched on at Stripe. tax: let Stripe Tax
    work out the tax on top, from the buyer's address and tax id. receipts: send an invoice.
    """

    methods: tuple[str, ...] = ()
    tax: bool = False
    tax_code: str | None = None
    receipts: bool = False

    def fields(self, currency: str) -> dict[str, Any]:
        """Return these wishes as parameters of a Checkout Session."""
        found: dict[str, Any] = {}
        methods = [one for one in self.methods if one != CRYPTO or currency == "usd"]
        if methods:
            found["payment_method_types"] = methods
        if self.tax:
            found |= {"automatic_tax": {"enabled": True}, "billing_address_collection": "required"}
            found["tax_id_collection"] = {"enabled": True}
        if self.receipts:
            found["invoice_creation"] = {"enabled": True}
        return found

    def price(self, name: str, amount: int, currency: str) -> dict[str, Any]:
        """Return one line of a session."""
        product: dict[str, Any] = {"name": name}
        price: dict[str, Any] = {"currency": currency, "unit_amount": amount}
        if self.tax:
            price["tax_behavior"] = "exclusive"
            product |= {"tax_code": self.tax_code} if self.tax_code else {}
        return {"quantity": 1, "price_data": {**price, "product_data": product}}


class Payments(Lists):
    """Stripe for one marketplace. `base_url` None means Stripe itself."""

    def __init__(
        self,
        api_key: str,
        *,
        base_url: str | None,
        webhook_secret: str,
        success_url: str,
        cancel_url: str,
        allow_live: bool = False,
        network_retries: int = NETWORK_RETRIES,
        options: CheckoutOptions | None = None,
        http: stripe.HTTPClient | None = None,
    ) -> None:
        _check_keys(api_key, webhook_secret, base_url, allow_live=allow_live)
        self.is_live = api_key.startswith(("sk_live_", "rk_live_"))
        self._secret = webhook_secret
        self._success_url, self._cancel_url = success_url, cancel_url
        self._options = options or CheckoutOptions()
        self.adds_tax = self._options.tax
        self._v1 = _client(api_key, base_url, network_retries, http).v1

    def create_checkout(
        self, order_id: str, amount: int, currency: str, description: str, idempotency_key: str,
        *, lines: Sequence[tuple[str, int]] = (),
    ) -> Checkout:  # fmt: skip
        """Open a hosted page where this order is paid. Raises the Payment errors.

        lines: (what, minor units), adding up to amount; without them `description` is the one line.
        """
        labels, currency = {"order_id": order_id}, currency.lower()
        named = [(what, part) for what, part in lines if part] or [(description, amount)]
        if sum(part for _what, part in named) != amount:
            raise PaymentRefusedError("The lines of the page do not add up to the price.")
        request: Any = {
            "mode": "payment",
            "line_items": [self._options.price(*one, currency) for one in named],
            "client_reference_id": order_id,
            "metadata": labels,
            "payment_intent_data": {
                "metadata": {**labels, "checkout": idempotency_key},
                "transfer_group": order_id,
                "description": description,
            },
            "success_url": self._success_url,
            "cancel_url": self._cancel_url,
            **self._options.fields(currency),
        }  # fmt: skip
        session = call(
            lambda: self._v1.checkout.sessions.create(request, {"idempotency_key": idempotency_key})
        )
        if session.url is None:
            raise PaymentRefusedError(f"Checkout of order {order_id} has no page; use a new key.")
        return Checkout(session.id, session.url, id_of(session.payment_intent))

    def fetch_checkout(self, session_id: str) -> CheckoutState:
        """Return a session as Stripe has it now, with the charge's fee and receipt."""
        return checkout_state_from(
            call(lambda: self._v1.checkout.sessions.retrieve(session_id, {"expand": [CHARGE]}))
        )

    def find_checkout(self, payment_intent: str) -> CheckoutState | None:
        """Return the session that made a payment, or None."""
        found = call(
            lambda: self._v1.checkout.sessions.list({"payment_intent": payment_intent, "limit": 1})
        )
        return self.fetch_checkout(found.data[0].id) if found.data else None

    def expire_checkout(self, session_id: str, idempotency_key: str) -> CheckoutState:
        """Close an open session so that it can no longer be paid; a closed one is returned as is.

        Look at the answer: a session that was paid meanwhile is `complete`, and the order is paid.
        """
        try:
            options: Any = {"idempotency_key": idempotency_key}
            call(lambda: self._v1.checkout.sessions.expire(session_id, {}, options))
        except PaymentRefusedError:
            state = self.fetch_checkout(session_id)
            if state.status == "open":
                raise
            return state
        return self.fetch_checkout(session_id)

    def refund(self, payment_intent: str, amount: int, idempotency_key: str) -> RefundState:
        """Refund part or all of a payment. Raises PaymentRefusedError beyond what is left."""
        found = call(
            lambda: self._v1.refunds.create(
                {
                    "payment_intent": payment_intent,
                    "amount": amount,
                    "metadata": {MADE_WITH: idempotency_key},
                },
                {"idempotency_key": idempotency_key},
            )
        )
        return refund_state_from(found)

    def fetch_refund(self, refund_id: str) -> RefundState:
        """Return a refund as Stripe has it now."""
        return refund_state_from(call(lambda: self._v1.refunds.retrieve(refund_id)))

    def fetch_dispute(self, dispute_id: str) -> DisputeState:
        """Return a dispute as Stripe has it now."""
        return dispute_state_from(call(lambda: self._v1.disputes.retrieve(dispute_id)))

    def create_account(self, owner_id: str, country: str, idempotency_key: str) -> AccountState:
        """Open a connected account for an owner (a pseudonymous id; Stripe asks the person)."""
        found = call(
            lambda: self._v1.accounts.create(
                {
                    "type": "express",
                    "country": country,
                    "capabilities": {"transfers": {"requested": True}},
                    "metadata": {"owner_id": owner_id},
                },
                {"idempotency_key": idempotency_key},
            )
        )
        return account_state_from(found)

    def fetch_account(self, account: str) -> AccountState:
        """Return a connected account as Stripe has it now."""
        return account_state_from(call(lambda: self._v1.accounts.retrieve(account)))

    def onboarding_link(
        self, account: str, return_url: str, refresh_url: str, idempotency_key: str
    ) -> str:
        """Return the address of Stripe's onboarding page: works once, for some minutes."""
        link = call(
            lambda: self._v1.account_links.create(
                {
                    "account": account,
                    "type": "account_onboarding",
                    "return_url": return_url,
                    "refresh_url": refresh_url,
                },
                {"idempotency_key": idempotency_key},
            )
        )
        return str(link.url)

    def transfer(
        self, account: str, amount: int, currency: str, group: str, idempotency_key: str
    ) -> TransferState:
        """Send money to a connected account; `group` names the payout period or order."""
        found = call(
            lambda: self._v1.transfers.create(
                {
                    "destination": account,
                    "amount": amount,
                    "currency": currency.lower(),
                    "transfer_group": group,
                    "metadata": {MADE_WITH: idempotency_key},
                },
                {"idempotency_key": idempotency_key},
            )
        )
        return transfer_state_from(found)

    def fetch_transfer(self, transfer_id: str) -> TransferState:
        """Return a transfer as Stripe has it now."""
        return transfer_state_from(call(lambda: self._v1.transfers.retrieve(transfer_id)))

    def reverse_transfer(
        self, transfer_id: str, amount: int, idempotency_key: str
    ) -> TransferState:
        """Take part or all of a transfer back and return the transfer as it is then."""
        call(
            lambda: self._v1.transfers.reversals.create(
                transfer_id, {"amount": amount}, {"idempotency_key": idempotency_key}
            )
        )
        return transfer_state_from(call(lambda: self._v1.transfers.retrieve(transfer_id)))

    def parse_webhook(self, raw_body: bytes, signature: str) -> WebhookEvent:
        """Verify a webhook on its raw bytes (300 s tolerance) and return what it is about.

        Raises WebhookRefusedError when the signature is forged, broken or old.
        """
        try:
            text = raw_body.decode("utf-8")
            stripe.WebhookSignature.verify_header(
                text, signature, self._secret, WEBHOOK_TOLERANCE_SECONDS
            )
            return webhook_event_from(json.loads(text))
        except stripe.SignatureVerificationError as error:
            raise WebhookRefusedError(
                "The webhook is forged or too old; nothing was done."
            ) from error
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise WebhookRefusedError("The webhook's body or header is malformed.") from error


def _check_keys(api_key: str, secret: str, base_url: str | None, *, allow_live: bool) -> None:
    live = api_key.startswith(("sk_live_", "rk_live_"))
    if not live and not api_key.startswith(("sk_test_", "rk_test_")):
        raise ConfigError("The Stripe key must start with sk_test_ (or sk_live_ when allowed).")
    if live and not allow_live:
        raise ConfigError("A live Stripe key was given, and live payments were not asked for.")
    if live and base_url is not None:
        raise ConfigError("A live Stripe key goes to Stripe itself only: remove the base URL.")
    if not secret.startswith("whsec_"):
        raise ConfigError("The webhook secret must start with whsec_.")


def _client(
    api_key: str, base_url: str | None, retries: int, http: stripe.HTTPClient | None
) -> stripe.StripeClient:
    stripe.enable_telemetry = False  # module-wide in the SDK: no platform details are sent
    # At a finer level the SDK writes whole requests to the log, and with them who is paid.
    logging.getLogger("stripe").setLevel(logging.WARNING)
    addresses: Any = {}
    if base_url is not None:
        names = ("api", "connect", "files", "meter_events")
        addresses = dict.fromkeys(names, base_url.rstrip("/"))
    return stripe.StripeClient(
        api_key,
        base_addresses=addresses,
        stripe_version=API_VERSION,
        max_network_retries=retries,
        http_client=http or stripe.RequestsClient(timeout=TIMEOUT_SECONDS),
    )
