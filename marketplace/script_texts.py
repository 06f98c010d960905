"""Texts of scripts: every sentence in a JavaScript file is a message, found by itself.

As in the templates, a translation takes a message's place when the file is read, so that English
costs nothing and cannot drift. A text is a sentence where it holds two words with a blank between,
or one word with a capital; what stands in a template literal's ${…} is a value, numbered. Single
words in small letters are codes as often as not and stay. Names of classes are no texts.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from marketplace import texts
from marketplace.template_texts import translated
from marketplace.texts import Translate

_TOKEN = re.compile(
    r"""//[^\n]*|/\*.*?\*/|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`|/(?![*/])""", re.S
)
_REGEX = re.compile(r"/(?:[^/\\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+/[a-z]*")
_BEFORE_REGEX = re.compile(r"(?:[(,=:\[!&|?{};+]|=>|\breturn)\s*\Z")
_NO_TEXT = re.compile(r"(?:\bclass|\bclassName|\bquerySelector(?:All)?|\bimport|\bfrom)\W*\Z")
_TWO_WORDS = re.compile(r"[A-Za-z]['’,;:.!?)]* ['‘“(]*[A-Za-z]")
_ONE_WORD = re.compile(r"\s*[A-Z][a-z]+\W*\Z")
_VALUE = re.compile(r"%\(\d+\)s")
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.S)
_DIRECTIVES = frozenset({"use strict"})


def spoken_file(path: Path) -> bytes:
    """Return a file as it is served: a script or page with its texts in the language spoken."""
    data = path.read_bytes()
    if texts.translate is texts.as_it_is or "vendor" in path.parts:
        return data
    if path.suffix == ".html":
        return translated(data.decode(), texts.translate).encode()
    if path.suffix != ".js":
        return data
    return translated_script(data.decode(), texts.translate).encode()


@dataclass(frozen=True, slots=True)
class Literal:
    """One string of a script: where it stands with its quotes, its message, its values' source."""

    start: int
    end: int
    message: str
    values: tuple[str, ...]


def translated_script(source: str, translate: Translate) -> str:
    """Return a script with each message replaced by its translation."""
    made: list[str] = []
    done = 0
    for one in literals(source):
        said = translate(one.message)
        if said != one.message and one.start >= done:  # what stands inside a value was put there
            values = [translated_script(value, translate) for value in one.values]
            made += [source[done : one.start], _written(said, values)]
            done = one.end
    return "".join([*made, source[done:]])


def literals(source: str) -> Iterator[Literal]:
    """Yield the strings that are sentences, in order; a template literal before those in it."""
    at = 0
    while (found := _TOKEN.search(source, at)) is not None:
        at = found.end()
        if found[0] == "`":
            at, parts, values = _template(source, at)
            if (own := _literal(source, found.start(), at, parts, values)) is not None:
                yield own
            for value in values:
                yield from _inside(source, value)
        elif found[0] == "/":
            if _BEFORE_REGEX.search(source, 0, found.start()):
                regex = _REGEX.match(source, found.start())
                at = regex.end() if regex else at
        elif found[0][0] in "\"'":
            own = _literal(source, found.start(), at, [found[0][1:-1]], [])
            if own is not None:
                yield own


def _template(source: str, at: int) -> tuple[int, list[str], list[tuple[int, int]]]:
    """Return (end, texts between values, where each value stands) of a template literal."""
    parts, values, begun = [], [], at
    while source[at] != "`":
        if source[at] == "\\":
            at += 2
        elif source.startswith("${", at):
            parts.append(source[begun:at])
            end = _closing(source, at + 2)
            values.append((at + 2, end))
            at = begun = end + 1
        else:
            at += 1
    return at + 1, [*parts, source[begun:at]], values


def _closing(source: str, at: int) -> int:
    """Return where the brace that ends a value stands; strings inside are stepped over."""
    depth = 0
    while depth or source[at] != "}":
        if source[at] == "`":
            at = _template(source, at + 1)[0]
            continue
        if source[at] in "\"'" and (text := _TOKEN.match(source, at)):
            at = text.end()
            continue
        depth += {"{": 1, "}": -1}.get(source[at], 0)
        at += 1
    return at


def _inside(source: str, place: tuple[int, int]) -> Iterator[Literal]:
    start, end = place
    for one in literals(source[start:end]):
        yield Literal(start + one.start, start + one.end, one.message, one.values)


def _literal(
    source: str, start: int, end: int, parts: list[str], values: list[tuple[int, int]]
) -> Literal | None:
    numbered = [_plain(parts[0])]
    for number, part in enumerate(parts[1:], 1):
        numbered += [f"%({number})s", _plain(part)]
    message = "".join(numbered)
    if not _is_sentence(message) or _NO_TEXT.search(source, max(0, start - 40), start):
        return None
    return Literal(start, end, message, tuple(source[a:b] for a, b in values))


def _plain(text: str) -> str:
    """Return a string's text without its escapes."""
    names = {"n": "\n", "t": "\t", "r": "\r"}
    return _ESCAPE.sub(
        lambda e: chr(int(e[1][1:], 16)) if len(e[1]) == 5 else names.get(e[1], e[1]), text
    )


def _is_sentence(message: str) -> bool:
    bare = re.sub(r" +", " ", _VALUE.sub("", message))
    if message in _DIRECTIVES or "\n" in message:  # lines are a program to copy
        return False
    return bool(_TWO_WORDS.search(bare) or _ONE_WORD.match(bare))


def _written(said: str, values: list[str]) -> str:
    """Write a translation as a literal, its values where it puts them."""
    if not values:
        return json.dumps(said, ensure_ascii=False)
    text = said.replace("\\", "\\\\").replace("`", "\\`").replace("${", "\\${")
    return "`" + _VALUE.sub(lambda v: "${" + values[int(v[0][2:-2]) - 1] + "}", text) + "`"
