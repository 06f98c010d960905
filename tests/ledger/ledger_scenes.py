"""A small ledger in memory on which every entry type has one valid example.

Everything is made from fixed seeds, so the same scene gives the same bytes: run this file to
write the golden files of a NEW type or version (an existing one must never change).
"""

import hashlib
import json
from pathlib import Path

from ledger import (
    RULES,
    Checkpoint,
    Pins,
    Record,
    State,
    TrustPolicy,
    activity_commitment,
    b64,
    canonical,
    entry_bytes,
    fingerprint,
    format_leaf,
    leaf_hash,
    make_entry,
    make_leaf,
    parse_entry_bytes,
    parse_leaf,
    public_key,
    sign_ed25519,
    tree_root,
)
from ledger.checkpoint import format_checkpoint
from ledger.cosignature import Ed25519Cosigner
from ledger.note import Ed25519Signer, Note, format_note, format_vkey, sign_note
from ledger.trust import CLAIMS

GOLDEN = Path(__file__).parent / "golden"
ORIGIN = "log.example/omic"
START = 1_700_000_000_000
DAY = 86_400_000
TERMS = {"v": 1, "permissions": ["DUO:0000042"], "prices": {"non_profit_research": 0}}
ACTIVITY_KEY = b"\x07" * 32
SEALED = b"a sealed header packet"


def digest(name):
    return hashlib.sha256(name.encode()).hexdigest()


def ident(name):
    return digest(name)[:32]


def seed(name):
    return hashlib.sha256(b"seed " + name.encode()).digest()


def pk(name):
    return public_key(seed(name))


def signer(name):
    return sign_ed25519(seed(name))


def key(name, use="sign", kind="ed25519"):
    return {"public_key": b64(pk(name)), "kind": kind, "use": use}


SIGNER = Ed25519Signer(ORIGIN, seed("log"))
WITNESSES = [Ed25519Cosigner(f"w{i}.example", seed(f"witness {i}")) for i in range(3)]


def make_trust(**changes):
    lines = [f"log {format_vkey(SIGNER.vkey)}"]
    lines += [f"witness w{i} {format_vkey(w.vkey)}" for i, w in enumerate(WITNESSES)]
    pins = Pins(
        marketplace=(pk("marketplace"),),
        compute=(pk("compute"),),
        operator=(pk("operator"),),
        attesters=dict.fromkeys(CLAIMS, (pk("attester"),)),
    )
    values = {
        "origin": ORIGIN,
        "ledger_url": "http://localhost:8081",
        "marketplace_url": "http://localhost:8080",
        "witness_policy": "\n".join([*lines, "group g 2 w0 w1 w2", "quorum g", ""]),
        "pins": pins,
    }
    return TrustPolicy(**{**values, **changes})


TRUST = make_trust()

