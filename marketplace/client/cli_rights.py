"""The owner's further commands: pause, object, mandates, everything about me, certificates."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from compute import (
    ConsentRecord,
    breach_scope,
    describe,
    parse_terms,
    to_duo_json,
    to_fhir,
)
from compute.ingest import Given, Modality
from ledger import Follower, LedgerClient
from marketplace.client import mandates, optout, rights
from marketplace.client.certificate import check_certificate, make_certificate, read_certificate
from marketplace.client.cli_consent import HANDED, consent_app
from marketplace.client.cli_files import OWNER_CLAIMS, checked
from marketplace.client.cli_terms import date_ms, read_terms
from marketplace.client.errors import ClientError
from marketplace.client.hand import hand_of
from marketplace.client.home import Home
from marketplace.client.market import Market
from marketplace.client.owner import Owner, Roles
from marketplace.client.package import check_package, write_package
from marketplace.client.session import Session
from marketplace.client.statements import now_ms
from marketplace.client.terminal import console, context_of, pairs, show, table, when

mandate_app = typer.Typer(help="Who may act for somebody: guardian, deputy, custodian.")
objections_app = typer.Typer(help="For custodians: objections by a list, such as an opt-out check.")
certificate_app = typer.Typer(help="Certificates of erasure.")

GrantId = Annotated[str, typer.Argument(help="The consent's id.")]
DatasetId = Annotated[str, typer.Argument(help="The dataset's id.")]
Until = Annotated[str | None, typer.Option(help="Until when, YYYY-MM-DD (not included).")]


def add_to(app: typer.Typer) -> None:
    """Add these commands to the main one."""
    app.add_typer(mandate_app, name="mandate")
    app.add_typer(objections_app, name="objections")
    app.add_typer(certificate_app, name="certificate")
    app.command()(enrol)
    app.command()(replace)
    app.command()(notices)
    app.command("takeout")(takeout)
    app.command()(breach)
    app.command()(visas)
    app.command("records")(records)


def _session(context: typer.Context) -> Session:
    return Session.open(context_of(context).open_home())


# -- consents


@consent_app.command("list")
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


@consent_app.command("pause")
def pause(context: typer.Context, grant_id: GrantId) -> None:
    """Pause a consent: nothing is used until you resume it."""
    done = Owner(_session(context)).pause(grant_id)
    said = f"Paused. {HANDED}" if done.index is None else f"Paused: ledger entry {done.index}."
    show(context_of(context), {"grant": grant_id, "index": done.index}, [said])


@consent_app.command("resume")
def resume(context: typer.Context, grant_id: GrantId) -> None:
    """Let a paused consent count again."""
    index = rights.resume(_session(context), grant_id)
    show(context_of(context), {"grant": grant_id, "index": index}, [f"Resumed: entry {index}."])


@consent_app.command("object")
def object_to_everything(context: typer.Context) -> None:
    """Object to every use: ends all your consents, and no consent counts until you lift it."""
    done = rights.object_to_all(_session(context))
    said = HANDED if done.index is None else f"Ledger entry {done.index}."
    show(context_of(context), {"index": done.index}, [f"You object to every use. {said}"])


@consent_app.command("lift")
def lift(context: typer.Context) -> None:
    """Lift your objection. Consents it ended stay ended: give those you want anew."""
    index = rights.lift_objection(_session(context))
    show(context_of(context), {"index": index}, [f"Objection lifted: entry {index}."])


@consent_app.command("export")
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


@consent_app.command("terms")
def show_terms(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="Terms, DUO-JSON, or a FHIR Consent (R4 or R5).")],
) -> None:
    """Read somebody's terms and say them in plain words; `omic offer --terms FILE` uses them."""
    terms = read_terms(file)
    show(context_of(context), terms.to_dict(), describe(terms))


@consent_app.command("visa")
def visa(
    context: typer.Context,
    grant_id: GrantId,
    holder: Annotated[
        str | None, typer.Option(help="For whom; default: the order's researcher.")
    ] = None,
) -> None:
    """Get a GA4GH controlled-access visa for a consent in force; it lasts an hour."""
    body = {"grant": grant_id} if holder is None else {"grant": grant_id, "holder": holder}
    answer = _session(context).market.post("/me/visas", body)
    show(context_of(context), answer, [str(answer["visa"])])


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
    made = mandates.give(_session(context), kind, holder, date_ms(until))
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
    ended = mandates.end(_session(context), mandate)
    value = {"mandate": mandate, "index": ended.index, "grants": list(ended.grants)}
    show(context_of(context), value, [
        f"Ended: entry {ended.index}. {len(ended.grants)} consents given under it ended with it: "
        "nothing is used for them any more. To allow a use again, consent yourself."])  # fmt: skip


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


# -- everything about me


def enrol(context: typer.Context) -> None:
    """Enrol without registering anything, as a guardian or a custodian does."""
    session = _session(context)
    if session.home.read("enrolled.json") is None:
        mandates.enrol(session)
        index = session.attester.attest(session.home.party, "owner", OWNER_CLAIMS)
        session.home.write("enrolled.json", {"attested": index})
    party = session.home.party
    show(context_of(context), {"party": party}, [f"Enrolled as {party}."])


