"""The client: what it asks, what it bounds, and how answers become errors."""

import json
import os
from contextlib import suppress

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import errors
from ledger.client import Appended, LedgerClient, UnavailableError
from ledger.envelope import b64, submission_from_json
from ledger.errors import FormatError, LedgerError, NotFoundError, RefusedError
from ledger.frames import Envelope, pack_envelopes
from ledger.problems import error_from, problem
from ledger.tiles import Tile, encode_bundle, parse_tile_path
from tests.ledger.ledger_world import Keys


def client(handler, token=None):
    return LedgerClient("http://log/", token, httpx.Client(transport=httpx.MockTransport(handler)))


def answering(status, content=b"", **headers):
    return client(lambda request: httpx.Response(status, content=content, headers=headers))


def test_append_sends_the_submission_and_reads_places():
    note, asked = Keys().note(), []

    def handler(request):
        asked.append(request)
        place = {"index": 7, "leaf": b64(b"leaf"), "time": 5, "receipt": "proof"}
        return httpx.Response(200, json={"entries": [place]})

    assert client(handler, "token").append([note], wait=True) == [Appended(7, b"leaf", 5, "proof")]
    (request,) = asked
    assert str(request.url) == "http://log/entries?wait=1"
    assert request.headers["authorization"] == "Bearer token"
    (sent,) = json.loads(request.content)["entries"]
    assert submission_from_json(sent).entry == note.entry


def test_append_must_be_answered_for_each_entry():
    with pytest.raises(FormatError, match="each entry"):
        answering(200, b'{"entries": []}').append([Keys().note()])


@pytest.mark.parametrize(
    "error",
    [cls("what is wrong") for cls in vars(errors).values()
     if isinstance(cls, type) and issubclass(cls, LedgerError)],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_every_error_survives_the_journey(error):
    body, status = problem(error)
    again = error_from(json.loads(json.dumps(body)), status)
    assert type(again) is type(error)
    assert str(again) == "what is wrong"
    assert 400 <= status < 600
    with pytest.raises(type(error), match="what is wrong"):
        answering(status, json.dumps(body).encode()).checkpoint()


def test_the_bad_entry_is_named():
    body = {**problem(RefusedError("no"))[0], "entry": 3}
    with pytest.raises(RefusedError, match=r"entry 3 of the batch"):
        answering(409, json.dumps(body).encode()).append([Keys().note()])


@pytest.mark.parametrize("content", [b"", b"<html>", b"[1]", b'{"type": 5}', b'"x"', b"\xff"])
def test_an_error_answer_that_is_no_problem_document(content):
    with pytest.raises(LedgerError, match="answered 502"):
        answering(502, content).checkpoint()


def test_redirects_are_not_followed():
    with pytest.raises(FormatError, match="302"):
        answering(302, b"", location="http://elsewhere/").checkpoint()


def test_a_log_that_is_not_there():
    def handler(request):
        raise httpx.ConnectError("refused")

    with pytest.raises(UnavailableError, match="does not answer"):
        client(handler).checkpoint()


def test_answers_are_bounded():
    def endless():
        while True:
            yield b"x" * 65536

    handler = client(lambda request: httpx.Response(200, content=endless()))
    with pytest.raises(FormatError, match="longer than"):
        handler.checkpoint()


def test_gzip_is_understood_and_bounded():
    import gzip

    bundle = encode_bundle([b"one", b"two"])
    got = answering(200, gzip.compress(bundle), **{"content-encoding": "gzip"})
    assert got.entries(0, 2) == [b"one", b"two"]
    bomb = answering(200, gzip.compress(b"x" * (2 << 20)), **{"content-encoding": "gzip"})
    with pytest.raises(FormatError, match="longer than"):
        bomb.checkpoint()


def test_falls_back_to_the_full_tile_and_bundle():
    leaves = [b"%d" % i for i in range(256)]
    tile = os.urandom(8192)
    pages = {"/tile/0/000": tile, "/tile/entries/000": encode_bundle(leaves)}

    def handler(request):
        found = pages.get(request.url.path)
        if found is None:
            return httpx.Response(404, json=problem(NotFoundError("no"))[0])
        return httpx.Response(200, content=found)

    assert client(handler).tile(Tile(0, 0, 3)) == tile[:96]
    assert client(handler).entries(2, 5) == leaves[2:5]
    with pytest.raises(NotFoundError):
        client(handler).tile(Tile(0, 1))


def test_entries_over_several_bundles():
    leaves = [b"%d" % i for i in range(600)]

    def handler(request):
        bundle = parse_tile_path(request.url.path.removeprefix("/"))
        start = bundle.index * 256
        return httpx.Response(200, content=encode_bundle(leaves[start : start + bundle.width]))

    assert client(handler).entries(0, 600) == leaves
    assert client(handler).entries(250, 520) == leaves[250:520]
    assert client(handler).entries(5, 5) == []


def test_envelopes_are_asked_in_bounded_parts():
    asked = []

    def handler(request):
        body = json.loads(request.content)
        asked.append(body)
        indexes = body.get("indexes") or range(body["start"], body["end"])
        return httpx.Response(200, content=pack_envelopes(map(Envelope, indexes)))

    got = client(handler).envelopes(range(10, 2510))
    assert [item.index for item in got] == list(range(10, 2510))
    assert len(asked) == 3
    assert client(handler).envelopes([3, 1])[1].index == 1


@given(st.one_of(st.none(), st.integers(), st.text(), st.lists(st.integers()),
       st.dictionaries(st.sampled_from(["entries", "hashes", "envelopes", "grants", "leaves"]),
       st.one_of(st.none(), st.text(), st.lists(st.one_of(st.none(), st.text(), st.integers(),
       st.dictionaries(st.sampled_from(["index", "leaf", "time", "entry", "salt", "sealed_grant"]),
       st.one_of(st.none(), st.text(), st.integers()))))))))  # fmt: skip
def test_no_answer_makes_another_error_than_ours(value):
    ledger = answering(200, json.dumps(value).encode())
    note = Keys().note()
    for call in (
        lambda: ledger.append([note]),
        lambda: ledger.inclusion(0, 1),
        lambda: ledger.envelopes([1]),
        lambda: ledger.grants([1]),
        lambda: ledger.access_tree(b"r" * 32),
        lambda: ledger.entries(0, 3),
    ):
        with suppress(LedgerError):
            call()
