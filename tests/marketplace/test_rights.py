"""Rights over the API: approvals, notices, export, records, retention, shares, visas, breach."""

import hashlib
import os
from types import SimpleNamespace

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from compute import breach_scope, claims_of, preset, terms_sha256
from ledger import b64, public_key
from marketplace import catalogue, records, retention, shared, uploads, visas
from marketplace.errors import InputError, NotFoundError, UnavailableError
from marketplace.tables import METADATA
from marketplace.visas import BONA_FIDE, CLAIM, Issuer, read_visas
from tests.marketplace.market_world import ASK, PURPOSE, new_id

DAY = 86_400_000
ASKING = {"id": "DUO:0000020", "parameters": {"investigators": ["x"]}}


def regrant(world, owner, **changes):
    """Replace an owner's consent by one of other terms."""
    world.withdraw(owner)
    whole = preset("everything_at_a_price", valid_from=0, price=200, release_mode="trusted")
    terms = {**whole.to_dict(), **changes}
    owner.grant, sealed = new_id(), os.urandom(64)
    fields = {
        "grant": owner.grant, "owner": owner.id, "dataset": owner.dataset, "offer": None,
        "terms": terms, "terms_sha256": terms_sha256(terms), "facets": {},
        "recipient": {"key_id": "epoch-1", "region": "local"},
        "sealed_grant_sha256": hashlib.sha256(sealed).hexdigest(), "order": None,
        "activity_commitment": "0" * 64,
    }  # fmt: skip
    owner.grant_index = world.submit(
        owner.dataset_seed, "consent.granted", fields, salt=os.urandom(32),
        attachments={"sealed_grant": sealed},
    )  # fmt: skip


def get(world, path, party=None):
    answer = world.http.get(f"/api/v1{path}", headers=party.auth if party else {})
    assert answer.status_code == 200, answer.json
    return answer.json


