"""The owner's commands about the account itself: keys, recovery, and what others wrote about it."""

from pathlib import Path
from typing import Annotated

import typer

from ledger import LedgerError
from marketplace.client import account
from marketplace.client.activity import written_about
from marketplace.client.cli_keygen import DEFAULT_TRUST, trust_bytes
from marketplace.client.errors import ClientError
from marketplace.client.session import Session
from marketplace.client.terminal import context_of, show, warn, when

account_app = typer.Typer(help="Your account's keys, and taking it back when they are lost.")


def add_to(app: typer.Typer) -> None:
    """Add the commands to the main one."""
    app.add_typer(account_app, name="account")


@account_app.command("show")
def show_account(context: typer.Context) -> None:
    """Show every ledger entry about you that was not made here; exit status 1 if one is strange.

    What attesters state of you and payouts are listed too, as what others are meant to write.
    """
    options = context_of(context)
    session = Session.open(options.open_home())
    found = written_about(session, session.view.sync().size)
    strange = [one for one in found if not one.expected]
    value = {
        "party": session.home.party,
        "foreign": [one.to_json() for one in strange],
        "expected": [one.to_json() for one in found if one.expected],
    }
    lines = [f"{one.words()} ({when(one.time)})" for one in found if one.expected]
    if not strange:
        lines.append("Every other ledger entry about you was made here.")
    show(options, value, lines)
    for one in strange:
        warn(f"{one.words()} ({when(one.time)})")
    if strange:
        raise typer.Exit(1)


@account_app.command("rotate")
def rotate(context: typer.Context) -> None:
    """Replace the key that signs for you, signed by the old one."""
    options = context_of(context)
    session = Session.open(options.open_home())
    done = account.rotate(session)
    show(options, {"index": done.index}, [f"New key since ledger entry {done.index}. Back it up."])


@account_app.command("key")
def recovery_key(
    context: typer.Context,
    out: Annotated[Path, typer.Argument(help="File to make; keep it away from this machine.")],
) -> None:
    """Make a recovery key: with it, and seven days in public, a lost account comes back."""
    options = context_of(context)
    session = Session.open(options.open_home())
    done = account.add_recovery_key(session, out)
    show(options, {"index": done.index}, [f"{out} can recover your account. Keep it elsewhere."])


@account_app.command("recover")
def recover(
    context: typer.Context,
    key: Annotated[Path, typer.Argument(help="The recovery file.")],
    trust: Annotated[str, typer.Option(help="Trust file or its URL.")] = DEFAULT_TRUST,
) -> None:
    """Ask for your account back, from a new --home: a new key that counts after seven days."""
    options = context_of(context)
    home = options.open_home()
    party, secret = account.read_recovery(key)
    try:
        home.create_from(trust_bytes(trust), "owner", party)
    except LedgerError as error:
        raise ClientError(f"{trust} is not a trust file: {error}") from None
    found = account.request(Session.open(home), secret)
    said = f"Asked at ledger entry {found.index}. From {when(found.effective_at)} on: "
    show(
        options, found.to_json(), [said + "`omic account finish`. Until then it can be cancelled."]
    )


@account_app.command("finish")
def finish(context: typer.Context) -> None:
    """Complete a recovery whose waiting time is over."""
    options = context_of(context)
    done = account.finish(Session.open(options.open_home()))
    show(options, {"index": done.index}, [f"Your new key counts since ledger entry {done.index}."])


@account_app.command("cancel")
def cancel(
    context: typer.Context,
    index: Annotated[int, typer.Argument(help="The ledger entry that asked for the recovery.")],
) -> None:
    """Cancel a recovery you did not ask for."""
    options = context_of(context)
    session = Session.open(options.open_home())
    session.view.sync()
    done = account.cancel(session, index)
    show(options, {"index": done.index}, [f"Cancelled by ledger entry {done.index}."])