# label -> (entry type, labels that must be there before, signers)
STEPS = {
    "compute key": ("compute.key_published", [], ["compute"]),
    "next compute key": ("compute.key_published", [], ["compute"]),
    "owner": ("party.registered", [], ["owner", "attester"]),
    "other owner": ("party.registered", [], ["other owner", "attester"]),
    "researcher": ("party.registered", [], ["researcher", "attester"]),
    "reviewer": ("party.registered", [], ["reviewer", "attester"]),
    "claims": ("party.attested", ["researcher"], ["attester"]),
    "reviewer claims": ("party.attested", ["reviewer"], ["attester"]),
    "key added": ("party.key_added", ["owner"], ["owner"]),
    "key removed": ("party.key_removed", ["key added"], ["owner"]),
    "key rotated": ("party.key_rotated", ["owner"], ["owner"]),
    "recovery": ("recovery.requested", ["owner"], ["owner recovery"]),
    "recovery cancelled": ("recovery.cancelled", ["recovery"], ["owner"]),
    "mandate": ("mandate.given", ["owner", "other owner"], ["owner"]),
    "mandate ended": ("mandate.ended", ["mandate"], ["other owner"]),
    "dataset": ("dataset.registered", ["owner"], ["owner"]),
    "second dataset": ("dataset.registered", ["owner"], ["owner"]),
    "replaced": ("dataset.replaced", ["dataset"], ["dataset key"]),
    "erased": ("dataset.erased", ["grant"], ["owner"]),
    "offer": ("offer.published", ["dataset"], ["owner"]),
    "offer withdrawn": ("offer.withdrawn", ["offer"], ["owner"]),
    "grant": ("consent.granted", ["compute key", "dataset"], ["dataset key"]),
    "second grant": ("consent.granted", ["compute key", "second dataset"], ["dataset key"]),
    "rekeyed": ("consent.rekeyed", ["grant", "next compute key"], ["dataset key"]),
    "withdrawn": ("consent.withdrawn", ["grant"], ["dataset key"]),
    "paused": ("consent.paused", ["grant"], ["dataset key"]),
    "resumed": ("consent.resumed", ["paused"], ["dataset key"]),
    "objection": ("objection.raised", ["grant"], ["owner"]),
    "objection lifted": ("objection.lifted", ["objection"], ["owner"]),
    "share": ("share.given", ["dataset"], ["owner"]),
    "share stopped": ("share.stopped", ["share"], ["owner"]),
    "order": ("order.placed", ["claims"], ["researcher"]),
    "approved": ("order.approved", ["order"], ["marketplace"]),
    "refused": ("order.refused", ["order"], ["marketplace"]),
    "cancelled": ("order.cancelled", ["order"], ["marketplace"]),
    "expired": ("order.expired", ["order"], ["marketplace"]),
    "failed": ("order.failed", ["order"], ["marketplace"]),
    "paid": ("payment.received", ["order"], ["marketplace"]),
    "refunded": ("payment.refunded", ["paid"], ["marketplace"]),
    "disputed": ("payment.disputed", ["paid"], ["marketplace"]),
    "access": ("access.recorded", ["paid"], ["compute"]),
    "access refused": ("access.refused", ["paid"], ["compute"]),
    "published": ("result.published", ["access"], ["compute"]),
    "withheld": ("result.withheld", ["access"], ["compute"]),
    "review": ("review.decided", ["reviewer claims", "access"], ["reviewer"]),
    "settlement": ("settlement.made", ["published"], ["marketplace"]),
    "payout": ("payout.sent", ["settlement", "owner"], ["marketplace"]),
    "payout made": ("payout.made", [], ["marketplace"]),
    "attester named": ("attester.named", [], ["operator"]),
    "compute released": ("compute.released", [], ["operator"]),
    "web released": ("web.released", [], ["marketplace"]),
    "acted": ("operator.acted", [], ["operator"]),
    "schema": ("schema.activated", [], ["operator"]),
}
EXAMPLE_OF = {}
for _label, (_type, _, _) in STEPS.items():
    EXAMPLE_OF.setdefault(_type, _label)


def _party(name, role):
    keys = [key(name), key(f"{name} recovery", "recover"), key(f"{name} box", "encrypt", "x25519")]
    return {"party": ident(name), "role": role, "keys": keys}


def _grant(name, dataset, key_id="epoch-1"):
    return {
        "grant": ident(name),
        "owner": ident("owner"),
        "dataset": ident(dataset),
        "offer": None,
        "terms": TERMS,
        "terms_sha256": hashlib.sha256(canonical(TERMS)).hexdigest(),
        "facets": {"population": "CEU"},
        "recipient": {"key_id": key_id, "region": "local"},
        "sealed_grant_sha256": hashlib.sha256(SEALED).hexdigest(),
        "activity_commitment": activity_commitment(ACTIVITY_KEY),
        "order": None,
    }


def _dataset(name):
    return {
        "dataset": ident(name),
        "owner": ident("owner"),
        "participant": ident("participant"),
        "modality": "genotypes",
        "signing_key": b64(pk("dataset key")),
        "ciphertext": {"sha256": digest(name), "size": 70_000, "header_size": 124},
        "format": {"build": "GRCh37", "callability": "all-sites"},
        "region": "local",
        "controller": None,
        "custodian": None,
    }


def _compute_key(name, days):
    return {
        "key_id": name,
        "region": "local",
        "crypt4gh_public": b64(pk(name)),
        "hpke_public": b64(b"h" * 1216),
        "not_before": START - DAY,
        "not_after": START + days * DAY,
    }


def _payment(name, amount=500):
    return {
        "order": ident("order"),
        "amount": amount,
        "currency": "gbp",
        "provider": "stripe-test",
        "reference_commitment": digest(name),
    }


