"""The key pages in another language: every text in marks, and the programs run as before."""

import os

import pytest

from marketplace import texts
from marketplace.keyorigin import build
from marketplace.keyorigin.server import make_app
from marketplace.script_texts import translated_script
from tests.marketplace.keyorigin.conftest import CHROMIUM, trust_document
from tests.served import served

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None and not os.environ.get("CI"), reason="no Chromium here"),
]
PROGRAM = r"""
const name = "ada"; const n = 2; const said = [];
said.push(`Hello ${name}, you have ${n > 1 ? `${n} entries here` : 'one entry'}.`);
said.push("a\tb is kept", /`"/.test("`\""), 6 / 2 / 1);
return said;
"""


def shout(message):
    return f"‹{message}›"


@pytest.fixture
def shouted_pages(monkeypatch):
    monkeypatch.setattr(texts, "translate", shout)
    with served(make_app(build(trust_document()))) as port:
        yield f"http://localhost:{port}"


@pytest.mark.parametrize(
    ("view", "title"), [("verify", "Believe nothing, check it here"), ("start", "Make your keys")]
)
def test_a_view_says_what_the_language_says(chromium, shouted_pages, view, title):
    page = chromium.new_page()
    troubles = []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.goto(f"{shouted_pages}/#/{view}")
    page.wait_for_selector("main h1")
    assert page.locator("main h1").inner_text() == f"‹{title}›"
    assert troubles == []
    page.close()


def test_a_translated_script_runs_as_before(chromium):
    page = chromium.new_page()
    plain = page.evaluate(f"() => {{ {PROGRAM} }}")
    upper = translated_script(PROGRAM, lambda message: message.upper().replace("S", "s"))
    assert plain == ["Hello ada, you have 2 entries here.", "a\tb is kept", True, 3]
    assert page.evaluate(f"() => {{ {upper} }}") == [
        "HELLO ada, YOU HAVE 2 ENTRIEs HERE.", "A\tB Is KEPT", True, 3,
    ]  # fmt: skip
    page.close()
