"""The custodian's commands: split a study's file, register each participant under a mandate."""

from pathlib import Path
from typing import Annotated

import typer

from compute.ingest import IngestError
from marketplace.client import custodian
from marketplace.client.cli_given import ReferenceOption, build_of, callability_of
from marketplace.client.errors import ClientError
from marketplace.client.session import Session
from marketplace.client.terminal import console, context_of, pairs, say, show, table

custodian_app = typer.Typer(
    help="Register a study's participants, each a file and home of their own."
)


def add_to(app: typer.Typer) -> None:
    """Add the custodian's commands to the main one."""
    app.add_typer(custodian_app, name="custodian")


@custodian_app.command("split")
def split(
    context: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(help="A VCF, gVCF or BCF of several samples, or a PLINK .bed or .pgen."),
    ],
    out: Annotated[Path, typer.Option(help="A new folder: one folder a participant below it.")],
    callability: Annotated[
        str | None, typer.Option(help="all-sites, array-manifest or variant-only.")
    ] = None,
    build: Annotated[str | None, typer.Option(help="GRCh37 or GRCh38, for PLINK files.")] = None,
) -> None:
    """Split a file by participant on this machine, each part encrypted. Nothing leaves it."""
    chosen, stated = callability_of(callability), build_of(build)
    options = context_of(context)
    key = options.open_home().keys.encryption().public
    try:
        parts = list(custodian.split(file, out, key, callability=chosen, build=stated))
    except IngestError as error:
        raise ClientError(str(error.named(file.name))) from None
    skipped = parts[0].skipped if parts else {}
    if not options.json_output:
        rows = [(part.sample, part.records, part.path) for part in parts]
        console.print(table("Participants", ("sample", "records", "file"), rows))
        for line in pairs({f"skipped: {k}": v for k, v in skipped.items()}):
            say(line)
        say(f"Only you can open these files. Next: omic custodian register {out} --code CODE")
        return
    value = {"participants": [p.sample for p in parts], "skipped": skipped,
             "records": parts[0].records if parts else 0}  # fmt: skip
    show(options, value, [])


@custodian_app.command("register")
def register(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="What `omic custodian split` wrote.")],
    code: Annotated[str, typer.Option(help="Your code as a custodian, as datasets will name it.")],
    reference: ReferenceOption = None,
) -> None:
    """Register each participant's file under a recorded mandate; your own objects go."""
    options = context_of(context)
    acting = custodian.Custodian(Session.open(options.open_home()), code, reference)
    done = []
    for one in acting.register(folder):
        done.append({"participant": one.participant, "home": str(one.home),
                     "mandate": one.mandate, "dataset": one.dataset})  # fmt: skip
        if not options.json_output:
            say(f"  {one.participant}: dataset {one.dataset}")
    lines = [
        f"{len(done)} participants registered. Hand each their folder `{custodian.HOME}`: it holds "
        "their keys, with which they consent, see uses, and end your mandate.",
    ]
    show(options, done, lines)
