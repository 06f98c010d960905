"""Every sentence of the pages is a message of the catalogue, and a translation takes its place."""

import json
import re
from html.parser import HTMLParser

import pytest
from jinja2 import Environment, FileSystemLoader

from compute import PRESETS, describe, preset
from compute.queries import catalogue
from marketplace import texts
from marketplace.keyorigin import build
from marketplace.script_texts import literals
from marketplace.template_texts import translated
from marketplace.web import query_words, text, words
from marketplace.web.messages import SCRIPTS, catalogue_template, messages
from marketplace.web.pages_tour import sample
from marketplace.web.translation import TEMPLATES
from tests.marketplace.keyorigin.conftest import trust_document


def shout(message):
    return f"‹{message}›"


@pytest.fixture
def shouted(monkeypatch):
    """A language in which every message is put in marks."""
    monkeypatch.setattr(texts, "translate", shout)


def test_the_catalogue_is_what_the_pages_say():
    """After changing a text: python -m marketplace.web.messages."""
    assert (texts.LOCALE / "web.pot").read_bytes() == catalogue_template()
    assert len(messages()) > 1200


@pytest.mark.parametrize(
    "path",
    sorted((*TEMPLATES.rglob("*.html"), *TEMPLATES.rglob("*.svg"))),
    ids=lambda path: path.name,
)
def test_an_untouched_template_is_the_same_and_a_translated_one_loses_no_value(path):
    source = path.read_text()
    assert translated(source, lambda message: message) == source
    shouted = translated(source, shout)
    bare = [re.sub(r'"[^"]*"', '""', text) for text in (shouted, source)]
    for pattern in (r"{{.*?}}", r"{%.*?%}", r"<[a-z][^ >]*"):
        assert len({tuple(re.findall(pattern, text, re.S)) for text in bare}) == 1
    Environment(loader=FileSystemLoader(TEMPLATES), extensions=["jinja2.ext.do"]).parse(shouted)


def test_a_sentence_keeps_its_values_where_its_translation_puts_them():
    german = {"Hello %(1)s, you have %(2)s.": "%(2)s hast du, %(1)s.", "Name": "Namen"}
    source = '<p title="Name">Hello {{ who }},\n  you have {{ n|f }}. </p>'
    made = translated(source, lambda message: german.get(message, message))
    assert made == '<p title="Namen">{{ n|f }} hast du, {{ who }}. </p>'


def test_a_language_with_a_catalogue_is_spoken(tmp_path, monkeypatch):
    monkeypatch.setattr(texts, "LOCALE", tmp_path)
    (tmp_path / "de.po").write_text('msgid "Glossary"\nmsgstr "Wörter"\n', encoding="utf-8")
    speak = texts.translator("de")
    assert (speak("Glossary"), speak("Status")) == ("Wörter", "Status")
    assert texts.translator("fr")("Glossary") == "Glossary"
    assert texts.translator("../de") is texts.as_it_is


def test_an_error_that_holds_its_values_is_said_too(tmp_path, monkeypatch):
    """It is known by the words around its values; the message with most of them is the one."""
    german = {
        "there is no order %(1)s; list yours with GET /orders": "Auftrag %(1)s gibt es nicht",
        "there is no %(1)s; list yours with GET /orders": "wrong",
        "%(1)s: %(2)s": "wrong",
    }
    lines = [f'msgid "{said}"\nmsgstr "{told}"\n' for said, told in german.items()]
    (tmp_path / "de.po").write_text("\n".join(lines), encoding="utf-8")
    monkeypatch.setattr(texts, "LOCALE", tmp_path)
    monkeypatch.setattr(texts, "LANGUAGE", "de")
    monkeypatch.setattr(texts, "translate", texts.translator("de"))
    texts.shapes.cache_clear()
    try:
        told = texts.say_made("there is no order %(2)s ab; list yours with GET /orders")
        assert told == "Auftrag %(2)s ab gibt es nicht"
        assert texts.say_made("a text: nobody knows") == "a text: nobody knows"
    finally:
        texts.shapes.cache_clear()
    assert "there is no order %(1)s; list yours with GET /orders" in messages()


def test_terms_are_said_in_messages_of_the_catalogue():
    asked = []

    def ask(message, *values):
        asked.append(message)
        return texts.say(message, *values)

    for name in PRESETS:
        for mode in ("private", "trusted"):
            terms = preset(name, valid_from=0, valid_until=9, diseases=["MONDO:0005015"], price=7,
                           regions=["eu"], query_families=["ld"], release_mode=mode)  # fmt: skip
            assert describe(terms, ask) == describe(terms)
    assert set(asked) - messages().keys() == set()


def test_a_value_is_never_taken_for_a_place(monkeypatch):
    monkeypatch.setattr(texts, "translate", lambda _: "%(2)s, then %(1)s")
    assert texts.say("%(1)s and %(2)s", "%(2)s", "b") == "b, then %(2)s"


def spoken_by_python():
    """What a page takes from Python for its words, one of each table."""
    yield words.order_state("settled").label
    yield words.order_state("settled").more
    yield words.entry_words("consent.granted")
    yield words.entry_words("newer.than_this_page")
    yield words.taken_in(None).label
    yield words.LEFT_OUT["purpose"]
    yield words.MODALITIES["clinical"]
    yield from (words.family_words(name) for name in catalogue())
    yield from (query_words.about(name) for name in catalogue())
    yield query_words.said("genotype_counts", "variants").label
    yield query_words.said("genotype_counts", "variants").choice("panel")
    yield text.ago(1_000_000_000, 1_003_600_000)
    yield text.people("50-99")


