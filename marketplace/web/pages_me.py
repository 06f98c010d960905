"""The owner's own page. It shows and explains; what needs a key is done by the owner's client."""

from typing import Any

from flask import Blueprint, Response, jsonify, render_template
from sqlmodel import col, select

from ledger import State
from marketplace import records, reports, shared, waiting
from marketplace.services import Services
from marketplace.tables import Share
from marketplace.web import sessions
from marketplace.web.owner_view import budget_of
from marketplace.web.owner_view import dashboard as view_of
from marketplace.web.ports import pages

SHOWN_USES, SHOWN_NOTICES = 100, 10
# Of cards, the newest: an owner of very many files still gets a page of bounded weight.
SHOWN_CARDS = 30


def add_owner_pages(made: Blueprint) -> None:
    """Add /me and /me/everything.json."""
    made.add_url_rule("/me", "dashboard", dashboard)
    made.add_url_rule("/me/everything.json", "everything", everything)


@sessions.require("owner")
def dashboard() -> str:
    """Show my datasets, consents, uses and earnings."""
    services, owner = pages().services, sessions.me().party
    state = services.view.snapshot().state
    shares, said = shares_of(services, owner), reports_of(services, state, owner)
    view = view_of(state, owner, shares, services.clock(), said, cards=SHOWN_CARDS, uses=SHOWN_USES)
    budget = budget_of(state, owner, shares)
    return render_template(
        "web/me.html", view=view, shown_uses=SHOWN_USES, shown=SHOWN_CARDS, budget=budget,
        approvals=waiting.approvals_of(services, owner), notices=notices_of(services, owner),
        passports=shared.shares_of(services, owner),
    )  # fmt: skip


@sessions.require("owner", "researcher", "reviewer")
def everything() -> Response:
    """Give every row kept about me as one JSON file (GDPR Art. 15 and 20)."""
    services, party = pages().services, sessions.me().party
    found = {"party": party, "at": services.clock(),
             "tables": records.everything_about(services, party)}  # fmt: skip
    response = jsonify(found)
    response.headers["Content-Disposition"] = 'attachment; filename="everything.json"'
    return response


def notices_of(services: Services, owner: str) -> list[dict[str, Any]]:
    """Return an owner's newest notices; what waits for a yes has a place of its own."""
    found = waiting.notices_of(services, owner)
    return [one for one in found if one["kind"] != "approval"][:SHOWN_NOTICES]


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