def replace(
    context: typer.Context,
    dataset: DatasetId,
    file: Annotated[Path, typer.Argument(help="The corrected file.")],
    sample: Annotated[str | None, typer.Option(help="Which sample of it.")] = None,
) -> None:
    """Put a corrected file in the place of a wrong one, under the same consents."""
    session = _session(context)
    record = session.home.read(f"datasets/{dataset}.json")
    if record is None:
        raise ClientError(f"no dataset {dataset} in {session.home.path}; see `omic list`")
    modality = cast("Modality", record["modality"])
    prepared = checked(Owner(session), file, modality, Given(sample=sample), Roles())
    made = rights.replace(session, dataset, prepared)
    lines = [f"Dataset {made['dataset']} takes the place of {dataset}, which is out of use."]
    show(context_of(context), made, lines)


def notices(context: typer.Context) -> None:
    """Show what you should know: who waits for you, what ends soon."""
    options = context_of(context)
    found = _session(context).market.get("/me/notices")["notices"]
    lines = [f"{when(one['at'])}  {one['text']}" for one in found]
    show(options, found, lines or ["Nothing waits for you."])


def takeout(
    context: typer.Context,
    out: Annotated[Path, typer.Argument(help="The archive to write, e.g. mine.zip.")],
    check: Annotated[bool, typer.Option("--check", help="Check an archive instead.")] = False,
) -> None:
    """Take everything about you home: your data, consents, uses, proofs, and what we hold."""
    if check:
        manifest = check_package(out)
        show(context_of(context), manifest, [f"{out}: whole, {len(manifest['sha256'])} files."])
        return
    made = write_package(_session(context), out)
    show(context_of(context), made, [f"{out}: {made['files']} files. It holds your data readable: "
         "keep it as you would keep your keys."])  # fmt: skip


@certificate_app.command("make")
def make(
    context: typer.Context,
    dataset: DatasetId,
    out: Annotated[Path, typer.Option(help="Where to write the certificate.")],
) -> None:
    """Write the certificate of an erasure, which anybody can check."""
    value = make_certificate(_session(context), dataset)
    out.write_text(json.dumps(value, indent=1) + "\n")
    show(context_of(context), value, [value["meaning"], f"{out}: give it to whom you like."])


@certificate_app.command("check")
def check(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The certificate.")],
    ask: Annotated[bool, typer.Option(help="Also ask the marketplace what it holds.")] = True,
) -> None:
    """Check somebody's certificate of erasure, trusting only your trust file."""
    options = context_of(context)
    trust = options.open_home().trust
    market = Market(trust.marketplace_url)
    asking = (lambda name: str(market.get(f"/erasures/{name}")["ciphertext"])) if ask else None
    found = check_certificate(read_certificate(file), trust, asking)
    value = {
        "ok": found.ok,
        "index": found.index,
        "time": found.time,
        "ciphertext": found.ciphertext,
        "erases": list(found.erases),
        "stops": list(found.stops),
    }
    lines = [
        f"Ledger entry {found.index} of {when(found.time)} erases {len(found.erases)} statements "
        f"and ends {len(found.stops)} consents. The ciphertext: {found.ciphertext or 'not asked'}.",
    ]
    show(options, value, lines)
    raise typer.Exit(0 if found.ok else 1)


def visas(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(help="Files with one GA4GH visa (JWT) each.")],
) -> None:
    """For researchers: let visas from your institution or passport broker count as claims."""
    session = _session(context)
    tokens = [path.read_text().strip() for path in files]
    said = session.attester.show_visas(session.home.party, tokens)
    known = session.home.read("attestations.json") or {"indexes": []}
    session.home.write("attestations.json", {"indexes": [*known["indexes"], said["index"]]})
    lines = [f"{name}: {value}" for name, value in said["claims"].items()]
    show(context_of(context), said, [*lines, f"Stated on the ledger: entry {said['index']}."])


# -- for operators


def records(context: typer.Context) -> None:
    """Print the record of processing activities (GDPR Art. 30)."""
    options = context_of(context)
    value = Market(options.open_home().trust.marketplace_url).get("/records")
    lines = [f"{name}: {held['purpose']}; {held['kept']}" for name, held in value["tables"].items()]
    show(options, value, lines)


def breach(
    context: typer.Context,
    token_file: Annotated[Path, typer.Option(help="An auditor's token of the ledger.")],
    key: Annotated[str | None, typer.Option(help="The id of the lost compute key.")] = None,
    dataset: Annotated[str | None, typer.Option(help="One dataset.")] = None,
    since: Annotated[str | None, typer.Option(help="List accesses from, YYYY-MM-DD.")] = None,
    until: Annotated[str | None, typer.Option(help="List accesses until, YYYY-MM-DD.")] = None,
) -> None:
    """Say whose data a lost key could open, or what concerns a dataset, and by when to notify."""
    options = context_of(context)
    if key is None and dataset is None:
        raise ClientError("say which: --key or --dataset, or both")
    trust = options.open_home().trust
    client = LedgerClient(trust.ledger_url, token=token_file.read_text().strip())
    follower = Follower(client, trust, None, personal=True, clock=now_ms)
    follower.sync()
    found = breach_scope(
        follower.state, noticed_at=now_ms(), key_id=key, dataset=dataset,
        since=date_ms(since) or 0, until=date_ms(until),
    ).to_json()  # fmt: skip
    lines = [*pairs(found["counts"]), f"Notify the authority by {when(found['notify_by'])}."]
    show(options, found, lines)
