"""Who looks at a page: a session cookie set by a one-time link, and nothing else.

The cookie holds the session's token only: HttpOnly, SameSite=Lax, Secure (and __Host-) on https.
Every changing request carries a CSRF token, and must not come from another site.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from flask import Response, g, request
from werkzeug.exceptions import Forbidden

from marketplace import accounts
from marketplace.accounts import Opened, Principal
from marketplace.config import MarketConfig
from marketplace.errors import UnauthenticatedError, UnavailableError
from marketplace.services import Services
from marketplace.web.ports import pages

P = ParamSpec("P")
R = TypeVar("R")


def cookie_name(config: MarketConfig) -> str:
    """Return the cookie's name; on https it is bound to this very host."""
    return "__Host-omic" if _is_secure(config) else "omic"


def _is_secure(config: MarketConfig) -> bool:
    return config.public_url.startswith("https://")


def current() -> Principal | None:
    """Return who is signed in, looking once a request; None for nobody or an ended session."""
    if "principal" not in g:
        g.principal = _look(pages().services)
    found: Principal | None = g.principal
    return found


def _look(services: Services) -> Principal | None:
    token = request.cookies.get(cookie_name(services.config))
    if not token:
        return None
    try:
        return accounts.authenticate(services, token)
    except UnauthenticatedError:
        return None


def known() -> Principal | None:
    """Return who is signed in for the head of a page, or None where that cannot be told now.

    An account's role is judged by the ledger; a page for everyone, and the page that says that the
    ledger is out of reach, must be shown all the same.
    """
    try:
        return current()
    except UnavailableError:
        return None


def require(*roles: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let a view run only for a signed-in party of one of these roles; the view gets it as g.me.

    Raises UnauthenticatedError or ForbiddenError, which have pages of their own.
    """

    def decorate(view: Callable[P, R]) -> Callable[P, R]:
        @wraps(view)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            me = current()
            if me is None:
                raise UnauthenticatedError("this page is only for you; sign in to see it")
            me.require(*roles)
            g.me = me
            return view(*args, **kwargs)

        return guarded

    return decorate


def me() -> Principal:
    """Return the signed-in party inside a view guarded by `require`."""
    found: Principal = g.me
    return found


def start(response: Response, opened: Opened) -> Response:
    """Set the cookie of a new session on a response."""
    services = pages().services
    _end_old(services)
    seconds = max(0, (opened.expires_at - services.clock()) // 1000)
    response.set_cookie(value=opened.token, max_age=seconds, **_attributes(services.config))
    return response


def end(response: Response, *, everywhere: bool = False) -> Response:
    """End the session and remove its cookie; everywhere: all others of the same party as well."""
    services = pages().services
    if everywhere and current() is not None:
        accounts.end_other_sessions(services, request.cookies[cookie_name(services.config)])
    _end_old(services)
    response.set_cookie(value="", max_age=0, **_attributes(services.config))
    # What this browser kept of the pages goes too.
    response.headers["Clear-Site-Data"] = '"cache", "storage"'
    return response


def _end_old(services: Services) -> None:
    token = request.cookies.get(cookie_name(services.config))
    if token:
        accounts.end_session(services, token)


def _attributes(config: MarketConfig) -> dict[str, Any]:
    return {
        "key": cookie_name(config),
        "path": "/",
        "httponly": True,
        "samesite": "Lax",
        "secure": _is_secure(config),
    }


def refuse_other_sites() -> None:
    """Refuse a changing request that a browser says another site started."""
    site = request.headers.get("Sec-Fetch-Site", "none")
    if request.method == "POST" and site not in ("same-origin", "none"):
        raise Forbidden("this form was sent from another site")
