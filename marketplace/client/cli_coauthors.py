"""omic order key, share and open: an answer goes to a co-author, with its proof."""

from pathlib import Path
from typing import Annotated

import typer

from marketplace.client.coauthors import answer_key, open_shared, parse_answer_key, share
from marketplace.client.researcher import Answer, Researcher
from marketplace.client.session import Session
from marketplace.client.terminal import context_of, show

Folder = Annotated[Path, typer.Option("--output", "-o", help="Folder to write to.")]


def add_to(order_app: typer.Typer) -> None:
    """Add the verbs of co-authors to `omic order`."""
    order_app.command("key")(key)
    order_app.command("share")(share_answer)
    order_app.command("open")(open_answer)


def key(context: typer.Context) -> None:
    """Print your key for answers: give it to a co-author who wants to share one with you."""
    options = context_of(context)
    text = answer_key(options.open_home())
    show(options, {"key": text}, [text])


def share_answer(
    context: typer.Context,
    order: str,
    reader: Annotated[str, typer.Option("--with", help="Your co-author's key: omic-answers:…")],
    output: Folder = Path(),
) -> None:
    """Make a file of an answer that only your co-author can open, with the proof inside."""
    options, to = context_of(context), parse_answer_key(reader)
    answer = Researcher(Session.open(options.open_home())).answer(order)
    output.mkdir(parents=True, exist_ok=True)
    path = output / f"{order[:8]}.shared.c4gh"
    path.write_bytes(share(answer, order, to))
    show(options, {"file": str(path)}, [f"{path}: send it any way you like, only they can open it"])


def open_answer(context: typer.Context, file: Path, output: Folder = Path()) -> None:
    """Open an answer that was shared with you, check its proof, and write both."""
    options = context_of(context)
    order, answer = open_shared(file, options.open_home())
    written = write_answer(order, answer, output)
    show(options, {"order": order, **written}, [f"{n}: {p}" for n, p in written.items()])


def write_answer(order: str, answer: Answer, folder: Path) -> dict[str, str]:
    """Write an answer and its proof bundle to a folder; return where, by what it is."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {name: folder / f"{order}.{name}.json" for name in ("result", "bundle")}
    paths["result"].write_bytes(answer.result_bytes)
    paths["bundle"].write_bytes(answer.bundle)
    return {name: str(path) for name, path in paths.items()}
