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
    token = _token(token_file)
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
        f"  root {report.root}",
        f"  {report.uses} uses, {report.stops} stops, {report.personal} personal entries",
        *(f"  entry {p.index}: {p.reason}" for p in report.problems[:10]),
        report.words(),
    ]
    show(options, report.to_json(), lines)
    raise typer.Exit(0 if report.verdict == "pass" else 1)


def _token(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        return path.read_text().strip()
    except OSError as error:
        raise ClientError(f"cannot read the token {path}: {error.strerror}") from None


@audit_app.command("result")
def audit_result(
    context: typer.Context,
    bundle: Annotated[Path, typer.Argument(help="A researcher's or an auditor's bundle.")],
    result: Annotated[Path | None, typer.Option(help="The decrypted result document.")] = None,
    key: Annotated[Path | None, typer.Option(help="Folder of the auditor's keys.")] = None,
    trust: TrustOption = None,
) -> None:
    """Check one answer offline: query, code, cohort, consents, payment, inclusion."""
    options, pinned = context_of(context), _trust(context, trust)
    document = read_bundle(bundle, key)
    opened: bytes | None = None if result is None else _bytes(result)
    report = verify_bundle(document, pinned, now_ms(), result=opened)
    lines = [f"  {'✓' if c.ok else '✗'} {c.name}: {c.detail}" for c in report.checks]
    value: dict[str, Any] = {
        "ok": report.ok,
        "verdict": report.verdict,
        "checks": [{"name": c.name, "ok": c.ok, "detail": c.detail} for c in report.checks],
    }
    show(options, value, [*lines, report.verdict])
    raise typer.Exit(0 if report.ok else 1)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ClientError(f"cannot read {path}: {error.strerror}") from None