def fields_of(scene, label):
    """Return the payload fields of the example called `label`, fitting the scene so far."""
    at, owner, order = scene.at, ident("owner"), ident("order")
    named = {"grant": ident("grant"), "dataset": ident("dataset"), "owner": owner}
    party = {"party": owner, "role": "owner"}
    about = {"owner": owner, "dataset": ident("dataset")}
    makers = {
        "compute key": lambda: _compute_key("epoch-1", 90),
        "next compute key": lambda: _compute_key("epoch-2", 180),
        "owner": lambda: _party("owner", "owner"),
        "other owner": lambda: _party("other owner", "owner"),
        "researcher": lambda: _party("researcher", "researcher"),
        "reviewer": lambda: _party("reviewer", "reviewer"),
        "claims": lambda: {
            "party": ident("researcher"),
            "role": "researcher",
            "claims": {"sector": "academic", "non_profit": True},
            "expires_at": START + 30 * DAY,
        },
        "reviewer claims": lambda: {
            "party": ident("reviewer"),
            "role": "reviewer",
            "claims": {"output_reviewer": True},
            "expires_at": START + 30 * DAY,
        },
        "key added": lambda: {**party, "key": key("owner two")},
        "key removed": lambda: {**party, "fingerprint": fingerprint(pk("owner two"))},
        "key rotated": lambda: {
            **party,
            "fingerprint": fingerprint(pk("owner")),
            "key": key("owner new"),
        },
        "recovery": lambda: {
            **party,
            "recovery": ident("recovery"),
            "key": key("owner recovered"),
            "effective_at": START + 8 * DAY,
        },
        "recovery cancelled": lambda: {**party, "recovery": ident("recovery")},
        "mandate": lambda: {
            "mandate": ident("mandate"),
            "owner": owner,
            "holder": ident("other owner"),
            "kind": "deputy",
            "valid_until": START + 10 * DAY,
        },
        "mandate ended": lambda: {"mandate": ident("mandate"), "owner": owner},
        "dataset": lambda: _dataset("dataset"),
        "second dataset": lambda: _dataset("second dataset"),
        "replaced": lambda: {
            **about,
            "stops": scene.state.stops_of_dataset(ident("dataset")),
            "erases": [],
            "replaced_by": None,
        },
        "erased": lambda: {
            **about,
            "stops": scene.state.stops_of_dataset(ident("dataset")),
            "erases": scene.state.erases_of_dataset(ident("dataset")),
        },
        "offer": lambda: {
            "offer": ident("offer"),
            "owner": owner,
            "datasets": [ident("dataset")],
            "terms": TERMS,
            "facets": {"population": "CEU"},
        },
        "offer withdrawn": lambda: {"offer": ident("offer"), "owner": owner},
        "grant": lambda: _grant("grant", "dataset"),
        "second grant": lambda: _grant("second grant", "second dataset"),
        "rekeyed": lambda: {
            **_grant("grant two", "dataset", "epoch-2"),
            "replaces": at["grant"],
        },
        "withdrawn": lambda: {**named, "stops": [at["grant"]]},
        "paused": lambda: {**named, "stops": [at["grant"]]},
        "resumed": lambda: {**named, "resumes": [at["paused"]]},
        "objection": lambda: {"owner": owner, "stops": scene.state.stops_of_owner(owner)},
        "objection lifted": lambda: {"owner": owner},
        "share": lambda: {
            **about,
            "share": ident("share"),
            "recipient_key": b64(pk("doctor")),
            "header_sha256": digest("header"),
            "valid_until": START + DAY,
        },
        "share stopped": lambda: {**about, "share": ident("share")},
        "order": lambda: {
            "order": order,
            "researcher": ident("researcher"),
            "purpose": {"primary": "HMB", "commercial": False},
            "query": {"family": "allele_frequency"},
            "query_digest": digest("query"),
            "code_digest": digest("code"),
            "scope": {"modalities": ["genotypes"]},
            "release": {"mode": "private", "rho": "1/100"},
            "price": {"amount": 500, "currency": "gbp"},
            "quote": ident("quote"),
            "quote_sha256": digest("quote"),
            "undertaking": "no-reidentification/1",
            "result_key": b64(pk("result")),
            "attestations": [at["claims"]],
        },
        **{
            word: lambda: {"order": order, "reason": "asked"}
            for word in ("approved", "refused", "cancelled", "expired", "failed")
        },
        "paid": lambda: _payment("payment"),
        "refunded": lambda: _payment("refund", 200),
        "disputed": lambda: _payment("dispute", 200),
        "access": lambda: {
            "access": ident("access"),
            "order": order,
            "purpose": "HMB",
            "query_digest": digest("query"),
            "code_digest": digest("code"),
            "judged_size": scene.state.size,
            "judged_root": digest("root"),
            "cohort_size": 40,
            "opened": 40,
            "cohort_root": digest("cohort"),
            "excluded": {"needs_owner": 2},
            "release": {"mode": "private", "rho": "1/100"},
            "region": "local",
            "attempt": 1,
        },
        "access refused": lambda: {"order": order, "reason": "floor", "excluded": {}},
        "published": lambda: {
            "order": order,
            "access": ident("access"),
            "commitment": digest("result"),
            "ciphertext_sha256": digest("ciphertext"),
            "ciphertext_size": 4096,
        },
        "withheld": lambda: {"order": order, "access": ident("access"), "reason": "stopped"},
        "review": lambda: {
            "order": order,
            "draft_commitment": digest("draft"),
            "decision": "approve",
            "reviewer": ident("reviewer"),
        },
        "settlement": lambda: {
            "order": order,
            "access": ident("access"),
            "gross": 500,
            "platform_fee": 50,
            "compute_fee": 50,
            "owners_total": 400,
            "currency": "gbp",
            "shares": 40,
            "share_root": digest("shares"),
        },
        "payout": lambda: {
            "owner": owner,
            "amount": 10,
            "currency": "gbp",
            "settlements": [at["settlement"]],
        },
        "payout made": lambda: {
            "payout": ident("payout"),
            "period": "2026-W48",
            "currency": "gbp",
            "amount": 400,
            "reversed": 0,
            "payouts": 40,
            "payout_root": digest("payouts"),
        },
        "attester named": lambda: {
            "claim": "sector",
            "key": b64(pk("attester")),
            "expires_at": START + DAY,
        },
        "compute released": lambda: {"version": "0.1.0", "code_digest": digest("code")},
        "web released": lambda: {"digest": digest("web")},
        "acted": lambda: {"action": "envelopes_read", "details": {"entries": 3}},
        "schema": lambda: {"type": "consent.granted", "version": 1},
    }
    return makers[label]()


