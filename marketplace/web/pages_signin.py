"""Signing in with a passkey, a one-time link or its code, and signing out; no key comes here.

A link's secret is redeemed by a POST from the page, never by opening the address: mail scanners
and previews that fetch links must not use it up.
"""

from flask import (
    Blueprint,
    Response,
    jsonify,
    make_response,
    redirect,
    render_template,
    request,
    url_for,
)
from flask.typing import ResponseReturnValue

from marketplace import accounts, passkeys
from marketplace.accounts import Opened
from marketplace.errors import ExpiredError, InputError, UnauthenticatedError
from marketplace.texts import say_made
from marketplace.web import sessions
from marketplace.web.ports import pages

HOMES = {
    "owner": "web.dashboard",
    "researcher": "web.research",
    "reviewer": "web.reviews",
    "auditor": "web.ledger",
    "operator": "web.operator",
}
MAX_CODE = 200


def add_signin_pages(made: Blueprint) -> None:
    """Add /signin, /login/<code> and /logout."""
    made.add_url_rule("/signin", "signin", signin)
    made.add_url_rule("/signin", "signin_post", signin_post, methods=["POST"])
    made.add_url_rule("/login/<code>", "login", login)
    made.add_url_rule(
        "/signin/passkey/options", "passkey_options", passkey_options, methods=["POST"]
    )
    made.add_url_rule("/signin/passkey", "passkey_answer", passkey_answer, methods=["POST"])
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
    return sessions.start(_go(_home(opened)), opened)


def passkey_options() -> Response:
    """Give a browser what it needs to ask for a passkey: a fresh random challenge."""
    return jsonify(passkeys.request_options(pages().services))


def passkey_answer() -> Response:
    """Sign in with a passkey's answer; say where to go. Raises UnauthenticatedError."""
    credential = request.get_json(silent=True)
    if not isinstance(credential, dict):
        raise InputError("send the passkey's answer as a JSON object")
    try:
        opened = passkeys.sign_in(pages().services, credential)
    except UnauthenticatedError as error:
        return make_response(jsonify({"detail": say_made(str(error))}), 401)
    return sessions.start(make_response(jsonify({"go": _home(opened)})), opened)


def _home(opened: Opened) -> str:
    role = accounts.authenticate(pages().services, opened.token).role
    return url_for(HOMES.get(role, "web.home"))


def logout() -> ResponseReturnValue:
    """End the session, and everywhere else too where that is asked for."""
    return sessions.end(_go(url_for("web.home")), everywhere="everywhere" in request.form)


def _go(address: str) -> Response:
    return make_response(redirect(address, 303))
