"""The owner's commands for others who ask: health passport, approvals, rules."""

import json
from pathlib import Path
from typing import Annotated

import typer

from compute import describe
from marketplace.client import approvals, passport
from marketplace.client.cli_terms import chosen_terms, date_ms
from marketplace.client.terminal import console, context_of, say, session_of, show, table, when

passport_app = typer.Typer(help="Share one dataset with one professional, until a date.")
approvals_app = typer.Typer(help="Orders that wait for your yes.")
rules_app = typer.Typer(help="Rules that say yes for you, so that you are not asked again.")

OrderId = Annotated[str, typer.Argument(help="The order's id.")]


def add_to(app: typer.Typer) -> None:
    """Add these commands to the main one."""
    app.add_typer(passport_app, name="passport")
    app.add_typer(approvals_app, name="approvals")
    app.add_typer(rules_app, name="rules")


# -- health passport


@passport_app.command("share")
def share(
    context: typer.Context,
    dataset: Annotated[str, typer.Argument(help="The dataset's id.")],
    key: Annotated[Path, typer.Option(help="The professional's Crypt4GH public key file.")],
    until: Annotated[
        str | None, typer.Option(help="Until when, YYYY-MM-DD (not included).")
    ] = None,
    part: Annotated[
        str | None, typer.Option(help="Only this part, e.g. 22:10000-20000 (cut here).")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Share a dataset, or a part of it, with one professional's key."""
    options = context_of(context)
    if not options.json_output:
        say(passport.BEFORE)
        if not yes:
            typer.confirm("Share it?", abort=True)
    region = None if part is None else passport.Region.parse(part)
    made = passport.share(session_of(context), dataset, key, date_ms(until), region=region)
    lines = [f"Shared: ledger entry {made['index']}. Send them this link, which is a secret:"]
    show(options, made, [*lines, str(made["link"])])


@passport_app.command("list")
def list_shares(context: typer.Context) -> None:
    """List what you share, with whom, until when, and how often it was fetched."""
    options, found = context_of(context), passport.shares(session_of(context))
    if options.json_output:
        typer.echo(json.dumps(found, indent=2))
        return
    rows = [
        (s["share"], s["dataset"], s["region"] or "whole",
         when(s["valid_until"]) if s["valid_until"] else "until you stop it",
         s.get("status", "?"), s.get("fetches", "?"))
        for s in found
    ]  # fmt: skip
    columns = ("share", "dataset", "part", "until", "state", "fetched")
    console.print(table("Your health passport", columns, rows))


@passport_app.command("send")
def send_share(
    context: typer.Context, share_id: Annotated[str, typer.Argument(help="The share's id.")]
) -> None:
    """Send a share again that the ledger has and the marketplace did not take."""
    made = passport.send(session_of(context), share_id)
    lines = ["The marketplace has it. Send them this link, which is a secret:", str(made["link"])]
    show(context_of(context), made, lines)


@passport_app.command("stop")
def stop_share(
    context: typer.Context, share_id: Annotated[str, typer.Argument(help="The share's id.")]
) -> None:
    """Stop a share: no further download. What was fetched stays readable."""
    index = passport.stop_share(session_of(context), share_id)
    lines = [f"Stopped: ledger entry {index}. What was fetched before stays readable."]
    show(context_of(context), {"share": share_id, "index": index}, lines)


@passport_app.command("fetch")
def fetch(
    context: typer.Context,
    link: Annotated[str, typer.Argument(help="The link you were sent, whole.")],
    out: Annotated[Path, typer.Option(help="Where to write the Crypt4GH file.")],
) -> None:
    """For a professional: fetch what was shared with you. Open it with any Crypt4GH tool."""
    size = 0
    with out.open("xb") as file:
        for chunk in passport.fetch(link):
            size += file.write(chunk)
    lines = [f"{out}: {size} bytes. Open it: crypt4gh decrypt --sk YOUR.sec < {out}"]
    show(context_of(context), {"file": str(out), "size": size}, lines)


# -- approvals and rules


@approvals_app.command("list")
def list_approvals(context: typer.Context) -> None:
    """List orders that wait for your yes, oldest first, with the reason they ask."""
    options, found = context_of(context), approvals.waiting(session_of(context))
    if options.json_output:
        typer.echo(json.dumps([one.to_json() for one in found], indent=2))
        return
    rows = [
        (one.order, _days(one.age_ms), _who(one), one.query, "; ".join(one.reasons))
        for one in found
    ]
    console.print(table("They wait for you", ("order", "since", "who", "query", "why"), rows))


def _days(age_ms: int) -> str:
    days, hours = age_ms // 86_400_000, age_ms // 3_600_000 % 24
    return f"{days} days" if days else f"{hours} hours"


def _who(one: approvals.Waiting) -> str:
    attested = one.attested.get("organisation")
    declared = one.declared.get("sponsor") or "unknown"
    return f"{attested} (attested)" if attested else f"{declared} (says so itself)"


@approvals_app.command("allow")
def allow(context: typer.Context, order: OrderId) -> None:
    """Say yes to one order: a consent for it alone."""
    grants = approvals.allow(session_of(context), order)
    show(context_of(context), {"order": order, "grants": grants},
         [f"Consent given for this order: {grant}" for grant in grants])  # fmt: skip


@approvals_app.command("refuse")
def refuse(context: typer.Context, order: OrderId) -> None:
    """Say no to one order; you are not asked about it again."""
    count = approvals.refuse(session_of(context), order)
    show(context_of(context), {"order": order, "datasets": count}, ["Refused; nothing was given."])


@approvals_app.command("auto")
def auto(context: typer.Context) -> None:
    """Say yes to whatever your rules allow, and leave the rest to you."""
    given = approvals.apply_rules(session_of(context))
    lines = [f"Order {order}: allowed by a rule of yours" for order in given]
    show(context_of(context), given, lines or ["No order that waits is allowed by a rule."])


@rules_app.command("add")
def add_rule(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help='E.g. "non-profit diabetes research".')],
    terms: Annotated[str, typer.Option(help="A preset, or a JSON file of terms.")],
    disease: Annotated[list[str] | None, typer.Option(help="MONDO id.")] = None,
    price: Annotated[int | None, typer.Option(help="Minor units a use.")] = None,
    trusted: Annotated[bool, typer.Option(help="Also for exact answers.")] = False,
) -> None:
    """Add a rule: orders these terms permit are said yes to by `omic approvals auto`."""
    chosen = chosen_terms(terms, disease or [], price, trusted)
    rule = approvals.add_rule(session_of(context), name, chosen)
    lines = [f"Rule {rule}: {name}", *(f"  {line}" for line in describe(chosen))]
    show(context_of(context), {"rule": rule, "terms": chosen.to_dict()}, lines)


@rules_app.command("list")
def list_rules(context: typer.Context) -> None:
    """List your rules."""
    options = context_of(context)
    found = list(options.open_home().documents("rules"))
    lines = [f"{one['rule']}  {one['name']}" for one in found]
    show(options, found, lines or ["You have no rules."])


@rules_app.command("drop")
def drop_rule(
    context: typer.Context, rule: Annotated[str, typer.Argument(help="The rule's id.")]
) -> None:
    """Drop a rule. Consents it gave stay until you withdraw them."""
    approvals.drop_rule(session_of(context), rule)
    show(context_of(context), {"rule": rule}, ["Dropped."])
