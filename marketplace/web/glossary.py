"""Plain-word meanings for the glossary page and for the hints on hover; texts in glossary.toml."""

import tomllib
from dataclasses import dataclass
from importlib.resources import files

from marketplace.texts import say


@dataclass(frozen=True, slots=True)
class Meaning:
    """One word: its anchor, how it is written, what it means, and what it is called elsewhere."""

    slug: str
    name: str
    sense: str
    technical: str = ""

    @property
    def word(self) -> str:
        """Return the word in the language spoken."""
        return say(self.name)

    @property
    def text(self) -> str:
        """Return its meaning in the language spoken."""
        return say(self.sense)


def _load() -> tuple[Meaning, ...]:
    data = files("marketplace.web").joinpath("glossary.toml").read_text(encoding="utf-8")
    return tuple(
        Meaning(item["slug"], item["word"], item["text"], item.get("technical", ""))
        for item in tomllib.loads(data)["meaning"]
    )


MEANINGS = _load()
BY_SLUG = {meaning.slug: meaning for meaning in MEANINGS}
