"""The owner's money commands: payout (how to be paid), statement."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ledger import State
from marketplace.client.activity import leaf_error, proved_shares
from marketplace.client.errors import LedgerChangedError
from marketplace.client.session import Session
from marketplace.client.terminal import console, context_of, money, say, show, table, when

payout_app = typer.Typer(help="Choose how you are paid: your bank, or a charity in your place.")


def add_to(app: typer.Typer) -> None:
    """Add the owner's money commands to the main one."""
    app.add_typer(payout_app, name="payout")
    app.command()(statement)


def _session(context: typer.Context) -> Session:
    return Session.open(context_of(context).open_home())


@payout_app.command("bank")
def bank(
    context: typer.Context,
    country: Annotated[str, typer.Option(help="Where you live, ISO 3166, e.g. GB.")] = "GB",
) -> None:
    """Get the page where Stripe asks for your bank; the market never sees it."""
    answer = _session(context).market.post("/me/payee/onboard", {"country": country})
    lines = [f"Open once, soon: {answer['url']}", "Until it is done, what you earn waits for you."]
    show(context_of(context), answer, lines)


@payout_app.command("charity")
def charity(
    context: typer.Context,
    code: Annotated[
        str | None, typer.Argument(help="The charity's code; without it, list them.")
    ] = None,
    stop: Annotated[
        bool, typer.Option("--stop", help="Stop giving: what you earn waits for you again.")
    ] = False,
) -> None:
    """Pass what you earn to a charity. No account, no name, no bank."""
    market, options = _session(context).market, context_of(context)
    if stop:
        answer = market.delete("/me/payee/charity")
        show(options, answer, ["Nothing more is passed on. What you earn waits for you."])
        return
    if code is None:
        listed = market.get("/charities")["charities"]
        lines = [f"  {one['code']:<16} {one['name']}" for one in listed]
        show(options, listed, lines or ["The operator lists no charity yet."])
        return
    answer = market.post("/me/payee/charity", {"charity": code})
    show(options, answer, [f"From the next payout on, what you earn goes to {code}."])


@payout_app.command("show")
def show_payee(context: typer.Context) -> None:
    """Say how you are paid, and whether anything is missing."""
    answer = _session(context).market.get("/me/payee")
    show(context_of(context), answer, [_said(answer)])


def _said(payee: Mapping[str, Any]) -> str:
    if payee["mode"] == "charity":
        return f"Passed on to {payee['charity']}."
    if payee["donates"]:
        return "You ask nothing for your data, so nothing is owed and no bank is needed."
    if payee["ready"]:
        return "Paid to your bank through Stripe."
    if payee["account"]:
        return "Stripe still needs something from you: omic payout bank"
    return "Nothing chosen: what you earn waits. omic payout bank, or omic payout charity"


def statement(
    context: typer.Context,
    csv: Annotated[Path | None, typer.Option(help="Write it as CSV to this file.")] = None,
) -> None:
    """Show what you earned and were paid; shares and payouts are checked against the ledger."""
    session, options = _session(context), context_of(context)
    if csv is not None:
        csv.write_bytes(session.market.download("/me/statement.csv"))
        say(f"Written to {csv}.")
        return
    value = session.market.get("/me/statement")
    shares, checked = check_shares(session, value["lines"]), check_payouts(session)
    if options.json_output:
        proved = {"shares_checked": shares, "payouts_checked": checked}
        show(options, {**value, **proved}, [])
        return
    rows = [
        (when(line["at"]), line["kind"], line["about"], money(line["amount"], line["currency"]),
         money(line["balance"], line["currency"]), "" if line["index"] is None else line["index"])
        for line in value["lines"]
    ]  # fmt: skip
    columns = ("when", "what", "order or payout", "amount", "owed to you", "ledger entry")
    console.print(table("Your statement", columns, rows))
    say(_said(value["payee"]))
    say(f"Checked: {shares} shares and {checked} payouts stand on the ledger as shown.")


def check_shares(session: Session, lines: Sequence[Mapping[str, Any]]) -> int:
    """Prove what a statement says was earned against the settlements; return how many shares.

    One whose settlement is still on its way to the ledger is not counted.
    """
    proved = proved_shares(session, session.view.sync())
    for line in lines:
        share = proved.get(str(line["about"])) if line["kind"] in ("earned", "given") else None
        if share is not None and share["amount"] != line["amount"]:
            raise LedgerChangedError(
                f"the statement's share of order {line['about']} is not the one on the ledger; "
                "keep it and tell the auditors named in your trust file"
            )
    return len(proved)


def check_payouts(session: Session) -> int:
    """Prove each payout of this owner against its payout.made entry; return how many."""
    state, checked = session.view.sync(), 0
    for payout in session.market.get("/me/payouts")["payouts"]:
        if payout["proof"] is not None and payout["batch"] in state.payouts:
            verify_payout(payout, session.home.party, state)
            checked += 1
    return checked


def verify_payout(payout: Mapping[str, Any], party: str, state: State) -> None:
    """Check one payout against the root of its batch's entry. Raises LedgerChangedError."""
    entry, proof = state.payouts[payout["batch"]].payload, payout["proof"]
    value = {
        "payout": payout["payout"], "party": party, "amount": payout["amount"],
        "currency": payout["currency"],
    }  # fmt: skip
    if leaf_error(value, proof, int(entry["payouts"]), str(entry["payout_root"])) is not None:
        raise LedgerChangedError(
            f"payout {payout['payout']} is not the one on the ledger; keep this statement and "
            "tell the auditors named in your trust file"
        )
