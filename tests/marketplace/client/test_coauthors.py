"""An answer is what its proof proves, or it is not opened; and only its co-author opens it."""

import json

import pytest

from compute import commitment_of
from compute.crypt import encrypt_file
from marketplace.client.coauthors import answer_key, open_shared, parse_answer_key, share
from marketplace.client.errors import ClientError
from marketplace.client.home import Home
from marketplace.client.researcher import Researcher, proved
from marketplace.client.reviewer import Reviewer
from marketplace.client.statements import new_id
from tests.compute.bundle_world import NOW, Story

STORY = Story(people=1)


class Wire:
    """A marketplace that hands out whatever files it was given."""

    def __init__(self, files):
        self.files = files

    def download(self, path):
        return self.files[path.rpartition("/")[2]]


class Session:
    def __init__(self, home, files=None):
        self.home, self.market, self.ledger = home, Wire(files or {}), None


@pytest.fixture(autouse=True)
def _in_the_storys_time(monkeypatch):
    monkeypatch.setattr("marketplace.client.researcher.now_ms", lambda: NOW + 1000)


@pytest.fixture
def people(tmp_path):
    """Three homes that trust the story's log."""
    homes = [Home(tmp_path / name) for name in ("ann", "ben", "eve")]
    for home in homes:
        home.create_from(STORY.trust.format(), "researcher", new_id())
    return homes


@pytest.fixture
def answer():
    return proved(STORY.order, text(STORY.result), STORY.researcher_bundle(), STORY.trust)


def text(document):
    return json.dumps(document).encode()


def sealed(home, data):
    return encrypt_file(data, home.keys.encryption().public)


def test_a_co_author_opens_what_was_shared_and_nobody_else_does(people, answer, tmp_path):
    _, ben, eve = people
    file = tmp_path / "answer.c4gh"
    file.write_bytes(share(answer, STORY.order, parse_answer_key(answer_key(ben))))
    assert open_shared(file, ben) == (STORY.order, answer)
    with pytest.raises(ClientError, match="made for somebody else, or it was changed"):
        open_shared(file, eve)
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ClientError, match="made for somebody else, or it was changed"):
        open_shared(file, ben)
    with pytest.raises(ClientError, match="cannot read"):
        open_shared(tmp_path / "none", ben)


@pytest.mark.parametrize(
    ("document", "match"),
    [
        (
            {"kind": "other", "order": "o", "result": "{}", "bundle": "{}"},
            "no answer that was shared",
        ),
        ({"kind": "omic/shared-answer/1"}, "does not open"),
        ([], "does not open"),
    ],
)
def test_a_file_of_another_kind_is_said_to_be_one(people, tmp_path, document, match):
    file = tmp_path / "x.c4gh"
    file.write_bytes(sealed(people[1], text(document)))
    with pytest.raises(ClientError, match=match):
        open_shared(file, people[1])


@pytest.mark.parametrize(
    "key", ["", "omic-answers:", "omic-answers:AAAA", "ssh-ed25519 AAAA", "omic-answers:é"]
)
def test_a_key_that_is_none_is_named(key):
    with pytest.raises(ClientError, match="omic order key"):
        parse_answer_key(key)


def forged(**change):
    return {**STORY.result, **change}


@pytest.mark.parametrize(
    ("result", "bundle"),
    [
        (forged(answer={"counts": [9]}), None),
        (forged(n={"bucket": "1000-1999"}), None),
        (forged(suppressed=[{"rows": 1}]), None),
        (forged(answer={"counts": [9]}), forged(answer={"counts": [9]})),
        (forged(n={"bucket": "1000-1999"}), forged(n={"bucket": "1000-1999"})),
    ],
    ids=["numbers", "people", "hidden", "numbers in both", "people in both"],
)
def test_a_market_cannot_hand_out_an_answer_of_its_own(people, result, bundle):
    """It can encrypt any file to the buyer's public key; the proof is of the true answer only."""
    ann = people[0]
    files = {
        "result": sealed(ann, text(result)),
        "bundle": sealed(ann, STORY.researcher_bundle(bundle)),
    }
    with pytest.raises(ClientError, match="do not use this answer"):
        Researcher(Session(ann, files)).answer(STORY.order)


def test_a_market_cannot_hand_out_the_answer_of_another_order(people):
    ann = people[0]
    files = {
        "result": sealed(ann, text(STORY.result)), "bundle": sealed(ann, STORY.researcher_bundle()),
    }  # fmt: skip
    assert Researcher(Session(ann, files)).answer(STORY.order).result == STORY.result
    with pytest.raises(ClientError, match="do not use this answer"):
        Researcher(Session(ann, files)).answer(new_id())


def test_a_reviewer_signs_the_draft_that_was_read(people, monkeypatch):
    ben, signed = people[1], []
    monkeypatch.setattr(
        "marketplace.client.reviewer.append",
        lambda ledger, home, entries: signed.append(entries[0].entry.payload) or [type("P", (), {"index": 7})],
    )  # fmt: skip
    draft = {**STORY.result, "draft_commitment": commitment_of(STORY.result)}
    reviewer = Reviewer(Session(ben, {"draft": sealed(ben, text(draft))}))
    assert reviewer.decide(reviewer.draft(STORY.order), "approve") == 7
    assert signed[0]["draft_commitment"] == draft["draft_commitment"]
    with pytest.raises(ClientError, match="no draft of order"):
        reviewer.draft(new_id())
    for wrong in ({"draft_commitment": "0" * 64}, {"answer": None}, {"opening": None}):
        with pytest.raises(ClientError, match="sign nothing"):
            reviewer.decide({**draft, **wrong}, "approve")
    assert len(signed) == 1


def test_the_verbs_of_co_authors(people, answer, omic, tmp_path):
    _, ben, _ = people
    status, out, _ = omic("--home", str(ben.path), "--json", "order", "key")
    assert (status, json.loads(out)["key"]) == (0, answer_key(ben))
    file, to = tmp_path / "a.c4gh", tmp_path / "opened"
    file.write_bytes(share(answer, STORY.order, parse_answer_key(answer_key(ben))))
    status, out, _ = omic(
        "--home", str(ben.path), "--json", "order", "open", str(file), "-o", str(to)
    )
    assert status == 0
    assert (to / f"{STORY.order}.result.json").read_bytes() == answer.result_bytes
    assert json.loads(out)["bundle"] == str(to / f"{STORY.order}.bundle.json")
