"""Owners on a ledger state alone: every entry really signed and admitted by the fold, nothing sent.

For histories of consents: give, pause, resume, withdraw, object, lift, replace, erase.
"""

import hashlib
import os
from dataclasses import dataclass, field

from compute import preset, terms_sha256
from ledger import (
    CLAIMS,
    RULES,
    Pins,
    Record,
    State,
    b64,
    make_entry,
    make_leaf,
    public_key,
    sign_ed25519,
    tree_root_of,
)

NOW = 1_800_000_000_000
ATTESTER, COMPUTE = b"a" * 32, b"c" * 32
REGION = "local"
PUBLIC_TYPES = {name for (name, _), rule in RULES.items() if rule.visibility == "public"}


def new_id():
    return os.urandom(16).hex()


@dataclass
class Person:
    """An owner with one dataset."""

    id: str = field(default_factory=new_id)
    seed: bytes = field(default_factory=lambda: os.urandom(32))
    dataset: str = field(default_factory=new_id)
    participant: str = field(default_factory=new_id)
    grant: str = ""
    grant_index: int = -1
    pause_index: int = -1


class ConsentWorld:
    """A state and the people on it; `now` is the time of the next leaf."""

    def __init__(self):
        pins = Pins(
            compute=(public_key(COMPUTE),),
            attesters=dict.fromkeys(CLAIMS, (public_key(ATTESTER),)),
        )
        self.state, self.now, self.pins = State(pins), NOW, pins
        self.next_access, self.records = None, []
        key = {
            "key_id": "epoch-1", "region": REGION, "crypt4gh_public": b64(os.urandom(32)),
            "hpke_public": b64(os.urandom(64)), "not_before": 0, "not_after": 2**50,
        }  # fmt: skip
        self.submit(COMPUTE, "compute.key_published", key)

    def submit(self, seeds, type_, fields):
        """Admit one entry; return its index. Raises what the fold raises."""
        seeds = [seeds] if isinstance(seeds, bytes) else seeds
        value = {"id": new_id(), "time": self.now, **fields}
        entry = make_entry(type_, value, [sign_ed25519(seed) for seed in seeds])
        public = type_ in PUBLIC_TYPES or fields.get("role") == "researcher"
        salt = None if public else os.urandom(32)
        index = self.state.size
        leaf = make_leaf(entry, salt, self.now)
        self.state.admit(entry, leaf)
        self.records.append(Record(index, leaf))
        return index

    def join(self):
        person = Person()
        key = {"public_key": b64(public_key(person.seed)), "kind": "ed25519", "use": "sign"}
        enrol = {"party": person.id, "role": "owner", "keys": [key]}
        self.submit([person.seed, ATTESTER], "party.registered", enrol)
        self.register(person)
        return person

    def register(self, person):
        person.dataset, person.grant = new_id(), ""
        fields = {
            "dataset": person.dataset, "owner": person.id, "participant": person.participant,
            "modality": "genotypes", "signing_key": b64(public_key(person.seed)),
            "ciphertext": {"sha256": "0" * 64, "size": 1000, "header_size": 124},
            "format": {"build": "GRCh37"}, "region": REGION, "controller": None,
            "custodian": None,
        }  # fmt: skip
        self.submit(person.seed, "dataset.registered", fields)

    def give(self, person, terms=None, facets=None, order=None):
        terms = terms or preset("everything_at_a_price", valid_from=self.now, price=200).to_dict()
        person.grant = new_id()
        fields = {
            "grant": person.grant, "owner": person.id, "dataset": person.dataset, "offer": None,
            "terms": terms, "terms_sha256": terms_sha256(terms), "facets": facets or {},
            "recipient": {"key_id": "epoch-1", "region": REGION},
            "sealed_grant_sha256": hashlib.sha256(person.grant.encode()).hexdigest(),
            "activity_commitment": "0" * 64, "order": order,
        }  # fmt: skip
        person.grant_index = self.submit(person.seed, "consent.granted", fields)

    def _about(self, person):
        return {"grant": person.grant, "dataset": person.dataset, "owner": person.id}

    def withdraw(self, person):
        fields = {**self._about(person), "stops": [person.grant_index]}
        return self.submit(person.seed, "consent.withdrawn", fields)

    def pause(self, person):
        fields = {**self._about(person), "stops": [person.grant_index]}
        person.pause_index = self.submit(person.seed, "consent.paused", fields)

    def resume(self, person):
        fields = {**self._about(person), "resumes": [person.pause_index]}
        self.submit(person.seed, "consent.resumed", fields)

    def object(self, person):
        fields = {"owner": person.id, "stops": self.state.stops_of_owner(person.id)}
        return self.submit(person.seed, "objection.raised", fields)

    def lift(self, person):
        self.submit(person.seed, "objection.lifted", {"owner": person.id})

    def erase(self, person):
        fields = {
            "dataset": person.dataset, "owner": person.id,
            "stops": self.state.stops_of_dataset(person.dataset),
            "erases": self.state.erases_of_dataset(person.dataset),
        }  # fmt: skip
        self.submit(person.seed, "dataset.erased", fields)

    def replace(self, person):
        fields = {
            "dataset": person.dataset, "owner": person.id,
            "stops": self.state.stops_of_dataset(person.dataset), "erases": [],
        }  # fmt: skip
        self.submit(person.seed, "dataset.replaced", fields)

    # -- buyers and uses

    def buyer(self, **claims):
        """Register and attest a researcher; return (party id, seed)."""
        party, seed = new_id(), os.urandom(32)
        key = {"public_key": b64(public_key(seed)), "kind": "ed25519", "use": "sign"}
        enrol = {"party": party, "role": "researcher", "keys": [key]}
        self.submit([seed, ATTESTER], "party.registered", enrol)
        fields = {"party": party, "role": "researcher", "claims": claims}
        self.submit(ATTESTER, "party.attested", {**fields, "expires_at": self.now + 10**10})
        return party, seed

    def place(self, buyer, purpose, price=0, region=REGION):
        """Put order.placed on the ledger; return (order id, index)."""
        order = new_id()
        fields = {
            "order": order, "researcher": buyer[0], "purpose": purpose,
            "query": {"v": 1, "family": "genotype_counts"}, "query_digest": "1" * 64,
            "code_digest": "2" * 64,
            "scope": {"modalities": ["genotypes"], "build": None, "facets": {}, "region": region},
            "release": {"mode": "private", "rho": "0"},
            "price": {"amount": price, "currency": "gbp"}, "quote": new_id(),
            "quote_sha256": "3" * 64, "undertaking": "no-reidentification/1",
            "result_key": b64(os.urandom(32)), "attestations": [],
        }  # fmt: skip
        return order, self.submit(buyer[1], "order.placed", fields)

    def access(self, order, tags, purpose="HMB"):
        """Put access.recorded on the ledger; return (access tree root, index)."""
        access, leaves = self.next_access or new_id(), sorted(tags)
        self.next_access = None
        fields = {
            "access": access, "order": order, "purpose": purpose,
            "query_digest": None if order is None else "1" * 64,
            "code_digest": None if order is None else "2" * 64,
            "judged_size": self.state.size, "judged_root": "0" * 64, "cohort_size": len(leaves),
            "opened": len(leaves), "cohort_root": tree_root_of(leaves).hex(), "excluded": {},
            "release": None if order is None else {"mode": "private", "rho": "0"},
            "region": REGION,
            "attempt": 1 if order is None else 1 + len(self.state.orders[order].accesses),
        }  # fmt: skip
        index = self.submit(COMPUTE, "access.recorded", fields)
        return fields["cohort_root"], index
