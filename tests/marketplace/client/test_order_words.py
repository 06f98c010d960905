"""A price, a dry run and an order in lines that a person reads, never a program's own values."""

import json

import pytest
from typer.testing import CliRunner

from marketplace.client import cli_researcher
from marketplace.client.cli import app
from marketplace.client.examples import example, filled
from marketplace.client.order_words import dry_run_lines, order_lines, price_lines
from marketplace.money_words import moved

ITEMS = [
    {
        "kind": "data",
        "modality": "genotypes",
        "people_priced": 99,
        "unit": 25,
        "rate": "1",
        "amount": 2475,
    },
    {"kind": "compute", "amount": 500},
    {"kind": "platform", "percent": 10, "amount": 248},
]
DRY_RUN = {
    "people": "50-99", "left_out": {"modality": "<20"}, "other_builds": {"GRCh38": "<20"},
    "match": "How many match is judged inside.",
    "expected_error": {"kind": "exact", "useful": True}, "items": ITEMS, "price": 3223,
    "currency": "gbp",
}  # fmt: skip


def move(kind, state="sent", amount=3223, **more):
    plain = {"at": 0, "currency": "gbp", "tax": 0, "by": None, "reason": None, "receipt_url": None}
    return {"kind": kind, "state": state, "amount": amount, **plain, **more}


def test_the_items_of_a_price_add_up_before_ones_eyes():
    text = "\n".join(price_lines(ITEMS, 3223, "gbp"))
    for words in ("genotypes: 99 people x 1 x £0.25 x rate 1", "£24.75", "Platform, 10 % of the data",
                  "£2.48", "Price", "£32.23"):  # fmt: skip
        assert words in text


def test_a_dry_run_has_no_programs_values_in_it():
    text = "\n".join(dry_run_lines(DRY_RUN))
    assert "About 50-99 people" in text
    assert "GRCh38 only: not included" in text
    assert "Expected error: kind exact" in text
    assert not set("{}[]") & set(text)
    useless = {**DRY_RUN, "expected_error": {"kind": "noise", "sd": 0.2, "useful": False}}
    assert "too much to be of use" in "\n".join(dry_run_lines(useless))
    mean = {"statistic": "mean", "noise_sd": 0.1, "sampling_sd": 0.2, "se": 0.2236}
    told = {"kind": "gaussian", "se": 3.0, "more": [mean], "needs": {"rho": "1/9"}, "useful": False}
    text = "\n".join(dry_run_lines({**DRY_RUN, "expected_error": told}))
    assert "Expected error: statistic mean, noise_sd 0.1" in text
    assert "would do: rho 1/9" in text
    assert not set("{}[]") & set(text)


def test_an_order_says_what_was_paid_where_the_receipt_is_and_what_happened():
    status = {
        "state": "refunded", "amount": 3223, "currency": "gbp", "created_at": 0, "order": "ab" * 16,
        "index": 7, "reason": "review_rejected", "why": None, "progress": None,
        "money": [move("paid", "refunded", by="card", receipt_url="https://r.test/1"), move("refund")],
        "history": [{"event": "need_owners", "at": 0, "index": 9}],
    }  # fmt: skip
    text = "\n".join(order_lines(status))
    for words in ("£32.23 paid by card; receipt: https://r.test/1", "£32.23 given back",
                  "need owners, entry 9", "review_rejected"):  # fmt: skip
        assert words in text


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (move("paid", "received", tax=537, by="card"), "£32.23 with £5.37 tax paid by card"),
        (move("paid", "received"), "£32.23 paid"),
        (move("invoice", "open"), "£32.23 to be transferred against an invoice"),
        (move("refund", "planned", reason="fewer_people"),
         "£32.23 on its way back to you, because fewer people took part than were priced"),
        (move("refund", reason="order"), "£32.23 given back"),
        (move("refund", reason="surplus"), "£32.23 given back, because it was not asked for"),
        (move("dispute", "open"), "Your bank holds £32.23 while it decides"),
        (move("dispute", "won"), "Your bank held £32.23 and gave it back to us"),
        (move("dispute", "lost"), "Your bank gave £32.23 back to you"),
        (move("dispute", "under_review"), "Your bank asks about £32.23"),
    ],
)  # fmt: skip
def test_every_movement_of_money_has_words(one, words):
    assert moved(one) == words


def test_the_command_asks_for_the_error_at_what_its_buyer_assumes(tmp_path, monkeypatch):
    asked = []

    class Asker:
        def dry_run(self, request, maf, sd):
            asked.append((maf, sd))
            return DRY_RUN

    monkeypatch.setattr(cli_researcher, "_researcher", lambda context: Asker())
    path = tmp_path / "request.json"
    path.write_text(json.dumps(filled(example("linear_association"))))
    for options in (["--maf", "1/100", "--sd", "9.5"], []):
        shown = CliRunner().invoke(app, ["dry-run", str(path), *options])
        assert shown.exit_code == 0, shown.output
        assert "About 50-99 people" in shown.stdout
    assert asked == [("1/100", "9.5"), (None, None)]
