"""Commands that run the market itself on this machine: up, demo."""

import json
import tomllib
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from marketplace.client.errors import ClientError
from marketplace.client.terminal import context_of, say
from marketplace.embedded import Layout, Supervisor

DirOption = Annotated[Path, typer.Option("--dir", help="Where this market keeps everything.")]
PortOption = Annotated[
    int | None,
    typer.Option(help="First of eight ports (8080); fixed at the first start of a directory."),
]
DEFAULT_PORT = 8080
ConfigOption = Annotated[
    Path | None,
    typer.Option(help="TOML that replaces embedded defaults, e.g. PostgreSQL, Redis and S3 URLs."),
]


def add_to(app: typer.Typer) -> None:
    """Add the running commands to the main one."""
    app.command()(up)
    app.command()(demo)


def layout(directory: Path, port: int, config: Path | None) -> Layout:
    """Return the layout of a run; raises ClientError on an unreadable configuration."""
    return Layout(directory.resolve(), port, _overrides(config))


def chosen_port(directory: Path, port: int | None) -> int:
    """Return the port a directory was first started on; addresses are fixed then.

    Raises ClientError where another one is asked for: clients pinned the first.
    """
    trust = directory / "trust" / "trust.json"
    if not trust.exists():
        return DEFAULT_PORT if port is None else port
    fixed = urlsplit(json.loads(trust.read_text())["marketplace_url"]).port or DEFAULT_PORT
    if port not in (None, fixed):
        raise ClientError(
            f"{directory} was first started on port {fixed} and its clients know it by that; "
            f"use --port {fixed}, or another --dir for a new market"
        )
    return fixed


def _overrides(config: Path | None) -> dict[str, dict[str, Any]]:
    if config is None:
        return {}
    try:
        return tomllib.loads(config.read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ClientError(f"cannot read the configuration {config}: {error}") from None


def up(
    directory: DirOption = Path("omic-data"),
    port: PortOption = None,
    config: ConfigOption = None,
) -> None:
    """Start everything on this machine and keep it running (stop with Ctrl-C)."""
    port = chosen_port(directory, port)
    market = Supervisor(layout(directory, port, config), report=lambda text: say(f"  {text}"))
    say("Starting ledger, witnesses, compute, marketplace and test-money payments:")
    with market:
        say(f"\nOpen [bold]http://localhost:{port}[/]   Trust file: {market.layout.trust_file}")
        say("Witnesses, attester and payments are local stand-ins. Stop with Ctrl-C.")
        market.wait()
    say("Stopped.")


def demo(
    context: typer.Context,
    directory: DirOption = Path("demo-run"),
    port: Annotated[
        int | None, typer.Option(help="First of eight ports (8080, or free ones).")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write what happened to this file.")
    ] = None,
    config: ConfigOption = None,
    people: Annotated[int, typer.Option(help="How many of the 178 people take part.")] = 178,
) -> None:
    """Run the main job on 178 real people's open data, and say what happened."""
    from marketplace.client.demo import run_demo

    run_demo(directory, port, _overrides(config), people, json_file, context_of(context))
