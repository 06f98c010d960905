"""The researcher's and reviewer's pages: orders, one order, dry run, drafts to review.

Answers are served as the ciphertext they are; only the researcher's client can open them.
"""

import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import islice
from typing import Any

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
from sqlmodel import col, select

from compute import ComputeError, error_picture, made_up_answer
from compute.queries import parse_query
from marketplace import (
    catalogue,
    money,
    order_money,
    order_service,
    quotes,
    references,
    reports,
    uploads,
)
from marketplace.api.common import send_object
from marketplace.errors import InputError, NotFoundError
from marketplace.services import Services
from marketplace.tables import Payment, Quote
from marketplace.texts import say, say_made
from marketplace.web import live, query_words, sessions
from marketplace.web.dry_run_form import (
    Form,
    empty_form,
    form_of,
    query_of,
    read_form,
    request_of,
    wrong_in,
)
from marketplace.web.estimate_words import estimate_words
from marketplace.web.log_view import pretty
from marketplace.web.order_view import order_page
from marketplace.web.ports import pages
from marketplace.web.query_fields import fields_of, names_files
from marketplace.web.text import drawn, people
from marketplace.web.words import progress_words

DOWNLOADS = {"result": "result.c4gh", "bundle": "bundle.c4gh"}
DEFAULT_REGION, PER_PAGE = "local", 50
PREVIEWED, PREVIEWED_ROWS, PREVIEWED_LINKED = 400, 6, 28
PLOTTED = (
    "trait", "transform", "feature", "gene", "unit", "scale", "groups", "code", "low", "high",
    "terms", "first", "second", "score",
)  # fmt: skip
OVER = frozenset({"settled", "refunded", "cancelled", "expired", "refused"})


def add_research_pages(made: Blueprint) -> None:
    """Add /research, /orders/<order>, /dry-run and /reviews."""
    made.add_url_rule("/research", "research", research)
    made.add_url_rule("/orders", "orders", orders)
    made.add_url_rule("/orders/<order>", "order", order)
    made.add_url_rule("/orders/<order>/state.json", "order_state", order_state_json)
    made.add_url_rule("/orders/<order>/events", "order_events", order_events)
    made.add_url_rule("/orders/<order>/pay", "pay", pay, methods=["POST"])
    made.add_url_rule("/orders/<order>/cancel", "cancel", cancel, methods=["POST"])
    made.add_url_rule("/orders/<order>/download/<name>", "download", download)
    made.add_url_rule("/dry-run", "dry_run", dry_run)
    made.add_url_rule("/dry-run", "dry_run_post", dry_run_post, methods=["POST"])
    made.add_url_rule("/dry-run/people", "dry_run_people", dry_run_people, methods=["POST"])
    made.add_url_rule("/reviews", "reviews", reviews)


@sessions.require("researcher")
def research() -> str:
    """Show my orders."""
    services, party = pages().services, sessions.me().party
    claims = services.view.snapshot().state.claims(party, services.clock())
    after = request.args.get("after", "")
    found, rest = reports.orders_of(services, party, PER_PAGE, after)
    return render_template("web/research.html", orders=found, rest=rest, after=after, claims=claims)


def orders() -> ResponseReturnValue:
    """Lead back from the payment page."""
    return redirect(url_for("web.research"), 303)


@sessions.require("researcher")
def order(order: str) -> str:
    """Show one order of mine. Raises NotFoundError."""
    services = pages().services
    found = reports.one_order(services, order, sessions.me().party)
    view = order_page(found, quote_items(services, found["quote"]), payments_of(services, order))
    moves = order_money.moves(services, order)
    return render_template("web/order.html", view=view, query=pretty(found["query"]), moves=moves)


@sessions.require("researcher")
def order_state_json(order: str) -> Response:
    """Say an order's state, so that its page can tell when it changed."""
    found = reports.one_order(pages().services, order, sessions.me().party)
    return jsonify(_standing(found))


@sessions.require("researcher")
def order_events(order: str) -> Response:
    """Stream an order's state as it changes."""
    services, party = pages().services, sessions.me().party

    def look() -> dict[str, Any]:
        return _standing(reports.one_order(services, order, party))

    look()  # what is not there or not mine is said as an error page, not as a broken stream
    return live.watched(look, lambda now: now["state"] in OVER)


