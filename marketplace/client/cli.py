"""The `omic` command: the owner's, researcher's, reviewer's and auditor's verbs.

Exit status 0 on success, 1 where an audit's verdict is bad, 2 on anything the user must put right.
"""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from compute import ComputeError, use_ontology_file
from ledger import LedgerError
from marketplace.client import (
    cli_account,
    cli_audit,
    cli_budget,
    cli_consent,
    cli_custodian,
    cli_files,
    cli_hands,
    cli_identity,
    cli_keygen,
    cli_ledger,
    cli_market,
    cli_money,
    cli_operator,
    cli_owner,
    cli_researcher,
    cli_review,
    cli_rights,
    cli_run,
    cli_sharing,
    cli_standing,
)
from marketplace.client.errors import ClientError
from marketplace.client.terminal import Context, fail
from marketplace.embedded import SetupError

app = typer.Typer(
    name="omic",
    help="Omic Market: a consent is a key.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
)
cli_run.add_to(app)
cli_keygen.add_to(app)
cli_files.add_to(app)
cli_consent.add_to(app)
cli_standing.add_to(cli_consent.consent_app)
cli_owner.add_to(app)
cli_account.add_to(app)
cli_sharing.add_to(app)
cli_hands.add_to(app)
cli_rights.add_to(app)
cli_budget.add_to(app)
cli_researcher.add_to(app)
cli_market.add_to(app)
cli_review.add_to(app)
cli_money.add_to(app)
cli_audit.add_to(app)
cli_operator.add_to(app)
cli_ledger.add_to(app)
cli_identity.add_to(app)
cli_custodian.add_to(app)


@app.callback()
def options(
    context: typer.Context,
    home: Annotated[
        Path, typer.Option(envvar="OMIC_HOME", help="This person's keys, receipts and records.")
    ] = Path("~/.omic"),
    json_output: Annotated[
        bool, typer.Option("--json", help="Print one JSON document instead of text.")
    ] = False,
) -> None:
    """Choose whose client this is and how it prints."""
    context.obj = Context(
        home=home.expanduser(),
        passphrase=os.environ.get("OMIC_PASSPHRASE"),
        json_output=json_output,
    )


def main() -> None:
    """Run the command; our own errors become one clear line and exit status 2."""
    try:
        use_ontology_file(os.environ.get("OMIC_ONTOLOGY"))
        app()
    except (ClientError, ComputeError, LedgerError, SetupError) as error:
        fail(str(error))
        sys.exit(2)


if __name__ == "__main__":
    main()