class Scene:
    """A log being written, with its state, leaves and envelopes; time moves a second an entry."""

    def __init__(self, trust=TRUST):
        self.trust = trust
        self.state = State(trust)
        self.leaves = []
        self.opened = {}
        self.at = {}
        self.now = START

    def entry(self, type_, fields, signers, tag=""):
        common = {"id": ident(f"{type_} {tag or len(self.leaves)}"), "time": self.now}
        return make_entry(type_, {**common, **fields}, [signer(name) for name in signers])

    def leaf(self, entry):
        salt = hashlib.sha256(b"salt %d" % len(self.leaves)).digest()
        personal = RULES[entry.type, entry.version].visibility == "personal"
        personal = personal or entry.payload.get("role") == "owner"
        return make_leaf(entry, salt if personal else None, self.now), salt if personal else None

    def add(self, entry):
        """Admit an entry as the log would; returns its index."""
        leaf, salt = self.leaf(entry)
        self.state.admit(entry, leaf)
        self.leaves.append(format_leaf(leaf))
        if salt is not None:
            self.opened[len(self.leaves) - 1] = (entry_bytes(entry), salt)
        self.now += 1000
        return len(self.leaves) - 1

    def put(self, label, signers=None, **changes):
        """Make and admit the example `label` after everything it needs; returns its index."""
        self.need(*STEPS[label][1])
        self.at[label] = self.add(self.example(label, signers, **changes))
        return self.at[label]

    def example(self, label, signers=None, **changes):
        type_, _, usual = STEPS[label]
        tag = f"{label} {len(self.leaves)}" if label in self.at else label
        return self.entry(type_, {**fields_of(self, label), **changes}, signers or usual, tag)

    def need(self, *labels):
        for label in labels:
            if label not in self.at:
                self.put(label)
        return self

    def record(self, index, erased=()):
        leaf = parse_leaf(self.leaves[index])
        if index not in self.opened or index in erased:
            return Record(index, leaf, leaf.entry)
        data, salt = self.opened[index]
        return Record(index, leaf, parse_entry_bytes(data), salt)

    def refold(self, erased=(), **options):
        """Fold the written log from the start, without some envelopes."""
        state = State(self.trust, **options)
        for index in range(len(self.leaves)):
            state.apply(self.record(index, erased))
        return state

    def checkpoint(self, leaves=None, time=None, witnesses=(0, 1, 2)):
        time = self.now // 1000 if time is None else time
        hashes = [leaf_hash(leaf) for leaf in (self.leaves if leaves is None else leaves)]
        text = format_checkpoint(Checkpoint(ORIGIN, len(hashes), tree_root(hashes)))
        note = sign_note(text, [SIGNER])
        cosigned = [WITNESSES[i].cosign(note.text, time) for i in witnesses]
        return format_note(Note(note.text, (*note.signatures, *cosigned))).decode()


def golden_of(type_):
    """Return the bytes of a type's example: entry, salt and leaf."""
    scene = Scene()
    label = EXAMPLE_OF[type_]
    scene.need(*STEPS[label][1])
    entry = scene.example(label)
    leaf, salt = scene.leaf(entry)
    return {
        "entry": entry_bytes(entry).hex(),
        "payload": entry.payload_bytes.decode(),
        "salt": salt.hex() if salt else None,
        "leaf": format_leaf(leaf).decode(),
    }


def write_golden():
    for type_, version in RULES:
        path = GOLDEN / f"{type_}.v{version}.json"
        if not path.exists():
            path.write_text(json.dumps(golden_of(type_), indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    write_golden()