def _standing(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an order's open page watches."""
    told = {name: found[name] for name in ("state", "objects", "progress")}
    return {**told, "said": progress_words(found["progress"])}


def quote_items(services: Services, quote: str) -> list[dict[str, Any]]:
    """Return the items of a quote."""
    with services.db.read() as session:
        row = session.get(Quote, quote)
    return [] if row is None else list(row.body["items"])


def payments_of(services: Services, order: str) -> list[Payment]:
    """Return an order's payments, oldest first."""
    with services.db.read() as session:
        query = select(Payment).where(col(Payment.order_id) == order)
        return list(session.exec(query.order_by(col(Payment.created_at))).all())


@sessions.require("researcher")
def pay(order: str) -> ResponseReturnValue:
    """Go to the payment company's page. Raises ConflictError, NotFoundError."""
    payment = money.checkout(pages().services, order, sessions.me().party)
    return redirect(payment.checkout_url, 303)


@sessions.require("researcher")
def cancel(order: str) -> ResponseReturnValue:
    """Cancel an order of mine. Raises ConflictError, NotFoundError."""
    services, party = pages().services, sessions.me().party
    with services.db.write() as session:
        order_service.owned(session, order, party)
        row = order_service.locked_order(session, order)
        order_service.cancel(session, services.signer, row, services.clock())
    services.nudge.set()
    return redirect(url_for("web.order", order=order), 303)


@sessions.require("researcher")
def download(order: str, name: str) -> Response:
    """Send an encrypted result or bundle. Raises NotFoundError."""
    services = pages().services
    if name not in DOWNLOADS:
        raise NotFoundError("there is nothing of that name to download")
    reports.one_order(services, order, sessions.me().party)
    response = send_object(services.objects, uploads.job_object(services, order, name))
    filename = f"{order[:8]}.{DOWNLOADS[name]}"
    response.headers["Content-Disposition"] = f'attachment; filename="{filename}"'
    return response


@sessions.require("researcher")
def dry_run() -> str:
    """Show the empty form of one query family, or that of an earlier order of mine to ask again."""
    if again := request.args.get("again", ""):
        found = reports.one_order(pages().services, again, sessions.me().party)
        return _form_page(form_of(found))
    return _form_page(empty_form(request.args.get("family", "")))


@sessions.require("researcher")
def dry_run_post() -> Response:
    """Answer a dry run on the form's own page; what is wrong is said beside its field."""
    form = empty_form("")
    try:
        form = read_form(request.form)
        if wrong := wrong_in(form):
            form = replace(form, wrong=wrong)
            raise InputError("look at the fields that are marked below")
        more = _previewed(form) if request.form.get("do") == "preview" else _priced(form)
    except (InputError, ComputeError) as error:
        return make_response(_form_page(form, error=say_made(str(error))), 400)
    return make_response(_form_page(form, **more))


@sessions.require("researcher")
def dry_run_people() -> Response:
    """Say how many people allow the form as it stands, for the page to show while it changes.

    Nothing is said of a form that is not filled in yet.
    """
    try:
        form = read_form(request.form)
        if wrong_in(form):
            return jsonify({"said": ""})
        wanted = request_of(form, region_of(pages().services))
        found = quotes.dry_run(pages().services, sessions.me().party, wanted)["people"]
    except (InputError, ComputeError):
        return jsonify({"said": ""})
    if found == "0":
        return jsonify({"said": say("Nobody allows this now.")})
    return jsonify({"said": say("About %(1)s people allow this now.", people(found))})


def _priced(form: Form) -> dict[str, Any]:
    services = pages().services
    wanted = request_of(form, region_of(services))
    spread = form.value("sd") if form.measures else ""
    expected = {"assumed_maf": form.value("maf"), "assumed_sd": spread}
    assumed = {name: text for name, text in expected.items() if text}
    asked = {**wanted, **assumed}
    answer = quotes.dry_run(services, sessions.me().party, asked)
    packed = urlsafe_b64encode(json.dumps(asked, separators=(",", ":")).encode()).decode()
    return {
        "answer": answer, "wanted": pretty(wanted), "request64": packed.rstrip("="),
        **estimate_words(answer["expected_error"]),
        "assuming": "".join(f" --{name[8:]} {text}" for name, text in assumed.items()),
    }  # fmt: skip


def _previewed(form: Form) -> dict[str, Any]:
    """Return the first rows of the question's answer over made-up people. Raises QueryError."""
    query = parse_query(query_of(form))
    try:
        rho = Fraction(form.value("rho")) if form.mode == "private" else None
    except (ValueError, ZeroDivisionError):
        rho = Fraction(0)
    if rho is not None and not 0 < rho <= 1:
        raise InputError("rho must be a fraction above 0 and at most 1, such as 1/20")
    columns = _shown(made_up_answer(query, rho))
    rows = list(islice(zip(*columns.values(), strict=True), PREVIEWED_ROWS))
    return {
        "preview": columns, "preview_rows": rows,
        "preview_query": {"family": query.family, "build": query.build, **_words_of(form)},
    }  # fmt: skip


def _words_of(form: Form) -> dict[str, Any]:
    """Return the parameters a plot names what it measured by; not its lists of variants."""
    params = query_of(form)["params"]
    return {"params": {name: params[name] for name in PLOTTED if name in params}}


def _shown(columns: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    """Return the rows a preview shows: the first, of pairs all those among a few variants."""
    keep: Sequence[int] = range(len(next(iter(columns.values()), ())))
    if "variant_b" in columns:
        few = set(list(dict.fromkeys(columns["variant_a"]))[:PREVIEWED_LINKED])
        pairs = zip(columns["variant_a"], columns["variant_b"], strict=True)
        keep = [at for at, pair in enumerate(pairs) if few.issuperset(pair)]
    return {name: [values[at] for at in keep[:PREVIEWED]] for name, values in columns.items()}


def region_of(services: Services) -> str:
    """Return the region where compute works now: that of its newest published key."""
    keys = services.view.snapshot().state.compute_keys.values()
    return max(keys, key=lambda key: key.index).region if keys else DEFAULT_REGION


def _form_page(form: Form, **more: Any) -> str:
    state = pages().services.view.snapshot().state
    published = pages().memo.get(("catalogue", state.size), lambda: catalogue.overview(state, {}))[
        "facets"
    ]
    expected = more.get("answer", {}).get("expected_error", {})
    plot = drawn(error_picture(expected)) if expected.get("kind") == "gaussian" else ""
    return render_template(
        "web/dry_run.html", form=form, groups=query_words.groups(), names=query_words,
        fields_list=fields_of(form.family), published=published, plot=plot,
        shelf=_shelf(form), **more,
    )  # fmt: skip


def _shelf(form: Form) -> list[dict[str, Any]]:
    """Return the operator's reference files, where the family can name one."""
    return references.listed(pages().services) if names_files(fields_of(form.family)) else []


@sessions.require("reviewer")
def reviews() -> str:
    """Show the drafts that wait for reviewers."""
    found = reports.reviews(pages().services, sessions.me().party)
    return render_template("web/reviews.html", waiting=found)
