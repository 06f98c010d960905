"""Signing in with a one-time link or its code, and signing out. The server never sees a key.

A link's secret is redeemed by a POST from the page, never by opening the address: mail scanners
and previews that fetch links must not use it up.
"""

from flask import Blueprint, Response, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from marketplace import accounts
from marketplace.errors import ExpiredError, UnauthenticatedError
from marketplace.web import sessions
from marketplace.web.ports import pages

HOMES = {
    "owner": "web.dashboard",
    "researcher": "web.research",
    "reviewer": "web.reviews",
    "auditor": "web.ledger",
}
MAX_CODE = 200


def add_signin_pages(made: Blueprint) -> None:
    """Add /signin, /login/<code> and /logout."""
    made.add_url_rule("/signin", "signin", signin)
    made.add_url_rule("/signin", "signin_post", signin_post, methods=["POST"])
    made.add_url_rule("/login/<code>", "login", login)
    made.add_url_rule("/logout", "logout", logout, methods=["POST"])


def signin() -> str:
    """Show the form; with JavaScript a code after # in the address is filled in and sent."""
    return render_template("web/signin.html", reason="")


def login(code: str) -> str:
    """Ask for one click before the code of a link is used."""
    return render_template("web/signin.html", reason="", code=code[:MAX_CODE])


def signin_post() -> ResponseReturnValue:
    """Redeem a code and go to the member's own page. Raises ExpiredError."""
    code = request.form.get("code", "").strip().rpartition("#")[2].rpartition("/login/")[2]
    try:
        opened = accounts.redeem_link(pages().services, code[:MAX_CODE])
    except UnauthenticatedError as error:
        raise ExpiredError(str(error)) from None
    role = accounts.authenticate(pages().services, opened.token).role
    home = url_for(HOMES.get(role, "web.home"))
    return sessions.start(_go(home), opened)


def logout() -> ResponseReturnValue:
    """End the session."""
    return sessions.end(_go(url_for("web.home")))


def _go(address: str) -> Response:
    return make_response(redirect(address, 303))
