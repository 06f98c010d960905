"""Attacks and accidents from outside: floods of challenges, errors that quote, uploads, long texts."""

import os
import stat

import pytest
from sqlmodel import select

from ledger import FormatError, b64, sign_ed25519, unb64
from marketplace import challenges
from marketplace.config import Limits
from marketplace.errors import ConfigError
from marketplace.tables import Challenge
from tests.marketplace.market_world import ASK, ORIGIN, PURPOSE, SCOPE, Owner, Party, World, new_id

KEY = bytes(32)


def ask(world, party):
    return world.http.post("/api/v1/session/challenge", json={"party": party.id})


def answer(world, party, text):
    message = b"omic/session/v1\n" + text.encode() + b"\n" + ORIGIN.encode()
    signature = b64(sign_ed25519(party.seed)(message).parts[0])
    body = {"party": party.id, "challenge": text, "public_key": b64(party.key)}
    return world.http.post("/api/v1/session", json={**body, "signature": signature})


def spent(world):
    with world.services.db.read() as session:
        return len(session.exec(select(Challenge)).all())


def test_a_flood_of_challenges_locks_nobody_out_and_writes_nothing(world):
    party = world.register(Party(), "researcher")
    assert {ask(world, party).status_code for _ in range(60)} == {200}
    assert spent(world) == 0
    world.sign_in(party)
    assert spent(world) == 1


def test_a_challenge_not_made_here_or_changed_is_refused(world):
    party = world.register(Party(), "researcher")
    soon = world.clock() + 1000
    for text in (
        challenges.make(os.urandom(32), party.id, "challenge", soon),
        challenges.make(world.services.challenge_key, party.id, "link", soon),
        challenges.make(world.services.challenge_key, new_id(), "challenge", soon),
        "AAAA", "", "%",
    ):  # fmt: skip
        assert answer(world, party, text).status_code == 401
    raw = bytearray(unb64(ask(world, party).json["challenge"]))
    raw[20] ^= 1  # a later expiry
    assert answer(world, party, b64(bytes(raw))).status_code == 401


def test_only_a_key_in_force_spends_a_challenge_and_spent_ones_are_forgotten(world):
    party, stranger = world.register(Party(), "researcher"), Party()
    text = ask(world, party).json["challenge"]
    stranger.id = party.id
    assert answer(world, stranger, text).status_code == 401
    assert spent(world) == 0
    assert answer(world, party, text).status_code == 200
    assert answer(world, party, text).status_code == 401
    world.clock.forward(world.services.config.limits.challenge_ms)
    world.sign_in(party)
    assert spent(world) == 1


def test_the_challenge_secret_is_made_once_and_kept_from_others(tmp_path):
    path = tmp_path / "challenge.key"
    key = challenges.load_key(path)
    assert challenges.load_key(path) == key
    assert len(key) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["challenge.key"]
    path.chmod(0o644)
    with pytest.raises(ConfigError):
        challenges.load_key(path)
    path.chmod(0o600)
    path.write_text("00\n")
    with pytest.raises(ConfigError):
        challenges.load_key(path)


# -- what the log says ------------------------------------------------------------------------


class Talkative:
    """A follower that fails with somebody's name in the error and in its cause."""

    state = None

    def sync(self):
        try:
            int("Jane Doe")
        except ValueError as error:
            raise RuntimeError("Jane Doe carries BRCA1") from error


@pytest.mark.parametrize("path", ["/api/v1/catalogue", "/catalogue"])
def test_an_unexpected_error_is_logged_by_type_and_place_only(world, caplog, path):
    world.services.view._follower = Talkative()
    assert world.http.get(path).status_code == 500
    check_log(caplog)


def test_background_work_logs_an_unexpected_error_by_type_and_place_only(world, caplog):
    world.services.view._follower = Talkative()
    assert not world.background._step("follow", world.services.view.refresh)
    check_log(caplog)


def check_log(caplog):
    assert "Jane" not in caplog.text
    assert "Traceback" not in caplog.text
    assert "RuntimeError at" in caplog.text
    assert "from ValueError at" in caplog.text
    assert "test_security.py:" in caplog.text


# -- staged uploads ---------------------------------------------------------------------------


