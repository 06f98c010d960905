"""Sentences in scripts: which strings are texts, and that a translated script is the same program."""

import pytest

from marketplace.script_texts import literals, translated_script

SENTENCES = [
    ('h("p", {}, "Your keys")', ["Your keys"]),
    ("alert('It does not hold');", ["It does not hold"]),
    ('h("button.button", {}, "Lock")', ["Lock"]),
    ("`Pay ${money(a, `x${b}`)} now`", ["Pay %(1)s now"]),
    ('`Use ${kind ? "the printed code" : "it"} here`', ["Use %(1)s here", "the printed code"]),
    ('say("the “word” \\u2013 said")', ["the “word” – said"]),
    ('// "A comment says"\n/* "and another one" */ x = 1', []),
    ('x = /["\'`] no text/.test("not a text".slice(1))', ["not a text"]),
    ("half = a / 2; more = b / `some words`.length", ["some words"]),
    ('h("p", { class: "plot wide" })', []),
    ('document.querySelector("main h1")', []),
    ('"use strict"; error.name === "NotAllowedError"', []),
    ('fetch("/api/v1/orders", { headers: { "Content-Type": "application/json" } })', []),
    ('kind = "genotypes"', []),
    ('`${a} ${b}`', []),
    ('code = "from x import y\\nrun it now"', []),
]  # fmt: skip


@pytest.mark.parametrize(("source", "found"), SENTENCES, ids=[s[:24] for s, _ in SENTENCES])
def test_what_is_a_sentence(source, found):
    assert [one.message for one in literals(source)] == found


def test_a_translation_takes_the_place_of_its_sentence_and_moves_values():
    german = {"Pay %(1)s by %(2)s": "Bis %(2)s: `%(1)s` ${zahlen}", "The market": 'Der "Markt"'}
    source = 'x(`Pay ${sum(`${a}`)} by ${day}`, "The market", "left as it is")'
    made = translated_script(source, lambda message: german.get(message, message))
    assert made == (
        'x(`Bis ${day}: \\`${sum(`${a}`)}\\` \\${zahlen}`, "Der \\"Markt\\"", "left as it is")'
    )


def test_a_sentence_within_a_value_is_translated_with_or_without_the_one_around_it():
    source = '`You allow: ${any ? "any use" : "no use"}.`'
    upper = {"any use": "ANY USE", "You allow: %(1)s.": "ALLOWED: %(1)s."}
    both = translated_script(source, lambda message: upper.get(message, message))
    assert both == '`ALLOWED: ${any ? "ANY USE" : "no use"}.`'
    del upper["You allow: %(1)s."]
    inner = translated_script(source, lambda message: upper.get(message, message))
    assert inner == '`You allow: ${any ? "ANY USE" : "no use"}.`'
