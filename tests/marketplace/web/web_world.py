"""A market with pages: the small market of the server's tests, a readable log, and its visitors."""

import os
import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from compute import preset, terms_sha256
from ledger import (
    Checkpoint,
    LogProof,
    NotFoundError,
    TrustPolicy,
    activity_commitment,
    b64,
    format_leaf,
    format_proof,
    inclusion_proof,
    leaf_hash,
    public_key,
    tree_root,
)
from ledger.checkpoint import format_checkpoint
from ledger.cosignature import Ed25519Cosigner
from ledger.note import Ed25519Signer, Note, format_note, format_vkey, sign_note
from marketplace.app import create_app
from marketplace.background import Background
from marketplace.web import install
from marketplace.web.ports import EXTENSION
from tests.marketplace.market_world import START, Owner, World, digest, new_id

ORIGIN = "localhost/omic-market"


class SimReader:
    """The public side of the simulated log, with a really signed and cosigned checkpoint."""

    def __init__(self, ledger, clock):
        self.ledger, self.clock = ledger, clock
        self.signer = Ed25519Signer(ORIGIN, os.urandom(32))
        self.witnesses = [Ed25519Cosigner(f"witness-{i}", os.urandom(32)) for i in (1, 2, 3)]
        self.awake, self.silent, self.age = (0, 1, 2), False, 0

    def policy(self):
        lines = [f"log {format_vkey(self.signer.vkey)}"]
        lines += [
            f"witness witness-{i} {format_vkey(w.vkey)}" for i, w in enumerate(self.witnesses, 1)
        ]
        return "\n".join([*lines, "group all 2 witness-1 witness-2 witness-3", "quorum all", ""])

    def _leaves(self):
        if self.silent:
            raise NotFoundError("the ledger does not answer")
        return [format_leaf(record.leaf) for record in self.ledger.records]

    def checkpoint(self):
        leaves = self._leaves()
        root = tree_root([leaf_hash(leaf) for leaf in leaves])
        note = sign_note(format_checkpoint(Checkpoint(ORIGIN, len(leaves), root)), [self.signer])
        at = self.clock() // 1000 - self.age
        signed = [self.witnesses[i].cosign(note.text, at - i) for i in self.awake]
        return format_note(Note(note.text, (*note.signatures, *signed))).decode()

    def entries(self, start, end):
        leaves = self._leaves()
        assert 0 <= start < end <= len(leaves)
        return leaves[start:end]

    def receipt(self, index):
        hashes = [leaf_hash(leaf) for leaf in self._leaves()]
        path = tuple(inclusion_proof(index, hashes))
        return format_proof(LogProof(index, path, self.checkpoint().encode())).decode()


class WebWorld(World):
    """The market of the server's tests behind its pages."""

    def __init__(self, path, **options):
        super().__init__(path, **options)
        self.reader = SimReader(self.ledger, self.clock)
        self.trust = TrustPolicy(
            ORIGIN, "http://localhost:8081", "http://localhost:8080", self.reader.policy(),
            self.trust.pins, embedded=True,
        )  # fmt: skip
        self.services = replace(self.services, trust=self.trust)
        self.services.config.trust_file.write_bytes(self.trust.format())
        self.background = Background(self.services)
        self.app = create_app(self.services)
        if EXTENSION in self.app.extensions:
            pages = self.app.extensions[EXTENSION]
            self.app.extensions[EXTENSION] = replace(pages, ledger=self.reader)
        else:
            install(self.app, self.services, self.reader)
        self.http = self.app.test_client()

    def link(self, party):
        """Return the secret of a one-time link, as the party's client gets it."""
        answer = self.http.post("/api/v1/session/link", headers=party.auth)
        return answer.json["url"].rpartition("#")[2].rpartition("/")[2]

    def browser(self, party=None):
        """Return a test client, signed in through the form like a person would be."""
        client = self.app.test_client()
        if party is not None:
            answer = post(client, "/signin", {"code": self.link(party)})
            assert answer.status_code == 303, answer.text
        return client

    def more_data(self, owner, modality, name="non_profit_research", grant=True, **options):
        """Give an owner one more dataset of the same person, and a consent; return both ids."""
        dataset, seed = new_id(), os.urandom(32)
        person = self.ledger.state.datasets[owner.dataset].participant
        size = {"expression": 61_200, "participant": 1_480}.get(modality, 2_418_000)
        shape = {"build": "GRCh37"} if modality == "genotypes" else {}
        self.submit(owner.seed, "dataset.registered", {
            "dataset": dataset, "owner": owner.id, "participant": person, "modality": modality,
            "signing_key": b64(public_key(seed)), "format": shape, "region": "local",
            "ciphertext": {"sha256": digest(seed), "size": size, "header_size": 124},
            "controller": None, "custodian": None,
        }, salt=os.urandom(32))  # fmt: skip
        if not grant:
            return dataset, None, seed, None
        terms = preset(name, valid_from=0, **options).to_dict()
        given, sealed = new_id(), os.urandom(64)
        index = self.submit(seed, "consent.granted", {
            "grant": given, "owner": owner.id, "dataset": dataset, "offer": None, "terms": terms,
            "terms_sha256": terms_sha256(terms), "facets": {"population": "CEU", "sex": "female"},
            "recipient": {"key_id": "epoch-1", "region": "local"}, "order": None,
            "sealed_grant_sha256": digest(sealed),
            "activity_commitment": activity_commitment(os.urandom(32)),
        }, salt=os.urandom(32), attachments={"sealed_grant": sealed})  # fmt: skip
        return dataset, given, seed, index

    def stop(self, owner, made, kind="consent.withdrawn"):
        dataset, grant, seed, index = made
        fields = {"grant": grant, "dataset": dataset, "owner": owner.id, "stops": [index]}
        self.submit(seed, kind, fields, salt=os.urandom(32))


