"""The auditor's commands: audit the ledger, audit a result's bundle offline.

Exit status 0 when everything verifies, 1 when something does not.
"""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress

from compute import verify_bundle
from ledger import (
    AnchorReport,
    AuditReport,
    LedgerClient,
    TileDirectory,
    TrustPolicy,
    audit_anchors,
    audit_ledger,
    open_anchors,
)
from marketplace.client.auditor import read_bundle
from marketplace.client.errors import ClientError
from marketplace.client.statements import now_ms
from marketplace.client.terminal import context_of, show

_progress_console = Console(stderr=True)
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
    url: Annotated[
        str | None, typer.Option(help="A mirror, or another place that serves the log.")
    ] = None,
    tiles: Annotated[
        Path | None, typer.Option(help="A directory with the log's checkpoint and tiles.")
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option(help="An auditor's token: also check personal entries.")
    ] = None,
    report_file: Annotated[
        Path | None, typer.Option("--report", help="Write the whole report here, as JSON.")
    ] = None,
    rpc: Annotated[
        str | None, typer.Option("--anchors", help="JSON-RPC address of the consortium's chain.")
    ] = None,
    contract: Annotated[str | None, typer.Option(help="The anchor contract on that chain.")] = None,
) -> None:
    """Check tree, cosignatures, every signature and transition, stops and totals."""
    options, pinned = context_of(context), _trust(context, trust)
    token = None if token_file is None else _read(token_file).decode().strip()
    source = _source(url, tiles, token, pinned)
    quiet = options.json_output or not _progress_console.is_terminal
    with Progress(console=_progress_console, transient=True, disable=quiet) as bar:
        task = bar.add_task("reading the ledger", total=None)
        report = audit_ledger(
            source,
            pinned,
            envelopes=source if token is not None and isinstance(source, LedgerClient) else None,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
            now=now_ms(),
        )
    anchors = _anchors(rpc, contract, source, pinned)
    value = {**report.to_json(), "anchors": None if anchors is None else anchors.to_json()}
    if report_file is not None:
        report_file.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n")
    show(options, value, [*_report_lines(report), *_anchor_lines(anchors)])
    sound = report.verdict == "pass" and (anchors is None or anchors.ok)
    raise typer.Exit(0 if sound else 1)


def _source(
    url: str | None, tiles: Path | None, token: str | None, trust: TrustPolicy
) -> LedgerClient | TileDirectory:
    if tiles is None:
        return LedgerClient(url or trust.ledger_url, token=token)
    if url is not None or token is not None:
        raise ClientError("a directory of tiles holds public leaves only: give --tiles alone")
    return TileDirectory(tiles)


def _anchors(
    rpc: str | None,
    contract: str | None,
    source: LedgerClient | TileDirectory,
    trust: TrustPolicy,
) -> AnchorReport | None:
    if rpc is None and contract is None:
        return None
    if rpc is None or contract is None:
        raise ClientError("give both --anchors URL and --contract ADDRESS")
    return audit_anchors(source, trust, open_anchors(rpc, contract))


def _report_lines(report: AuditReport) -> list[str]:
    return [
        f"[bold]{report.kind}[/] audit of {report.origin}: {report.size} entries",
        f"  root {report.root.hex()}",
        f"  {report.uses} uses, {report.stops} stops, {report.personal} personal entries",
        *(f"  entry {p.index}: {p.reason}" for p in report.problems[:10]),
        report.words(),
    ]


def _anchor_lines(anchors: AnchorReport | None) -> list[str]:
    if anchors is None:
        return []
    if not anchors.anchors:
        return ["The chain holds no anchor of this log: nothing could be compared."]
    bad = [f"  anchor at {size} entries: {reason}" for size, reason in anchors.problems]
    word = (
        "Do not trust this ledger: it does not continue its anchors" if bad else "All anchors fit"
    )
    return [*bad, f"{word} ({anchors.anchors} on the chain, the newest at {anchors.newest})."]


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
