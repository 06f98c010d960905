"""Puts the pages onto the server: blueprint, templates' helpers, CSRF, headers, error pages."""

import hashlib
import logging
import secrets
from itertools import count
from mimetypes import guess_type
from pathlib import Path
from typing import Any

from apiflask import APIBlueprint
from flask import Blueprint, Flask, Response, request, url_for
from flask_wtf.csrf import CSRFProtect
from werkzeug.exceptions import NotFound
from werkzeug.routing import PathConverter

from ledger import LedgerClient
from marketplace import texts
from marketplace.config import read_secret
from marketplace.script_texts import spoken_file
from marketplace.services import Services
from marketplace.web import errors, glossary, text, words
from marketplace.web.pages_api import add_api_page
from marketplace.web.pages_ledger import add_ledger_pages
from marketplace.web.pages_me import add_owner_pages
from marketplace.web.pages_money import add_money_pages
from marketplace.web.pages_public import add_public_pages
from marketplace.web.pages_research import add_research_pages
from marketplace.web.pages_signin import add_signin_pages
from marketplace.web.pages_tour import add_tour
from marketplace.web.ports import EXTENSION, LedgerReader, Pages, pages
from marketplace.web.sessions import known, refuse_other_sites
from marketplace.web.translation import Translated

LOG = logging.getLogger(__name__)
HERE = Path(__file__).parent
FORM_KEY_FILE = "web.secret"
YEAR_SECONDS = 365 * 24 * 3600
CSRF = CSRFProtect()
STATIC = HERE / "static"


class PagePath(PathConverter):
    """A path that is no other face's: programs keep their own answers for unknown addresses."""

    regex = "(?!(?:api|worker|stripe|assets)(?:/|$)|healthz|openapi)[^/].*?"


def install(app: Flask, services: Services, ledger: LedgerReader | None = None) -> None:
    """Register the pages on the server's app. ledger: how public leaves are read (no token)."""
    reader = ledger or LedgerClient(services.config.ledger_url)
    assets = {path.name: spoken_file(path) for path in STATIC.iterdir()}
    app.extensions[EXTENSION] = Pages(services, reader, services.clock(), assets)
    _configure(app, services)
    CSRF.init_app(app)
    app.url_map.converters["page"] = PagePath
    app.register_blueprint(make_blueprint())


def asset_file(filename: str) -> Response:
    """Send a script, the style sheet or the icon, with its texts in the language spoken."""
    data = pages().assets.get(filename)
    if data is None:
        raise NotFound
    response = Response(data, mimetype=guess_type(filename)[0])
    response.add_etag()
    response.make_conditional(request)
    return response


def _configure(app: Flask, services: Services) -> None:
    secure = services.config.public_url.startswith("https://")
    app.config.update(
        # Other faces use bearer tokens; the pages' own hook checks every form of theirs.
        WTF_CSRF_CHECK_DEFAULT=False,
        # Our Referrer-Policy hides what this would compare; Sec-Fetch-Site is checked instead.
        WTF_CSRF_SSL_STRICT=False,
        WTF_CSRF_TIME_LIMIT=12 * 3600,
        SESSION_COOKIE_NAME="__Host-omic-form" if secure else "omic-form",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=secure,
    )
    if not app.secret_key:
        app.secret_key = _secret(services.config.directory / FORM_KEY_FILE)


def _secret(path: Path) -> str:
    """Return the key that signs form tokens, making its file (mode 0600) at the first start."""
    try:
        path.touch(mode=0o600, exist_ok=False)
        path.write_text(secrets.token_hex(32) + "\n")
    except FileExistsError:
        LOG.debug("the form key of an earlier start is used")
    return read_secret(path, "form key")


def make_blueprint() -> Blueprint:
    """Return a fresh blueprint with every page."""
    # The API's document looks at every blueprint; this one stays out of it.
    made = APIBlueprint("web", __name__, template_folder="templates", enable_openapi=False)
    made.add_url_rule("/assets/<filename>", "static", asset_file)
    made.before_request(refuse_other_sites)
    made.before_request(_check_form)
    made.after_request(_headers)
    made.context_processor(_helpers)
    made.record_once(_add_filters)
    add_public_pages(made)
    add_tour(made)
    add_ledger_pages(made)
    add_signin_pages(made)
    add_owner_pages(made)
    add_money_pages(made)
    add_research_pages(made)
    add_api_page(made)
    errors.add_error_pages(made)
    return made


def _check_form() -> None:
    if request.method == "POST":
        CSRF.protect()


def _add_filters(state: Any) -> None:
    state.app.jinja_env.filters.update(om_kinds=words.kinds_words, om_plain=words.plain)
    state.app.jinja_env.filters.update({f"om_{name}": f for name, f in text.FILTERS.items()})
    state.app.jinja_env.add_extension(Translated)
    state.app.jinja_env.trim_blocks = state.app.jinja_env.lstrip_blocks = True


def _headers(response: Response) -> Response:
    """Keep pages out of shared caches; let assets asked for by version stay for a year."""
    if request.endpoint == "web.static" and "v" not in request.args:
        response.headers["Cache-Control"] = "no-cache"
    elif request.endpoint == "web.static":
        response.headers["Cache-Control"] = f"public, max-age={YEAR_SECONDS}, immutable"
    else:
        response.headers.setdefault("Cache-Control", "no-store")
        response.headers.setdefault("Referrer-Policy", "no-referrer")
    return response


def _helpers() -> dict[str, Any]:
    services = pages().services
    return {
        "me": known(),
        "language": texts.LANGUAGE,
        "asset": _asset,
        "words": words,
        "meanings": glossary.BY_SLUG,
        "embedded": services.trust.embedded,
        "test_money": not services.payments.is_live,
        "origin": services.config.origin,
        "keys": services.config.keys_origin,
        "now": services.clock(),
        "serial": count(1).__next__,
    }


def _asset(name: str) -> str:
    digest = hashlib.sha256(pages().assets.get(name, b"")).hexdigest()[:12]
    return url_for("web.static", filename=name, v=digest)