def test_every_word_that_stands_in_python_and_tables_is_in_the_catalogue_and_is_translated(shouted):
    known = messages()
    for told in spoken_by_python():
        assert told.startswith("‹") and told.endswith("›"), told
    assert [one for one in spoken_by_python() if one[1:-1] not in known] == ["‹50 to 99›"]


def test_a_page_speaks_the_language_whole(shouted, fresh):
    page = fresh.browser(None).get("/glossary").text
    assert "<h1>‹The words we use›</h1>" in page and "<dt>‹Attester›</dt>" in page
    script = fresh.browser(None).get("/assets/omic.js").text
    assert "‹Copied›" in script


class English(HTMLParser):
    """Collects what a page in marks says outside of them: texts, labels, titles and examples."""

    LABELS = ("aria-label", "title", "placeholder", "alt", "data-label")
    SILENT = ("script", "style", "code", "pre")

    def __init__(self, html):
        super().__init__()
        self.inside, self.marks, self.found = [], 0, set()
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.inside += [tag] if tag in self.SILENT else []
        labels = [value for name, value in attrs if name in self.LABELS and tag != "code"]
        self.found |= {re.sub("‹.*›", "", value, flags=re.S) for value in labels if value}

    def handle_endtag(self, tag):
        if self.inside and self.inside[-1] == tag:
            self.inside.pop()

    def handle_data(self, data):
        left = ""
        for sign in data:
            self.marks += {"‹": 1, "›": -1}.get(sign, 0)
            left += "" if self.marks or sign == "›" else sign
        if not self.inside:
            self.found.add(left)

    def words(self):
        return {" ".join(one.split()) for one in self.found if re.search("[A-Za-z]{2}", one)}


# What people and programs are called, and codes that are the same in every language.
DATA = re.compile(
    r"[0-9a-f]{8}…[0-9a-f]{4}|[0-9a-f]{8,64}|\([a-z]+\.[a-z_]+\)|INV-\w+-1|PO-7|GRCh3[78]|CEU|YRI"
    r"|a university|Omic Market \(TEST MONEY\)|witness-\d|UTC|GBP|[kMG]?B\b|has HP:0001250|female male"
    r"|Allele frequencies in Europeans and Yoruba, part \d|Not paid yet|An unlucky question|engine"
    r"|A draft to review|Blood pressure and chromosome 22|C2SP [a-z-]+|HMAC-SHA256|RFC 6962"
)


def test_no_page_says_anything_that_is_not_in_the_catalogue(monkeypatch, lively_world):
    """But for the page of the API, which is its document: that speaks English alone."""
    world, who = lively_world
    asked = {}

    def shouted(message):
        asked[message] = True
        return shout(message)

    orders = who["orders"].values()
    looked = [(None, path) for path in (
        "/", "/how-it-works", "/catalogue", "/jobs", "/ledger", "/ledger/6", "/ledger/90", "/status",
        "/signin", "/nothing", "/ledger?type=x", "/tour", *(f"/tour/{step}" for step in range(2, 7)),
        *(f"/jobs/{order}" for order in orders),
    )]  # fmt: skip
    looked += [
        ("owner", "/me"),
        ("owner", "/me/uses"),
        ("owner", "/me/statement"),
        ("operator", "/operator"),
    ]
    looked += [("researcher", path) for path in ("/research", "/dry-run")]
    looked += [("researcher", f"/orders/{order}") for order in orders] + [("reviewer", "/reviews")]
    browsers = {
        role: world.browser(role and who[role]) for role in (None, *who) if role != "orders"
    }
    monkeypatch.setattr(texts, "translate", shouted)
    sample.cache_clear()
    world.app.jinja_env.cache.clear()
    try:
        for role, path in looked:
            page = browsers[role].get(path).text
            left = {DATA.sub("", one) for one in English(page).words()}
            left -= {name for _code, name in text.countries()}  # in the language spoken, by CLDR
            assert {one for one in left if re.search("[A-Za-z]{2}", one)} == set(), path
    finally:
        sample.cache_clear()
        world.app.jinja_env.cache.clear()
    assert {one for one in asked if len(one) > 40} - messages().keys() == set()


def test_errors_of_the_api_speak_it_too(shouted, fresh):
    answer = fresh.browser(None).get("/api/v1/orders/" + "0" * 32)
    assert answer.json["type"].endswith("sign-in-needed")  # what programs go by stays
    for name in ("title", "detail"):
        assert answer.json[name].startswith("‹"), answer.json
    known = messages()
    assert answer.json["title"][1:-1] in known
    assert {"The lease on this job is lost", "The request is not valid"} <= known.keys()


def test_the_key_pages_speak_it_too_and_their_digest_says_so(monkeypatch):
    english = build(trust_document())
    monkeypatch.setattr(texts, "translate", shout)
    made = build(trust_document())
    assert made.digest != english.digest
    assert made.files["/js/vault.js"] != english.files["/js/vault.js"]
    assert made.files["/vendor/noble.js"] == english.files["/vendor/noble.js"]
    told = json.loads(made.files["/words.json"])
    assert told["purposes"]["HMB"].startswith("‹") and told["duo"]["DUO:0000042"].startswith("‹")
    assert told["price_classes"] == json.loads(english.files["/words.json"])["price_classes"]


@pytest.mark.parametrize("name", ["share.js", "terms.js", "peek.js", "plots_people.js", "omic.js"])
def test_sentences_of_the_scripts_are_found(name):
    path = next(path for folder in SCRIPTS for path in folder.rglob(name))
    assert len(list(literals(path.read_text()))) > 4
