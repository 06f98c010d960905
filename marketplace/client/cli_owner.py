"""What an owner sees: everything about it with its proofs, its receipts, its pages."""

import csv
import json
from pathlib import Path
from typing import Annotated

import typer

from marketplace.client.activity import foreign_entries, mine_of, own_events
from marketplace.client.history import USE, csv_rows
from marketplace.client.receipts import check_all
from marketplace.client.renewal import renew
from marketplace.client.session import Session
from marketplace.client.terminal import console, context_of, money, say, show, table, warn, when


def add_to(app: typer.Typer) -> None:
    """Add the owner's commands to the main one."""
    app.command("activity")(show_activity)
    app.command()(receipts)
    app.command("open")(open_pages)


def show_activity(
    context: typer.Context,
    csv_file: Annotated[
        Path | None, typer.Option("--csv", help="Also write everything to this CSV file.")
    ] = None,
) -> None:
    """Show everything about you: uses, refusals, administrators, payments; each with its proof."""
    options = context_of(context)
    session = Session.open(options.open_home())
    mine = mine_of(session)
    warnings = foreign_entries(session, session.view.state.size)
    found = own_events(session, mine)
    for one in warnings:
        warn(f"{one.words()} ({when(one.time)})")
    renew(session)
    session.keep_receipts()
    checked = check_all(session.home)
    if csv_file is not None:
        with csv_file.open("w", newline="") as file:
            csv.writer(file).writerows(csv_rows(found))
    if options.json_output:
        typer.echo(json.dumps([event.to_json() for event in found], indent=2))
        return
    rows = [
        (when(e.time), e.kind, e.text, e.organisation or "", e.project or "",
         money(e.share, e.currency), f"entry {e.index}")
        for e in found
    ]  # fmt: skip
    columns = ("when", "what", "in words", "who", "project", "your share", "proof")
    console.print(table("Everything about you", columns, rows))
    uses = sum(event.kind == USE for event in found)
    say(f"{uses} uses; {checked} receipts checked. The ledger agrees with every line.")


def receipts(context: typer.Context) -> None:
    """Fetch missing receipts and verify all offline; renew consents whose compute key ages."""
    options = context_of(context)
    session = Session.open(options.open_home())
    session.view.sync()
    renewed = renew(session)
    fetched, checked = session.keep_receipts(), check_all(session.home)
    show(
        options,
        {"fetched": fetched, "verified": checked, "renewed": renewed},
        [
            *(f"Consent {one} is sealed to compute's newest key." for one in renewed),
            f"{fetched} new receipts; all {checked} verify.",
        ],
    )


def open_pages(context: typer.Context) -> None:
    """Sign a browser in as yourself: print (and try to open) a one-time address."""
    options = context_of(context)
    session = Session.open(options.open_home())
    url = str(session.market.post("/session/link")["url"])
    show(options, {"url": url}, [f"Open once, soon: {url}"])
    if not options.json_output:
        typer.launch(url)
