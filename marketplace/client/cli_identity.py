"""Commands that move an identity between browser and command line, and check the key pages."""

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import httpx
import typer

from ledger import TrustPolicy, canonical
from marketplace.client import vault
from marketplace.client.cli_keygen import DEFAULT_TRUST, trust_bytes
from marketplace.client.errors import ClientError
from marketplace.client.session import LedgerView
from marketplace.client.terminal import context_of, show

identity_app = typer.Typer(help="Take your identity to a browser or another machine.")
PassphraseOption = Annotated[
    str,
    typer.Option(
        prompt="Passphrase of the identity file", hide_input=True,
        envvar="OMIC_IDENTITY_PASSPHRASE", help="Closes and opens the file.",
    ),
]  # fmt: skip


def add_to(app: typer.Typer) -> None:
    """Add these commands to the main one."""
    identity_app.command("export")(export)
    identity_app.command("import")(import_file)
    app.add_typer(identity_app, name="identity")
    app.command("check-pages")(check_pages)


def export(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The file to write.")],
    passphrase: PassphraseOption,
) -> None:
    """Write keys, consents and receipts into one locked file, for a browser or a new machine."""
    options = context_of(context)
    home = options.open_home()
    data = vault.export(home, passphrase)
    try:
        with file.open("xb") as out:
            out.write(data)
    except FileExistsError:
        raise ClientError(f"{file} exists; identity files are never overwritten") from None
    file.chmod(0o600)
    show(options, {"file": str(file), "party": home.party}, [f"Wrote {file}. Keep it closed away."])


def import_file(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="omic-identity.json, as a browser saved it.")],
    passphrase: PassphraseOption,
    trust: Annotated[str, typer.Option(help="Trust file or its URL.")] = DEFAULT_TRUST,
) -> None:
    """Make this home out of an identity file; browser and command go on as one identity."""
    options = context_of(context)
    home = options.open_home()
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ClientError(f"cannot read {file}: {error.strerror}") from None
    party = vault.restore(home, trust_bytes(trust), data, passphrase)
    count = len(list(home.documents("datasets")))
    show(options, {"party": party, "datasets": count}, [f"This is now {party}: {count} datasets."])


def check_pages(
    context: typer.Context,
    url: Annotated[str, typer.Argument(help="The key pages, e.g. http://localhost:8087")],
    trust: Annotated[str, typer.Option(help="Trust file or its URL.")] = DEFAULT_TRUST,
) -> None:
    """Fetch every file of the key pages and compare their digest with the ledger's releases."""
    digest = served_digest(url)
    view = LedgerView(TrustPolicy.parse(trust_bytes(trust)))
    found = _release(view, digest)
    if found is None:
        raise ClientError(f"the pages at {url} have digest {digest}; no release on the ledger has")
    show(
        context_of(context),
        {"digest": digest, "index": found},
        [f"The pages at {url} are release {digest[:16]}… of ledger entry {found}."],
    )


def served_digest(url: str) -> str:
    """Return the digest of what is served at a key origin, every file fetched and hashed."""
    origin = url.rstrip("/")
    try:
        with httpx.Client(base_url=origin, timeout=20.0) as client:
            manifest: dict[str, Any] = client.get("/manifest.json").raise_for_status().json()
            for path, expected in manifest["files"].items():
                body = client.get(path).raise_for_status().content
                if hashlib.sha256(body).hexdigest() != expected:
                    raise ClientError(f"{origin}{path} is not the file its own manifest names")
            if client.get("/").content != client.get("/index.html").content:
                raise ClientError(f"{origin}/ is not the index.html of its manifest")
    except (httpx.HTTPError, json.JSONDecodeError, KeyError, TypeError):
        raise ClientError(f"{urlsplit(url).netloc or url} serves no key pages") from None
    return hashlib.sha256(canonical(manifest)).hexdigest()


def _release(view: LedgerView, digest: str) -> int | None:
    size = view.sync().size
    for record in view.follower.records(0, size):
        entry = record.leaf.entry
        if record.leaf.type == "web.released" and entry and entry.payload["digest"] == digest:
            return record.index
    return None
