"""The auditor's commands: audit the ledger, audit a result's bundle offline.

Exit status 0 when everything verifies, 1 when something does not.
"""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress

from compute import verify_bundle
from ledger import LedgerClient, TrustPolicy, audit_ledger
from marketplace.client.auditor import read_bundle
from marketplace.client.errors import ClientError
from marketplace.client.statements import now_ms
from marketplace.client.terminal import context_of, show

audit_app = typer.Typer(help="Check ledger and results yourself, trusting nobody.")

TrustOption = Annotated[
    Path | None, typer.Option(help="Trust file; default: the one pinned in --home.")
]


def add_to(app: typer.Typer) -> None:
    """Add the auditor's commands to the main one."""
    app.add_typer(audit_app, name="audit")


def _trust(context: typer.Context, path: Path | None) -> TrustPolicy:
    if path is not None:
        return TrustPolicy.load(path)
    return context_of(context).open_home().trust


@audit_app.command("ledger")
def audit_whole_ledger(
    context: typer.Context,
    trust: TrustOption = None,
    url: Annotated[str | None, typer.Option(help="Another place that serves the log.")] = None,
    token_file: Annotated[
        Path | None, typer.Option(help="An auditor's token: also check personal entries.")
    ] = None,
) -> None:
    """Check tree, cosignatures, every signature and transition, stops and totals."""
    options, pinned = context_of(context), _trust(context, trust)
    token = None if token_file is None else _read(token_file).decode().strip()
    client = LedgerClient(url or pinned.ledger_url, token=token)
    with Progress(transient=True, disable=options.json_output) as progress:
        task = progress.add_task("reading the ledger", total=None)
        report = audit_ledger(
            client,
            pinned,
            envelopes=None if token is None else client,
            progress=lambda done, total: progress.update(task, completed=done, total=total),
            now=now_ms(),
        )
    lines = [
        f"[bold]{report.kind}[/] audit of {report.origin}: {report.size} entries",
        f"  root {report.root.hex()}",
        f"  {report.uses} uses, {report.stops} stops, {report.personal} personal entries",
        *(f"  entry {p.index}: {p.reason}" for p in report.problems[:10]),
        report.words(),
    ]
    show(options, report.to_json(), lines)
    raise typer.Exit(0 if report.verdict == "pass" else 1)


@audit_app.command("result")
def audit_result(
    context: typer.Context,
    bundle: Annotated[Path, typer.Argument(help="A researcher's or an auditor's bundle.")],
    mirror: Annotated[
        str | None, typer.Option(help="Where to read the log, to show that no consent was stopped.")
    ] = None,
    key: Annotated[Path | None, typer.Option(help="Folder of the auditor's keys.")] = None,
    trust: TrustOption = None,
) -> None:
    """Check one answer offline: query, code, cohort, consents, payment, inclusion."""
    options, pinned = context_of(context), _trust(context, trust)
    document = read_bundle(bundle, key)
    report = verify_bundle(document, pinned, now_ms(), leaves=_leaves(mirror, pinned))
    lines = [f"  {_MARKS[c.ok]} {c.name}: {c.detail}" for c in report.checks]
    value: dict[str, Any] = {
        "ok": report.ok,
        "verdict": report.verdict,
        "checks": [{"name": c.name, "ok": c.ok, "detail": c.detail} for c in report.checks],
    }
    show(options, value, [*lines, report.verdict])
    raise typer.Exit(0 if report.ok else 1)


_MARKS = {True: "✓", False: "✗", None: "-"}


def _leaves(url: str | None, trust: TrustPolicy) -> list[bytes] | None:
    """Read the whole public log, once it hashes to the root its witnesses signed."""
    if url is None:
        return None
    client = LedgerClient(url)
    report = audit_ledger(client, trust, now=now_ms())
    if report.verdict == "fail":
        raise ClientError(f"the log at {url} does not verify: {report.words()}")
    return client.entries(0, report.size)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ClientError(f"cannot read {path}: {error.strerror}") from None
