"""A small log in memory, with witnesses, on which an order runs from enrolment to result."""

import hashlib
import os
from dataclasses import replace

from compute import (
    bundle_entry,
    commitment_of,
    committed_bytes,
    make_auditor_bundle,
    make_opening,
    make_researcher_bundle,
    preset,
    terms_sha256,
)
from ledger import (
    EMPTY_ROOT,
    Checkpoint,
    LogProof,
    Pins,
    TrustPolicy,
    access_tag,
    activity_commitment,
    b64,
    canonical,
    entry_bytes,
    format_leaf,
    format_proof,
    inclusion_proof,
    leaf_hash,
    make_entry,
    make_leaf,
    public_key,
    sign_ed25519,
    tree_root,
    tree_root_of,
)
from ledger.checkpoint import format_checkpoint
from ledger.cosignature import Ed25519Cosigner
from ledger.entries import is_personal, validate_payload
from ledger.note import Ed25519Signer, Note, format_note, format_vkey, sign_note

ORIGIN = "log.test/omic"
NOW = 1_900_000_000_000
CLAIMS = (
    "person_verified", "sector", "non_profit", "accredited_researcher", "output_reviewer",
)  # fmt: skip
QUERY = {"v": 1, "family": "genotype_counts", "params": {"variants": ["1-2-A-C"]}}
ANSWER = {"counts": [1.5, 0.1, 3], "note": None}


def new_id():
    return os.urandom(16).hex()


