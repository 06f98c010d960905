"""Hosted pages: pay a session, onboard an account. Plain forms, no script, marked TEST MONEY.

Anyone who has a session's link may open it, as at Stripe; the pages never show a key, and only
test cards are taken.
"""

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flask import Blueprint, Response, redirect, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from marketplace.devstripe import checkout, connect
from marketplace.devstripe.errors import StripeFault
from marketplace.devstripe.money import show
from marketplace.devstripe.store import Json

if TYPE_CHECKING:
    from marketplace.devstripe.app import DevStripe

CHOICES = (
    ("4242424242424242", "4242 4242 4242 4242", "is paid"),
    ("4000000000000002", "4000 0000 0000 0002", "is declined"),
    ("4000000000000259", "4000 0000 0000 0259", "is paid, then disputed"),
)


def blueprint(server: "DevStripe") -> Blueprint:
    """Return the pages' routes."""
    pages = Blueprint("pages", __name__, template_folder="templates")

    @pages.errorhandler(StripeFault)
    def refused(fault: StripeFault) -> Response:
        return _page("message.html", fault.status, title="Not possible", text=str(fault))

    @pages.get("/")
    def home() -> Response:
        return _page(
            "message.html", title="Development Stripe", text="This server holds test money only."
        )

    @pages.get("/healthz")
    def health() -> tuple[dict[str, bool], int]:
        alive = server.deliverer.is_alive()
        return {"ok": alive, "livemode": False}, 200 if alive else 503

    _add_payment(pages, server)
    _add_onboarding(pages, server)
    return pages


def _add_payment(pages: Blueprint, server: "DevStripe") -> None:
    """Add where a session is paid or left, and its receipt."""

    @pages.get("/pay/<session_id>")
    def show_session(session_id: str) -> Response:
        with server.store.unit(server.clock()) as unit:
            return _session_page(checkout.get(unit, session_id))

    @pages.post("/pay/<session_id>")
    def pay_session(session_id: str) -> AnyResponse:
        if request.form.get("action") == "cancel":
            with server.store.unit(server.clock()) as unit:
                return _leave(checkout.get(unit, session_id), paid=False)
        number, email = request.form.get("card", ""), request.form.get("email") or None
        base = {"base": request.url_root.rstrip("/")}
        with server.store.unit(server.clock(), request=base) as unit:
            fault = checkout.pay(unit, session_id, number, email)
            session = checkout.get(unit, session_id)
        if fault is not None:
            return _session_page(session, str(fault), 402)
        return _leave(session, paid=True)

    @pages.get("/receipts/<intent_id>")
    def receipt(intent_id: str) -> Response:
        with server.store.unit(server.clock()) as unit:
            intent = unit.get("payment_intent", intent_id)
        total = show(intent["amount_received"], intent["currency"])
        return _page("message.html", title="Receipt", text=f"{total} received (TEST MONEY).")


def _add_onboarding(pages: Blueprint, server: "DevStripe") -> None:
    """Add where a connected account is onboarded."""

    @pages.get("/connect/<link_id>")
    def show_link(link_id: str) -> AnyResponse:
        with server.store.unit(server.clock()) as unit:
            found, usable = connect.link(unit, link_id)
        if not usable:
            return redirect(found["refresh_url"], 303)
        return _page("connect.html", hosts=[found["return_url"]], account=found["account"])

    @pages.post("/connect/<link_id>")
    def use_link(link_id: str) -> AnyResponse:
        with server.store.unit(server.clock()) as unit:
            found = connect.use_link(unit, link_id)
        return redirect(found["return_url"], 303)


def _session_page(session: Json, error: str | None = None, status: int = 200) -> Response:
    if session["status"] != "open":
        text = {"complete": "This session is paid.", "expired": "This session has expired."}
        return _page("message.html", title="Nothing to pay", text=text[session["status"]])
    total = show(session["amount_total"], session["currency"])
    lines = [
        (item["description"], item["quantity"], show(item["amount_total"], item["currency"]))
        for item in session["_line_items"]
    ]
    wallets = (("usdc", "USDC wallet", "pays in a stablecoin"),)
    choices = CHOICES + (wallets if "crypto" in session["payment_method_types"] else ())
    hosts = [url for url in (session["success_url"], session["cancel_url"]) if url]
    return _page(
        "pay.html", status, hosts=hosts, session=session, total=total, lines=lines,
        choices=choices, error=error,
    )  # fmt: skip


def _leave(session: Json, *, paid: bool) -> AnyResponse:
    target = checkout.return_url(session, paid)
    if target is None:
        return _page(
            "message.html", title="Cancelled", text="Nothing was paid. You can close this page."
        )
    return redirect(target, 303)


def _page(
    template: str, status: int = 200, hosts: list[str] | None = None, **values: object
) -> Response:
    response = Response(render_template(template, **values), status, mimetype="text/html")
    # browsers apply form-action to the redirect after a POST too, so the way back must be named
    targets = " ".join(sorted({_origin(url) for url in hosts or []}))
    response.headers["Content-Security-Policy"] = (
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none';"
        f" frame-ancestors 'none'; form-action 'self' {targets}"
    )
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Test-Money"] = "true"
    return response


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".replace(";", "").replace(" ", "")
