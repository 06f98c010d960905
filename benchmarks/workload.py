"""The entries the ledger's benchmarks are about: people who enrol, register, grant and withdraw.

Everything is really signed, with one key for each person, and drawn from counters, so that two
runs measure the same bytes. Made by worker processes: making them is not what is measured.
"""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

from nacl.signing import SigningKey

from ledger import (
    Entry,
    Pins,
    Submission,
    b64,
    canonical,
    complete_payload,
    fingerprint,
    pae,
    public_key,
)
from ledger.envelope import Signature

START = 1_700_000_000_000
SEALED_BYTES = 1400  # a header packet of one recipient, sealed with HPKE to both keys
ENTRIES_OF_PERSON = 3
TERMS = {
    "v": 1,
    "permissions": ["DUO:0000042"],
    "diseases": [],
    "modifiers": [{"id": "DUO:0000045", "parameters": {}}],
    "flags": {
        "no_insurers": True,
        "no_employers": True,
        "no_ai_training": True,
        "no_reidentification": True,
    },
    "prices": {"non_profit_research": 0, "commercial_research": 500},
    "currency": "gbp",
    "query_families": ["*"],
    "regions": ["*"],
    "release": {
        "mode": "private",
        "lifetime_rho": "1/10",
        "order_share": "1/5",
        "exact_statistics": 10_000_000,
    },
    "valid_from": START,
    "valid_until": None,
}
TERMS_SHA256 = hashlib.sha256(canonical(TERMS)).hexdigest()
CHUNK = 500


def digest(*name: object) -> bytes:
    return hashlib.sha256(repr(name).encode()).digest()


def ident(*name: object) -> str:
    return digest(*name).hex()[:32]


@dataclass(frozen=True)
class Signers:
    """Seeds of everybody whose key is pinned."""

    marketplace: bytes = digest("marketplace")
    compute: bytes = digest("compute")
    attester: bytes = digest("attester")

    def pins(self) -> Pins:
        return Pins(
            marketplace=(public_key(self.marketplace),),
            compute=(public_key(self.compute),),
            attesters={"person_verified": (public_key(self.attester),)},
        )


def sign(type_: str, fields: dict[str, object], *keys: SigningKey) -> Entry:
    """Sign a payload without checking its form: the ledger under test does that."""
    actor = fingerprint(bytes(keys[0].verify_key))
    payload = canonical(complete_payload(type_, fields, actor))
    message = pae(type_, 1, payload)
    signatures = tuple(
        Signature("ed25519", bytes(key.verify_key), (key.sign(message).signature,)) for key in keys
    )
    return Entry(type_, 1, payload, signatures)


def compute_key(signers: Signers = Signers()) -> Submission:
    """The first entry of every log here: the recipient key that grants are sealed to."""
    fields = {
        "id": ident("compute key"),
        "time": START,
        "key_id": "epoch-1",
        "region": "local",
        "crypt4gh_public": b64(digest("crypt4gh")),
        "hpke_public": b64(b"h" * 1216),
        "not_before": 0,
        "not_after": 2**50,
    }
    return Submission(sign("compute.key_published", fields, SigningKey(signers.compute)))


def person(number: int, signers: Signers = Signers()) -> list[Submission]:
    """One person enrols (two signatures), registers a dataset and grants (one signature each)."""
    own, data = SigningKey(digest("seed", number)), SigningKey(digest("dataset seed", number))
    owner, dataset = ident("owner", number), ident("dataset", number)
    key = {"public_key": b64(bytes(own.verify_key)), "kind": "ed25519", "use": "sign"}
    enrol = {"party": owner, "role": "owner", "keys": [key]}
    register = {
        "dataset": dataset,
        "owner": owner,
        "participant": ident("participant", number),
        "modality": "genotypes",
        "signing_key": b64(bytes(data.verify_key)),
        "ciphertext": {"sha256": digest("file", number).hex(), "size": 70_000, "header_size": 124},
        "format": {"build": "GRCh37", "callability": "all-sites"},
        "region": "local",
        "controller": None,
        "custodian": None,
    }
    sealed = digest("sealed", number) * (SEALED_BYTES // 32)
    grant = {
        "grant": ident("grant", number),
        "owner": owner,
        "dataset": dataset,
        "offer": None,
        "terms": TERMS,
        "terms_sha256": TERMS_SHA256,
        "facets": {"population": "CEU"},
        "recipient": {"key_id": "epoch-1", "region": "local"},
        "sealed_grant_sha256": hashlib.sha256(sealed).hexdigest(),
        "activity_commitment": digest("activity", number).hex(),
        "order": None,
    }
    return [
        _submission("party.registered", enrol, number, own, SigningKey(signers.attester)),
        _submission("dataset.registered", register, number, own),
        _submission("consent.granted", grant, number, data, sealed=sealed),
    ]


def _submission(
    type_: str, fields: dict[str, object], number: int, *keys: SigningKey, sealed: bytes = b""
) -> Submission:
    common = {"id": ident("id", type_, number), "time": START}
    attachments = {"sealed_grant": sealed} if sealed else {}
    return Submission(sign(type_, {**common, **fields}, *keys), digest(type_, number), attachments)


def _people(first: int, count: int) -> list[Submission]:
    return [one for number in range(first, first + count) for one in person(number)]


def people(count: int) -> Iterator[Submission]:
    """Yield the entries of so many people, three each."""
    with ProcessPoolExecutor(2) as pool:
        make = partial(_people, count=CHUNK)
        for part in pool.map(make, range(0, count, CHUNK)):
            yield from part


def submissions(count: int) -> list[Submission]:
    """Return `count` entries of a log that begins with the recipient key."""
    made = [compute_key()]
    made += people(-(-(count - 1) // (ENTRIES_OF_PERSON * CHUNK)) * CHUNK)
    return made[:count]


def _notes(first: int, count: int) -> list[Submission]:
    key = SigningKey(Signers().marketplace)
    made = []
    for number in range(first, first + count):
        fields = {"id": ident("note", number), "time": START, "digest": digest(number).hex()}
        made.append(Submission(sign("web.released", fields, key)))
    return made


def notes(count: int = 100_000) -> Iterator[Submission]:
    """Yield small public entries of one signature each: a leaf of some 500 bytes."""
    with ProcessPoolExecutor(2) as pool:
        made = 0
        for part in pool.map(partial(_notes, count=CHUNK), range(0, count, CHUNK)):
            yield from part[: count - made]
            made += len(part)
