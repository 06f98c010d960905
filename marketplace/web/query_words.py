"""What the query builder calls families, parameters and their choices. Texts: query_words.toml."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marketplace.texts import say

_TEXTS: dict[str, Any] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text())
GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = tuple(
    (str(group["title"]), tuple(group["families"])) for group in _TEXTS["groups"]
)


def groups() -> list[tuple[str, tuple[str, ...]]]:
    """Return the kinds of question and the families of each, titles in the language spoken."""
    return [(say(title), families) for title, families in GROUPS]


@dataclass(frozen=True, slots=True)
class Said:
    """A parameter's label, what more is said beside it, an example, and its choices' names.

    All but the example are messages, said in the language spoken where they are read.
    """

    name: str
    note: str
    hint: str
    choices: dict[str, str]

    @property
    def label(self) -> str:
        """Return what the parameter is called."""
        return say(self.name)

    @property
    def more(self) -> str:
        """Return what more is said beside it."""
        return say(self.note)

    def choice(self, value: str) -> str:
        """Return what a choice is called."""
        return say(self.choices.get(value or "none", value.replace("_", " ") or "–"))


def short(family: str) -> str:
    """Return a family's short name."""
    return say(str(_TEXTS["families"][family][0]))


def about(family: str) -> str:
    """Return what a family answers, in a sentence."""
    return say(str(_TEXTS["families"][family][1]))


def said(family: str, name: str) -> Said:
    """Return the words of a parameter; name: dotted, e.g. trait.unit.

    The longest entry that fits wins: FAMILY.name, the dotted name, then its last part.
    """
    texts = _TEXTS["words"]
    last = name.rpartition(".")[2]
    entries = [texts[key] for key in (f"{family}.{name}", name, last) if key in texts]
    entry = entries[0] if entries else {}
    texts_only = {k: str(v) for k, v in entry.items() if k not in ("label", "more", "hint")}
    label = str(entry.get("label", last.replace("_", " ").capitalize()))
    return Said(label, str(entry.get("more", "")), str(entry.get("hint", "")), texts_only)
