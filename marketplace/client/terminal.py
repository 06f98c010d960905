"""Printing for the command line: tables for people, one JSON document for programs."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from marketplace import currencies
from marketplace.client.home import Home
from marketplace.client.session import Session

console = Console()
_errors = Console(stderr=True)


@dataclass(frozen=True, slots=True)
class Context:
    """The options every command shares."""

    home: Path
    passphrase: str | None
    json_output: bool

    def open_home(self) -> Home:
        return Home(self.home, self.passphrase)


def context_of(context: typer.Context) -> Context:
    """Return the shared options of a running command."""
    value: Context = context.obj
    return value


def session_of(context: typer.Context) -> Session:
    """Open the session of a running command's home. Raises ClientError."""
    return Session.open(context_of(context).open_home())


def fail(message: str) -> None:
    """Say what went wrong on standard error."""
    _errors.print(f"[bold red]omic:[/] {_escaped(message)}", soft_wrap=True, highlight=False)


def warn(message: str) -> None:
    """Say on standard error what somebody must look at."""
    _errors.print(f"[bold yellow]look:[/] {_escaped(message)}", soft_wrap=True, highlight=False)


def say(text: str) -> None:
    """Print one line of text; rich markup is ours, never the data's."""
    console.print(text, soft_wrap=True, highlight=False)


def show(context: Context, value: Any, text: Iterable[str]) -> None:
    """Print a value as JSON, or as the lines of text."""
    if context.json_output:
        typer.echo(json.dumps(value, indent=2, sort_keys=True))
        return
    for line in text:
        say(line)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """Return a table whose cells are plain text."""
    result = Table(title=title, title_justify="left", header_style="bold", box=box.SIMPLE_HEAD)
    for column in columns:
        result.add_column(column, overflow="fold")
    for row in rows:
        result.add_row(*(_escaped(str(cell)) for cell in row))
    return result


def money(amount: int | None, currency: str | None) -> str:
    """Return minor units as people write them, e.g. 1250 gbp -> £12.50."""
    if amount is None or currency is None:
        return ""
    return currencies.words(amount, currency)


def when(time_ms: int) -> str:
    """Return Unix milliseconds as UTC text."""
    return datetime.fromtimestamp(time_ms / 1000, tz=UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def pairs(values: Mapping[str, object]) -> list[str]:
    """Return a mapping as aligned lines."""
    width = max((len(key) for key in values), default=0)
    return [f"  {_escaped(key):<{width}}  {_escaped(str(value))}" for key, value in values.items()]


def _escaped(text: str) -> str:
    return text.replace("[", "\\[")
