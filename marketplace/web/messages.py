"""The catalogue a translator starts from: every message of the pages and the key pages.

    python -m marketplace.web.messages        write locale/web.pot anew

Messages are found where they stand: sentences of templates and scripts, the words in the two TOML
files, what compute calls codes of terms, and in Python the arguments of `say`, `mark`, `Word`,
`Texts`, `Trouble`, `problem` and a comparison's `leave` and `close`, and the texts and titles of
errors, values as %(1)s; so are the sentences `compute.describe` says terms in, and compute's errors
about a question. Names of fields and codes
stay as they are, and so do an error's values.
"""

import ast
import re
import tomllib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

from babel.messages.catalog import Catalog
from babel.messages.pofile import write_po

from marketplace import texts
from marketplace.keyorigin import spoken_words
from marketplace.script_texts import literals
from marketplace.template_texts import translated
from marketplace.web.translation import TEMPLATES

HERE = Path(__file__).parent
MARKET = HERE.parent
API = MARKET / "api"
KEY_PAGES = MARKET / "keyorigin" / "static"
SCRIPTS = (HERE / "static", KEY_PAGES / "js")
# Of compute: what says terms in words, and whose errors stand beside a form or on an error page.
COMPUTE = MARKET.parent / "compute"
TOLD = tuple(COMPUTE / f"{name}.py" for name in ("presets", "terms", "messages", "risk"))
SPOKEN = frozenset({"say", "mark", "Word", "Texts", "Trouble", "problem", "leave", "close"})
NOT_TEXT = frozenset({"slug", "hint", "technical"})
_PLACE, _LETTERS = re.compile(r"%\(\d+\)s"), re.compile(r"[A-Za-z]{2}")
Found = tuple[str, str]
"""(message, file it stands in)."""


def messages() -> dict[str, list[str]]:
    """Return every message, and the files it stands in."""
    found: dict[str, list[str]] = {}
    for message, place in (*_templates(), *_tables(), *_python(), *_scripts()):
        places = found.setdefault(message, [])
        if place not in places:
            places.append(place)
    return found


def _templates() -> Iterator[Found]:
    pages = (*TEMPLATES.rglob("*.html"), *TEMPLATES.rglob("*.svg"), *KEY_PAGES.glob("*.html"))
    for path in sorted(pages):
        said: list[str] = []

        def note(message: str, said: list[str] = said) -> str:
            said.append(message)
            return message

        translated(path.read_text(encoding="utf-8"), note)
        yield from ((message, path.relative_to(MARKET).as_posix()) for message in said)


def _tables() -> Iterator[Found]:
    for name in ("glossary.toml", "query_words.toml"):
        table = tomllib.loads((HERE / name).read_text(encoding="utf-8"))
        yield from ((text, name) for text in _texts(table))
    yield from ((text, "keyorigin/words.py") for text in spoken_words())


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        yield from (text for one in value for text in _texts(one))
    elif isinstance(value, dict):
        # A group lists its families by code; the table of that name says what they are called.
        kept = (
            part for name, part in value.items()
            if name not in NOT_TEXT and not (name == "families" and isinstance(part, list))
        )  # fmt: skip
        yield from (text for part in kept for text in _texts(part))


def _python() -> Iterator[Found]:
    told = (*TOLD, *sorted((COMPUTE / "queries").glob("*.py")))
    for path in (
        *sorted(MARKET.glob("*.py")),
        *sorted(API.glob("*.py")),
        *sorted(HERE.glob("*.py")),
        *sorted((MARKET / "keyorigin").glob("*.py")),
        *told,
    ):
        base = MARKET.parent if path.is_relative_to(COMPUTE) else MARKET
        name = path.relative_to(base).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            yield from ((text, name) for text in _spoken(node) if _is_message(node, text))


def _is_message(node: ast.AST, text: str) -> bool:
    """Tell a text from a code; what stands in a table of `Texts` is one, be it a single word."""
    called = node.func if isinstance(node, ast.Call) else None
    table = isinstance(called, ast.Name) and called.id == "Texts"
    return " " in text or text[:1].isupper() or table


def _spoken(node: ast.AST) -> Iterator[str]:
    """Yield the texts of a call of SPOKEN, of an error that is raised, and the title of one."""
    if isinstance(node, ast.ClassDef):
        yield from _title(node)
    call = node.exc if isinstance(node, ast.Raise) else node
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name | ast.Attribute):
        return
    name = call.func.id if isinstance(call.func, ast.Name) else call.func.attr
    if isinstance(node, ast.Raise):
        yield from (text for one in call.args[:1] for text in _strings(one))
    elif name in SPOKEN:
        yield from (text for one in call.args for text in _strings(one))


def _title(node: ast.ClassDef) -> Iterator[str]:
    """Yield what a class of errors is titled: title = "…", alone or with its status and slug."""
    for one in node.body:
        if isinstance(one, ast.AnnAssign):
            pairs: list[tuple[ast.expr, ast.expr | None]] = [(one.target, one.value)]
        elif isinstance(one, ast.Assign) and isinstance(one.value, ast.Tuple):
            pairs = list(zip(_names(one.targets[0]), one.value.elts, strict=False))
        else:
            continue
        for name, value in pairs:
            if isinstance(name, ast.Name) and name.id == "title" and value is not None:
                yield from _strings(value)


def _names(target: ast.expr) -> list[ast.expr]:
    return target.elts if isinstance(target, ast.Tuple) else []


def _strings(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.Dict):
        yield from (text for value in node.values for text in _strings(value))
    elif isinstance(node, ast.IfExp):
        yield from (*_strings(node.body), *_strings(node.orelse))
    elif isinstance(node, ast.JoinedStr) and _LETTERS.search(_PLACE.sub("", _numbered(node))):
        yield _numbered(node)


def _numbered(node: ast.JoinedStr) -> str:
    """Return an f-string as a message: its values are %(1)s, %(2)s … in their order."""
    made, values = "", 0
    for part in node.values:
        values += isinstance(part, ast.FormattedValue)
        made += str(part.value) if isinstance(part, ast.Constant) else f"%({values})s"
    return made


def _scripts() -> Iterator[Found]:
    for folder in SCRIPTS:
        for path in sorted(folder.rglob("*.js")):
            name = path.relative_to(MARKET).as_posix()
            yield from ((one.message, name) for one in literals(path.read_text(encoding="utf-8")))


def catalogue_template() -> bytes:
    """Return web.pot: what a translator starts from."""
    made = Catalog(project="omic-market", charset="utf-8", fuzzy=False)
    for message, places in messages().items():
        made.add(message, locations=[(place, 0) for place in places])
    out = BytesIO()
    write_po(out, made, width=100, omit_header=True, include_lineno=False)
    return out.getvalue()


if __name__ == "__main__":
    texts.LOCALE.mkdir(exist_ok=True)
    (texts.LOCALE / "web.pot").write_bytes(catalogue_template())