def staged(world, owner, size=1000, dataset=None):
    owner.dataset = dataset or new_id()
    return world.upload(owner, os.urandom(size))


def test_one_owner_may_stage_only_so_many_files(tmp_path):
    world = World(tmp_path, limits=Limits(staged_files=2))
    owner, other = (world.sign_in(world.register(Owner(), "owner")) for _ in range(2))
    assert [staged(world, owner).status_code for _ in range(2)] == [200, 200]
    last = owner.dataset
    refused = staged(world, owner)
    assert (refused.status_code, refused.content_type) == (429, "application/problem+json")
    assert "wait to be activated" in refused.json["detail"]
    assert staged(world, owner, dataset=last).status_code == 200  # the same one again
    assert staged(world, other).status_code == 200
    world.clock.forward(world.services.config.limits.staged_ms + 1)
    world.turn()
    world.sign_in(owner)
    assert staged(world, owner).status_code == 200
    world.close()


def test_one_owner_may_stage_only_so_many_bytes(tmp_path):
    world = World(tmp_path, limits=Limits(staged_bytes=2500))
    owner = world.sign_in(world.register(Owner(), "owner"))
    assert [staged(world, owner).status_code for _ in range(2)] == [200, 200]
    refused = staged(world, owner)
    assert (refused.status_code, refused.content_type) == (413, "application/problem+json")
    assert "2500 bytes one owner may stage" in refused.json["detail"]
    assert staged(world, owner, 500).status_code == 200
    assert staged(world, owner, 1).status_code == 413
    files = [one for one in (tmp_path / "objects").rglob("*") if one.is_file()]
    assert sum(one.stat().st_size for one in files) == 2500
    world.close()


# -- what stands in the log for ever ----------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"purpose": {**PURPOSE, "project": "x" * 201}},
        {"purpose": {**PURPOSE, "diseases": [f"MONDO:{n:07d}" for n in range(400)]}},
        {"scope": {**SCOPE, "facets": {"population": [f"{n:0150d}" for n in range(40)]}}},
        {"scope": {**SCOPE, "facets": {"p" * 201: ["CEU"]}}},
    ],
)
def test_texts_of_an_order_are_bounded_before_a_quote_and_by_the_ledger(world, changes):
    world.owner()
    researcher = world.researcher()
    asked = {**ASK, **changes}
    for path in ("/api/v1/quotes", "/api/v1/dry-run"):
        answer = world.http.post(path, json=asked, headers=researcher.auth)
        assert (answer.status_code, answer.content_type) == (400, "application/problem+json")
    with pytest.raises(FormatError, match=next(iter(changes))):
        world.sign_order(researcher, world.quote(researcher), **changes)


def test_who_came_in_and_who_was_refused_is_logged_without_a_name(world, caplog):
    caplog.set_level("INFO", "marketplace.door")
    owner = world.owner(upload=False)
    path = f"/api/v1/datasets/{owner.dataset}/file"
    assert world.http.get(path).status_code == 401
    assert world.http.get("/api/v1/orders", headers=owner.auth).status_code == 403
    assert world.http.get("/me").status_code == 401
    assert answer(world, owner, "AAAA").status_code == 401
    lines = [one.getMessage() for one in caplog.records if one.name == "marketplace.door"]
    tag = lines[0].removeprefix("signed in: owner ")
    assert len(tag) == 12
    assert lines[1:] == [
        "refused 401 sign-in-needed: GET /api/v1/datasets/<dataset>/file",
        f"refused 403 forbidden: GET /api/v1/orders {tag}",
        "refused 401 sign-in-needed: GET /me",
        "refused 401 sign-in-needed: POST /api/v1/session",
    ]
    for secret in (owner.id, owner.token, owner.dataset):
        assert secret not in caplog.text


def test_no_line_of_the_log_is_written_by_a_sender(world, caplog):
    world.services.view._follower = Talkative()
    forged = "/api/v1/orders/x%0AERROR%20forged/checkout"
    world.http.post(forged, headers={"Authorization": "Bearer a\tb"})
    world.http.get("/api/v1/erasures/x%0Aforged")
    assert "forged" not in caplog.text
