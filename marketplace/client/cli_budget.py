"""`omic budget`: what is left of an owner's privacy budget, and what it means, as a picture."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any

import typer

from compute import HIGHEST, parse_terms, risk_of, risk_picture, risk_words
from marketplace.client.activity import activity
from marketplace.client.errors import ClientError
from marketplace.client.session import Session
from marketplace.client.terminal import context_of, say


def add_to(app: typer.Typer) -> None:
    """Add the command to the main one."""
    app.command("budget")(show_budget)


def show_budget(
    context: typer.Context,
    picture: Annotated[
        Path | None, typer.Option(help="Write the risk as an SVG picture to this file.")
    ] = None,
    lifetime: Annotated[
        str | None, typer.Option(help="Show another lifetime budget instead, such as 1/2.")
    ] = None,
) -> None:
    """Show how much of your privacy budget is spent, and how much anybody could learn with it."""
    options = context_of(context)
    session = Session.open(options.open_home())
    limit = lifetime_budget(lifetime) if lifetime else lifetime_of(session)
    # Every access the ledger states is counted, also one whose charge was given back: at most this.
    spent = sum((Fraction(use.rho) for use in activity(session)), Fraction(0))
    found = budget(limit, spent)
    if picture is not None:
        picture.write_text(risk_picture(limit, spent))
    if options.json_output:
        typer.echo(json.dumps(found, indent=2))
        return
    say(f"Lifetime privacy budget: {limit}. Spent: {spent}. Left: {found['left']}. Never refilled.")
    say(risk_words(limit))
    say("Exact answers, where your terms allow them (trusted release), are not counted here.")


def lifetime_budget(text: str) -> Fraction:
    """Return a lifetime budget an owner may choose: above 0, at most 1/2. Raises ClientError."""
    try:
        found = Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise ClientError(f"{text!r} is no budget; write it as a fraction, such as 1/10") from None
    if not 0 < found <= HIGHEST:
        raise ClientError(
            f"a lifetime budget lies above 0 and at most at {HIGHEST}, where anybody could tell "
            f"that you took part in {risk_of(HIGHEST).right_of_100} of 100 cases; {text} does not"
        )
    return found


def budget(limit: Fraction, spent: Fraction) -> dict[str, Any]:
    """Return the budget as JSON: exact rationals as text, and the risk it bounds."""
    return {
        "lifetime": str(limit),
        "spent": str(spent),
        "left": str(max(Fraction(0), limit - spent)),
        "right_of_100": risk_of(limit).right_of_100,
    }


def lifetime_of(session: Session) -> Fraction:
    """Return the strictest lifetime budget of the consents in this home; 0 where there is none."""
    live = [d for d in session.home.documents("grants") if d["state"] == "live"]
    limits = [Fraction(parse_terms(d["terms"]).release.lifetime_rho) for d in live]
    return min(limits, default=Fraction(0))
