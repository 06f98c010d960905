"""Hostile files uploaded to a running market by a client that checks nothing.

The marketplace takes them (it cannot read them), compute's worker refuses each by name, keeps
nothing of any of them, and takes in the next person.
"""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pytest

from compute.worker_ingest import NOT_YET
from marketplace.client import demo_owners
from marketplace.client import owner as owners
from marketplace.client.home import Home
from marketplace.client.session import Session
from marketplace.client.statements import new_id
from tests.compute.ingest.hostile_files import HOSTILE
from tests.e2e.stack import Stack, a_people


@dataclass
class Unchecked:
    """What a client of one's own says of a file it never looked at."""

    content_digest: str

    def as_dict(self) -> dict[str, Any]:
        return {}


@pytest.fixture
def stack(tmp_path, monkeypatch):
    """A market whose every process would keep a temporary file in one known folder."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    made = Stack(tmp_path / "market")
    made.start()
    try:
        yield made
    finally:
        made.stop()


def rows(stack, file, statement):
    path = stack.layout.directory("compute") / file
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        return database.execute(statement).fetchall()


def noted(stack):
    """Dataset: state and reason of every file the worker has opened."""
    found = rows(stack, "compute.sqlite", "SELECT dataset, state, reason FROM compute_ingest")
    return {dataset: (state, reason) for dataset, state, reason in found if reason != NOT_YET}


def kept(stack):
    """Copies, rows of the variant table, and the bytes of every segment."""
    copies = rows(stack, "store.sqlite", "SELECT dataset, segment, start, sizes FROM copy")
    variants = rows(stack, "store.sqlite", "SELECT first, count FROM variant_rows")
    folder = stack.layout.directory("compute")
    segments = {path.name: path.read_bytes() for path in folder.glob("*.segments/*")}
    return sorted(copies), variants, segments


def join(stack, kinds, monkeypatch):
    """An owner registers, uploads and consents to a file of every kind; return dataset: kind."""
    monkeypatch.setattr(owners, "settle", lambda data, *_: (data, Unchecked(new_id())))
    monkeypatch.setattr(owners, "_format", lambda _: {})
    home = Home(stack.layout.root / "people" / "hostile")
    home.create_from(stack.layout.trust_file.read_bytes(), "owner", new_id())
    owner = owners.Owner(Session.open(home, stack.view))
    prepared = [owner.prepare(make(), modality, name="x") for modality, make, _ in kinds.values()]
    terms = demo_owners.demo_terms()
    offer, offered = owner.offer([one.dataset for one in prepared], terms, {})
    grants = [owner.grant(one.record, offer, terms, {}) for one in prepared]
    owner.send(prepared, before=[owner.enrol()], after=[offered, *grants])
    owner.session.attester.attest(home.party, "owner", demo_owners.OWNER_CLAIMS)
    return dict(zip([one.dataset for one in prepared], kinds, strict=True))


def test_every_hostile_upload_is_refused_by_name_and_nothing_of_it_is_kept(stack, monkeypatch):
    first, second = a_people(2, 0)
    stack.crowd([first])
    stack.until(lambda: len(noted(stack)) == 3, what="the first person's ingest")
    before, started = kept(stack), stack.child("compute").restarts
    with monkeypatch.context() as patch:
        datasets = join(stack, HOSTILE, patch)
    stack.until(
        lambda: set(datasets) <= set(noted(stack)), seconds=180, what="the ingest of hostile files"
    )
    expected = {one: ("excluded", f"file.{HOSTILE[kind][2]}") for one, kind in datasets.items()}
    assert {one: noted(stack)[one] for one in datasets} == expected
    assert kept(stack) == before
    stack.crowd([second])
    stack.until(lambda: len(noted(stack)) == 6 + len(datasets), what="the next person's ingest")
    assert len(kept(stack)[0]) == 6
    assert stack.child("compute").restarts == started
    assert list((stack.layout.root.parent / "temporary").iterdir()) == []