class Log:
    """Entries in order; receipts under one witnessed checkpoint over all of them."""

    def __init__(self, forged=None):
        self.forged = forged  # the type of entry whose signature is broken
        self.log = Ed25519Signer(ORIGIN, os.urandom(32))
        self.witnesses = [Ed25519Cosigner(f"w{n}.test", os.urandom(32)) for n in range(3)]
        self.seeds = {name: os.urandom(32) for name in ("marketplace", "compute", "attester")}
        self.records = []
        self.trust = self._trust()

    def _trust(self):
        lines = [f"log {format_vkey(self.log.vkey)}"]
        lines += [f"witness w{n} {format_vkey(w.vkey)}" for n, w in enumerate(self.witnesses)]
        lines += ["group all 2 w0 w1 w2", "quorum all"]
        pins = {name: (public_key(seed),) for name, seed in self.seeds.items()}
        return TrustPolicy(
            origin=ORIGIN, ledger_url="http://l", marketplace_url="http://m",
            witness_policy="\n".join(lines) + "\n",
            pins=Pins(
                marketplace=pins["marketplace"], compute=pins["compute"],
                attesters=dict.fromkeys(CLAIMS, pins["attester"]),
            ),
        )  # fmt: skip

    def append(self, type_, fields, *seeds):
        """Sign, sequence, and return the leaf index."""
        common = {"id": new_id(), "time": NOW}
        entry = make_entry(type_, {**common, **fields}, [sign_ed25519(seed) for seed in seeds])
        if type_ == self.forged:
            first = entry.signatures[0]
            bad = replace(first, parts=(first.parts[0][:-1] + bytes([first.parts[0][-1] ^ 1]),))
            entry = replace(entry, signatures=(bad, *entry.signatures[1:]))
        personal = is_personal(validate_payload(entry), entry.payload)
        salt = os.urandom(32) if personal else None
        leaf = make_leaf(entry, salt, NOW + len(self.records))
        self.records.append((leaf, entry, salt))
        return len(self.records) - 1

    @property
    def size(self):
        return len(self.records)

    @property
    def leaves(self):
        return [format_leaf(leaf) for leaf, _entry, _salt in self.records]

    @property
    def root(self):
        return tree_root(map(leaf_hash, self.leaves)) if self.records else EMPTY_ROOT

    def note(self):
        text = format_checkpoint(Checkpoint(ORIGIN, self.size, self.root))
        signed = sign_note(text, [self.log])
        lines = (w.cosign(text, NOW // 1000) for w in self.witnesses[:2])
        return format_note(Note(signed.text, (*signed.signatures, *lines)))

    def carried(self, indexes, note=None):
        note = note or self.note()
        hashes = [leaf_hash(leaf) for leaf in self.leaves]
        found = []
        for index in indexes:
            leaf, entry, salt = self.records[index]
            proof = LogProof(index, tuple(inclusion_proof(index, hashes)), note)
            opening = None if salt is None else (entry_bytes(entry), salt)
            found.append(
                bundle_entry(
                    index, leaf.type, format_leaf(leaf), format_proof(proof).decode(), opening
                )
            )
        return found


class Story(Log):
    """An order over some people, told up to its result. Overrides change one thing each."""

    def __init__(self, people=3, mode="trusted", **changes):
        super().__init__(changes.get("forged"))
        self.changes = changes
        self.order, self.access, self.mode = new_id(), new_id(), mode
        self.researcher, self.researcher_seed = new_id(), os.urandom(32)
        self.reviewers = [(new_id(), os.urandom(32)) for _ in range(2)]
        self.members = []
        self.public = []
        self._enrol()
        for _ in range(people):
            self._grant()
        self._order()

    def get(self, name, default):
        return self.changes.get(name, default)

    def _party(self, party, role, seed):
        shown = self.get("registered_key", public_key(seed))
        key = {"public_key": b64(shown), "kind": "ed25519", "use": "sign"}
        fields = {"party": party, "role": role, "keys": [key]}
        cosigner = self.get("cosigner", self.seeds["attester"])
        return self.append("party.registered", fields, seed, cosigner)

    def _attest(self, party, role, claims):
        fields = {"party": party, "role": role, "claims": claims, "expires_at": NOW + 10**6}
        return self.append("party.attested", fields, self.get("attester", self.seeds["attester"]))

    def _enrol(self):
        self.public.append(self._party(self.researcher, "researcher", self.researcher_seed))
        claims = self.get(
            "claims", {"sector": "academic", "non_profit": True, "accredited_researcher": True}
        )
        self.public.append(self._attest(self.researcher, "researcher", claims))
        for party, seed in self.reviewers:
            self.public.append(self._party(party, "reviewer", seed))
            self.public.append(
                self._attest(party, "reviewer", self.get("reviewer", {"output_reviewer": True}))
            )

    def _grant(self):
        owner, seed, dataset, dataset_seed = new_id(), os.urandom(32), new_id(), os.urandom(32)
        grant, key = new_id(), os.urandom(32)
        terms = self.get(
            "terms", preset("non_profit_research", valid_from=0, release_mode="trusted")
        )
        indexes = [self._party(owner, "owner", seed)]
        indexes.append(
            self.append(
                "dataset.registered",
                {
                    "dataset": dataset, "owner": owner, "participant": new_id(),
                    "modality": "genotypes", "signing_key": b64(public_key(dataset_seed)),
                    "ciphertext": {"sha256": "11" * 32, "size": 9, "header_size": 1},
                    "format": {}, "region": "local", "controller": None, "custodian": None,
                },
                self.get("dataset_signer", seed),
            )
        )  # fmt: skip
        index = self.append(
            "consent.granted",
            {
                "grant": grant, "owner": owner, "dataset": dataset, "offer": None,
                "terms": terms.to_dict(), "terms_sha256": terms_sha256(terms), "facets": {},
                "recipient": {"key_id": "k", "region": self.get("recipient", "local")},
                "sealed_grant_sha256": "22" * 32,
                "activity_commitment": self.get("activity", activity_commitment(key)),
                "order": self.get("grant_order", None),
            },
            self.get("grant_seed", dataset_seed),
        )  # fmt: skip
        about = {"owner": owner, "dataset": dataset, "grant": grant, "seed": dataset_seed}
        self.members.append({**about, "index": index, "key": key, "indexes": [*indexes, index]})

    def stop(self, member, kind="consent.withdrawn"):
        """Withdraw or pause one member; resume with kind consent.resumed and the pause's index."""
        about = self.members[member]
        fields = {"grant": about["grant"], "dataset": about["dataset"], "owner": about["owner"]}
        return self.append(kind, {**fields, "stops": [about["index"]]}, about["seed"])

    def resume(self, member, pause):
        about = self.members[member]
        fields = {"grant": about["grant"], "dataset": about["dataset"], "owner": about["owner"]}
        return self.append("consent.resumed", {**fields, "resumes": [pause]}, about["seed"])

    def _order(self):
        release = {"mode": self.mode, "rho": "0"}
        self.query_digest = hashlib.sha256(canonical(QUERY)).hexdigest()
        placed = {
            "order": self.order, "researcher": self.researcher,
            "purpose": {"primary": "HMB", "commercial": False}, "query": QUERY,
            "query_digest": self.query_digest, "code_digest": "33" * 32,
            "scope": {"modalities": ["genotypes"], "region": "local"}, "release": release,
            "price": {"amount": 700, "currency": "gbp"}, "quote": new_id(),
            "quote_sha256": "44" * 32, "undertaking": "no-reidentification/1",
            "result_key": b64(os.urandom(32)), "attestations": [1],
        }  # fmt: skip
        seed = self.get("order_seed", self.researcher_seed)
        self.public.append(self.append("order.placed", placed, seed))
        if not self.get("pay_late", False):
            self._pay()
        self.run(release)

    def _pay(self):
        paid = {
            "order": self.order, "amount": self.get("paid", 700), "provider": "stripe-test",
            "currency": self.get("currency", "gbp"), "reference_commitment": "55" * 32,
        }  # fmt: skip
        seed = self.get("payer", self.seeds["marketplace"])
        self.public.append(self.append("payment.received", paid, seed))

    def run(self, release):
        """Judge, record the access, review and publish."""
        before = self.get("before_judging", lambda story: None)
        before(self)
        judged, root = self.size, self.root.hex()
        self.get("after_judging", lambda story: None)(self)
        tags = sorted(access_tag(m["key"], self.access) for m in self.members)
        recorded = {
            "access": self.access, "order": self.order, "purpose": "HMB",
            "query_digest": self.query_digest, "code_digest": self.get("code", "33" * 32),
            "judged_size": self.get("judged_size", judged),
            "judged_root": self.get("judged_root", root), "cohort_size": len(tags), "opened": len(tags),
            "cohort_root": tree_root_of(tags).hex(), "excluded": {},
            "release": self.get("release", release), "region": "local", "attempt": 1,
        }  # fmt: skip
        from ledger import rule_for

        if "opened" in rule_for("access.recorded", 1).fields:
            recorded["opened"] = len(tags)
        seed = self.get("computer", self.seeds["compute"])
        self.public.append(self.append("access.recorded", recorded, seed))
        if self.get("pay_late", False):
            self._pay()
        self._publish()

    def _publish(self):
        said = {
            "v": 2, "order": self.order, "access": self.access, "query": QUERY,
            "query_digest": self.query_digest, "code_digest": "33" * 32,
            "release": {"mode": self.mode, "rho": "0"}, "n": {"bucket": "<20"},
            "answer": ANSWER, "suppressed": [],
        }  # fmt: skip
        self.result = {**said, "opening": make_opening(os.urandom(32), committed_bytes(said))}
        commitment = commitment_of(self.result)
        for number, (party, seed) in enumerate(self.reviewers[: self.get("reviews", 2)]):
            decision = self.get("decisions", ("approve", "approve"))[number]
            review = {
                "order": self.order, "draft_commitment": self.get("draft", commitment),
                "decision": decision, "reviewer": party,
            }  # fmt: skip
            self.public.append(self.append("review.decided", review, seed))
        published = {
            "order": self.order, "access": self.access, "commitment": commitment,
            "ciphertext_sha256": "66" * 32, "ciphertext_size": 9,
        }  # fmt: skip
        seed = self.get("publisher", self.seeds["compute"])
        self.public.append(self.append("result.published", published, seed))

    def researcher_bundle(self, result=None, without=()):
        wanted = [i for i in self.public if self.records[i][0].type not in without]
        return make_researcher_bundle(
            self.order, self.access, self.carried(wanted), result or self.result
        )

    def auditor_bundle(self, members=None):
        chosen = self.members if members is None else members
        note = self.note()
        opened = [
            {
                "grant": m["grant"], "index": m["index"], "activity_key": b64(m["key"]),
                "entries": self.carried(m["indexes"], note),
            }
            for m in chosen
        ]  # fmt: skip
        return make_auditor_bundle(
            self.order, self.access, self.carried(self.public), self.result, opened
        )
