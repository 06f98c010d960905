"""Commands that look at the market as anybody may, and a narrower token for scripts."""

from typing import Annotated

import typer

from marketplace.client.errors import ClientError
from marketplace.client.market import Market
from marketplace.client.terminal import console, context_of, session_of, show, table, when


def add_to(app: typer.Typer) -> None:
    """Add the commands to the main one."""
    app.command("catalogue")(catalogue)
    app.command("status")(status)
    app.command("token")(token)
    app.command("sign-out")(sign_out)


def _market(context: typer.Context) -> Market:
    return Market(context_of(context).open_home().trust.marketplace_url)


def catalogue(
    context: typer.Context,
    facets: Annotated[
        list[str] | None, typer.Argument(help="Only people who publish these: population=CEU.")
    ] = None,
) -> None:
    """Count people by what they hold and what they publish, in buckets. Nobody is told."""
    wanted = dict(_pair(text) for text in facets or [])
    found = _market(context).get("/catalogue", **wanted)
    if context_of(context).json_output:
        show(context_of(context), found, [])
        return
    rows = [("people", found["people"]), *found["modalities"].items()]
    rows += [(f"{name} {value}", people) for name, values in found["facets"].items()
             for value, people in values.items()]  # fmt: skip
    console.print(table("People with consents in force", ("who", "people"), rows))


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise ClientError(f"{text!r} is no facet; write name=value, for example population=CEU")
    return name, value


def status(context: typer.Context) -> None:
    """Show how the marketplace is doing: ledger, orders, jobs."""
    told = _market(context).get("/status")
    lines = [
        f"Ledger followed to {told['ledger_size']} entries, {when(told['ledger_synced_at'])}",
        *(f"  {name}: {count}" for name, count in {**told["orders"], **told["jobs"]}.items()),
        *(["Money is test money."] if told["test_money"] else []),
        *([f"The ledger holds what cannot be judged: {told['undecidable']}"]
          if told["undecidable"] else []),
    ]  # fmt: skip
    show(context_of(context), told, lines)


def token(
    context: typer.Context,
    scopes: Annotated[list[str], typer.Argument(help="read: look; ask: also ask for prices.")],
    minutes: Annotated[int, typer.Option(min=1, max=24 * 60, help="How long it lasts.")] = 60,
) -> None:
    """Make a narrower token for a notebook or a script that must not hold your keys."""
    body = {"scopes": scopes, "minutes": minutes}
    made = session_of(context).market.post("/tokens", body)
    lines = [made["token"], f"It ends {when(made['expires_at'])}; send it as Authorization: Bearer"]
    show(context_of(context), made, lines)


def sign_out(context: typer.Context) -> None:
    """End every session of yours, browsers and tokens too, as after losing a device."""
    market = session_of(context).market
    ended = market.delete("/me/sessions")["ended"]
    market.delete("/session")
    show(context_of(context), {"ended": ended}, [f"{ended} other sessions were ended."])
