"""Development Stripe server: TEST MONEY ONLY, a program of its own.

It answers the part of Stripe's HTTP API the marketplace uses (Checkout, PaymentIntents, refunds,
disputes, Connect, transfers, payouts, signed webhooks) with real state in one SQLite file, so the
whole life of an order can be run on one machine. It never talks to Stripe, never holds real money
and refuses live keys. The rest of the product must not import it: it is reached over HTTP only.
Spec: https://docs.stripe.com/api, checked in the tests against the installed `stripe` SDK's types.
"""

from marketplace.devstripe.app import DevStripe, create_app

__all__ = ["DevStripe", "create_app"]
