"""The owner's money commands: payout (how to be paid), statement."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ledger import State
from marketplace.client.activity import leaf_error, proved_shares
from marketplace.client.cli_terms import date_ms
from marketplace.client.errors import ClientError, LedgerChangedError
from marketplace.client.session import Session
from marketplace.client.terminal import (
    console,
    context_of,
    money,
    say,
    session_of,
    show,
    table,
    when,
)

payout_app = typer.Typer(help="Choose how you are paid: your bank, or a charity in your place.")


def add_to(app: typer.Typer) -> None:
    """Add the owner's money commands to the main one."""
    app.add_typer(payout_app, name="payout")
    app.command()(statement)


@payout_app.command("bank")
def bank(
    context: typer.Context,
    country: Annotated[
        str | None,
        typer.Option(help="Where you live, ISO 3166, e.g. GB; asked once, Stripe cannot move it."),
    ] = None,
) -> None:
    """Get the page where Stripe asks for your bank; the market never sees it."""
    market = session_of(context).market
    if country is None and not market.get("/me/payee")["account"]:
        raise ClientError(
            "say where you live, by two letters: omic payout bank --country GB; "
            "the account is opened there, and Stripe cannot move it later"
        )
    answer = market.post("/me/payee/onboard", {"country": country})
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
    market, options = session_of(context).market, context_of(context)
    if stop:
        answer = market.delete("/me/payee/charity")
        show(options, answer, ["Nothing more is passed on.", _said(answer)])
        return
    if code is None:
        listed = market.get("/charities")["charities"]
        lines = [f"  {one['code']:<16} {one['name']}" for one in listed]
        how = "Choose one with: omic payout charity CODE"
        show(options, listed, [*lines, how] if lines else ["The operator lists no charity yet."])
        return
    answer = market.post("/me/payee/charity", {"charity": code})
    back = "Take it back with: omic payout charity --stop"
    show(options, answer, [_said(answer), back])


@payout_app.command("show")
def show_payee(context: typer.Context) -> None:
    """Say how you are paid, and whether anything is missing."""
    answer = session_of(context).market.get("/me/payee")
    show(context_of(context), answer, [_said(answer)])


def _said(payee: Mapping[str, Any]) -> str:
    if payee["mode"] == "charity":
        return f"From the next payout on, what you earn goes to {payee['charity_name']}."
    if payee["donates"]:
        return "You ask nothing for your data, so nothing is owed and no bank is needed."
    if payee["ready"]:
        return "Paid to your bank through Stripe."
    if payee["account"]:
        return "Stripe still needs something from you: omic payout bank"
    return (
        "Nothing chosen: what you earn waits for you and is never lost. "
        "Choose: omic payout bank --country GB, or omic payout charity"
    )


def statement(
    context: typer.Context,
    csv: Annotated[Path | None, typer.Option(help="Write it as CSV to this file.")] = None,
    since: Annotated[str | None, typer.Option(help="From this day on (UTC), YYYY-MM-DD.")] = None,
    until: Annotated[str | None, typer.Option(help="Until this day, which is left out.")] = None,
) -> None:
    """Show what you earned and were paid; shares and payouts are checked against the ledger."""
    session, options = session_of(context), context_of(context)
    days = {"since": date_ms(since), "until": date_ms(until)}
    if csv is not None:
        _write(csv, session.market.download("/me/statement.csv", **days))
        show(options, {"csv": str(csv)}, [f"Written to {csv}."])
        return
    value = session.market.get("/me/statement", **days)
    shares, checked = check_shares(session, value["lines"]), check_payouts(session)
    if options.json_output:
        proved = {"shares_checked": shares, "payouts_checked": checked}
        show(options, {**value, **proved}, [])
        return
    rows = [
        (when(line["at"])[:10], line["kind"], line["about"][:10],
         money(line["amount"], line["currency"]), money(line["balance"], line["currency"]),
         "" if line["index"] is None else line["index"])
        for line in value["lines"]
    ]  # fmt: skip
    columns = ("day", "what", "for", "amount", "owed to you", "entry")
    console.print(table("Your statement", columns, rows))
    for currency, owed in value["balances"].items():
        if owed:
            least = money(value["minimum"][currency], currency)
            said = f"{money(owed, currency)} is owed to you."
            say(f"{said} What is owed is paid once a period, from {least} on.")
    say(_said(value["payee"]))
    say(f"Checked: {shares} shares and {checked} payouts stand on the ledger as shown.")
    say("To print it, sign a browser in with `omic open`, then: My data, My statement.")


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise ClientError(f"cannot write {path}: {error.strerror}") from None


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
