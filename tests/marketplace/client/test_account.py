"""Rotation, recovery and renewal from the owner's client, over a real log with its witnesses."""

import json
import secrets

import pytest

from compute import preset
from compute.crypt import generate_keypair, grant_info, hpke, open_grant
from ledger import (
    Follower,
    RefusedError,
    State,
    Submission,
    b64,
    cosign,
    fingerprint,
    sign_ed25519,
    sign_entry,
    submission_for,
    unb64,
)
from marketplace.client import account
from marketplace.client.activity import foreign_entries
from marketplace.client.errors import ClientError
from marketplace.client.home import Home
from marketplace.client.mandates import end, use
from marketplace.client.owner import Owner
from marketplace.client.renewal import renew
from marketplace.client.session import Session
from marketplace.client.statements import append, drafted, new_id, now_ms, stated
from tests.compute.ingest.vcf_text import vcf
from tests.ledger.ledger_world import World


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path / "world")
    world.start_witnesses()
    world.log = world.start()
    world.serve(world.log)
    world.wait_healthy()
    yield world
    world.close()


def enrolled(world, path, role="owner"):
    """A session of somebody the attester has enrolled."""
    home = Home(path)
    home.create_from(world.trust.format(), role, new_id())
    session = Session.open(home)
    keys = [
        {"public_key": b64(home.keys.signing().public), "kind": "ed25519", "use": "sign"},
        {"public_key": b64(home.keys.encryption().public), "kind": "x25519", "use": "encrypt"},
    ]
    fields = {"party": home.party, "role": role, "keys": keys}
    draft = drafted("party.registered", fields, home.keys.signing())
    whole = cosign(draft.entry, sign_ed25519(world.keys.attester))
    append(session.ledger, home, [submission_for(whole, secrets.token_bytes(32))])
    return session


@pytest.fixture
def ann(world, tmp_path):
    return enrolled(world, tmp_path / "ann")


def full(world):
    follower = Follower(world.client(world.tokens.envelopes), world.trust, personal=True)
    follower.sync()
    return follower.state


def objection(session):
    fields = {"owner": session.home.party, "stops": []}
    return stated("objection.raised", fields, session.home.keys.signing())


def foreign(session):
    return [one.type for one in foreign_entries(session, session.view.sync().size)]


def test_a_rotated_key_signs_and_the_old_one_does_not(world, ann):
    old = ann.home.keys.signing()
    account.rotate(ann)
    new = ann.home.keys.signing()
    assert new.public != old.public
    assert not ann.home.keys.has("sign.next")
    fields = {"owner": ann.home.party, "stops": []}
    with pytest.raises(RefusedError, match="not a sign key of the owner"):
        append(ann.ledger, ann.home, [stated("objection.raised", fields, old)])
    append(ann.ledger, ann.home, [objection(ann)])
    assert foreign(ann) == []  # all of it was made here
    assert ann.home.party in full(world).objections


def test_an_account_comes_back_after_its_waiting_time(world, ann, tmp_path, monkeypatch):
    account.add_recovery_key(ann, tmp_path / "recovery.key")
    assert (tmp_path / "recovery.key").stat().st_mode & 0o777 == 0o600
    party, key = account.read_recovery(tmp_path / "recovery.key")
    fresh = Home(tmp_path / "new machine")
    fresh.create_from(world.trust.format(), "owner", party)
    late = Session.open(fresh)
    found = account.request(late, key)
    assert found.effective_at - now_ms() > 7 * 24 * 3600 * 1000
    with pytest.raises(RefusedError, match="waiting time of this recovery is not over"):
        account.finish(late)
    # The clock of the log goes on by eight days.
    real = world.log.log._clock
    world.log.log._clock = lambda: real() + 8 * 24 * 3600 * 1000
    account.finish(late)
    append(late.ledger, fresh, [objection(late)])


def test_the_owner_sees_a_recovery_and_cancels_it_by_its_public_leaf(world, ann, tmp_path):
    account.add_recovery_key(ann, tmp_path / "stolen.key")
    other = enrolled(world, tmp_path / "other")
    party, key = account.read_recovery(tmp_path / "stolen.key")
    thief = Home(tmp_path / "thief")
    thief.create_from(world.trust.format(), "owner", party)
    found = account.request(Session.open(thief), key)
    (seen,) = foreign_entries(ann, ann.view.sync().size)
    assert (seen.index, seen.type) == (found.index, "recovery.requested")
    assert f"omic account cancel {found.index}" in seen.words()
    assert foreign(other) == []  # it is nobody else's affair
    done = account.cancel(ann, found.index)
    assert {one.cancelled for one in full(world).recoveries.values()} == {done.index}
    with pytest.raises(RefusedError):
        account.finish(Session.open(thief))
    with pytest.raises(ClientError, match="asks for no recovery"):
        account.cancel(ann, 0)


