"""Stripe for tests: our adapter through the real SDK, onto the development server in this process.

No socket is opened: the SDK's HTTP client calls the server's WSGI app, and can be told to cut the
cable before or after a call that writes. Events are taken from the server's own list and signed
as it signs them.
"""

import json
import threading
import time
from collections import Counter
from urllib.parse import urlsplit

import stripe
from werkzeug.test import Client

from marketplace.devstripe import DevStripe, create_app
from marketplace.devstripe import checkout as dev_checkout
from marketplace.devstripe import connect as dev_connect
from marketplace.devstripe import disputes as dev_disputes
from marketplace.devstripe.webhooks import signature_header
from marketplace.payments import Payments

KEY, SECRET, BASE = "sk_test_world", "whsec_world", "http://stripe.test"


class WsgiClient(stripe.HTTPClient):
    """The SDK's HTTP client over a WSGI app; fails as a cut cable on demand."""

    name = "wsgi"

    def __init__(self, app):
        super().__init__()
        self._app, self.calls = app, Counter()
        self.fail_before = self.fail_after = 0
        self.lock = threading.Lock()

    def request(self, method, url, headers, post_data=None, *, _usage=None):
        parts = urlsplit(url)
        writes = method.lower() == "post"
        with self.lock:
            self.calls[f"{method.lower()} {parts.path.removeprefix('/v1/')}"] += 1
            if writes and self.fail_before > 0:
                self.fail_before -= 1
                raise stripe.APIConnectionError("the cable is cut before")
            answer = Client(self._app).open(
                parts.path, method=method.upper(), query_string=parts.query, base_url=BASE,
                headers=dict(headers or {}), data=post_data,
            )  # fmt: skip
            if writes and self.fail_after > 0:
                self.fail_after -= 1
                raise stripe.APIConnectionError("the cable is cut after")
        return answer.get_data(as_text=True), answer.status_code, dict(answer.headers)

    def close(self):
        return


class DevPayments(Payments):
    """The adapter, with what a buyer, a bank and a payee do on the other side."""

    def __init__(self, directory, clock, *, fee_bps=0, **options):
        self.server = DevStripe(directory, clock=clock, key=KEY, fee_bps=fee_bps)
        self.wire = WsgiClient(create_app(self.server))
        self.clock = clock
        self.seen = set()
        super().__init__(
            KEY, base_url=BASE, webhook_secret=SECRET, success_url=f"{BASE}/done",
            cancel_url=f"{BASE}/back", network_retries=0, http=self.wire, **options,
        )  # fmt: skip

    def close(self):
        self.server.store.close()

    @property
    def calls(self):
        """Writes asked for so far: checkout, refund, transfer."""
        asked = self.wire.calls
        names = {"checkout": "checkout/sessions", "refund": "refunds", "transfer": "transfers"}
        return Counter({name: asked[f"post {path}"] for name, path in names.items()})

    fail_before = property(
        lambda self: self.wire.fail_before, lambda self, n: setattr(self.wire, "fail_before", n)
    )
    fail_after = property(
        lambda self: self.wire.fail_after, lambda self, n: setattr(self.wire, "fail_after", n)
    )

    # -- what the provider holds -------------------------------------------------------------

    def unit(self, account=""):
        return self.server.store.unit(self.clock(), account)

    def all(self, kind):
        with self.unit() as unit:
            return unit.where(kind, {}, 1_000_000)

    @property
    def sessions(self):
        return {one["id"]: self.fetch_checkout(one["id"]) for one in self.all("checkout.session")}

    @property
    def refunds(self):
        return {one["id"]: self.fetch_refund(one["id"]) for one in self.all("refund")}

    # -- what others do ----------------------------------------------------------------------

    def pay(self, session_id, amount=None, card="4242424242424242"):
        """Pay as a buyer would, and return the event's raw body and signature."""
        with self.unit() as unit:
            if amount is not None:
                session = unit.get("checkout.session", session_id)
                session["amount_total"] = session["amount_subtotal"] = amount
                unit.save(session)
            fault = dev_checkout.pay(unit, session_id, card)
            assert fault is None, fault
        return self.event("checkout.session.completed", session_id)

    def set_tax(self, percent):
        with self.unit() as unit:
            unit.set("tax_percent", percent)

    def expire(self, session_id):
        with self.unit() as unit:
            dev_checkout.expire(unit, None, session_id)
        return self.event("checkout.session.expired", session_id)

    def charge_of(self, session_id):
        with self.unit() as unit:
            intent = unit.get("checkout.session", session_id)["payment_intent"]
            return unit.get("charge", unit.get("payment_intent", intent)["latest_charge"])

    def dispute(self, session_id, reason="fraudulent"):
        """Open a dispute as the buyer's bank would; return its id."""
        charge = self.charge_of(session_id)
        with self.unit() as unit:
            return dev_disputes.open_dispute(unit, charge, reason)["id"]

    def decide(self, dispute_id, outcome):
        with self.unit() as unit:
            dev_disputes.decide(unit, unit.get("dispute", dispute_id), outcome)

    def onboard(self, account):
        with self.unit() as unit:
            dev_connect.onboard(unit, account)

    def restrict(self, account):
        with self.unit() as unit:
            dev_connect.restrict(unit, account)

    # -- events ------------------------------------------------------------------------------

    def event_of_account(self, account):
        return self.event("account.updated", account)

    def event(self, kind, object_id, event_id=None):
        """Return the newest event of a kind about an object, signed; another id if one is given."""
        with self.server.store.unit(self.clock()) as unit:
            # +kind: newest first by row, not every event there is by the index of kinds.
            row = unit.db.execute(
                "SELECT body FROM object WHERE +kind = 'event' AND json_extract(body, '$.type') = ?"
                " AND json_extract(body, '$.data.object.id') = ? ORDER BY seq DESC LIMIT 1",
                (kind, object_id),
            ).fetchone()
            about = unit.find(object_id)
        # One that was never sent tells a lie, signed: it must not be believed either.
        lie = {"id": "evt_lie", "object": "event", "type": kind, "data": {"object": about}}
        body = json.loads(row[0]) if row else lie
        # Asked for again, it is another event about the same thing, as another retry may be.
        again = body["id"] in self.seen
        self.seen.add(body["id"])
        if event_id or again:
            body["id"] = event_id or f"evt_{len(self.seen)}_{time.monotonic_ns()}"
        return self.signed(body)

    def signed(self, body):
        raw = json.dumps(body).encode()
        return raw, signature_header(SECRET, raw, int(time.time()))

    def events(self):
        """Return every event there is, oldest first, each as (raw, signature)."""
        with self.server.store.unit(self.clock()) as unit:
            rows = unit.db.execute(
                "SELECT body FROM object WHERE kind = 'event' ORDER BY seq"
            ).fetchall()
        return [self.signed(json.loads(row[0])) for row in rows]
