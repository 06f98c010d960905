"""A stop while the ledger is silent goes to the marketplace; the home keeps what a receipt needs."""

import json
from dataclasses import dataclass, field

import httpx
import pytest

from ledger import (
    Appended,
    RefusedError,
    UnavailableError,
    entry_bytes,
    format_leaf,
    make_leaf,
)
from marketplace.client.errors import RemoteError
from marketplace.client.handed import send_again
from marketplace.client.owner import Owner
from marketplace.client.session import Session
from marketplace.client.statements import new_id


class SimLog:
    """Answers a repeated submission with its first place; can be silent or refuse."""

    def __init__(self):
        self.silent, self.refuses, self.known = True, False, {}

    def append(self, submissions, wait=False):
        if self.silent:
            raise UnavailableError("the ledger does not answer")
        if self.refuses:
            raise RefusedError("the grant was stopped by leaf 3")
        return [self._one(one) for one in submissions]

    def _one(self, one):
        leaf = format_leaf(make_leaf(one.entry, one.salt, 1))
        place = self.known.setdefault(entry_bytes(one.entry), (40 + len(self.known), leaf))
        return Appended(*place, 1)


@dataclass
class View:
    """What a session needs of its ledger view."""

    client: SimLog
    http: httpx.Client
    seen: list = field(default_factory=list)


@pytest.fixture
def seen():
    return []


@pytest.fixture
def session(home, seen):
    def market(request):
        seen.append((request.url.path, json.loads(request.content), request.headers))
        return httpx.Response(202, json={"entry": "x", "state": "pending", "index": None})

    http = httpx.Client(transport=httpx.MockTransport(market))
    return Session(home, View(SimLog(), http))


@pytest.fixture
def grant(home):
    dataset, name = new_id(), new_id()
    home.keys.create(f"datasets/{dataset}", "sign")
    home.write(f"datasets/{dataset}.json", {"dataset": dataset, "index": 6, "erased": False})
    value = {"grant": name, "dataset": dataset, "index": 7, "state": "live"}
    home.write(f"grants/{name}.json", value)
    return value


def test_a_withdrawal_is_handed_in_and_its_entry_fetched_when_the_ledger_is_back(
    session, home, grant, seen
):
    done = Owner(session).withdraw(grant["grant"])
    assert done.index is None
    ((path, body, headers),) = seen
    assert path == "/api/v1/stops"
    assert "authorization" not in headers
    assert home.read(f"grants/{grant['grant']}.json")["state"] == "withdrawn"
    (kept,) = home.documents("handed")
    assert kept["submission"] == body
    session.ledger.silent = False
    assert send_again(home, session.ledger) == 1
    (entry,) = home.documents("entries")
    assert (entry["index"], entry["salt"]) == (40, body["salt"])
    assert home.read(f"grants/{grant['grant']}.json")["stop"] == 40
    assert send_again(home, session.ledger) == 0


def test_an_erasure_is_handed_in(session, home, grant, seen):
    done = Owner(session).erase(grant["dataset"])
    assert done.index is None
    assert seen[0][0] == "/api/v1/stops"
    assert home.read(f"datasets/{grant['dataset']}.json")["erased"]


def test_a_ledger_that_answers_gets_the_stop_itself(session, home, grant, seen):
    session.ledger.silent = False
    assert Owner(session).withdraw(grant["grant"]).index == 40
    assert seen == []
    assert list(home.documents("handed")) == []


def test_a_stop_nobody_takes_is_an_error_and_is_not_lost(session, home, grant):
    session.view.http = httpx.Client(
        transport=httpx.MockTransport(lambda _request: httpx.Response(503, json={"title": "no"}))
    )
    with pytest.raises(RemoteError):
        Owner(session).withdraw(grant["grant"])
    assert home.read(f"grants/{grant['grant']}.json")["state"] == "live"
    session.ledger.silent = False
    assert send_again(home, session.ledger) == 1


def test_a_stop_the_ledger_refuses_later_is_kept_and_left_alone(session, home, grant):
    Owner(session).withdraw(grant["grant"])
    session.ledger.silent, session.ledger.refuses = False, True
    assert send_again(home, session.ledger) == 0
    (kept,) = home.documents("handed")
    assert "leaf 3" in kept["refused"]
    session.ledger.refuses = False
    assert send_again(home, session.ledger) == 0


def test_the_list_of_datasets_needs_no_server(home, omic):
    home.write(
        "datasets/a.json",
        {"dataset": new_id(), "modality": "genotypes", "name": "me.vcf", "erased": False},
    )
    status, said, _errors = omic("--home", home.path, "list")
    assert status == 0
    assert "compute" in said
    assert "?" in said
    assert "me.vcf" in said
