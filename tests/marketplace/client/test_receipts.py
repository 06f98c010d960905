"""Receipts against a real log with witnesses: fetched, checked offline, and tampering made loud."""

import re

import pytest

from ledger import ConsistencyError, LedgerError, NotFoundError, StaleError
from marketplace.client.errors import ClientError, LedgerChangedError
from marketplace.client.home import Home
from marketplace.client.receipts import check_all, fetch_missing
from marketplace.client.session import LedgerView
from marketplace.client.statements import new_id
from tests.ledger.ledger_world import World, eventually


@pytest.fixture
def log(tmp_path):
    made = World(tmp_path)
    made.start_witnesses()
    made.serve(made.start())
    yield made
    made.close()


@pytest.fixture
def home(log, tmp_path):
    made = Home(tmp_path / "home")
    made.create_from(log.trust_path.read_bytes(), "owner", new_id())
    return made


def kept(log, home, count=3):
    """Put entries on the log and keep them in the home, without receipts."""
    submissions = [log.keys.note() for _ in range(count)]
    for submission, done in zip(submissions, log.client().append(submissions), strict=True):
        home.keep_entry(submission, done.index, done.leaf_bytes, done.time)


def fetched(log, home, count=3):
    kept(log, home, count)
    client = log.client()
    eventually(lambda: fetch_missing(home, client) or home.has_receipt(count - 1))
    eventually(
        lambda: all(home.has_receipt(i) for i in range(count)) or fetch_missing(home, client)
    )


def test_receipts_come_once_and_verify_with_the_log_gone(log, home):
    fetched(log, home)
    assert fetch_missing(home, log.client()) == 0
    log.close()
    assert check_all(home) == 3


@pytest.mark.parametrize("error", [NotFoundError, StaleError])
def test_what_is_not_witnessed_yet_waits_for_later(log, home, monkeypatch, error):
    kept(log, home)
    client = log.client()

    def not_yet(_index):
        raise error("not yet")

    with monkeypatch.context() as early:
        early.setattr(client, "receipt", not_yet)
        assert fetch_missing(home, client) == 0
    eventually(lambda: fetch_missing(home, client) and home.has_receipt(2))


@pytest.mark.parametrize("part", ["leaf", "path", "root", "signature"])
def test_a_tampered_receipt_is_loud_and_named(part, log, home):
    fetched(log, home)
    path = home.path / "receipts" / "000000000001.tlog-proof"
    text = path.read_text()
    lines = text.splitlines(keepends=True)
    if part == "leaf":
        document = home.read("entries/000000000001.json")
        other = home.read("entries/000000000002.json")
        home.write("entries/000000000001.json", {**document, "leaf": other["leaf"]})
    elif part == "path":
        (at,) = [i for i, line in enumerate(lines) if line.startswith("index ")]
        lines[at + 1] = "A" * 43 + "=\n"
    elif part == "root":
        at = max(i for i, line in enumerate(lines) if line == "\n") - 1
        lines[at] = re.sub(r"^.", lambda m: "B" if m[0] != "B" else "C", lines[at])
    else:
        lines = [line for line in lines if not line.startswith("— w")]
    path.write_text("".join(lines))
    with pytest.raises(LedgerChangedError, match="000000000001"):
        check_all(home)


def test_a_receipt_another_log_signed_is_not_kept(log, home, tmp_path):
    kept(log, home)
    other = World(tmp_path / "other")
    other.start_witnesses()
    other.serve(other.start())
    try:
        other.client().append([other.keys.note() for _ in range(3)], wait=True)
        with pytest.raises(LedgerError, match="not signed by any known key"):
            fetch_missing(home, other.client())
        assert not any(home.has_receipt(i) for i in range(3))
    finally:
        other.close()


def test_a_ledger_that_changed_its_past_is_loud(log, home, monkeypatch):
    log.client().append([log.keys.note()], wait=True)
    view = LedgerView(home.trust, home.path / "ledger-view")
    view.sync()

    def changed():
        raise ConsistencyError("size 1 has another root")

    monkeypatch.setattr(view.follower, "sync", changed)
    with pytest.raises(LedgerChangedError, match="changed its past") as caught:
        view.sync()
    assert "auditors" in str(caught.value)


def test_no_recipient_key_on_the_ledger_means_no_consent(log, home):
    view = LedgerView(home.trust, home.path / "ledger-view")
    log.client().append([log.keys.note()], wait=True)
    view.sync()
    with pytest.raises(ClientError, match="no compute key valid now"):
        view.recipient("local", 1)
    log.client().append([log.keys.compute_key()], wait=True)
    view.sync()
    assert view.recipient("local", 1).key_id == "epoch-1"
    for region, now in (("elsewhere", 1), ("local", 2**50)):
        with pytest.raises(ClientError, match="no consent can be given"):
            view.recipient(region, now)
