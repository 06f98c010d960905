"""The owner's commands for consents that stand: list, pause, object, export, visas."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from compute import (
    ConsentRecord,
    describe,
    parse_terms,
    to_duo_json,
    to_fhir,
)
from marketplace.client import rights
from marketplace.client.cli_consent import HANDED
from marketplace.client.cli_terms import read_terms
from marketplace.client.errors import ClientError
from marketplace.client.hand import hand_of
from marketplace.client.home import Home
from marketplace.client.owner import Owner
from marketplace.client.terminal import console, context_of, session_of, show, table, when

GrantId = Annotated[str, typer.Argument(help="The consent's id.")]


def add_to(app: typer.Typer) -> None:
    """Add these commands to `omic consent`."""
    app.command("list")(list_consents)
    app.command("pause")(pause)
    app.command("resume")(resume)
    app.command("object")(object_to_everything)
    app.command("lift")(lift)
    app.command("export")(export)
    app.command("terms")(show_terms)
    app.command("visa")(visa)


def list_consents(context: typer.Context) -> None:
    """List your consents: their state, until when, and who gave them for you, if not you."""
    options = context_of(context)
    home = options.open_home()
    documents = [
        {
            **{key: d[key] for key in ("grant", "dataset", "offer", "state", "index")},
            "valid_until": d["terms"]["valid_until"],
            "given_by": hand_of(home.read(f"entries/{d['index'] or 0:012d}.json")) or "you",
        }
        for d in home.documents("grants")
    ]
    if options.json_output:
        typer.echo(json.dumps(documents, indent=2))
        return
    columns = ("consent", "dataset", "state", "until", "given by", "ledger entry")
    rows = [
        (d["grant"], d["dataset"], d["state"], when(d["valid_until"]) if d["valid_until"] else "",
         d["given_by"], d["index"])
        for d in documents
    ]  # fmt: skip
    console.print(table("Your consents", columns, rows))


def pause(context: typer.Context, grant_id: GrantId) -> None:
    """Pause a consent: nothing is used until you resume it."""
    done = Owner(session_of(context)).pause(grant_id)
    said = f"Paused. {HANDED}" if done.index is None else f"Paused: ledger entry {done.index}."
    show(context_of(context), {"grant": grant_id, "index": done.index}, [said])


def resume(context: typer.Context, grant_id: GrantId) -> None:
    """Let a paused consent count again."""
    index = rights.resume(session_of(context), grant_id)
    show(context_of(context), {"grant": grant_id, "index": index}, [f"Resumed: entry {index}."])


def object_to_everything(context: typer.Context) -> None:
    """Object to every use: ends all your consents, and no consent counts until you lift it."""
    done = rights.object_to_all(session_of(context))
    said = HANDED if done.index is None else f"Ledger entry {done.index}."
    show(context_of(context), {"index": done.index}, [f"You object to every use. {said}"])


def lift(context: typer.Context) -> None:
    """Lift your objection. Consents it ended stay ended: give those you want anew."""
    index = rights.lift_objection(session_of(context))
    show(context_of(context), {"index": index}, [f"Objection lifted: entry {index}."])


def export(
    context: typer.Context,
    grant_id: GrantId,
    form: Annotated[str, typer.Option(help="duo, fhir-r4 or fhir-r5.")] = "fhir-r5",
) -> None:
    """Print a consent as GA4GH DUO-JSON or an HL7 FHIR Consent."""
    home = context_of(context).open_home()
    document = home.read(f"grants/{grant_id}.json")
    if document is None:
        raise ClientError(f"no consent {grant_id} in {home.path}; see `omic consent list`")
    typer.echo(json.dumps(_exported(home, document, form), indent=2))


def _exported(home: Home, document: Mapping[str, Any], form: str) -> dict[str, Any]:
    terms = parse_terms(document["terms"])
    if form == "duo":
        return to_duo_json(terms)
    releases: Mapping[str, Any] = {"fhir-r4": "R4", "fhir-r5": "R5"}
    if form not in releases:
        raise ClientError(f"--form is duo, fhir-r4 or fhir-r5, not {form!r}")
    entry = home.read(f"entries/{int(document['index']):012d}.json") or {"time": 0}
    record = ConsentRecord(
        str(document["grant"]), home.party, str(document["dataset"]), None,
        str(document["state"]), int(entry["time"]),
    )  # fmt: skip
    return to_fhir(terms, record, releases[form])


def show_terms(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="Terms, DUO-JSON, or a FHIR Consent (R4 or R5).")],
) -> None:
    """Read somebody's terms and say them in plain words; `omic offer --terms FILE` uses them."""
    terms = read_terms(file)
    show(context_of(context), terms.to_dict(), describe(terms))


def visa(
    context: typer.Context,
    grant_id: GrantId,
    holder: Annotated[
        str | None, typer.Option(help="For whom; default: the order's researcher.")
    ] = None,
) -> None:
    """Get a GA4GH controlled-access visa for a consent in force; it lasts an hour."""
    body = {"grant": grant_id} if holder is None else {"grant": grant_id, "holder": holder}
    answer = session_of(context).market.post("/me/visas", body)
    show(context_of(context), answer, [str(answer["visa"])])