def test_a_false_key_enrolled_by_an_administrator_is_seen_and_refused(
    world, ann, monkeypatch, omic
):
    """The log's operator writes a key of their own into an existing party, past every check."""
    evil = sign_ed25519(secrets.token_bytes(32))
    public = evil(b"").public_key
    seed = secrets.token_bytes(32)
    fields = {
        "id": new_id(), "time": now_ms(), "party": ann.home.party, "role": "owner",
        "key": {"public_key": b64(public), "kind": "ed25519", "use": "sign"},
    }  # fmt: skip
    entry = sign_entry(seed, "party.key_added", fields)
    forged = submission_for(entry, secrets.token_bytes(32))
    state = world.log.log._state
    with pytest.raises(RefusedError):  # an honest log
        world.client().append([forged])
    monkeypatch.setattr(type(state), "admit", lambda self, entry, leaf: self._advance(leaf))
    (place,) = world.client().append([forged], wait=True)
    monkeypatch.undo()
    # Whoever folds (compute, marketplace, auditor) refuses it ...
    folded = full(world)
    assert fingerprint(public) not in folded.parties[ann.home.party].keys
    assert [index for index, _ in folded.violations] == [place.index]
    # ... and the owner's client sees it on the public log, asking nobody.
    (seen,) = foreign_entries(ann, ann.view.sync().size)
    assert (seen.index, seen.type) == (place.index, "party.key_added")
    # On the command line too, loudly, whether people or programs read it.
    status, out, err = omic("--home", ann.home.path, "account", "show")
    assert (status, "was made here" in out) == (1, False)
    assert f"Ledger entry {place.index}, not made here: a key was added" in err
    assert "tell the auditors" in err
    status, out, err = omic("--home", ann.home.path, "--json", "account", "show")
    assert [one["index"] for one in json.loads(out)["foreign"]] == [place.index]
    assert (status, f"Ledger entry {place.index}" in err) == (1, True)


def test_what_attesters_state_is_listed_and_is_no_alarm(world, ann, omic):
    fields = {
        "id": new_id(), "time": now_ms(), "party": ann.home.party, "role": "owner",
        "claims": {"person_verified": True}, "expires_at": now_ms() + 10**9,
    }  # fmt: skip
    entry = sign_entry(world.keys.attester, "party.attested", fields)
    said = submission_for(entry, secrets.token_bytes(32))
    (place,) = world.client().append([said], wait=True)
    status, out, err = omic("--home", ann.home.path, "account", "show")
    assert (status, err) == (0, "")
    assert f"Ledger entry {place.index}, not made here: an attester stated" in out


def test_a_false_key_for_a_researcher_is_seen_in_the_clear(world, tmp_path, monkeypatch):
    """Their parties are public entries, without a tag: the client reads them as they stand."""
    ben = enrolled(world, tmp_path / "ben", role="researcher")
    assert foreign(ben) == []
    key = {"public_key": b64(sign_ed25519(bytes(32))(b"").public_key), "kind": "ed25519"}
    fields = {
        "id": new_id(), "time": now_ms(), "party": ben.home.party, "role": "researcher",
        "key": {**key, "use": "sign"},
    }  # fmt: skip
    forged = Submission(sign_entry(secrets.token_bytes(32), "party.key_added", fields))
    monkeypatch.setattr(State, "admit", lambda self, entry, leaf: self._advance(leaf))
    world.client().append([forged], wait=True)
    monkeypatch.undo()
    assert foreign(ben) == ["party.key_added"]


SITES = [("1", 700_100 + 50 * i, "A", "G", "0/1") for i in range(5)]


def publish(world, name, since):
    """Publish a recipient key; returns (crypt4gh secret, hpke secret)."""
    (secret, public), (hpke_secret, hpke_public) = generate_keypair(), hpke.generate_keypair()
    fields = {
        "id": new_id(), "time": now_ms(), "key_id": name, "region": "local",
        "crypt4gh_public": b64(public), "hpke_public": b64(hpke_public),
        "not_before": since, "not_after": now_ms() + 90 * 24 * 3600 * 1000,
    }  # fmt: skip
    entry = sign_entry(world.keys.compute, "compute.key_published", fields)
    world.client().append([Submission(entry)], wait=True)
    return secret, hpke_secret


def consented(session, until=None, sites=SITES):
    """Register a file (without a marketplace to upload to) and consent; returns the grant's id."""
    owner, home = Owner(session), session.home
    prepared = owner.prepare(vcf(*sites), "genotypes", name="ann.vcf")
    (done,) = append(session.ledger, home, [prepared.submission])
    home.write(f"datasets/{prepared.dataset}.json", {**prepared.record, "index": done.index})
    terms = preset("non_profit_research", valid_from=now_ms(), valid_until=until)
    offer, published = owner.offer([prepared.dataset], terms, {})
    append(session.ledger, home, [published])
    session.view.sync()
    record = home.read(f"datasets/{prepared.dataset}.json")
    grant = owner.grant(record, offer, terms, {})
    owner._remember_grants([grant], append(session.ledger, home, [grant]))
    return str(grant.entry.payload["grant"])


