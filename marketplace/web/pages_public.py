"""Pages for everyone: what this is, how it works, words, catalogue, job log, status, trust file."""

from typing import Any

from flask import Blueprint, Response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from compute import ComputeError, claims_of, parse_purpose
from ledger import State
from marketplace import catalogue as market_catalogue
from marketplace import reports
from marketplace.errors import InputError, NotFoundError, UnavailableError
from marketplace.services import Services
from marketplace.web import glossary as words
from marketplace.web import job_view, operator_view, provenance, query_words, sessions
from marketplace.web.money_view import splits
from marketplace.web.pages_research import region_of
from marketplace.web.ports import pages
from marketplace.web.troubles import of_health
from marketplace.web.witnessed import newest_or_none

PER_PAGE = 25
TOTALS_MS = USABLE_MS = 60_000
WISH = ("use", "diseases", "commercial", "kind")  # what a researcher's search asks beside facets
FIRST_KIND = "genotypes"


def add_public_pages(made: Blueprint) -> None:
    """Add the pages that need no sign-in."""
    made.add_url_rule("/", "home", home)
    made.add_url_rule("/how-it-works", "how", how)
    made.add_url_rule("/glossary", "glossary", glossary)
    made.add_url_rule("/trust.json", "trust", trust)
    made.add_url_rule("/catalogue", "catalogue", catalogue)
    made.add_url_rule("/jobs", "jobs", jobs)
    made.add_url_rule("/jobs/<order>", "job", job)
    made.add_url_rule("/status", "status", status)
    made.add_url_rule("/favicon.ico", "favicon", favicon)


def home() -> str:
    """Say in one screen what this is, for whom, and how to begin."""
    services = pages().services
    checkpoint = newest_or_none(pages().ledger, services.trust, services.clock())
    state = state_or_none(services)
    people = None if state is None else _overview(state, {})["people"]
    answered = 0 if state is None else sum(o.result is not None for o in state.orders.values())
    return render_template("web/home.html", checkpoint=checkpoint, people=people, answered=answered)


def state_or_none(services: Services) -> State | None:
    """Return the followed state, or None while the ledger cannot be followed."""
    try:
        return services.view.snapshot().state
    except UnavailableError:
        return None


def how() -> str:
    """Explain the idea in plain words."""
    return render_template("web/how.html")


def glossary() -> str:
    """List the words."""
    return render_template("web/glossary.html", meanings_list=words.MEANINGS)


def trust() -> Response:
    """Serve the public trust file as it lies on disk. Raises UnavailableError."""
    try:
        body = pages().services.config.trust_file.read_bytes()
    except OSError:
        raise UnavailableError("the trust file cannot be read now; try again") from None
    response = Response(body, content_type="application/json")
    response.headers["Cache-Control"] = "no-cache"
    return response


def favicon() -> ResponseReturnValue:
    """Send old browsers to the icon."""
    return redirect(url_for("web.static", filename="icon.svg"), 301)


def _overview(state: State, facets: dict[str, str]) -> dict[str, Any]:
    key = ("catalogue", state.size, *sorted(facets.items()))
    return dict(pages().memo.get(key, lambda: market_catalogue.overview(state, facets)))


def catalogue() -> str:
    """Show bucketed counts by modality and published facet, narrowed by facets if asked."""
    state = pages().services.view.snapshot().state
    everyone = _overview(state, {})
    wish = {name: request.args.get(name, "") for name in WISH}
    facets = {k: v for k, v in request.args.items() if v and k not in WISH}
    for name, value in facets.items():
        if value not in everyone["facets"].get(name, {}):
            raise InputError("nobody published this; choose from the lists of the catalogue")
    buyer = sessions.known()
    may_ask = buyer is not None and buyer.role == "researcher"
    usable = _usable(buyer.party, wish, facets) if buyer and may_ask and wish["use"] else None
    return render_template(
        "web/catalogue.html", everyone=everyone, chosen=_overview(state, facets), facets=facets,
        may_ask=may_ask, wish=wish, usable=usable,
        usual=query_words.short(market_catalogue.usual_family(wish["kind"] or FIRST_KIND)),
    )  # fmt: skip


def _usable(party: str, wish: dict[str, str], facets: dict[str, str]) -> dict[str, Any]:
    """Return whom a purpose may use, in buckets, as a dry run would tell it. Raises InputError."""
    services = pages().services
    snapshot, now = services.view.snapshot(), services.clock()
    try:
        purpose = parse_purpose(
            {"primary": wish["use"], "commercial": bool(wish["commercial"]),
             "diseases": wish["diseases"].replace(",", " ").split()}
        )  # fmt: skip
    except ComputeError as error:
        raise InputError(str(error)) from None
    claims = claims_of(snapshot.state, services.trust.pins, party, now)
    kind, region = wish["kind"] or FIRST_KIND, region_of(services)
    asked = (*wish.values(), *sorted(facets.items()))
    key = ("usable", snapshot.state.size, now // USABLE_MS, party, *asked)
    made = lambda: market_catalogue.usable(  # noqa: E731
        snapshot, purpose, kind, claims, facets, region=region, now=now
    )
    return dict(pages().memo.get(key, made))


def jobs() -> str:
    """Show every order ever placed, newest first."""
    services = pages().services
    state = services.view.snapshot().state
    number = page_number(request.args.get("page", "1"))
    total = len(state.orders)
    now = services.clock()
    found = job_view.job_rows(state, now, (number - 1) * PER_PAGE, PER_PAGE)
    # Over every order, so at most once a minute however often the ledger grows.
    money = pages().memo.get(("money", now // TOTALS_MS), lambda: splits(state.orders.values()))
    return render_template(
        "web/jobs.html", jobs=found, page=number, last=max(1, -(-total // PER_PAGE)), total=total,
        money=money, fees=services.config.fees,
    )  # fmt: skip


def page_number(text: str) -> int:
    """Return which page is asked for, from 1. Raises InputError."""
    if not (text.isascii() and text.isdigit() and 0 < len(text) < 8) or int(text) < 1:
        raise InputError("page must be a whole number from 1")
    return int(text)


def job(order: str) -> str:
    """Show one order as the ledger shows it. Raises NotFoundError."""
    services = pages().services
    state = services.view.snapshot().state
    found = state.orders.get(order)
    if found is None:
        raise NotFoundError("the ledger shows no order of this id")
    view = job_view.job_view(state, found, services.clock())
    columns = provenance.columns_of(view.moments)
    graphs = {"wide": provenance.wide(columns), "tall": provenance.tall(columns)}
    return render_template("web/job.html", job=view, graphs=graphs)


def status() -> str:
    """Show how the system is doing: what is wrong first, witnesses, processes, queue."""
    services = pages().services
    try:
        report: dict[str, Any] | None = reports.status(services)
    except UnavailableError:
        report = None
    health = operator_view.health(services, pages().ledger)
    return render_template(
        "web/status.html", report=report, trust_policy=services.trust, health=health,
        wrong=of_health(health), started=pages().started_at,
    )  # fmt: skip
