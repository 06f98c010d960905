"""The operator's commands: bank, confirm, custodian, charity, payouts, reverse, reconcile.

Exit status 1 where a reconciliation leaves something open.
"""

from pathlib import Path
from typing import Annotated, Any

import typer

from marketplace.client.operator import Operator
from marketplace.client.terminal import console, context_of, money, say, show, table, when

operator_app = typer.Typer(help="Run a market's money: bank transfers, payouts, reconciliation.")

KeyOption = Annotated[
    Path, typer.Option("--key", envvar="OMIC_OPERATOR_KEY", help="Folder of the operator's key.")
]
TrustOption = Annotated[Path, typer.Option("--trust", envvar="OMIC_TRUST", help="Trust file.")]
DEFAULT_KEY, DEFAULT_TRUST = Path("omic-data/operator-1/keys"), Path("omic-data/trust/trust.json")


def add_to(app: typer.Typer) -> None:
    """Add the operator's commands to the main one."""
    app.add_typer(operator_app, name="operator")


def _operator(context: typer.Context, key: Path, trust: Path) -> Operator:
    return Operator.open(key, trust, context_of(context).passphrase)


@operator_app.command("bank")
def bank(
    context: typer.Context, key: KeyOption = DEFAULT_KEY, trust: TrustOption = DEFAULT_TRUST
) -> None:
    """List the bank transfers that two operators have to confirm."""
    waiting = _operator(context, key, trust).waiting()
    rows = [
        (one["invoice"], one["action"].removeprefix("bank."), one["purchase_order"] or "",
         money(one["details"]["amount"], one["details"]["currency"]),
         f"{one['stated']} of {one['needed']}")
        for one in waiting
    ]  # fmt: skip
    if context_of(context).json_output:
        show(context_of(context), waiting, [])
        return
    if not rows:
        say("No bank transfer waits for operators.")
        return
    columns = ("invoice", "transfer", "purchase order", "amount", "confirmed by")
    console.print(table("Bank transfers to confirm", columns, rows))


