"""What pages say, in the language the process speaks: English, or a catalogue's.

A message is its English text, with %(1)s, %(2)s … where values stand. A catalogue (gettext,
LANGUAGE.po beside web.pot) holds what takes its place; what it lacks stays English. OMIC_LANGUAGE
chooses the language when a process starts; `marketplace.web.translation` lists the messages.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path

LOCALE = Path(__file__).parent / "web" / "locale"
LANGUAGE = os.environ.get("OMIC_LANGUAGE", "en")
_PLACE = re.compile(r"%\((\d+)\)s")
_CODE = re.compile(r"[a-z]{2,3}(_[A-Z]{2})?\Z")
_LEAST_OWN = 12  # letters beside its values, without which a message could be any text
Translate = Callable[[str], str]


def as_it_is(message: str) -> str:
    """Translate nothing: English is the source."""
    return message


def translator(language: str) -> Translate:
    """Return what translates into a language; English, or one without a catalogue, stays."""
    known = catalogue_of(language)
    return (lambda message: known.get(message, message)) if known else as_it_is


def catalogue_of(language: str) -> dict[str, str]:
    """Return a language's translations by message; none for English or an unknown one."""
    path = LOCALE / f"{language}.po"
    if language == "en" or not _CODE.match(language) or not path.exists():
        return {}
    from babel.messages.pofile import read_po  # only where there is something to translate

    with path.open("rb") as file:
        return {str(one.id): str(one.string) for one in read_po(file) if one.id and one.string}


translate = translator(LANGUAGE)


def say(message: str, *values: object) -> str:
    """Return a message in the language spoken, with its values put in."""
    told = translate(message)
    return _PLACE.sub(lambda found: str(values[int(found[1]) - 1]), told) if values else told


def say_made(text: str) -> str:
    """Return a text that holds its values already, as an error's does, in the language spoken.

    Its message is the one of the catalogue whose words it has, values aside; none: as it is.
    """
    told = translate(text)
    if told != text:
        return told
    for shape, message in shapes(LANGUAGE):
        if (found := shape.fullmatch(text)) is not None:
            return say(message, *found.groups())
    return text


@cache
def shapes(language: str) -> tuple[tuple[re.Pattern[str], str], ...]:
    """Return how texts made of a language's messages look, those with most own words first."""
    found = [message for message in catalogue_of(language) if _PLACE.search(message)]
    found = [message for message in found if _own(message) >= _LEAST_OWN]
    return tuple((_shape(message), message) for message in sorted(found, key=_own, reverse=True))


def _own(message: str) -> int:
    return len(_PLACE.sub("", message))


def _shape(message: str) -> re.Pattern[str]:
    # A catalogue's values are numbered in the order of the English text.
    parts = _PLACE.split(message)
    return re.compile("(.+?)".join(re.escape(part) for part in parts[::2]), re.S)


def mark(message: str) -> str:
    """Return a message as it is, so that the catalogue lists it; `say` it where it is shown."""
    return message


class Texts(Mapping[str, str]):
    """Messages by code; each is translated when it is read."""

    def __init__(self, messages: Mapping[str, str]) -> None:
        self._messages = dict(messages)

    def __getitem__(self, code: str) -> str:
        return say(self._messages[code])

    def __iter__(self) -> Iterator[str]:
        return iter(self._messages)

    def __len__(self) -> int:
        return len(self._messages)
