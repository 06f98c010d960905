"""The owner's rights: corrections, notices, everything about me, certificates of erasure."""

import json
from pathlib import Path
from typing import Annotated, cast

import typer

from compute import (
    breach_scope,
)
from compute.ingest import Given, Modality
from ledger import Follower, LedgerClient
from marketplace.client import mandates, rights
from marketplace.client.certificate import check_certificate, make_certificate, read_certificate
from marketplace.client.cli_files import OWNER_CLAIMS, checked
from marketplace.client.cli_terms import date_ms
from marketplace.client.errors import ClientError
from marketplace.client.market import Market
from marketplace.client.owner import Owner, Roles
from marketplace.client.package import check_package, write_package
from marketplace.client.statements import now_ms
from marketplace.client.terminal import context_of, pairs, session_of, show, when

certificate_app = typer.Typer(help="Certificates of erasure.")

DatasetId = Annotated[str, typer.Argument(help="The dataset's id.")]


def add_to(app: typer.Typer) -> None:
    """Add these commands to the main one."""
    app.add_typer(certificate_app, name="certificate")
    app.command()(enrol)
    app.command()(replace)
    app.command()(notices)
    app.command("takeout")(takeout)
    app.command()(breach)
    app.command()(visas)
    app.command("records")(records)


def enrol(context: typer.Context) -> None:
    """Enrol without registering anything, as a guardian or a custodian does."""
    session = session_of(context)
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
    session = session_of(context)
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
    found = session_of(context).market.get("/me/notices")["notices"]
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
    made = write_package(session_of(context), out)
    show(context_of(context), made, [f"{out}: {made['files']} files. It holds your data readable: "
         "keep it as you would keep your keys."])  # fmt: skip


@certificate_app.command("make")
def make(
    context: typer.Context,
    dataset: DatasetId,
    out: Annotated[Path, typer.Option(help="Where to write the certificate.")],
) -> None:
    """Write the certificate of an erasure, which anybody can check."""
    value = make_certificate(session_of(context), dataset)
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
    session = session_of(context)
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
