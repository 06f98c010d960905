"""Thin adapter to Stripe: what the marketplace server asks of it, in our own values.

Rules: amounts are integers in the currency's smallest unit; every write carries the caller's
idempotency key; the API version is pinned; state is always fetched again, never inferred from the
order of events, so a webhook gives only ids; a live key is refused unless asked for. No payment
method is named, so Stripe offers every method switched on for the account (cards, stablecoins).
After PaymentUnavailableError repeat the call with the same key; when that keeps failing, fetch the
state before using a new key, for Stripe also replays a failure it has stored. Holds no
state, logs nothing and never puts a key or a Stripe request in an error message.
Spec: https://docs.stripe.com/api, through the official `stripe` SDK.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, TypeVar

import stripe

from marketplace.errors import (
    ConfigError,
    PaymentRefusedError,
    PaymentUnavailableError,
    WebhookRefusedError,
)
from marketplace.payment_values import (
    AccountState,
    Checkout,
    CheckoutState,
    DisputeState,
    Payment,
    RefundState,
    TransferState,
    WebhookEvent,
    account_state_from,
    checkout_state_from,
    id_of,
    payment_from,
    refund_state_from,
    transfer_state_from,
    webhook_event_from,
)

__all__ = [
    "API_VERSION",
    "AccountState",
    "Checkout",
    "CheckoutState",
    "DisputeState",
    "Payment",
    "Payments",
    "RefundState",
    "TransferState",
    "WebhookEvent",
]

API_VERSION = "2026-10-28.endive"
WEBHOOK_TOLERANCE_SECONDS = 300
TIMEOUT_SECONDS = 20.0
NETWORK_RETRIES = 2

_Answer = TypeVar("_Answer")


class Payments:
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
    ) -> None:
        _check_keys(api_key, webhook_secret, base_url, allow_live=allow_live)
        self.is_live = api_key.startswith(("sk_live_", "rk_live_"))
        self._secret = webhook_secret
        self._success_url, self._cancel_url = success_url, cancel_url
        self._v1 = _client(api_key, base_url, network_retries).v1

    def create_checkout(
        self, order_id: str, amount: int, currency: str, description: str, idempotency_key: str
    ) -> Checkout:
        """Open a hosted page where this order is paid. Raises the Payment errors."""
        labels = {"order_id": order_id}
        price: Any = {
            "currency": currency.lower(),
            "unit_amount": amount,
            "product_data": {"name": description},
        }
        session = _call(
            lambda: self._v1.checkout.sessions.create(
                {
                    "mode": "payment",
                    "line_items": [{"quantity": 1, "price_data": price}],
                    "client_reference_id": order_id,
                    "metadata": labels,
                    "payment_intent_data": {"metadata": labels, "transfer_group": order_id},
                    "success_url": self._success_url,
                    "cancel_url": self._cancel_url,
                },
                {"idempotency_key": idempotency_key},
            )
        )
        if session.url is None:
            raise PaymentRefusedError(f"Checkout of order {order_id} has no page; use a new key.")
        return Checkout(session.id, session.url, id_of(session.payment_intent))

    def fetch_checkout(self, session_id: str) -> CheckoutState:
        """Return a session as Stripe has it now."""
        return checkout_state_from(_call(lambda: self._v1.checkout.sessions.retrieve(session_id)))

    def expire_checkout(self, session_id: str, idempotency_key: str) -> CheckoutState:
        """Close an open session so that it can no longer be paid; a closed one is returned as is.

        Look at the answer: a session that was paid meanwhile is `complete`, and the order is paid.
        """
        try:
            options: Any = {"idempotency_key": idempotency_key}
            _call(lambda: self._v1.checkout.sessions.expire(session_id, {}, options))
        except PaymentRefusedError:
            state = self.fetch_checkout(session_id)
            if state.status == "open":
                raise
            return state
        return self.fetch_checkout(session_id)

    def refund(self, payment_intent: str, amount: int, idempotency_key: str) -> RefundState:
        """Refund part or all of a payment. Raises PaymentRefusedError beyond what is left."""
        found = _call(
            lambda: self._v1.refunds.create(
                {"payment_intent": payment_intent, "amount": amount},
                {"idempotency_key": idempotency_key},
            )
        )
        return refund_state_from(found)

    def fetch_refund(self, refund_id: str) -> RefundState:
        """Return a refund as Stripe has it now."""
        return refund_state_from(_call(lambda: self._v1.refunds.retrieve(refund_id)))

    def list_refunds(self, payment_intent: str) -> list[RefundState]:
        """Return every refund of a payment, newest first."""
        return _call(
            lambda: [
                refund_state_from(found)
                for found in self._v1.refunds.list(
                    {"payment_intent": payment_intent, "limit": 100}
                ).auto_paging_iter()
            ]
        )

    def fetch_dispute(self, dispute_id: str) -> DisputeState:
        """Return a dispute as Stripe has it now."""
        found = _call(lambda: self._v1.disputes.retrieve(dispute_id))
        intent = id_of(found.payment_intent)
        return DisputeState(found.id, str(found.status), found.amount, found.currency, intent)

    def create_account(self, owner_id: str, country: str, idempotency_key: str) -> AccountState:
        """Open a connected account for an owner (a pseudonymous id; Stripe asks the person)."""
        found = _call(
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
        return account_state_from(_call(lambda: self._v1.accounts.retrieve(account)))

    def onboarding_link(
        self, account: str, return_url: str, refresh_url: str, idempotency_key: str
    ) -> str:
        """Return the address of Stripe's onboarding page: works once, for some minutes."""
        link = _call(
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
        return link.url

    def transfer(
        self, account: str, amount: int, currency: str, group: str, idempotency_key: str
    ) -> TransferState:
        """Send money to a connected account; `group` names the payout period or order."""
        found = _call(
            lambda: self._v1.transfers.create(
                {
                    "destination": account,
                    "amount": amount,
                    "currency": currency.lower(),
                    "transfer_group": group,
                },
                {"idempotency_key": idempotency_key},
            )
        )
        return transfer_state_from(found)

    def reverse_transfer(
        self, transfer_id: str, amount: int, idempotency_key: str
    ) -> TransferState:
        """Take part or all of a transfer back and return the transfer as it is then."""
        _call(
            lambda: self._v1.transfers.reversals.create(
                transfer_id, {"amount": amount}, {"idempotency_key": idempotency_key}
            )
        )
        return transfer_state_from(_call(lambda: self._v1.transfers.retrieve(transfer_id)))

    def list_transfers(self, group: str) -> list[TransferState]:
        """Return every transfer of a group, newest first."""
        return _call(
            lambda: [
                transfer_state_from(found)
                for found in self._v1.transfers.list(
                    {"transfer_group": group, "limit": 100}
                ).auto_paging_iter()
            ]
        )

    def list_payments(self, since: datetime) -> list[Payment]:
        """Return every succeeded charge since a time, newest first, for reconciliation."""
        stamp = int(since.timestamp())
        return _call(lambda: list(self._payments(stamp)))

    def _payments(self, stamp: int) -> Iterator[Payment]:
        page = self._v1.charges.list({"created": {"gte": stamp}, "limit": 100})
        for charge in page.auto_paging_iter():
            if charge.status == "succeeded" and charge.captured:
                yield payment_from(charge)

    def parse_webhook(self, raw_body: bytes, signature: str) -> WebhookEvent:
        """Verify a webhook on its raw bytes (300 s tolerance) and return what it is about.

        Raises WebhookRefusedError when the signature is forged, broken or old.
        """
        try:
            text = raw_body.decode("utf-8")
            event = stripe.Webhook.construct_event(
                text, signature, self._secret, WEBHOOK_TOLERANCE_SECONDS
            )
            return webhook_event_from(event.to_dict())
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


def _client(api_key: str, base_url: str | None, retries: int) -> stripe.StripeClient:
    stripe.enable_telemetry = False  # module-wide in the SDK: no platform details are sent
    addresses: Any = {}
    if base_url is not None:
        names = ("api", "connect", "files", "meter_events")
        addresses = dict.fromkeys(names, base_url.rstrip("/"))
    return stripe.StripeClient(
        api_key,
        base_addresses=addresses,
        stripe_version=API_VERSION,
        max_network_retries=retries,
        http_client=stripe.RequestsClient(timeout=TIMEOUT_SECONDS),
    )


def _call(ask: Callable[[], _Answer]) -> _Answer:
    """Run one Stripe call; turn its errors into ours, Stripe's code kept, its request left out."""
    try:
        return ask()
    except (stripe.APIConnectionError, stripe.RateLimitError) as error:
        raise PaymentUnavailableError("Stripe did not answer; the call may be repeated.") from error
    except (stripe.AuthenticationError, stripe.PermissionError) as error:
        raise PaymentUnavailableError("Stripe did not accept our key; check it.") from error
    except (stripe.CardError, stripe.InvalidRequestError, stripe.IdempotencyError) as error:
        code = error.code or type(error).__name__
        raise PaymentRefusedError(f"Stripe refused ({code}); do not repeat this call.") from error
    except stripe.StripeError as error:
        raise PaymentUnavailableError("Stripe failed; the call may be repeated.") from error
