"""Commands for who acts for others: mandates, and a custodian's objections by a list."""

from pathlib import Path
from typing import Annotated

import typer

from marketplace.client import mandates, optout
from marketplace.client.cli_terms import date_ms
from marketplace.client.home import Home
from marketplace.client.terminal import context_of, session_of, show, when

mandate_app = typer.Typer(help="Who may act for somebody: guardian, deputy, custodian.")
objections_app = typer.Typer(help="For custodians: objections by a list, such as an opt-out check.")

Until = Annotated[str | None, typer.Option(help="Until when, YYYY-MM-DD (not included).")]


def add_to(app: typer.Typer) -> None:
    """Add these commands to the main one."""
    app.add_typer(mandate_app, name="mandate")
    app.add_typer(objections_app, name="objections")


# -- mandates


@mandate_app.command("give")
def give_mandate(
    context: typer.Context,
    holder_home: Annotated[Path, typer.Argument(help="The home of who is to act for this one.")],
    kind: Annotated[str, typer.Option(help="guardian, deputy or custodian.")],
    until: Until = None,
) -> None:
    """Let somebody act for this home's owner: a guardian for a child, a deputy, a custodian."""
    options = context_of(context)
    holder = Home(holder_home, options.passphrase)
    made = mandates.give(session_of(context), kind, holder, date_ms(until))
    ends = "until it is ended" if until is None else f"until {until}"
    lines = [f"Mandate {made['mandate']}: ledger entry {made['index']}, {ends}. Everything done "
             "under it says so; consents given under it end with it, early or not."]  # fmt: skip
    show(options, made, lines)


@mandate_app.command("list")
def list_mandates(context: typer.Context) -> None:
    """List the mandates of this home's owner."""
    options = context_of(context)
    found = list(options.open_home().documents("mandates"))
    lines = [
        f"{one['mandate']}  {one['kind']}  "
        + ("ended" if one["ended"] is not None else _until(one["valid_until"]))
        for one in found
    ]
    show(options, found, lines or ["Nobody acts for this owner."])


def _until(time: int | None) -> str:
    return "until it is ended" if time is None else f"until {when(time)}"


@mandate_app.command("end")
def end_mandate(
    context: typer.Context, mandate: Annotated[str, typer.Argument(help="The mandate's id.")]
) -> None:
    """End a mandate with the owner's own key, and with it what was consented to under it."""
    ended = mandates.end(session_of(context), mandate)
    value = {"mandate": mandate, "index": ended.index, "grants": list(ended.grants)}
    show(context_of(context), value, [
        f"Ended: entry {ended.index}. {len(ended.grants)} consents given under it ended with it: "
        "nothing is used for them any more. To allow a use again, consent yourself."])  # fmt: skip


@mandate_app.command("take-over")
def take_over(
    context: typer.Context, mandate: Annotated[str, typer.Argument(help="The mandate's id.")]
) -> None:
    """Take over from a custodian: your files under keys made here, and their mandate ended."""
    made = mandates.take_over(session_of(context), mandate)
    value = {"mandate": mandate, "index": made.ended, "key": made.key, "datasets": made.datasets}
    lines = [f"Dataset {new} takes the place of {old}: its key was made here."
             for old, new in made.datasets.items()]  # fmt: skip
    lines += [
        f"The mandate ended at entry {made.ended}; a new key signs for you since entry {made.key}. "
        "A copy of the keys you were handed counts for nothing now. Back this home up."
    ]
    show(context_of(context), value, lines)


# -- objections by list


@objections_app.command("write")
def write_list(
    context: typer.Context,
    people: Annotated[Path, typer.Argument(help="Your table: ten-digit number, home.")],
    out: Annotated[Path, typer.Option(help="The list to send to the check (.dat).")],
) -> None:
    """Write the list of people to send to an opt-out check."""
    found = optout.read_people(people)
    out.write_bytes(optout.write_list(sorted(found)))
    show(context_of(context), {"people": len(found), "file": str(out)},
         [f"{len(found)} numbers in {out}; send it to the check."])  # fmt: skip


@objections_app.command("import")
def import_list(
    context: typer.Context,
    people: Annotated[Path, typer.Argument(help="Your table: ten-digit number, home.")],
    returned: Annotated[Path, typer.Argument(help="The list the check gave back.")],
) -> None:
    """Raise objections for whoever the returned list leaves out; lift what an older list raised."""
    found = optout.read_people(people)
    report = optout.apply_list(found, optout.read_list(returned.read_bytes(), found), None)
    value = {"raised": list(report.raised), "lifted": list(report.lifted),
             "unchanged": report.unchanged}  # fmt: skip
    show(context_of(context), value, [f"{len(report.raised)} objections raised, "
         f"{len(report.lifted)} lifted, {report.unchanged} unchanged."])  # fmt: skip
