"""Texts of the templates: every sentence is a message, found by itself.

A Jinja extension looks at each template as it is loaded: the text between tags is a message, with
%(1)s, %(2)s … where values stand, and so are labels, titles and examples of form fields. With a
catalogue the message's translation takes its place; without one the template stays as it is, so
English costs nothing and cannot drift from its templates.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from jinja2.ext import Extension

from marketplace import texts
from marketplace.texts import Translate

TEMPLATES = Path(__file__).parent / "templates"
_PIECE = re.compile(
    r"({#.*?#}|{%.*?%}|{{.*?}}|<script.*?</script>|<svg.*?</svg>|<!--.*?-->|<[^>]*>)", re.S
)
_ATTRIBUTE = re.compile(r'((?:aria-label|title|placeholder|content|data-label)=")([^"{}]*)(")')
_LETTERS = re.compile(r"[A-Za-z]{2}")


def translated(source: str, translate: Translate) -> str:
    """Return a template's source with each message replaced by its translation."""
    made: list[str] = []
    run: list[str] = []
    for piece in _pieces(source):
        if _is_text(piece):
            run.append(piece)
            continue
        made.append(_message(run, translate))
        run = []
        made.append(_attributes(piece, translate) if piece.startswith("<") else piece)
    return "".join([*made, _message(run, translate)])


def _pieces(source: str) -> Iterator[str]:
    return (piece for piece in _PIECE.split(source) if piece)


def _is_text(piece: str) -> bool:
    return piece.startswith("{{") or not piece.startswith(("<", "{%", "{#"))


def _message(run: list[str], translate: Translate) -> str:
    """Translate one run of text and values; blanks around it stay."""
    whole = "".join(run)
    if not _LETTERS.search("".join(piece for piece in run if not piece.startswith("{{"))):
        return whole
    values = [piece for piece in run if piece.startswith("{{")]
    numbered = {f"%({at})s": value for at, value in enumerate(values, 1)}
    names = iter(numbered)
    text = "".join(next(names) if piece.startswith("{{") else piece for piece in run)
    message = " ".join(text.split())
    said = translate(message)
    if said == message:
        return whole
    for name, value in numbered.items():
        said = said.replace(name, value)
    before, after = whole[: len(whole) - len(whole.lstrip())], whole[len(whole.rstrip()) :]
    return f"{before}{said}{after}"


def _attributes(tag: str, translate: Translate) -> str:
    def put(found: re.Match[str]) -> str:
        text = found[2]
        return f"{found[1]}{translate(text) if _LETTERS.search(text) else text}{found[3]}"

    return _ATTRIBUTE.sub(put, tag)


class Translated(Extension):
    """Put the language's texts into templates as they load."""

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
        if texts.translate is texts.as_it_is:
            return source
        return translated(source, texts.translate)
