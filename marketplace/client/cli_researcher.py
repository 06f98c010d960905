"""The researcher's commands: join, queries, dry-run, order."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from compute import parse_purpose, parse_release, parse_scope
from compute.queries import catalogue, family_digest, supports_match
from marketplace.client import cli_coauthors
from marketplace.client.answers import columns_of, draw, gwas_figures, gwas_ssf, rows_of, tsv
from marketplace.client.cli_coauthors import Folder, write_answer
from marketplace.client.errors import ClientError
from marketplace.client.examples import example
from marketplace.client.order_words import dry_run_lines, left_out, order_lines, price_lines
from marketplace.client.researcher import Request, Researcher, made_up, matching
from marketplace.client.session import Session
from marketplace.client.terminal import console, context_of, money, pairs, say, show, table, when

order_app = typer.Typer(help="Ask for a price, order, pay, and open the answer.")

RequestFile = Annotated[
    Path, typer.Argument(help="A request as JSON: purpose, query, scope, release.")
]


Matches = Annotated[
    list[str] | None,
    typer.Option(
        "--match",
        help="Count only whom this holds of (repeat it: all must), judged inside compute alone: "
        "'has TERM', 'lacks TERM', 'sex female', 'number height 150..180', "
        "'measurement CODE UNIT mean 4..7', 'carries 1-1000-A-G'.",
    ),
]


Maf = Annotated[
    str | None,
    typer.Option(help="Minor allele frequency or prevalence to expect the error at: 1/100."),
]
Sd = Annotated[
    str | None,
    typer.Option(help="Standard deviation to expect of the value measured, in its unit: 2.5."),
]


def add_to(app: typer.Typer) -> None:
    """Add the researcher's commands to the main one."""
    app.command()(join)
    app.command()(queries)
    app.command("references")(references)
    app.command("resolve")(resolve)
    app.command("dry-run")(dry_run)
    cli_coauthors.add_to(order_app)
    app.add_typer(order_app, name="order")


def _researcher(context: typer.Context) -> Researcher:
    return Researcher(Session.open(context_of(context).open_home()))


def _request(path: Path, match: list[str] | None = None) -> Request:
    try:
        value = json.loads(path.read_text())
        if match:
            value = matching(value, *match)
        return Request(
            parse_purpose(value["purpose"]),
            value["query"],
            parse_scope(value["scope"]),
            parse_release(value["release"]).to_dict(),
            str(value.get("currency", "gbp")),
        )
    except OSError as error:
        raise ClientError(f"cannot read {path}: {error.strerror}") from None
    except KeyError as error:
        raise ClientError(f"{path} lacks the part {error}; see `omic order template`") from None
    except ValueError as error:
        raise ClientError(f"{path} is not JSON: {error}") from None
    except TypeError:
        raise ClientError(f"{path} is not a request; see `omic order template`") from None


def join(
    context: typer.Context,
    organisation: Annotated[str, typer.Option(help="Your organisation, as it will be shown.")],
    sector: Annotated[
        str, typer.Option(help="academic, public_health, commercial, ...")
    ] = "academic",
    country: Annotated[str, typer.Option(help="ISO 3166 code.")] = "GB",
    non_profit: Annotated[bool, typer.Option(help="A not-for-profit organisation.")] = True,
    accredited: Annotated[bool, typer.Option(help="Ask to be attested as accredited.")] = False,
) -> None:
    """Enrol as a researcher (or reviewer) and ask the attester for your claims."""
    researcher = _researcher(context)
    role = researcher.session.home.identity["role"]
    claims: dict[str, Any] = {
        "person_verified": True,
        "organisation": organisation,
        "sector": sector,
        "country": country,
        "non_profit": non_profit,
    }
    if accredited:
        claims["accredited_researcher"] = True
    if role == "reviewer":
        claims["output_reviewer"] = True
    index = researcher.join(claims, role)
    show(
        context_of(context),
        {"party": researcher.session.home.party, "attested": index},
        [f"Enrolled as {role} of {organisation}; attested in ledger entry {index}."],
    )


