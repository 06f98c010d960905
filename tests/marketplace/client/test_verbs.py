"""What a page offers the command offers too; where it does not, the reason stands here."""

import typer

from compute.worker_outcomes import Code
from marketplace import outcome_words
from marketplace.client.cli import app

# Page (endpoint of the web blueprint) -> the verb, or why there is none.
PAGES = {
    "dashboard": "list", "everything": "takeout", "statement": "statement",
    "statement_csv": "statement", "payee": "payout bank", "invoice": "order invoice",
    "ask_invoice": "order invoice", "operator": "operator reconcile", "catalogue": "catalogue",
    "status": "status", "research": "order list", "orders": "order list", "order": "order show",
    "order_state": "order show", "order_events": "order wait", "pay": "order place",
    "cancel": "order cancel", "download": "order result", "dry_run": "dry-run",
    "dry_run_post": "dry-run", "dry_run_people": "dry-run", "reviews": "review list",
    "signin": "open", "signin_post": "open", "login": "open", "ledger": "audit ledger",
    "entry": "audit ledger", "entry_proof": "audit ledger", "find": "audit ledger",
    "uses": "activity", "trust": "keygen",
}  # fmt: skip
NO_VERB = {
    "static", "favicon", "missing", "home", "how", "glossary", "tour", "api_docs",  # to read
    "jobs", "job", "ledger_size",  # public pages; their entries are what `audit ledger` reads
    "passkey_options", "passkey_answer", "logout",  # a browser's own way in and out
}  # fmt: skip


def verbs(command=None, before=()):
    command = command or typer.main.get_command(app)
    if not hasattr(command, "commands"):
        yield " ".join(before), command
        return
    for name, one in command.commands.items():
        yield from verbs(one, (*before, name))


def test_every_page_has_its_verb_or_a_reason(world):
    known = dict(verbs())
    assert [verb for verb in PAGES.values() if verb not in known] == []
    pages = {rule.endpoint.removeprefix("web.") for rule in world.app.url_map.iter_rules()
             if rule.endpoint.startswith("web.")}  # fmt: skip
    assert pages - set(PAGES) - NO_VERB == set(), "name the page's verb above, or why none"


def test_every_verb_says_what_it_does():
    assert [name for name, command in verbs() if not command.help] == []


def test_completion_can_be_shown_and_installed(omic):
    status, out, _ = omic("--help")
    assert status == 0
    assert "--install-completion" in out and "--show-completion" in out


def test_a_facet_that_is_none_is_said(omic, home):
    status, _, told = omic("--home", str(home.path), "catalogue", "CEU")
    assert status == 2
    assert "population=CEU" in told


def test_every_outcome_has_its_words():
    missing = [code.value for code in Code if outcome_words.why(code.value) is None]
    assert missing == []
    assert outcome_words.why("near_cohort").startswith("an exact answer over nearly the same")
    assert outcome_words.why(None) is None and outcome_words.why("nothing known") is None
