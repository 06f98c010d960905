"""Texts in catalogues: every sentence of the templates is a message, found by itself.

A Jinja extension looks at each template as it is loaded: the text between tags is a message, with
%(1)s, %(2)s … where values stand, and so are labels, titles and examples of form fields. With a
catalogue (gettext, LANGUAGE.po beside web.pot) the message's translation takes its place; without
one the template stays as it is, so English costs nothing and cannot drift from its templates.

    python -m marketplace.web.translation        write locale/web.pot anew

Not covered yet: the words of Python modules (words.py, query_words.toml, glossary.toml) and the
key pages' JavaScript.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po, write_po
from jinja2.ext import Extension

HERE = Path(__file__).parent
LOCALE, TEMPLATES = HERE / "locale", HERE / "templates"
_PIECE = re.compile(
    r"({#.*?#}|{%.*?%}|{{.*?}}|<script.*?</script>|<svg.*?</svg>|<!--.*?-->|<[^>]*>)", re.S
)
_ATTRIBUTE = re.compile(r'((?:aria-label|title|placeholder|content|data-label)=")([^"{}]*)(")')
_LETTERS = re.compile(r"[A-Za-z]{2}")
Translate = Callable[[str], str]


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


def messages() -> dict[str, list[str]]:
    """Return every message of the templates, and the templates it stands in."""
    found: dict[str, list[str]] = {}
    for path in sorted(TEMPLATES.rglob("*.html")):
        name = path.relative_to(TEMPLATES).as_posix()

        def note(message: str, name: str = name) -> str:
            places = found.setdefault(message, [])
            if name not in places:
                places.append(name)
            return message

        translated(path.read_text(), note)
    return found


def template_catalogue() -> bytes:
    """Return web.pot: what a translator starts from."""
    catalogue = Catalog(project="omic-market", charset="utf-8", fuzzy=False)
    for message, places in messages().items():
        catalogue.add(message, locations=[(place, 0) for place in places])
    from io import BytesIO

    out = BytesIO()
    write_po(out, catalogue, width=100, omit_header=True, include_lineno=False)
    return out.getvalue()


def translator(language: str) -> Translate:
    """Return what translates into a language; English, or one without a catalogue, stays."""
    path = LOCALE / f"{language}.po"
    if not path.exists():
        return lambda message: message
    with path.open("rb") as file:
        known: Mapping[str, str] = {
            str(one.id): str(one.string) for one in read_po(file) if one.id and one.string
        }
    return lambda message: known.get(message, message)


class Translated(Extension):
    """Put a language's texts into templates as they load; `environment.omic_language` names it."""

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
        language = str(getattr(self.environment, "omic_language", "en"))
        return source if language == "en" else translated(source, translator(language))


if __name__ == "__main__":
    LOCALE.mkdir(exist_ok=True)
    (LOCALE / "web.pot").write_bytes(template_catalogue())