def queries(context: typer.Context) -> None:
    """List the query families, how each may be released, and its sizes."""
    options = context_of(context)
    families: list[dict[str, Any]] = [
        {
            "family": name,
            "version": family.version,
            "about": family.title,
            "release": sorted(family.modes),
            "limits": family.limits,
            "match": supports_match(name),
            "sensitivity": family.sensitivity.statement,
            "code_digest": family_digest(name),
        }
        for name, family in sorted(catalogue().items())
    ]
    if options.json_output:
        typer.echo(json.dumps(families, indent=2))
        return
    heads = ("family", "about", "release", "match", "limits")
    rows = [
        (f["family"], f["about"], ", ".join(f["release"]), "yes" if f["match"] else "no",
         f["limits"])
        for f in families
    ]  # fmt: skip
    console.print(table("Queries you can buy", heads, rows))
    say("Start from an example: omic order template --family NAME > request.json")


@order_app.command("template")
def template(
    family: Annotated[
        str, typer.Option(help="A query family; `omic queries` lists them.")
    ] = "genotype_counts",
) -> None:
    """Print an example request of a family to start from."""
    if family not in catalogue():
        known = ", ".join(sorted(catalogue()))
        raise ClientError(f"{family!r} is no query family; there are {known}")
    typer.echo(json.dumps(example(family), indent=2))


@order_app.command("table")
def answer_table(
    context: typer.Context,
    result_file: Annotated[Path, typer.Argument(help="What `omic order result` wrote.")],
    form: Annotated[
        str,
        typer.Option("--format", help="table, tsv, gwas-ssf, gwas (lambda, QQ, Manhattan)."),
    ] = "table",
    plot: Annotated[
        Path | None, typer.Option(help="Also draw a figure to this .png, .svg or .pdf.")
    ] = None,
) -> None:
    """Show an answer as a table, GWAS-SSF, or a figure."""
    try:
        document = json.loads(result_file.read_bytes())
    except (OSError, ValueError):
        raise ClientError(f"cannot read {result_file} as a result") from None
    columns = columns_of(document)
    family = str(document["answer"].get("family", "answer"))
    if form == "tsv":
        typer.echo(tsv(columns), nl=False)
    elif form == "gwas-ssf":
        typer.echo(gwas_ssf(columns), nl=False)
    elif form == "gwas" or context_of(context).json_output:
        told = gwas_figures(columns) if form == "gwas" else columns
        typer.echo(json.dumps(told, indent=2))
    elif form == "table":
        console.print(table(family, tuple(columns), rows_of(columns)))
        for line in pairs(document["answer"].get("facts", {})):
            say(line)
    else:
        raise ClientError(f"--format is table, tsv, gwas-ssf or gwas, not {form!r}")
    if plot is not None:
        draw(columns, family, plot)
        say(f"Drawn: {plot}")


def references(context: typer.Context) -> None:
    """List the operator's reference files: scores, ontologies, loadings, loci, chains."""
    found = _researcher(context).references()
    if context_of(context).json_output:
        typer.echo(json.dumps(found, indent=2))
        return
    rows = [(one["kind"], one["name"], one["sha256"]) for one in found]
    console.print(table("Reference files", ("kind", "name", "sha256"), rows))


def resolve(
    context: typer.Context,
    names: Annotated[list[str], typer.Argument(help="rs-ids, genes, or chrom-pos-ref-alt.")],
    build: Annotated[str, typer.Option(help="GRCh37 or GRCh38.")] = "GRCh37",
    chain: Annotated[
        str | None, typer.Option(help="SHA-256 of a chain file, to lift to the other build.")
    ] = None,
) -> None:
    """Show what names stand for before you order, and put that into your request yourself."""
    answer = _researcher(context).resolve(names, build, chain)
    if context_of(context).json_output:
        typer.echo(json.dumps(answer, indent=2))
        return
    rows = [
        (one["asked"], one["kind"], one["region"] or ", ".join(one["variants"]), one["problem"])
        for one in answer["names"]
    ]
    console.print(table(f"On {build}", ("asked", "kind", "stands for", "problem"), rows))
    lifted = [
        (x["asked"], x["variant"] or "", x["strand"], "yes" if x["checked"] else "", x["problem"])
        for x in answer["lifted"]
    ]
    if lifted:
        console.print(
            table("Lifted", ("asked", "variant", "strand", "REF checked", "problem"), lifted)
        )


