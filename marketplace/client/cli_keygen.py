"""`omic keygen`: a home with new keys, and whom it trusts."""

from pathlib import Path
from typing import Annotated

import httpx
import typer

from ledger import LedgerError
from marketplace.client.errors import ClientError
from marketplace.client.statements import new_id
from marketplace.client.terminal import context_of, show

DEFAULT_TRUST = "http://localhost:8080/trust.json"


def add_to(app: typer.Typer) -> None:
    """Add the command to the main one."""
    app.command()(keygen)


def keygen(
    context: typer.Context,
    trust: Annotated[
        str, typer.Option(help="Trust file or its URL: whose log, witnesses and compute to trust.")
    ] = DEFAULT_TRUST,
    role: Annotated[str, typer.Option(help="owner, researcher or reviewer.")] = "owner",
) -> None:
    """Make your keys (they stay here) and pin whom you trust."""
    options = context_of(context)
    home = options.open_home()
    try:
        home.create_from(trust_bytes(trust), role, new_id())
    except LedgerError as error:
        raise ClientError(f"{trust} is not a trust file: {error}") from None
    show(
        options,
        home.identity,
        [
            f"Made a new {role} in {home.path}. Back up your keys: {home.path / 'keys'}",
            f"Pinned the trust file of {home.trust.origin}"
            + (" (an embedded run: its witnesses are stand-ins)." if home.trust.embedded else "."),
        ],
    )


def trust_bytes(where: str) -> bytes:
    """Return a trust file's bytes, from a path or a URL. Raises ClientError."""
    if not where.startswith(("http://", "https://")):
        try:
            return Path(where).read_bytes()
        except OSError as error:
            raise ClientError(f"cannot read the trust file {where}: {error.strerror}") from None
    try:
        response = httpx.get(where, timeout=20.0).raise_for_status()
    except httpx.HTTPError as error:
        raise ClientError(
            f"cannot fetch the trust file {where} ({type(error).__name__}); "
            "start a market with `omic up`, or give --trust FILE"
        ) from None
    return response.content