@operator_app.command("confirm")
def confirm(
    context: typer.Context,
    invoice: Annotated[str, typer.Argument(help="The invoice's number, as on the statement.")],
    key: KeyOption = DEFAULT_KEY,
    trust: TrustOption = DEFAULT_TRUST,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """State on the ledger that you saw a transfer on the bank's statement. Two people must."""
    operator = _operator(context, key, trust)
    if not yes:
        typer.confirm(f"Did you see the transfer of {invoice} on the bank's statement?", abort=True)
    transfer, index = operator.confirm(invoice)
    left = max(0, transfer["needed"] - transfer["stated"] - 1)
    said = "it counts now." if not left else f"{left} more operator must confirm it."
    value = {"invoice": invoice, "index": index, "left": left}
    show(context_of(context), value, [f"Confirmed in ledger entry {index}: {said}"])


@operator_app.command("custodian")
def custodian(
    context: typer.Context,
    code: Annotated[str, typer.Argument(help="The custodian's code, as datasets name it.")],
    party: Annotated[str, typer.Argument(help="The party id that is paid.")],
    percent: Annotated[int, typer.Argument(min=0, max=100, help="Its part of each share.")],
    key: KeyOption = DEFAULT_KEY,
    trust: TrustOption = DEFAULT_TRUST,
) -> None:
    """Publish what part a custodian gets of people who consent from now on."""
    details = {"custodian": code, "party": party, "percent": percent}
    index = _operator(context, key, trust).act("custodian.split", details)
    text = f"{code} gets {percent} % for consents given after ledger entry {index}."
    show(context_of(context), {**details, "index": index}, [text])


@operator_app.command("charity")
def charity(
    context: typer.Context,
    code: Annotated[str, typer.Argument(help="A short code, e.g. heart_fund.")],
    name: Annotated[str, typer.Argument(help="The charity's name.")],
    country: Annotated[str, typer.Option(help="Where it banks, ISO 3166, e.g. GB.")],
    key: KeyOption = DEFAULT_KEY,
    trust: TrustOption = DEFAULT_TRUST,
) -> None:
    """Put a charity on the list, and print where it tells Stripe its bank."""
    operator = _operator(context, key, trust)
    details = {"code": code, "name": name}
    entry = operator.act("charity.listed", details)
    operator.market.post("/operator/charities", {**details, "entry": entry})
    stated = operator.act("charity.onboarded", {"code": code, "country": country})
    body = {"country": country, "entry": stated}
    url = operator.market.post(f"/operator/charities/{code}/onboard", body)["url"]
    show(context_of(context), {"code": code, "url": url}, [f"{name} is listed. Onboard it: {url}"])


@operator_app.command("payouts")
def payouts(
    context: typer.Context,
    key: KeyOption = DEFAULT_KEY,
    trust: TrustOption = DEFAULT_TRUST,
    now: Annotated[bool, typer.Option("--now", help="Pay what is owed without waiting.")] = False,
) -> None:
    """List payout batches; with --now plan one at once."""
    operator, path = _operator(context, key, trust), "/operator/payouts"
    if now:
        answer = operator.market.post(path, {"entry": operator.act("payouts.run", {})})
    else:
        answer = operator.market.get(path)
    if context_of(context).json_output:
        show(context_of(context), answer, [])
        return
    rows = [
        (when(one["created_at"])[:16], one["period"], one["currency"].upper(), one["state"], state,
         totals["payouts"], money(totals["amount"], one["currency"]))
        for one in answer["batches"] for state, totals in one["by_state"].items()
    ]  # fmt: skip
    if not rows:
        nobody = "nobody who can be paid is owed as much as the threshold"
        say(f"Nothing to pay: {nobody}." if now else "No payout was planned yet.")
        return
    columns = ("planned", "period", "currency", "batch", "payouts", "how many", "amount")
    console.print(table("Payout batches", columns, rows))


@operator_app.command("reverse")
def reverse(
    context: typer.Context,
    payout: Annotated[
        str, typer.Argument(help="Its id; at Stripe in the transfer's metadata, behind payout:.")
    ],
    amount: Annotated[int | None, typer.Option(help="Minor units; all of it by default.")] = None,
    key: KeyOption = DEFAULT_KEY,
    trust: TrustOption = DEFAULT_TRUST,
) -> None:
    """Take part or all of a payout back that was sent in error; it is owed again."""
    operator = _operator(context, key, trust)
    entry = operator.act("payout.reversed", {"payout": payout, "amount": amount})
    answer = operator.market.post(
        f"/operator/payouts/{payout}/reverse", {"amount": amount, "entry": entry}
    )
    show(context_of(context), answer, [f"Payout {payout} was taken back; it is owed again."])


@operator_app.command("reconcile")
def reconcile(
    context: typer.Context,
    key: KeyOption = DEFAULT_KEY,
    trust: TrustOption = DEFAULT_TRUST,
    last: Annotated[bool, typer.Option("--last", help="Show the last run; start none.")] = False,
) -> None:
    """Compare book, ledger and Stripe, close what differs, and show what was done."""
    operator, path = _operator(context, key, trust), "/operator/reconciliation"
    if last:
        runs = operator.market.get(path)["runs"]
    else:
        entry = operator.act("reconciliation.run", {})
        runs = [operator.market.post(path, {"entry": entry})]
    if not runs:
        say("Nothing was compared yet.")
        return
    run: dict[str, Any] = runs[0]
    show(context_of(context), run, list(_lines(run)))
    raise typer.Exit(0 if run["ok"] else 1)


def _lines(run: dict[str, Any]) -> list[str]:
    verdict = "[bold]All three agree.[/]" if run["ok"] else "[bold red]Something is open.[/]"
    lines = [f"Compared {when(run['at'])}. {verdict}"]
    lines += [f"  closed: {one['what']} ({one['about']}): {one['did']}" for one in run["closed"]]
    lines += [f"  open: {one['what']} ({one['about']}): {one['do']}" for one in run["open"]]
    for currency, said in run["totals"].items():
        lines.append(f"  {currency.upper()}")
        for kind in sorted({*said["ledger"], *said["book"]}):
            book, ledger = said["book"].get(kind, 0), said["ledger"].get(kind, 0)
            lines.append(
                f"    {kind:<18} book {money(book, currency):>14}   "
                f"ledger {money(ledger, currency):>14}"
            )
        balance = money(said["stripe_balance"], currency)
        off = money(said["difference"], currency)
        lines.append(f"    {'Stripe balance':<18} {balance:>19}   off by {off}")
    return lines
