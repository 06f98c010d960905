"""The owner's own pages. They show and explain; what needs a key is done by the owner's client."""

from flask import Blueprint, Response, jsonify, render_template, request
from sqlmodel import col, select

from ledger import State
from marketplace import records, reports, shared, waiting
from marketplace.errors import InputError
from marketplace.services import Services
from marketplace.tables import Share
from marketplace.web import sessions, uses_view
from marketplace.web.budget_view import budget_of
from marketplace.web.owner_view import STATES, Chosen
from marketplace.web.owner_view import dashboard as view_of
from marketplace.web.pages_public import page_number
from marketplace.web.ports import pages

LATEST, SHOWN_NOTICES, SHOWN_ASKED = 5, 10, 30


def add_owner_pages(made: Blueprint) -> None:
    """Add /me, /me/uses and /me/everything.json."""
    made.add_url_rule("/me", "dashboard", dashboard)
    made.add_url_rule("/me/uses", "uses", uses)
    made.add_url_rule("/me/everything.json", "everything", everything)


@sessions.require("owner")
def dashboard() -> str:
    """Show what waits for me, what my data was used for and earned, and my files.

    Parameters: kind, state (one of STATES), page. Raises InputError.
    """
    services, owner = pages().services, sessions.me().party
    state, now = services.view.snapshot().state, services.clock()
    chosen = Chosen(request.args.get("kind", ""), request.args.get("state", ""), _page())
    if chosen.state and chosen.state not in STATES:
        raise InputError(f"state is one of {', '.join(STATES)}")
    shares, said = shares_of(services, owner), reports_of(services, state, owner)
    return render_template(
        "web/me.html", view=view_of(state, owner, chosen, now, said), chosen=chosen, states=STATES,
        uses=[uses_view.use_of(state, share, now) for share in shares[:LATEST]], used=len(shares),
        earned=uses_view.sums_of(shares), chart=uses_view.chart_of(shares),
        budget=budget_of(state, owner, shares), shown=SHOWN_ASKED,
        approvals=waiting.approvals_of(services, owner),
        notices=waiting.happened_to(services, owner)[:SHOWN_NOTICES],
        passports=shared.shares_of(services, owner),
    )  # fmt: skip


@sessions.require("owner")
def uses() -> str:
    """Show every use that paid me or that I gave. Parameters: who, year, page.

    Raises InputError.
    """
    services, owner = pages().services, sessions.me().party
    state, now = services.view.snapshot().state, services.clock()
    asked = uses_view.Asked(request.args.get("who", ""), request.args.get("year", ""), _page())
    view = uses_view.uses_page(state, shares_of(services, owner), asked, now)
    return render_template("web/uses.html", view=view, asked=asked)


def _page() -> int:
    return page_number(request.args.get("page", "1"))


@sessions.require("owner", "researcher", "reviewer")
def everything() -> Response:
    """Give every row kept about me as one JSON file (GDPR Art. 15 and 20)."""
    services, party = pages().services, sessions.me().party
    found = {"party": party, "at": services.clock(),
             "tables": records.everything_about(services, party)}  # fmt: skip
    response = jsonify(found)
    response.headers["Content-Disposition"] = 'attachment; filename="everything.json"'
    return response


def shares_of(services: Services, owner: str) -> list[Share]:
    """Return an owner's shares, newest first, without their proofs (the client checks those)."""
    with services.db.read() as session:
        query = select(Share).where(col(Share.owner) == owner).order_by(col(Share.id).desc())
        return list(session.exec(query).all())


def reports_of(services: Services, state: State, owner: str) -> dict[str, str]:
    """Return what compute reported of an owner's datasets, by dataset."""
    party = state.parties.get(owner)
    with services.db.read() as session:
        said = reports.compute_reports(session, party.datasets if party else [])
    return {name: report.code for name, report in said.items()}
