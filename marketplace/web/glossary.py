"""Plain-word meanings for the glossary page and for the hints on hover; texts in glossary.toml."""

import tomllib
from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Meaning:
    """One word: its anchor, how it is written, what it means, and what it is called elsewhere."""

    slug: str
    word: str
    text: str
    technical: str = ""


def _load() -> tuple[Meaning, ...]:
    data = files("marketplace.web").joinpath("glossary.toml").read_text(encoding="utf-8")
    return tuple(Meaning(**item) for item in tomllib.loads(data)["meaning"])


MEANINGS = _load()
BY_SLUG = {meaning.slug: meaning for meaning in MEANINGS}
