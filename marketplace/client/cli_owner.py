"""The owner's commands: keygen, register, offer, consent, activity, erase, list."""

import csv
import json
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer

from compute import EXACT_STATISTICS, describe, parse_terms
from compute.ingest import Given, IngestError, Modality
from ledger import LedgerError
from marketplace.client.activity import foreign_entries, mine_of, own_events
from marketplace.client.cli_budget import lifetime_budget
from marketplace.client.cli_files import (
    AllelesOption,
    AssayOption,
    BuildOption,
    CallabilityOption,
    FileArgument,
    ModalityOption,
    NamespaceOption,
    ReferenceOption,
    RegionsOption,
    SampleOption,
    UnitOption,
    check,
    checked_modality,
    given_of,
    in_options,
    show_summary,
)
from marketplace.client.cli_terms import chosen_terms, date_ms
from marketplace.client.errors import ClientError
from marketplace.client.history import USE, csv_rows
from marketplace.client.home import Home
from marketplace.client.owner import Owner, Prepared, Roles
from marketplace.client.receipts import check_all
from marketplace.client.renewal import renew
from marketplace.client.session import Session
from marketplace.client.statements import append, new_id
from marketplace.client.terminal import (
    console,
    context_of,
    money,
    say,
    show,
    table,
    warn,
    when,
)

consent_app = typer.Typer(help="Give consent, take it back, and see what is given.")
DEFAULT_TRUST = "http://localhost:8080/trust.json"
HANDED = (
    "The ledger does not answer, so the marketplace has your signed stop: it acts already, and "
    "goes onto the ledger when that is back. Then run `omic receipts` for your receipt."
)
OWNER_CLAIMS = {"person_verified": True, "unaffiliated": True}

TermsOption = Annotated[
    str,
    typer.Option(
        help="my_condition_free, non_profit_research, everything_at_a_price, or a JSON file."
    ),
]


def add_to(app: typer.Typer) -> None:
    """Add the owner's commands to the main one."""
    app.command()(keygen)
    app.command()(check)
    app.command()(register)
    app.command()(offer)
    app.command("list")(list_datasets)
    app.command("activity")(show_activity)
    app.command()(erase)
    app.command()(receipts)
    app.command("open")(open_pages)
    app.add_typer(consent_app, name="consent")


def keygen(
    context: typer.Context,
    trust: Annotated[
        str, typer.Option(help="Trust file or its URL: whose log, witnesses and compute to trust.")
    ] = DEFAULT_TRUST,
    role: Annotated[str, typer.Option(help="owner, researcher or reviewer.")] = "owner",
) -> None:
    """Make your keys (they stay here) and pin whom you trust."""
    options = context_of(context)
    home = options.open_home()
    try:
        home.create_from(trust_bytes(trust), role, new_id())
    except LedgerError as error:
        raise ClientError(f"{trust} is not a trust file: {error}") from None
    show(
        options,
        home.identity,
        [
            f"Made a new {role} in {home.path}. Back up your keys: {home.path / 'keys'}",
            f"Pinned the trust file of {home.trust.origin}"
            + (" (an embedded run: its witnesses are stand-ins)." if home.trust.embedded else "."),
        ],
    )


def trust_bytes(where: str) -> bytes:
    """Return a trust file's bytes, from a path or a URL. Raises ClientError."""
    if not where.startswith(("http://", "https://")):
        try:
            return Path(where).read_bytes()
        except OSError as error:
            raise ClientError(f"cannot read the trust file {where}: {error.strerror}") from None
    try:
        response = httpx.get(where, timeout=20.0).raise_for_status()
    except httpx.HTTPError as error:
        raise ClientError(
            f"cannot fetch the trust file {where} ({type(error).__name__}); "
            "start a market with `omic up`, or give --trust FILE"
        ) from None
    return response.content


