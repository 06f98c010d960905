"""The trust policy: one reading, public keys only, and unsafe ones refused."""

import json

import pytest

from ledger import (
    Auditor,
    FormatError,
    LedgerError,
    LogProof,
    PasskeyPolicy,
    Pins,
    PolicyError,
    TrustPolicy,
    VerificationError,
    fingerprint,
    format_proof,
    inclusion_proof,
    leaf_hash,
    verify_receipt,
)
from tests.ledger.ledger_scenes import START, TRUST, Scene, make_trust, pk


def test_round_trip(tmp_path):
    trust = make_trust(
        pins=Pins(
            marketplace=(pk("marketplace"),),
            auditors=(Auditor("first", pk("auditor"), pk("box")),),
            attesters={"sector": (pk("a"), pk("b"))},
        ),
        passkeys=PasskeyPolicy("localhost", ("http://localhost:8080",)),
        embedded=True,
    )
    path = tmp_path / "trust.json"
    path.write_bytes(trust.format())
    assert TrustPolicy.load(path) == trust
    assert TrustPolicy.parse(TRUST.format()) == TRUST
    assert trust.pins.is_service("auditor", fingerprint(pk("auditor")))


def test_who_is_pinned_for_what():
    pins = Pins(compute=(pk("compute"),), attesters={"sector": (pk("a"),)})
    assert pins.is_service("compute", fingerprint(pk("compute")))
    assert not pins.is_service("operator", fingerprint(pk("compute")))
    assert not pins.is_service("claim", fingerprint(pk("compute")))
    assert pins.is_service("attester", fingerprint(pk("a")))
    assert pins.may_attest("sector", fingerprint(pk("a")))
    assert not pins.may_attest("country", fingerprint(pk("a")))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["v"], 2),
        (["origin"], "other.example/log"),
        (["origin"], 3),
        (["ledger_url"], ""),
        (["witness_policy"], "quorum none\n"),
        (["witness_policy"], None),
        (["pins"], None),
        (["pins"], []),
        (["pins", "compute"], "AAAA"),
        (["pins", "compute"], ["AAAA"]),
        (["pins", "compute"], ["%"]),
        (["pins", "attesters"], {"king": []}),
        (["pins", "auditors"], [{"name": "x"}]),
        (["pins", "auditors"], [1]),
        (["max_checkpoint_age_ms"], 0),
        (["max_checkpoint_age_ms"], "1"),
        (["passkeys"], {"rp_id": "x", "origins": []}),
        (["passkeys"], 3),
    ],
)
def test_a_broken_policy_is_refused(path, value):
    document = json.loads(TRUST.format())
    assert TrustPolicy.parse(json.dumps(document).encode()) == TRUST
    target = document
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = value
    with pytest.raises((FormatError, PolicyError)):
        TrustPolicy.parse(json.dumps(document).encode())


@pytest.mark.parametrize("name", ["v", "origin", "pins", "witness_policy", "max_checkpoint_age_ms"])
def test_nothing_is_guessed(name):
    document = json.loads(TRUST.format())
    del document[name]
    with pytest.raises(LedgerError):
        TrustPolicy.parse(json.dumps(document).encode())


def test_a_quorum_that_allows_two_histories_is_refused():
    text = TRUST.witness_policy.replace("group g 2", "group g 1")
    with pytest.raises(PolicyError, match="two"):
        make_trust(witness_policy=text)


def test_no_file_is_a_policy_error(tmp_path):
    with pytest.raises(PolicyError):
        TrustPolicy.load(tmp_path / "none.json")


def test_a_receipt_proves_one_leaf():
    scene = Scene()
    scene.put("grant")
    hashes = [leaf_hash(leaf) for leaf in scene.leaves]
    path = tuple(inclusion_proof(2, hashes))
    receipt = format_proof(LogProof(2, path, scene.checkpoint(time=START // 1000).encode()))
    verified = verify_receipt(receipt.decode(), scene.leaves[2], scene.trust)
    assert verified.checkpoint.size == len(scene.leaves)
    with pytest.raises(VerificationError):
        verify_receipt(receipt, scene.leaves[1], scene.trust)
