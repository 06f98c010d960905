"""Statements: signed by the home's own key, fresh id and salt, kept only once the log took them."""

import pytest

from ledger import (
    Appended,
    LedgerError,
    UnavailableError,
    b64,
    entry_bytes,
    fingerprint,
    format_leaf,
    make_leaf,
    unb64,
    verify_signatures,
)
from marketplace.client.statements import append, drafted, new_id, now_ms, stated


class SimLedger:
    """Takes everything, or nothing."""

    def __init__(self, down=False, receipt=None):
        self.down, self.receipt, self.waited = down, receipt, None

    def append(self, submissions, wait=False):
        if self.down:
            raise UnavailableError("nobody there")
        self.waited = wait
        return [
            Appended(3 + i, format_leaf(make_leaf(s.entry, s.salt, 5)), 5, self.receipt)
            for i, s in enumerate(submissions)
        ]


def paused(home):
    fields = {"grant": new_id(), "dataset": new_id(), "owner": home.party, "stops": [1]}
    return stated("consent.paused", fields, home.keys.signing())


def test_a_statement_is_signed_dated_and_salted(home):
    before = now_ms()
    one, two = paused(home), paused(home)
    verify_signatures(one.entry, None)
    assert one.entry.payload["actor"] == fingerprint(home.keys.signing().public)
    assert before <= one.entry.payload["time"] <= now_ms()
    assert len(one.salt) == 32
    assert one.salt != two.salt
    assert one.entry.payload["id"] != two.entry.payload["id"]


def test_what_the_log_took_is_kept_with_its_opening(home):
    submission, ledger = paused(home), SimLedger()
    (done,) = append(ledger, home, [submission])
    kept = home.read("entries/000000000003.json")
    assert ledger.waited
    assert unb64(kept["entry"]) == entry_bytes(submission.entry)
    assert unb64(kept["leaf"]) == done.leaf_bytes
    assert kept["salt"] == b64(submission.salt)


def test_a_receipt_that_proves_nothing_is_not_kept(home):
    with pytest.raises(LedgerError):
        append(SimLedger(receipt="c2sp.org/tlog-proof@v1\nindex 3\n"), home, [paused(home)])
    assert not home.has_receipt(3)


def test_what_the_log_did_not_take_leaves_no_trace(home):
    with pytest.raises(UnavailableError):
        append(SimLedger(down=True), home, [paused(home)])
    assert list(home.documents("entries")) == []


def test_a_draft_has_one_signature_and_waits_for_the_second(home):
    sign = home.keys.signing()
    key = {"public_key": b64(sign.public), "kind": "ed25519", "use": "sign"}
    fields = {"party": home.party, "role": "owner", "keys": [key]}
    draft = drafted("party.registered", fields, sign)
    assert len(draft.entry.signatures) == 1
