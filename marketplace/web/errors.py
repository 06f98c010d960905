"""Error pages a person can use: what happened, and what to do next. No stack, no value sent."""

import logging
from dataclasses import dataclass

from flask import Blueprint, Response, make_response, render_template, request
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException, NotFound

from compute import ComputeError
from ledger import LedgerError
from marketplace import door_log
from marketplace.errors import MarketError, UnauthenticatedError
from marketplace.faults import described
from marketplace.texts import mark, say, say_made

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Trouble:
    """What an error page says, as messages."""

    title: str
    text: str

    def said(self) -> "Trouble":
        """Return it in the language spoken."""
        return Trouble(say(self.title), say(self.text))


TROUBLES = {
    400: Trouble("That did not come through", "Something in the request is not right."),
    403: Trouble(
        "This page is not yours to see",
        "You are signed in, but not as the kind of member this page is for.",
    ),
    404: Trouble(
        "There is nothing here", "The address may be mistyped, or the thing is not yours to see."
    ),
    405: Trouble("That cannot be done here", "Go back and use the button on the page."),
    409: Trouble(
        "Things have moved on", "What you asked for does not fit the present state any more."
    ),
    410: Trouble(
        "This link is used up",
        "Sign-in links work once, and for five minutes. Make a new one with omic open.",
    ),
    413: Trouble("That is too large", "The page accepts less than what was sent."),
    429: Trouble(
        "A little slower, please",
        "Too many requests came from your address. Wait a minute and try again.",
    ),
    500: Trouble(
        "Something broke on our side",
        "It is our fault, not yours. It was written to our log; nothing of yours was lost.",
    ),
    503: Trouble(
        "One of our services does not answer",
        "It usually comes back within seconds. Nothing was changed; try again.",
    ),
}


def add_error_pages(made: Blueprint) -> None:
    """Give the blueprint its error pages, and unknown addresses a friendly one."""
    made.register_error_handler(UnauthenticatedError, _sign_in)
    made.register_error_handler(MarketError, _market)
    made.register_error_handler(LedgerError, _ledger)
    made.register_error_handler(ComputeError, _input)
    made.register_error_handler(CSRFError, _stale_form)
    made.register_error_handler(HTTPException, _http)
    made.register_error_handler(Exception, _unexpected)
    made.add_url_rule("/<page:missing>", "missing", _missing)


def _missing(missing: str) -> Response:
    raise NotFound


def error_page(status: int, detail: str = "") -> Response:
    """Return the page for a status; detail is one of our own messages."""
    trouble = (TROUBLES.get(status) or TROUBLES[500 if status >= 500 else 400]).said()
    told = say_made(detail) if detail else ""
    body = render_template("web/error.html", status=status, trouble=trouble, detail=told)
    response = make_response(body, status)
    if status == 503:
        response.headers["Retry-After"] = "2"
    return response


def _sign_in(error: UnauthenticatedError) -> Response:
    door_log.refused(error.status, error.slug)
    return make_response(render_template("web/signin.html", reason=say_made(str(error))), 401)


def _market(error: MarketError) -> Response:
    if error.status >= 500:
        LOG.error("%s %s: %s", request.method, request.endpoint, error)
        return error_page(error.status)
    door_log.refused(error.status, error.slug)
    return error_page(error.status, str(error))


def _ledger(error: LedgerError) -> Response:
    LOG.error("%s %s: ledger: %s", request.method, request.endpoint, error)
    return error_page(503)


def _input(error: ComputeError) -> Response:
    return error_page(400, str(error))


def _stale_form(error: CSRFError) -> Response:
    return error_page(
        400, mark("The form was open too long. Go back, reload the page and send it again.")
    )


def _http(error: HTTPException) -> Response:
    door_log.refused(error.code or 500, error.name.lower().replace(" ", "-"))
    return error_page(error.code or 500)


def _unexpected(error: Exception) -> Response:
    # Never its words: a text could quote what somebody sent.
    LOG.error("%s %s failed: %s", request.method, request.endpoint, described(error))
    return error_page(500)
