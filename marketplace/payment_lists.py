"""Stripe's lists and balance, for reconciliation; and the one way a Stripe call is made.

Each list is whole (every page is fetched), newest first. Spec: https://docs.stripe.com/api/pagination.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import islice
from typing import Any, TypeVar

import stripe

from marketplace.errors import PaymentRefusedError, PaymentUnavailableError
from marketplace.payment_values import (
    DisputeState,
    Payment,
    PayoutState,
    RefundState,
    TransferState,
    dispute_state_from,
    payment_from,
    refund_state_from,
    transfer_state_from,
)

_Answer = TypeVar("_Answer")


class Lists:
    """What the provider has, as whole lists."""

    _v1: Any

    def disputes_since(self, since: datetime) -> list[DisputeState]:
        """Return every dispute opened since a time, newest first."""
        query: Any = {"created": {"gte": int(since.timestamp())}, "limit": 100}
        return call(
            lambda: [
                dispute_state_from(found)
                for found in self._v1.disputes.list(query).auto_paging_iter()
            ]
        )

    def list_disputes(self, payment_intent: str) -> list[DisputeState]:
        """Return every dispute about a payment, newest first."""
        query: Any = {"payment_intent": payment_intent, "limit": 100}
        return call(
            lambda: [
                dispute_state_from(found)
                for found in self._v1.disputes.list(query).auto_paging_iter()
            ]
        )

    def refunds_since(self, since: datetime) -> list[RefundState]:
        """Return every refund made since a time, newest first."""
        query: Any = {"created": {"gte": int(since.timestamp())}, "limit": 100}
        return call(
            lambda: [
                refund_state_from(found)
                for found in self._v1.refunds.list(query).auto_paging_iter()
            ]
        )

    def transfers_since(self, since: datetime) -> list[TransferState]:
        """Return every transfer made since a time, newest first."""
        query: Any = {"created": {"gte": int(since.timestamp())}, "limit": 100}
        return call(
            lambda: [
                transfer_state_from(found)
                for found in self._v1.transfers.list(query).auto_paging_iter()
            ]
        )

    def payouts_since(self, since: datetime) -> list[PayoutState]:
        """Return what Stripe paid out to our own bank since a time, newest first."""
        query: Any = {"created": {"gte": int(since.timestamp())}, "limit": 100}
        return call(
            lambda: [
                PayoutState(found.id, str(found.status), found.amount, found.currency)
                for found in self._v1.payouts.list(query).auto_paging_iter()
            ]
        )

    def balances(self) -> dict[str, int]:
        """Return our balance at Stripe by currency, available and pending together."""
        found, totals = call(self._v1.balance.retrieve), dict[str, int]()
        for part in (*found.available, *found.pending):
            totals[part.currency] = totals.get(part.currency, 0) + part.amount
        return totals

    def list_refunds(self, payment_intent: str) -> list[RefundState]:
        """Return every refund of a payment, newest first."""
        return call(
            lambda: [
                refund_state_from(found)
                for found in self._v1.refunds.list(
                    {"payment_intent": payment_intent, "limit": 100}
                ).auto_paging_iter()
            ]
        )

    def list_transfers(self, group: str) -> list[TransferState]:
        """Return every transfer of a group, newest first."""
        return call(
            lambda: [
                transfer_state_from(found)
                for found in self._v1.transfers.list(
                    {"transfer_group": group, "limit": 100}
                ).auto_paging_iter()
            ]
        )

    def find_refund(self, payment_intent: str, key: str) -> RefundState | None:
        """Return the refund of a payment that was made with an idempotency key, or None."""
        return next((one for one in self.list_refunds(payment_intent) if one.key == key), None)

    def find_transfer(self, account: str, group: str, key: str) -> TransferState | None:
        """Return a group's transfer to an account made with an idempotency key, or None."""
        query: Any = {"destination": account, "transfer_group": group, "limit": 100}
        return call(
            lambda: next(
                (
                    state
                    for found in self._v1.transfers.list(query).auto_paging_iter()
                    if (state := transfer_state_from(found)).key == key
                ),
                None,
            )
        )

    def list_payments(self, since: datetime) -> list[Payment]:
        """Return every succeeded charge since a time, newest first, for reconciliation."""
        created = {"gte": int(since.timestamp())}
        return call(lambda: list(self._payments({"created": created})))

    def paid_between(self, first: int, last: int, after: str | None, most: int) -> list[Payment]:
        """Return charges that succeeded in these seconds (Unix), with fees; at most about `most`.

        after: a charge; only younger ones, the oldest first. Without it the newest come first.
        """
        query: dict[str, Any] = {"created": {"gte": first, "lte": last}}
        query |= {"ending_before": after} if after is not None else {}
        query["expand"] = ["data.balance_transaction"]
        return call(lambda: list(islice(self._payments(query), most)))

    def _payments(self, query: dict[str, Any]) -> Iterator[Payment]:
        page = self._v1.charges.list({**query, "limit": 100})
        for charge in page.auto_paging_iter():
            if charge.status == "succeeded" and charge.captured:
                yield payment_from(charge)


def call(ask: Callable[[], _Answer]) -> _Answer:
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