def post(client, path, fields, **options):
    """Send a form with the CSRF token of the page it stands on."""
    page = client.get("/signin" if path == "/signin" else options.pop("page", path)).text
    token = page.split('name="csrf_token" value="')[1].split('"')[0]
    return client.post(path, data={"csrf_token": token, **fields}, **options)


def purpose(project, **more):
    return {"primary": "HMB", "commercial": False, "project": project, "sponsor": "", **more}


def scope(*populations, modalities=("genotypes",)):
    facets = {"population": list(populations)} if populations else {}
    return {"modalities": list(modalities), "build": "GRCh37", "facets": facets, "region": "local"}


def lively(path, **options):
    """Return a world where much has happened, and who lives in it."""
    world = WebWorld(path, **options)
    owners = [world.owner("CEU" if i % 2 else "YRI", price=50 + 25 * (i % 3)) for i in range(24)]
    ann = owners[1]
    expression = world.more_data(ann, "expression")
    record = world.more_data(ann, "participant")
    world.stop(ann, record)
    world.more_data(ann, "genotypes", grant=False)
    paused = world.more_data(ann, "expression", "my_condition_free", diseases=("MONDO:0005148",))
    world.stop(ann, paused, "consent.paused")
    world.withdraw(owners[0])
    researcher, reviewer = world.researcher(), world.reviewer()
    world.clock.forward(3_600_000)
    orders = {}
    for name, populations in (("settled", ("CEU",)), ("again", ())):
        orders[name] = world.place(
            researcher, purpose=purpose(f"Allele frequencies in Europeans and Yoruba, part {len(orders) + 1}"),
            scope=scope(*populations),
        )  # fmt: skip
        world.pay(researcher, orders[name])
        members = [o for i, o in enumerate(owners) if i and (i % 2 or not populations)]
        world.answer(orders[name], members)
        world.turn()
        world.clock.forward(1_800_000)
    orders["running"] = world.place(researcher, purpose=purpose("Blood pressure and chromosome 22"))
    world.pay(researcher, orders["running"])
    world.job()
    orders["draft"] = world.place(researcher, purpose=purpose("A draft to review"))
    world.pay(researcher, orders["draft"])
    job = world.job()
    access = world.record_access(orders["draft"], owners[1:9])
    world.deliver(job, "draft", b"a draft")
    world.outcome(job, state="awaiting_review", access=access, draft_commitment="2" * 64,
                  scope=[owner.grant for owner in owners[1:9]])  # fmt: skip
    orders["failed"] = world.place(researcher, purpose=purpose("An unlucky question"))
    world.pay(researcher, orders["failed"])
    world.outcome(world.job(), state="failed", code="engine")
    world.turn()
    orders["unpaid"] = world.place(researcher, purpose=purpose("Not paid yet", commercial=True))
    world.turn()
    world.clock.forward(4_000)
    world.expression = expression
    ask = {"purchase_order": "PO-7"}
    path = f"/api/v1/orders/{orders['unpaid']}/invoice"
    world.http.post(path, json=ask, headers=researcher.auth)
    operator = world.sign_in(world.operators[0])
    return world, {"owner": ann, "researcher": researcher, "reviewer": reviewer, "orders": orders,
                   "operator": operator}  # fmt: skip


__all__ = ["START", "Owner", "WebWorld", "lively", "post", "purpose", "scope"]