def test_consents_move_to_computes_newest_key_unasked(world, ann):
    publish(world, "epoch-1", 0)
    name = consented(ann)
    before = ann.home.read(f"grants/{name}.json")
    assert renew(ann) == []  # sealed to the newest key already
    early = stated(
        "consent.withdrawn",
        {"grant": name, "dataset": before["dataset"], "owner": ann.home.party,
         "stops": [before["index"]]},
        ann.home.keys.signing(f"datasets/{before['dataset']}"),
    )  # fmt: skip
    _, hpke_secret = publish(world, "epoch-2", 1)
    ann.view.sync()
    assert renew(ann) == [name]
    assert renew(ann) == []
    after = ann.home.read(f"grants/{name}.json")
    assert (after["state"], after["terms"]) == ("live", before["terms"])
    (sealed,) = world.client(world.tokens.grants).grants([after["index"]]).values()
    info = grant_info(ann.home.party, before["dataset"], name, before["terms"])
    assert open_grant(sealed, hpke_secret, info).activity_key == unb64(before["activity_key"])
    (grant,) = full(world).live_grants()
    assert (grant.id, grant.recipient["key_id"]) == (name, "epoch-2")
    # A stop signed before all this, for a key that may be lost by now, is still sequenced.
    append(ann.ledger, ann.home, [early])
    assert full(world).live_grants() == []
    assert foreign(ann) == []


def test_what_the_ledger_refuses_to_renew_stays_as_it_is(world, ann):
    publish(world, "epoch-1", 0)
    name = consented(ann)
    index = ann.home.read(f"grants/{name}.json")["index"]
    fields = {"owner": ann.home.party, "stops": [index]}
    append(ann.ledger, ann.home, [stated("objection.raised", fields, ann.home.keys.signing())])
    publish(world, "epoch-2", 1)
    ann.view.sync()
    assert renew(ann) == []


def mandated(world, session, holder, until):
    """Put a guardian's mandate on the ledger and let the holder act for the session's home."""
    fields = {"mandate": new_id(), "owner": session.home.party, "holder": holder.party,
              "kind": "guardian", "valid_until": until}  # fmt: skip
    draft = drafted("mandate.given", fields, holder.keys.signing())
    whole = cosign(draft.entry, sign_ed25519(world.keys.attester))
    (done,) = append(session.ledger, session.home, [submission_for(whole, secrets.token_bytes(32))])
    document = {**fields, "index": done.index, "ended": None}
    session.home.write(f"mandates/{fields['mandate']}.json", document)
    use(session.home, document, holder)
    session.view.sync()
    return fields["mandate"]


def test_a_guardian_moves_a_childs_consent_and_it_stays_theirs(world, ann, tmp_path):
    publish(world, "epoch-1", 0)
    parent, until = enrolled(world, tmp_path / "parent"), now_ms() + 400 * 86_400_000
    mandate = mandated(world, ann, parent.home, until)
    name = consented(ann, until=until)
    assert [(g.id, g.basis) for g in full(world).live_grants()] == [(name, "guardian")]
    publish(world, "epoch-2", 1)
    ann.view.sync()
    # Not on a machine without the guardian's keys; on theirs, unasked, and signed by them.
    (tmp_path / "parent").rename(tmp_path / "away")
    assert renew(ann) == []
    (tmp_path / "away").rename(tmp_path / "parent")
    assert renew(ann) == [name]
    (grant,) = full(world).live_grants()
    assert (grant.recipient["key_id"], grant.basis) == ("epoch-2", "guardian")
    assert grant.terms["valid_until"] == until
    # Once nobody acts for the child any more, their consent has ended: no use is the default.
    assert end(ann, mandate).grants == (name,)
    assert full(world).live_grants() == []
    assert ann.home.read(f"grants/{name}.json")["state"] == "withdrawn"
    publish(world, "epoch-3", 2)
    ann.view.sync()
    assert renew(ann) == []


def test_the_verbs_of_omic_account(world, ann, tmp_path, omic):
    def run(*arguments, home=ann.home.path):
        status, out, err = omic("--home", home, "--json", "account", *arguments)
        return status, json.loads(out) if out else None, err

    shown = {"party": ann.home.party, "foreign": [], "expected": []}
    assert run("show") == (0, shown, "")
    key = tmp_path / "recovery.key"
    assert run("key", key)[0] == 0
    assert "choose another file" in run("key", key)[2]
    assert run("rotate")[0] == 0
    trust = tmp_path / "trust.json"
    trust.write_bytes(world.trust.format())
    status, asked, _ = run("recover", key, "--trust", trust, home=tmp_path / "new")
    assert (status, asked["party"]) == (0, ann.home.party)
    status, _, err = run("finish", home=tmp_path / "new")
    assert (status, "waiting time" in err) == (2, True)
    assert [one["type"] for one in run("show")[1]["foreign"]] == ["recovery.requested"]
    assert run("cancel", asked["index"])[0] == 0
    status, _, err = run("recover", trust, "--trust", trust, home=tmp_path / "x")
    assert (status, "not a recovery file" in err) == (2, True)
    assert "no recovery was asked for" in run("finish")[2]
