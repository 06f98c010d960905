"""Commands of the organisations that keep the ledger honest: witness, mirror, anchor.

Each is a program of its own with its own keys and store; what follows the verb is its own command
line (`omic witness --help`).
"""

from collections.abc import Callable, Sequence

import typer

from ledger import run_anchor, run_mirror, run_witness

_REST = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}


def add_to(app: typer.Typer) -> None:
    """Add the commands to the main one."""
    for name, run, about in (
        ("witness", run_witness, "Cosign a log's checkpoints: init, run."),
        (
            "mirror",
            run_mirror,
            "Keep and serve a verified copy of a log: init, run, promote, catch-up.",
        ),
        (
            "anchor",
            run_anchor,
            "Anchor checkpoints on a chain: deploy, sign, post, audit.",
        ),
    ):
        app.command(name, help=about, context_settings=_REST, add_help_option=False)(_verb(run))


def _verb(run: Callable[[Sequence[str]], int]) -> Callable[[typer.Context], None]:
    def verb(context: typer.Context) -> None:
        raise typer.Exit(run(context.args))

    return verb