def test_an_order_that_needs_the_owner_shows_its_age_reason_and_what_is_attested(world):
    asks, gives = world.owner(), world.owner()
    regrant(world, asks, modifiers=[ASKING])
    researcher = world.researcher()
    world.services.view.refresh()
    order = world.place(researcher)
    world.clock.forward(DAY // 8)
    world.services.view.refresh()
    (one,) = get(world, "/me/approvals", asks)["approvals"]
    assert (one["order"], one["age_ms"]) == (order, DAY // 8)
    assert one["attested"]["organisation"] == "a university"
    assert one["declared"]["project"] == PURPOSE["project"]
    assert [reason["code"] for reason in one["reasons"]] == ["DUO:0000020"]
    assert get(world, "/me/approvals", gives)["approvals"] == []
    (notice,) = get(world, "/me/notices", asks)["notices"]
    assert (notice["kind"], notice["about"]) == ("approval", order)


def test_a_consent_given_for_an_order_ends_its_waiting(world):
    asks, researcher = world.owner(), world.researcher()
    regrant(world, asks, modifiers=[ASKING])
    world.services.view.refresh()
    order = world.place(researcher)
    world.services.view.refresh()
    assert get(world, "/me/approvals", asks)["approvals"]
    standing = world.ledger.state.grants[asks.grant]
    sealed, fields = os.urandom(64), {
        "grant": new_id(), "owner": asks.id, "dataset": asks.dataset, "offer": None,
        "terms": standing.terms, "terms_sha256": standing.terms_sha256, "facets": {},
        "recipient": standing.recipient, "activity_commitment": "0" * 64, "order": order,
    }  # fmt: skip
    fields["sealed_grant_sha256"] = hashlib.sha256(sealed).hexdigest()
    world.submit(asks.dataset_seed, "consent.granted", fields, salt=os.urandom(32),
                 attachments={"sealed_grant": sealed})  # fmt: skip
    world.services.view.refresh()
    assert get(world, "/me/approvals", asks)["approvals"] == []


def test_what_ends_soon_is_said(world):
    owner = world.owner()
    regrant(world, owner, valid_until=world.clock() + 5 * DAY)
    world.services.view.refresh()
    kinds = [notice["kind"] for notice in get(world, "/me/notices", owner)["notices"]]
    assert kinds == ["consent.ends"]


def test_a_recovery_somebody_asked_for_is_said_until_it_is_cancelled(world):
    owner, thief, seed = world.owner(), os.urandom(32), os.urandom(32)
    party = {"party": owner.id, "role": "owner"}

    def key(of, use):
        return {"public_key": b64(public_key(of)), "kind": "ed25519", "use": use}

    def submit(signer, type_, **fields):
        return world.submit(signer, type_, {**party, **fields}, salt=os.urandom(32))

    def told():
        world.services.view.refresh()
        return [(one["kind"], one["about"]) for one in get(world, "/me/notices", owner)["notices"]]

    submit(owner.seed, "party.key_added", key=key(seed, "recover"))
    assert told() == []
    recovery, until = new_id(), world.clock() + 8 * DAY
    asked = {"recovery": recovery, "key": key(thief, "sign"), "effective_at": until}
    index = submit(seed, "recovery.requested", **asked)
    assert told() == [("recovery", str(index))]
    submit(owner.seed, "recovery.cancelled", recovery=recovery)
    assert told() == []


def test_everything_about_me_is_every_row_that_names_me_and_nobody_else(world):
    ann, bob = world.owner(), world.owner()
    tables = get(world, "/me/everything", ann)["tables"]
    assert [row["dataset"] for row in tables["datasets"]] == [ann.dataset]
    assert bob.id not in str(tables)
    assert bob.dataset not in str(tables)
    assert ann.token not in str(tables)
    assert world.http.get("/api/v1/me/everything").status_code == 401


def test_every_table_and_secret_is_described():
    assert records.undescribed() == [], "describe the new table in marketplace/records.py TABLES"
    for name, held in records.TABLES.items():
        columns = set(METADATA.tables[name].columns.keys())
        assert held.subject is None or held.subject in columns
        secret = {c for c in columns if "token" in c or "salt" in c or "secret" in c}
        assert not held.subject or secret <= set(held.hidden), name
        assert {"owner", "party", "researcher"} & columns <= {held.subject}, name


def test_the_record_names_controllers_and_regions(world):
    owner = world.owner()
    world.services.view.refresh()
    record = get(world, "/records")
    assert record["undescribed"] == []
    assert record["regions_of_storage"] == {"local": "<20"}
    assert record["regions_of_compute"] == ["local"]
    assert "consent.granted/1" in record["entries"]
    assert owner.id not in str(record)


def test_the_public_record_counts_owners_together_and_names_none_of_them():
    mine = {"erased": None, "replaced": None, "owner": "anna", "custodian": None, "region": "local"}
    kept = [{**mine, "controller": "anna"}, {**mine, "owner": "bert", "controller": "bert"},
            {**mine, "controller": "a biobank", "custodian": "a biobank"}]  # fmt: skip
    datasets = {str(n): SimpleNamespace(**one) for n, one in enumerate(kept)}
    record = records.ropa(SimpleNamespace(datasets=datasets, compute_keys={}))
    assert record["controllers"] == {"a biobank": "<20", records.OWNERS: "<20"}
    assert "anna" not in str(record) and "bert" not in str(record)


# -- retention


def with_retention(world, until):
    owner = world.owner()
    dataset = new_id()
    owner.dataset = dataset
    fields = {
        "dataset": dataset, "owner": owner.id, "participant": new_id(), "modality": "genotypes",
        "signing_key": world.ledger.state.datasets[
            next(iter(world.ledger.state.parties[owner.id].datasets))
        ].signing_key,
        "ciphertext": {
            "sha256": hashlib.sha256(owner.file).hexdigest(), "size": len(owner.file),
            "header_size": 124,
        },
        "format": {"build": "GRCh37"}, "region": "local", "controller": "hospital",
        "custodian": None, "retain_until": until,
    }  # fmt: skip
    world.upload(owner)
    world.submit(owner.seed, "dataset.registered", fields, salt=os.urandom(32))
    world.services.view.refresh()
    body = {"dataset": dataset}
    assert world.http.post("/api/v1/datasets", json=body, headers=owner.auth).status_code == 200
    world.grant(owner)
    world.services.view.refresh()
    return owner


def test_a_retention_date_acts_by_itself_and_only_then(world):
    end = world.clock() + 10 * DAY
    owner = with_retention(world, end)
    assert retention.act(world.services, world.services.view.snapshot()) == 0
    world.clock.forward(10 * DAY)
    assert retention.act(world.services, world.services.view.refresh()) == 1
    assert get(world, f"/erasures/{owner.dataset}")["ciphertext"] == "retired"
    world.turn()
    grant = world.ledger.state.grants[owner.grant]
    assert grant.stopped_at is not None
    assert world.ledger.records[grant.stopped_at].entry.payload["basis"] == {"kind": "operator"}
    assert retention.act(world.services, world.services.view.refresh()) == 0


def erase(world, owner):
    state = world.ledger.state
    fields = {"dataset": owner.dataset, "owner": owner.id,
              "stops": state.stops_of_dataset(owner.dataset),
              "erases": state.erases_of_dataset(owner.dataset)}  # fmt: skip
    world.submit(owner.seed, "dataset.erased", fields, salt=os.urandom(32))


def test_a_database_put_back_serves_nothing_the_ledger_says_is_erased(world):
    """Its row still names the file, as a backup's does; the background has not acted yet."""
    owner = world.owner()
    services = world.services
    assert uploads.dataset_object(services, owner.dataset)
    erase(world, owner)
    services.view.refresh()
    with pytest.raises(NotFoundError):
        uploads.dataset_object(services, owner.dataset)


def test_a_marketplace_that_never_followed_the_ledger_serves_no_file(world, monkeypatch):
    owner, services = world.owner(), world.services

    def silent():
        raise UnavailableError("the ledger cannot be followed now")

    monkeypatch.setattr(services.view, "_snapshot", None)
    monkeypatch.setattr(services.view, "refresh", silent)
    with pytest.raises(UnavailableError):
        uploads.dataset_object(services, owner.dataset)


def test_nobody_in_a_scope_is_past_their_retention_date_even_before_it_acted(world):
    end = world.clock() + 10 * DAY
    owner = with_retention(world, end)
    researcher = world.researcher()
    world.services.view.refresh()
    world.quote(researcher)
    world.clock.forward(10 * DAY)
    first = world.ledger.state.parties[owner.id].datasets[0]
    others = [g for g in world.ledger.state.live_grants() if g.dataset == first]
    assert len(others) == 1
    world.services.view.refresh()
    claims = claims_of(world.ledger.state, world.trust.pins, researcher.id, world.clock())
    found = catalogue.people_for(
        world.services.view.snapshot(), catalogue.parse_request(ASK), claims, now=world.clock()
    )
    used = {grant.dataset for member in found.people for grant in member.grants.values()}
    assert owner.dataset not in used


# -- shares


def test_a_share_serves_only_the_header_the_ledger_names(world):
    owner, token = world.owner(), "a token"
    header = os.urandom(124)
    share, fields = new_id(), {"owner": owner.id, "dataset": owner.dataset}
    given = {
        **fields, "share": share, "recipient_key": b64(os.urandom(32)),
        "header_sha256": hashlib.sha256(header).hexdigest(), "valid_until": world.clock() + DAY,
    }  # fmt: skip
    world.submit(owner.dataset_seed, "share.given", given, salt=os.urandom(32))
    body = {"share": share, "header": b64(header),
            "token_sha256": hashlib.sha256(token.encode()).hexdigest()}  # fmt: skip
    url = "/api/v1/passport"
    wrong = {**body, "header": b64(os.urandom(124))}
    assert world.http.post(url, json=wrong, headers=owner.auth).status_code == 422
    stranger = world.owner()
    assert world.http.post(url, json=body, headers=stranger.auth).status_code == 403
    assert world.http.post(url, json=body, headers=owner.auth).status_code == 200
    # Sent again, because its answer was lost: as it is. With another secret: another share.
    assert world.http.post(url, json=body, headers=owner.auth).status_code == 200
    another = {**body, "token_sha256": "0" * 64}
    assert world.http.post(url, json=another, headers=owner.auth).status_code == 409
    bearer = {"Authorization": f"Bearer {token}"}
    fetched = world.http.get(f"{url}/{share}", headers=bearer)
    assert fetched.data == header + owner.file[124:]
    assert (
        world.http.get(f"{url}/{share}", headers={"Authorization": "Bearer x"}).status_code == 404
    )
    world.clock.forward(DAY)
    assert world.http.get(f"{url}/{share}", headers=bearer).status_code == 410


def test_shares_that_ended_leave_room_for_new_ones(world, monkeypatch):
    monkeypatch.setattr(shared, "MAX_SHARES", 1)
    owner, header = world.owner(), os.urandom(124)

    def share(until):
        fields = {
            "owner": owner.id, "dataset": owner.dataset, "share": new_id(), "valid_until": until,
            "recipient_key": b64(os.urandom(32)),
            "header_sha256": hashlib.sha256(header).hexdigest(),
        }  # fmt: skip
        world.submit(owner.dataset_seed, "share.given", fields, salt=os.urandom(32))
        body = {"share": fields["share"], "header": b64(header), "token_sha256": "1" * 64}
        return world.http.post("/api/v1/passport", json=body, headers=owner.auth).status_code

    soon = DAY // 24
    assert share(world.clock() + soon) == 200
    assert share(world.clock() + DAY) == 429
    world.clock.forward(soon)
    shared.drop_ended(world.services, world.services.view.snapshot().state)
    assert share(world.clock() + DAY) == 200


# -- visas

ISS, JKU = "https://broker.test", "https://broker.test/jwks"
KEY = ECKey.generate_key("P-256", auto_kid=True)
OTHER = ECKey.generate_key("P-256", auto_kid=True)
ISSUERS = [
    Issuer(
        ISS, JKU, KeySet([KEY]),
        {"college.ac.uk": {"organisation": "a college", "sector": "academic", "non_profit": True}},
    )
]  # fmt: skip
NOW = 1_800_000_000


def visa(
    kind, value, *, key=KEY, sub="ann", iss=ISS, jku=JKU, exp=NOW + 60, asserted=NOW - 5, **more
):
    held = {"type": kind, "value": value, "source": "https://x", "asserted": asserted, **more}
    claims = {"iss": iss, "sub": sub, "iat": NOW - 1, "exp": exp, CLAIM: held}
    return jwt.encode({"alg": "ES256", "kid": key.kid, "jku": jku}, claims, key)


def affiliation(**more):
    return visa("AffiliationAndRole", "faculty@college.ac.uk", **more)


def test_visas_of_a_known_issuer_become_claims_until_the_first_ends():
    tokens = [
        affiliation(exp=NOW + 30),
        visa("ResearcherStatus", BONA_FIDE),
        visa("AcceptedTermsAndPolicies", BONA_FIDE, by="self"),
    ]
    found = read_visas(tokens, ISSUERS, NOW * 1000)
    assert found.claims == {
        "organisation": "a college", "sector": "academic", "non_profit": True,
        "accredited_researcher": True,
    }  # fmt: skip
    assert (found.expires_at, found.subject) == ((NOW + 30) * 1000, f"{ISS}|ann")


def test_registered_access_needs_both_its_visas():
    found = read_visas([affiliation(), visa("ResearcherStatus", BONA_FIDE)], ISSUERS, NOW * 1000)
    assert "accredited_researcher" not in found.claims


@pytest.mark.parametrize(
    "token",
    [
        affiliation(key=OTHER),
        affiliation(iss="https://other.test"),
        affiliation(jku="https://evil.test/jwks"),
        affiliation(exp=NOW),
        affiliation(asserted=NOW + 100),
        affiliation(conditions=[[{"type": "AffiliationAndRole"}]]),
        affiliation()[:-4] + "AAAA",
        "not.a.token",
        "x" * 20_000,
        visa("ControlledAccessGrants", "https://x/1", by="dac"),
        visa("AffiliationAndRole", "faculty@elsewhere.org"),
    ],
    ids=range(11),
)
def test_any_other_visa_vouches_for_nothing(token):
    with pytest.raises(InputError):
        read_visas([token], ISSUERS, NOW * 1000)


def test_two_peoples_visas_vouch_for_nobody():
    with pytest.raises(InputError, match="different people"):
        read_visas([affiliation(), affiliation(sub="bob")], ISSUERS, NOW * 1000)


def test_a_visa_is_issued_for_a_grant_in_force_and_for_an_hour(world):
    owner = world.owner()
    world.services.view.refresh()
    body = {"grant": owner.grant, "holder": "someone"}
    answer = world.http.post("/api/v1/me/visas", json=body, headers=owner.auth)
    assert answer.status_code == 200, answer.json
    keys = KeySet.import_key_set(get(world, "/jwks.json"))
    read = jwt.decode(answer.json["visa"], keys, algorithms=["ES256"])
    held = read.claims[CLAIM]
    assert (held["type"], held["by"]) == ("ControlledAccessGrants", "dac")
    assert held["value"].endswith(owner.dataset)
    assert read.claims["exp"] - read.claims["iat"] == visas.LIFE_S
    assert "d" not in keys.as_dict(private=False)["keys"][0]
    other = world.owner()
    assert world.http.post("/api/v1/me/visas", json=body, headers=other.auth).status_code == 404
    nobody = {"grant": owner.grant}
    assert world.http.post("/api/v1/me/visas", json=nobody, headers=owner.auth).status_code == 409
    world.withdraw(owner)
    world.services.view.refresh()
    assert world.http.post("/api/v1/me/visas", json=body, headers=owner.auth).status_code == 409


# -- breach


def test_a_breach_names_whose_data_the_key_could_open_also_of_ended_consents(world):
    ann, bob = world.owner(), world.owner()
    world.withdraw(bob)
    found = breach_scope(world.ledger.state, noticed_at=1000, key_id="epoch-1")
    assert set(found.people) == {ann.id, bob.id}
    assert (len(found.grants), found.ended, found.notify_by) == (2, 1, 1000 + 72 * 3_600_000)
    assert breach_scope(world.ledger.state, noticed_at=0, key_id="epoch-2").people == ()
    one = breach_scope(world.ledger.state, noticed_at=0, dataset=ann.dataset)
    assert (one.people, one.grants) == ((ann.id,), (ann.grant,))
