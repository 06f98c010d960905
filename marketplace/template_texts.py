"""Texts of templates: every sentence is a message, found by itself. Pure.

The text between tags is a message, with %(1)s, %(2)s … where values stand, and so are labels,
titles and examples of form fields, and what is written as a text within {{ … }} or {% … %}. With a
catalogue the message's translation takes its place; without one the template stays as it is, so
English costs nothing and cannot drift from its templates.
"""

import re
from collections.abc import Iterator

from marketplace.texts import Translate

_PIECE = re.compile(
    r"({#.*?#}|{%.*?%}|{{.*?}}|<(?:script|style).*?</(?:script|style)>|<!--.*?-->"
    r"|<(?:[^>{]|{{.*?}}|{%.*?%}|{)*>)",
    re.S,
)
_ATTRIBUTE = re.compile(
    r'((?:aria-label|title|placeholder|content|data-label)=")((?:[^"{}]|{{.*?}})*)(")', re.S
)
_CODE = re.compile(r"{{.*?}}|{%.*?%}", re.S)
_LITERAL = re.compile(r'"((?:[^"\\\n]|\\.)*)"')
_TWO_WORDS = re.compile(r"[A-Za-z]['’,;:.!?)]* ['‘“(]*[A-Za-z]")
_ONE_WORD = re.compile(r"[A-Z][a-z]+\W*\Z")
_PROGRAM = re.compile(r"omic |curl |-")
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
        made.append(_markup(piece, translate))
    return "".join([*made, _message(run, translate)])


def _pieces(source: str) -> Iterator[str]:
    return (piece for piece in _PIECE.split(source) if piece)


def _is_text(piece: str) -> bool:
    return piece.startswith("{{") or not piece.startswith(("<", "{%", "{#"))


def _message(run: list[str], translate: Translate) -> str:
    """Translate one run of text and values; blanks around it stay."""
    run = [_spoken(piece, translate) if piece.startswith("{{") else piece for piece in run]
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


def _markup(piece: str, translate: Translate) -> str:
    """Translate what a tag or a statement says: its labels, and the texts within its code."""
    if piece.startswith(("{#", "<!--", "<script", "<style")):
        return piece
    if piece.startswith("<"):
        piece = _ATTRIBUTE.sub(lambda found: _attribute(found, translate), piece)
        return _CODE.sub(lambda found: _spoken(found[0], translate), piece)
    return _spoken(piece, translate)


def _attribute(found: re.Match[str], translate: Translate) -> str:
    parts = re.split(r"({{.*?}})", found[2], flags=re.S)
    return f"{found[1]}{_message([part for part in parts if part], translate)}{found[3]}"


def _spoken(code: str, translate: Translate) -> str:
    """Translate the texts of an expression that are sentences, or one word with a capital."""

    def put(found: re.Match[str]) -> str:
        text = found[1].strip()
        if _PROGRAM.match(text) or not (_TWO_WORDS.search(text) or _ONE_WORD.match(text)):
            return found[0]
        said = translate(text)
        if said == text:
            return found[0]
        said = said.replace("\\", "\\\\").replace('"', '\\"')
        before, after = found[1].partition(text)[::2]
        return f'"{before}{said}{after}"'

    return _LITERAL.sub(put, code)
