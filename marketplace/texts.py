"""What pages say, in the language the process speaks: English, or a catalogue's.

A message is its English text, with %(1)s, %(2)s … where values stand. A catalogue (gettext,
LANGUAGE.po beside web.pot) holds what takes its place; what it lacks stays English. OMIC_LANGUAGE
chooses the language when a process starts; `marketplace.web.translation` lists the messages.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

LOCALE = Path(__file__).parent / "web" / "locale"
LANGUAGE = os.environ.get("OMIC_LANGUAGE", "en")
_PLACE = re.compile(r"%\((\d+)\)s")
_CODE = re.compile(r"[a-z]{2,3}(_[A-Z]{2})?\Z")
Translate = Callable[[str], str]


def as_it_is(message: str) -> str:
    """Translate nothing: English is the source."""
    return message


def translator(language: str) -> Translate:
    """Return what translates into a language; English, or one without a catalogue, stays."""
    path = LOCALE / f"{language}.po"
    if language == "en" or not _CODE.match(language) or not path.exists():
        return as_it_is
    from babel.messages.pofile import read_po  # only where there is something to translate

    with path.open("rb") as file:
        known = {str(one.id): str(one.string) for one in read_po(file) if one.id and one.string}
    return lambda message: known.get(message, message)


translate = translator(LANGUAGE)


def say(message: str, *values: object) -> str:
    """Return a message in the language spoken, with its values put in."""
    told = translate(message)
    return _PLACE.sub(lambda found: str(values[int(found[1]) - 1]), told) if values else told


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