def dry_run(
    context: typer.Context,
    request: RequestFile,
    match: Matches = None,
    maf: Maf = None,
    sd: Sd = None,
    rows: Annotated[int, typer.Option(help="Made-up rows to show, to rehearse on.", min=0)] = 0,
) -> None:
    """Say, free of charge and from public quantities only, what an order would give."""
    wanted = _request(request, match)
    answer = _researcher(context).dry_run(wanted, maf, sd)
    columns = {name: values[:rows] for name, values in made_up(wanted).items()} if rows else {}
    show(context_of(context), {**answer, "made_up": columns}, dry_run_lines(answer))
    if rows and not context_of(context).json_output:
        cells = zip(*columns.values(), strict=True)
        console.print(table("Made up: nobody's data", tuple(columns), cells))


@order_app.command("place")
def place(
    context: typer.Context,
    request: RequestFile,
    match: Matches = None,
    maf: Maf = None,
    sd: Sd = None,
) -> None:
    """Get a quote, sign the order, and print where to pay."""
    researcher, wanted = _researcher(context), _request(request, match)
    quote = researcher.quote(wanted, maf, sd)
    order = researcher.order(wanted, quote)
    checkout = researcher.checkout(order)
    value = {"order": order, "total": quote["total"], "currency": quote["currency"], **checkout}
    lines = [
        f"Order [bold]{order}[/] for {money(quote['total'], quote['currency'])}",
        *left_out(quote),
        *filter(None, [quote["match"]]),
        *price_lines(quote["items"], quote["total"], quote["currency"]),
        f"Pay at {checkout['url']}",
        f"Then: omic order wait {order}",
    ]
    show(context_of(context), value, lines)


@order_app.command("invoice")
def invoice(
    context: typer.Context,
    order: str,
    purchase_order: Annotated[str, typer.Option("--po", help="Your purchase order's number.")],
) -> None:
    """Pay by bank transfer instead: print the invoice of an order."""
    made = _researcher(context).invoice(order, purchase_order)
    lines = [
        f"Invoice [bold]{made['invoice']}[/] for {money(made['total'], made['currency'])}, "
        f"due {when(made['due_at'])}; your purchase order {made['purchase_order']}",
        f"Pay {made['payee']}: {made['bank']}",
        f"Give {made['invoice']} as the reference. Two operators confirm the transfer.",
        f"To print it, sign a browser in with `omic open`, then: {made['page']}",
    ]
    show(context_of(context), made, lines)


@order_app.command("list")
def list_orders(context: typer.Context) -> None:
    """List your orders, newest first."""
    found = _researcher(context).orders()
    if context_of(context).json_output or not found:
        show(context_of(context), found, ["No order yet. Begin with: omic dry-run request.json"])
        return
    rows = [(one["order"], one["state"].replace("_", " "), money(one["amount"], one["currency"]),
             when(one["created_at"]), one["why"] or "") for one in found]  # fmt: skip
    console.print(table("Orders", ("order", "state", "price", "placed", "why no answer"), rows))


@order_app.command("cancel")
def cancel(context: typer.Context, order: str) -> None:
    """Cancel an order that was not approved yet; what was paid goes back."""
    told = _researcher(context).cancel(order)
    show(context_of(context), told, order_lines(told))


@order_app.command("show")
def show_order(context: typer.Context, order: str) -> None:
    """Show an order: where it stands, what was paid, what went back."""
    status = _researcher(context).status(order)
    show(context_of(context), status, order_lines(status))


@order_app.command("watch")
@order_app.command("wait")
def wait(context: typer.Context, order: str) -> None:
    """Wait until an order is settled, refunded or refused, and say how far it is meanwhile."""
    options, seen = context_of(context), [""]

    def progress(state: str) -> None:
        if state != seen[0] and not options.json_output:
            say(f"  {state}")
        seen[0] = state

    status = _researcher(context).wait(order, progress=progress)
    show(options, status, [f"Order {order}: {status['state']}"])


@order_app.command("result")
def result(
    context: typer.Context,
    order: str,
    output: Folder = Path(),
) -> None:
    """Open the answer with your key, check its proof, and write result and proof bundle."""
    written = write_answer(order, _researcher(context).answer(order), output)
    show(context_of(context), written, [f"{name}: {path}" for name, path in written.items()])
