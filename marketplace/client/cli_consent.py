"""An owner's terms and consents: offer, give consent, take it back."""

from typing import Annotated, Any

import typer

from compute import EXACT_STATISTICS, describe, parse_terms
from marketplace.client.cli_budget import lifetime_budget
from marketplace.client.cli_terms import chosen_terms, date_ms
from marketplace.client.errors import ClientError
from marketplace.client.owner import Owner
from marketplace.client.session import Session
from marketplace.client.statements import append
from marketplace.client.terminal import context_of, show

consent_app = typer.Typer(help="Give consent, take it back, and see what is given.")
HANDED = (
    "The ledger does not answer, so the marketplace has your signed stop: it acts already, and "
    "goes onto the ledger when that is back. Then run `omic receipts` for your receipt."
)

TermsOption = Annotated[
    str,
    typer.Option(
        help="my_condition_free, non_profit_research, everything_at_a_price, or a JSON file."
    ),
]


def add_to(app: typer.Typer) -> None:
    """Add these commands to the main one."""
    app.command()(offer)
    app.add_typer(consent_app, name="consent")


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
