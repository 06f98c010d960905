"""The output reviewer's commands: look at a draft answer, approve or reject it."""

import json

import typer

from marketplace.client.errors import ClientError
from marketplace.client.reviewer import Reviewer
from marketplace.client.session import Session
from marketplace.client.terminal import context_of, show

review_app = typer.Typer(help="Check draft answers before they leave (output reviewers).")


def add_to(app: typer.Typer) -> None:
    """Add the reviewer's commands to the main one."""
    app.add_typer(review_app, name="review")


@review_app.command("list")
def list_reviews(context: typer.Context) -> None:
    """List draft answers waiting for a decision."""
    waiting = _reviewer(context).waiting()
    show(context_of(context), waiting, [f"{w['order']}  {w['draft_commitment']}" for w in waiting])


@review_app.command("show")
def show_draft(context: typer.Context, order: str) -> None:
    """Open a draft answer."""
    typer.echo(json.dumps(_reviewer(context).draft(order), indent=2))


@review_app.command("approve")
def approve(context: typer.Context, order: str) -> None:
    """Approve a draft: two approvals let it go."""
    _decide(context, order, "approve")


@review_app.command("reject")
def reject(context: typer.Context, order: str) -> None:
    """Reject a draft: the order is refunded."""
    _decide(context, order, "reject")


def _decide(context: typer.Context, order: str, decision: str) -> None:
    reviewer = _reviewer(context)
    if all(waiting["order"] != order for waiting in reviewer.waiting()):
        raise ClientError(f"order {order} has no draft waiting for you; see `omic review list`")
    index = reviewer.decide(reviewer.draft(order), decision)
    show(context_of(context), {"index": index}, [f"Signed: ledger entry {index}."])


def _reviewer(context: typer.Context) -> Reviewer:
    return Reviewer(Session.open(context_of(context).open_home()))
