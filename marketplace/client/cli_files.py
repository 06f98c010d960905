"""What an owner does with files: check, register, list, erase."""

import json
from pathlib import Path
from typing import Annotated

import typer

from compute.ingest import Given, IngestError, Modality, Summary, settle
from ledger import LedgerError
from marketplace.client.cli_consent import HANDED
from marketplace.client.cli_given import Beside, FileArgument, in_options, read, takes_beside
from marketplace.client.cli_terms import date_ms
from marketplace.client.errors import ClientError
from marketplace.client.home import Home
from marketplace.client.owner import Owner, Prepared, Roles
from marketplace.client.quality import lines_of
from marketplace.client.session import Session
from marketplace.client.terminal import console, context_of, pairs, say, show, table

OWNER_CLAIMS = {"person_verified": True, "unaffiliated": True}


def add_to(app: typer.Typer) -> None:
    """Add these commands to the main one."""
    app.command()(check)
    app.command()(register)
    app.command("list")(list_datasets)
    app.command()(erase)


@takes_beside
def check(context: typer.Context, file: FileArgument, beside: Beside) -> None:
    """Check a file and show its quality. Nothing is registered and nothing is sent."""
    options, data = context_of(context), read(file) or b""
    try:
        _, summary = settle(data, beside.kind(), str(file), beside.given())
    except IngestError as error:
        raise in_options(error) from None
    if options.json_output:
        show(options, summary.as_dict(), [])
    else:
        show_summary(file, summary)


def show_summary(file: Path, summary: Summary) -> None:
    """Print what the check of a file found."""
    say(f"{file}: checked. Nothing has left this machine yet.")
    for line in pairs(lines_of(summary.as_dict())):
        say(line)


@takes_beside
def register(
    context: typer.Context,
    file: FileArgument,
    beside: Beside,
    region: Annotated[str, typer.Option(help="Where it is stored.")] = "local",
    controller: Annotated[
        str | None, typer.Option(help="Who answers for it (data controller); default: you.")
    ] = None,
    custodian: Annotated[
        str | None, typer.Option(help="Who keeps it for you, e.g. a hospital.")
    ] = None,
    retain_until: Annotated[
        str | None, typer.Option(help="Delete it everywhere on this date, YYYY-MM-DD.")
    ] = None,
) -> None:
    """Check a file, encrypt it to yourself alone, and register it."""
    options = context_of(context)
    kind, given = beside.kind(), beside.given()
    session = Session.open(options.open_home())
    owner = Owner(session)
    roles = Roles(region, controller, custodian, date_ms(retain_until))
    prepared = checked(owner, file, kind, given, roles)
    if not options.json_output:
        show_summary(file, prepared.summary)
    enrolled = session.home.read("enrolled.json") is not None
    owner.send([prepared], before=[] if enrolled else [owner.enrol()])
    if not enrolled:
        _finish_enrolment(session)
    session.keep_receipts()
    value = {"dataset": prepared.dataset, "ciphertext": prepared.record["ciphertext"]}
    show(
        options,
        value,
        [f"Registered as dataset [bold]{prepared.dataset}[/]. Only you can read it."],
    )


def checked(
    owner: Owner, file: Path, modality: Modality, given: Given, roles: Roles | None = None
) -> Prepared:
    """Check and encrypt a file, its errors in the words of the command line."""
    try:
        return owner.prepare(file, modality, given=given, roles=roles)
    except IngestError as error:
        raise in_options(error) from None


def _finish_enrolment(session: Session) -> None:
    index = session.attester.attest(session.home.party, "owner", OWNER_CLAIMS)
    session.home.write("enrolled.json", {"attested": index})


def list_datasets(context: typer.Context) -> None:
    """List your datasets, and whether compute could take each in."""
    options = context_of(context)
    home = options.open_home()
    said = _compute_said(home)
    records = [
        {**record, "compute": said.get(record["dataset"])} for record in home.documents("datasets")
    ]
    if options.json_output:
        typer.echo(json.dumps(records, indent=2))
        return
    rows = [
        (r["dataset"], r["modality"], r["name"], "erased" if r["erased"] else "registered",
         r["compute"] or "-")
        for r in records
    ]  # fmt: skip
    columns = ("dataset", "modality", "file", "state", "compute")
    console.print(table("Your datasets", columns, rows))


def _compute_said(home: Home) -> dict[str, str]:
    """Return what compute reported of each dataset; "?" for all when the market cannot say.

    The list of what is registered is the home's own and never needs a server.
    """
    names = [str(record["dataset"]) for record in home.documents("datasets")]
    if not names:
        return {}
    try:
        told = Session.open(home).market.listed("/me/datasets", "datasets")
    except (ClientError, LedgerError):
        return dict.fromkeys(names, "?")
    return {one["dataset"]: one["compute"] or "not yet" for one in told}


def erase(
    context: typer.Context,
    dataset: Annotated[str, typer.Argument(help="The dataset's id.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Erase a dataset everywhere: ciphertext, keys, envelopes. It cannot be undone."""
    options = context_of(context)
    if not yes:
        typer.confirm(f"Erase dataset {dataset} everywhere, for good?", abort=True)
    done = Owner(Session.open(options.open_home())).erase(dataset)
    said = f"Erased. {HANDED}" if done.index is None else f"Erased: ledger entry {done.index}."
    show(options, {"dataset": dataset, "index": done.index}, [said])
