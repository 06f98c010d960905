"""Every sentence of the pages is a message of the catalogue, and a translation takes its place."""

import re

import pytest
from jinja2 import Environment, FileSystemLoader

from marketplace.web import translation
from marketplace.web.translation import LOCALE, TEMPLATES, messages, template_catalogue, translated


def test_the_catalogue_is_the_templates_own():
    """After changing a text: python -m marketplace.web.translation."""
    assert (LOCALE / "web.pot").read_bytes() == template_catalogue()
    assert len(messages()) > 400


@pytest.mark.parametrize("path", sorted(TEMPLATES.rglob("*.html")), ids=lambda path: path.name)
def test_an_untouched_template_is_the_same_and_a_translated_one_loses_no_value(path):
    source = path.read_text()
    assert translated(source, lambda message: message) == source
    shouted = translated(source, lambda message: "‹" + message + "›")
    for pattern in (r"{{.*?}}", r"{%.*?%}", r"<[a-z][^ >]*"):
        assert re.findall(pattern, shouted, re.S) == re.findall(pattern, source, re.S)
    Environment(loader=FileSystemLoader(TEMPLATES), extensions=["jinja2.ext.do"]).parse(shouted)


def test_a_sentence_keeps_its_values_where_its_translation_puts_them():
    german = {"Hello %(1)s, you have %(2)s.": "%(2)s hast du, %(1)s.", "Name": "Namen"}
    source = '<p title="Name">Hello {{ who }},\n  you have {{ n|f }}. </p>'
    made = translated(source, lambda message: german.get(message, message))
    assert made == '<p title="Namen">{{ n|f }} hast du, {{ who }}. </p>'


def test_a_language_with_a_catalogue_is_spoken(tmp_path, monkeypatch):
    monkeypatch.setattr(translation, "LOCALE", tmp_path)
    (tmp_path / "de.po").write_text('msgid "Glossary"\nmsgstr "Wörter"\n', encoding="utf-8")
    say = translation.translator("de")
    assert (say("Glossary"), say("Status")) == ("Wörter", "Status")
    assert translation.translator("fr")("Glossary") == "Glossary"