def register(
    context: typer.Context,
    file: FileArgument,
    modality: ModalityOption = "genotypes",
    sample: SampleOption = None,
    build: BuildOption = None,
    callability: CallabilityOption = None,
    regions: RegionsOption = None,
    alleles: AllelesOption = None,
    reference: ReferenceOption = None,
    namespace: NamespaceOption = None,
    unit: UnitOption = None,
    assay: AssayOption = None,
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
    kind = checked_modality(modality)
    features = (namespace, unit, assay)
    given = given_of(sample, build, callability, regions, alleles, reference, features)
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


def offer(
    context: typer.Context,
    datasets: Annotated[list[str], typer.Argument(help="Dataset ids to offer together.")],
    terms: TermsOption = "non_profit_research",
    facet: Annotated[
        list[str] | None, typer.Option(help="Publish a facet, e.g. population=CEU")
    ] = None,
    disease: Annotated[
        list[str] | None, typer.Option(help="MONDO id, for my_condition_free.")
    ] = None,
    price: Annotated[
        int | None, typer.Option(help="Minor units per use, for a priced preset.")
    ] = None,
    trusted: Annotated[
        bool, typer.Option(help="Allow exact answers for accredited researchers.")
    ] = False,
    until: Annotated[
        str | None, typer.Option(help="Until when, YYYY-MM-DD; default: until you withdraw.")
    ] = None,
    region: Annotated[
        list[str] | None, typer.Option(help="Where it may be computed on; default: anywhere.")
    ] = None,
    lifetime_rho: Annotated[
        str,
        typer.Option(help="Privacy budget for your lifetime, at most 1/2; see `omic budget`."),
    ] = "1/10",
    exact_statistics: Annotated[
        int, typer.Option(help="How many exact figures may ever count you (with --trusted).")
    ] = EXACT_STATISTICS,
) -> None:
    """Publish the terms your datasets are offered under."""
    options = context_of(context)
    session = Session.open(options.open_home())
    limits = {
        "valid_until": date_ms(until),
        "regions": tuple(region or ("*",)),
        "lifetime_rho": str(lifetime_budget(lifetime_rho)),
        "exact_statistics": exact_statistics,
    }
    chosen = chosen_terms(terms, disease or [], price, trusted, limits)
    facets = _facets(facet or [])
    offered, submission = Owner(session).offer(datasets, chosen, facets)
    append(session.ledger, session.home, [submission])
    document = {"offer": offered, "datasets": datasets, "terms": chosen.to_dict(), "facets": facets}
    session.home.write(f"offers/{offered}.json", document)
    lines = [f"Offer [bold]{offered}[/]:", *(f"  {line}" for line in describe(chosen))]
    show(options, document, [*lines, f"Now: omic consent grant {offered}"])


def _facets(items: list[str]) -> dict[str, str]:
    pairs_ = [item.split("=", 1) for item in items]
    if any(len(pair) != 2 for pair in pairs_):
        raise ClientError("a facet is written name=value, e.g. --facet population=CEU")
    return {pair[0]: pair[1] for pair in pairs_}


@consent_app.command("grant")
def grant(
    context: typer.Context,
    offer_id: Annotated[str, typer.Argument(help="The offer's id.")],
    region: Annotated[str, typer.Option(help="In which region it may be opened.")] = "local",
) -> None:
    """Consent: hand compute the key to each dataset of an offer, under its exact terms."""
    options = context_of(context)
    session = Session.open(options.open_home())
    home = session.home
    document = home.read(f"offers/{offer_id}.json")
    if document is None:
        raise ClientError(f"no offer {offer_id} in {home.path}; make one with `omic offer`")
    session.view.sync()
    owner, terms = Owner(session), parse_terms(document["terms"])
    submissions = [
        owner.grant(
            _record(home.read(f"datasets/{d}.json"), d),
            offer_id,
            terms,
            document["facets"],
            region=region,
        )
        for d in document["datasets"]
    ]
    owner.send([], after=submissions)
    session.keep_receipts()
    grants = [str(s.entry.payload["grant"]) for s in submissions]
    show(options, {"grants": grants}, [f"Consent given: [bold]{g}[/]" for g in grants])


def _record(record: dict[str, Any] | None, dataset: str) -> dict[str, Any]:
    if record is None or record["erased"] or record.get("replaced_by"):
        raise ClientError(f"dataset {dataset} is not registered here (or was erased)")
    return record


@consent_app.command("withdraw")
def withdraw(
    context: typer.Context, grant_id: Annotated[str, typer.Argument(help="The consent's id.")]
) -> None:
    """Take a consent back. The key compute held is destroyed; no reason is asked."""
    options = context_of(context)
    session = Session.open(options.open_home())
    done = Owner(session).withdraw(grant_id)
    if done.index is None:
        show(options, {"grant": grant_id, "index": None}, [f"Withdrawn. {HANDED}"])
        return
    session.keep_receipts()
    show(
        options,
        {"grant": grant_id, "index": done.index},
        [f"Withdrawn: ledger entry {done.index}. It acts on every job that has not released."],
    )


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
