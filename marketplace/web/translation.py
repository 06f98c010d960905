"""Puts the language's texts into the pages' templates: a Jinja extension, as each is loaded."""

from pathlib import Path

from jinja2.ext import Extension

from marketplace import texts
from marketplace.template_texts import translated

TEMPLATES = Path(__file__).parent / "templates"


class Translated(Extension):
    """Put the language's texts into templates as they load."""

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
        if texts.translate is texts.as_it_is:
            return source
        return translated(source, texts.translate)
