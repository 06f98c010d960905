"""A small world for worker tests: owners with real files, a paying researcher, two reviewers.

Everybody signs with keys of their own and goes through the real admission rules.
"""

import json
import os
import secrets
from dataclasses import dataclass, field, replace

import numpy as np

from compute.accountant import Accountant
from compute.copies import SharedVariants
from compute.crypt import (
    decrypt_file,
    encrypt_file,
    generate_keypair,
    grant_info,
    manifest_of,
    reencrypt_header,
    seal_grant,
)
from compute.keys import KeyRing, new_epoch
from compute.orderbook import OrderBook
from compute.presets import preset
from compute.queries import code_digest, parse_query, query_digest, query_value
from compute.sealing import LocalKms
from compute.store import CohortStore
from compute.tables import open_engine, upgrade
from compute.terms import terms_sha256
from compute.vault import Vault
from compute.worker_ports import Workshop
from compute.worker_run import lease_job
from compute.worker_start import announce
from ledger import (
    CLAIMS,
    Auditor,
    Pins,
    TrustPolicy,
    activity_commitment,
    b64,
    fingerprint,
    make_entry,
    public_key,
    sign_ed25519,
    sign_entry,
    submission_for,
)
from tests.compute.simulators import (
    Cosigners,
    SimFollower,
    SimLog,
    SimMarket,
    SimParser,
    now_ms,
    sha256,
)

YEAR = 365 * 86_400_000
POSITIONS = tuple(range(1000, 13000, 1000))
GENE = "ENSG00000000001"


def new_id():
    return secrets.token_hex(16)


def run_job(shop, job_id):
    """Lease a job and run it to its end, waiting for ticks here; None: nothing to report."""
    leased = lease_job(shop, job_id, beat=False)
    if leased is None:
        return None
    while not leased.go_on():
        shop.wait_for_tick()
        leased.leave()
    return leased.outcome


def vcf(sample, dosages):
    """An all-sites VCF of one person; None is a missing call."""
    text = {0: "0/0", 1: "0/1", 2: "1/1", None: "./."}
    lines = [
        "##fileformat=VCFv4.2",
        "##contig=<ID=1,length=249250621,assembly=GRCh37>",
        "##omic_callability=all-sites",
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">',
        f"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t{sample}",
    ]
    lines += [
        f"1\t{pos}\t.\tA\tG\t.\tPASS\t.\tGT\t{text[dosage]}"
        for pos, dosage in zip(POSITIONS, dosages, strict=True)
    ]
    return ("\n".join(lines) + "\n").encode()


def features(value):
    return (
        f"##namespace=Ensembl\n##unit=TPM\n##assay=RNA-seq\nfeature_id\tvalue\n{GENE}\t{value}\n"
    ).encode()


def record(participant, population):
    value = {
        "schema": "omic.participant/1",
        "participant": participant,
        "sex": "female",
        "population": population,
        "covariates": {"PC1": 0.5},
    }
    return json.dumps(value).encode()


@dataclass
class Data:
    """One dataset of a person, as its owner holds it."""

    id: str
    modality: str
    plaintext: bytes
    file: bytes
    signing: bytes
    activity: bytes
    grant: str = ""
    grant_index: int = -1


@dataclass
class Person:
    """An owner and everything only the owner has."""

    id: str
    seed: bytes
    secret: bytes
    participant: str
    population: str
    dosages: list
    expression: float
    data: dict = field(default_factory=dict)


def simulated(pins):
    """The ledger most tests use: (log, trust policy, how to make a follower)."""
    cosigners = Cosigners("sim.example/log")
    trust = TrustPolicy(
        origin="sim.example/log",
        ledger_url="http://ledger",
        marketplace_url="http://market",
        witness_policy=cosigners.policy(),
        pins=pins,
    )
    log = SimLog(pins, cosigners)
    return log, trust, lambda: SimFollower(log)


class World:
    """The whole small world; `shop` is a worker in it."""

    def __init__(
        self, folder, people=0, modalities=("genotypes",), populations=("CEU",), backend=None
    ):
        self.folder = folder
        self.seeds = {
            name: os.urandom(32) for name in ("marketplace", "compute", "operator", "attester")
        }
        keys = {name: public_key(seed) for name, seed in self.seeds.items()}
        self.auditor_secret, auditor_public = generate_keypair()
        pins = Pins(
            marketplace=(keys["marketplace"],),
            compute=(keys["compute"],),
            operator=(keys["operator"],),
            auditors=(Auditor("auditor", os.urandom(32), auditor_public),),
            attesters=dict.fromkeys(CLAIMS, (keys["attester"],)),
        )
        self.backend = backend or simulated
        self.log, self.trust, self.follow = self.backend(pins)
        self.market = SimMarket()
        self.parser = SimParser()
        self.region = "local"
        self.epoch = new_epoch("local", now_ms() - 1000)
        self.keys = KeyRing(self.seeds["compute"], os.urandom(32), (self.epoch,))
        self.shop = self.worker()
        self.shop.follower.sync()
        announce(self.shop)
        self.people = []
        rng = np.random.default_rng(7)
        for number in range(people):
            population = populations[number % len(populations)]
            self.people.append(self.enrol(rng, number, population, modalities))
        self.researcher = self.party("researcher")
        self.claims(
            self.researcher,
            {"accredited_researcher": True, "non_profit": True, "sector": "academic"},
        )
        self.reviewers = [self.party("reviewer", encrypt=True) for _ in range(2)]
        for reviewer in self.reviewers:
            self.claims(reviewer, {"output_reviewer": True})
        self.result_secret, self.result_public = generate_keypair()

    # -- the worker ------------------------------------------------------------------------------

    def worker(self):
        """A worker on this world's disk: call again for one that restarts."""
        url = f"sqlite:///{self.folder / 'compute.sqlite'}"
        upgrade(url)
        engine = open_engine(url)
        kms = LocalKms(self.keys.kek)
        store = CohortStore(self.folder / "store.sqlite", kms)
        return Workshop(
            follower=self.follow(),
            ledger=self.log,
            market=self.market,
            vault=Vault(self.keys, store, kms),
            store=store,
            variants=SharedVariants(store),
            accountant=Accountant(engine),
            book=OrderBook(engine),
            keys=self.keys,
            parser=self.parser,
            trust=self.trust,
            region=self.region,
            clock=now_ms,
            new_id=new_id,
            wait_for_tick=lambda: None,
        )

    def run(self, kind, order=None):
        return run_job(self.shop, self.market.add(new_id(), kind, order))

    def restart(self, **changes):
        self.shop.store.close()
        self.shop = replace(self.worker(), **changes)
        self.shop.follower.sync()

    def settle_in(self, region):
        """Another region's worker, with keys, databases and store of its own; it is `shop` now."""
        self.region, self.folder = region, self.folder / region
        self.folder.mkdir()
        self.epoch = new_epoch(region, now_ms() - 1000)
        self.keys = KeyRing(self.seeds["compute"], os.urandom(32), (self.epoch,))
        self.shop = self.worker()
        self.shop.follower.sync()
        announce(self.shop)

    # -- people ----------------------------------------------------------------------------------

    def send(self, entry, attachments=None):
        submission = submission_for(entry, os.urandom(32), attachments)
        return self.log.append([submission])[0].index

    def party(self, role, encrypt=False):
        seed, party = os.urandom(32), new_id()
        keys = [{"public_key": b64(public_key(seed)), "kind": "ed25519", "use": "sign"}]
        person = Person(party, seed, b"", "", "", [], 0.0)
        if encrypt:
            person.secret, public = generate_keypair()
            keys.append({"public_key": b64(public), "kind": "x25519", "use": "encrypt"})
        fields = {"id": new_id(), "time": now_ms(), "party": party, "role": role, "keys": keys}
        signers = [sign_ed25519(seed), sign_ed25519(self.seeds["attester"])]
        self.send(make_entry("party.registered", fields, signers))
        return person

    def claims(self, person, claims, expires_at=None):
        role = self.log.state.parties[person.id].role
        fields = {
            "id": new_id(),
            "time": now_ms(),
            "party": person.id,
            "role": role,
            "claims": claims,
            "expires_at": expires_at or now_ms() + YEAR,
        }
        return self.send(sign_entry(self.seeds["attester"], "party.attested", fields))

    def enrol(self, rng, number, population, modalities):
        person = self.party("owner")
        person.secret, _ = generate_keypair()
        person.participant = secrets.token_hex(16)
        person.population = population
        person.dosages = [
            None if rng.random() < 0.02 else int(rng.binomial(2, 0.4)) for _ in POSITIONS
        ]
        person.expression = float(np.round(rng.normal(5, 1), 4))
        self.claims(person, {"person_verified": True, "unaffiliated": True})
        texts = {
            "genotypes": vcf(f"S{number}", person.dosages),
            "expression": features(person.expression),
            "participant": record(person.participant, population),
        }
        for modality in modalities:
            self.register(person, modality, texts[modality])
            self.grant(person, modality)
        return person

    def register(self, person, modality, plaintext):
        from compute.crypt import public_of

        file = encrypt_file(plaintext, public_of(person.secret))
        data = Data(new_id(), modality, plaintext, file, os.urandom(32), os.urandom(32))
        manifest = manifest_of(file)
        build = {"build": "GRCh37", "callability": "all-sites"} if modality == "genotypes" else {}
        fields = {
            "id": new_id(),
            "time": now_ms(),
            "dataset": data.id,
            "owner": person.id,
            "participant": person.participant,
            "modality": modality,
            "signing_key": b64(public_key(data.signing)),
            "ciphertext": {
                "sha256": manifest.sha256,
                "size": manifest.size,
                "header_size": manifest.header_size,
            },
            "format": build,
            "region": "local",
            "controller": None,
            "custodian": None,
        }
        self.send(sign_entry(person.seed, "dataset.registered", fields))
        self.market.files[data.id] = file
        person.data[modality] = data
        return data

    def terms(self, **more):
        settings = {"valid_from": now_ms() - 60_000, "price": 5, "release_mode": "trusted"}
        return preset("everything_at_a_price", **{**settings, **more}).to_dict()

    def grant(self, person, modality, *, terms=None, sealed_terms=None, seal=True):
        data = person.data[modality]
        terms = terms or self.terms()
        data.grant = new_id()
        info = grant_info(person.id, data.id, data.grant, sealed_terms or terms)
        header = reencrypt_header(
            data.file[: manifest_of(data.file).header_size],
            person.secret,
            self.epoch.crypt4gh_public,
        )
        sealed = seal_grant(header, data.activity, self.epoch.hpke_public, info)
        fields = {
            "id": new_id(),
            "time": now_ms(),
            "grant": data.grant,
            "owner": person.id,
            "dataset": data.id,
            "offer": None,
            "terms": terms,
            "terms_sha256": terms_sha256(terms),
            "facets": {"population": person.population},
            "recipient": {"key_id": self.epoch.key_id, "region": self.region},
            "sealed_grant_sha256": sha256(sealed),
            "activity_commitment": activity_commitment(data.activity),
            "order": None,
        }
        entry = sign_entry(data.signing, "consent.granted", fields)
        data.grant_index = self.send(entry, {"sealed_grant": sealed})
        if not seal:
            self.log.sealed.pop(data.grant_index)
        return data.grant_index

    def stop_entry(self, person, modality="genotypes", type_="consent.withdrawn", seed=None):
        data = person.data[modality]
        fields = {
            "id": new_id(),
            "time": now_ms(),
            "grant": data.grant,
            "dataset": data.id,
            "owner": person.id,
            "stops": [data.grant_index],
        }
        return sign_entry(seed or data.signing, type_, fields)

    def withdraw(self, person, modality="genotypes", type_="consent.withdrawn"):
        return self.send(self.stop_entry(person, modality, type_))

    # -- orders ----------------------------------------------------------------------------------

    def order(self, *, query=None, modalities=("genotypes",), paid=1000, price=1000, **more):
        query = parse_query(query or counts_query())
        order = new_id()
        party = self.log.state.parties[self.researcher.id]
        facets = more.pop("facets", {})
        fields = {
            "id": new_id(),
            "time": now_ms(),
            "order": order,
            "researcher": self.researcher.id,
            "purpose": {"primary": "GRU", "commercial": False},
            "query": query_value(query),
            "query_digest": query_digest(query),
            "code_digest": code_digest(query),
            "scope": {
                "modalities": list(modalities),
                "build": None,
                "facets": facets,
                "region": self.region,
            },
            "release": {"mode": "trusted", "rho": "0"},
            "price": {"amount": price, "currency": "gbp"},
            "quote": new_id(),
            "quote_sha256": sha256(b"quote"),
            "undertaking": "no-reidentification/1",
            "result_key": b64(self.result_public),
            "attestations": [one.index for one in party.attestations],
            **more,
        }
        self.send(sign_entry(self.researcher.seed, "order.placed", fields))
        if paid:
            self.pay(order, paid)
        return order

    def pay(self, order, amount, type_="payment.received", currency="gbp"):
        fields = {
            "id": new_id(),
            "time": now_ms(),
            "order": order,
            "amount": amount,
            "currency": currency,
            "provider": "stripe-test",
            "reference_commitment": secrets.token_hex(32),
        }
        return self.send(sign_entry(self.seeds["marketplace"], type_, fields))

    def cancel(self, order):
        fields = {"id": new_id(), "time": now_ms(), "order": order, "reason": "asked"}
        return self.send(sign_entry(self.seeds["marketplace"], "order.cancelled", fields))

    def review(self, order, reviewer, decision="approve", commitment=None):
        held = self.shop.book.find(order)
        fields = {
            "id": new_id(),
            "time": now_ms(),
            "order": order,
            "draft_commitment": commitment or held.commitment,
            "decision": decision,
            "reviewer": reviewer.id,
        }
        return self.send(sign_entry(reviewer.seed, "review.decided", fields))

    def approve(self, order):
        for reviewer in self.reviewers:
            self.review(order, reviewer)

    def complete(self, order):
        """Run an order to its end: query, two approvals, release."""
        first = self.run("query", order)
        if first is None or first.state != "awaiting_review":
            return first
        self.approve(order)
        return self.run("release", order)

    def result(self, order):
        return json.loads(decrypt_file(self.market.objects[order, "result"], self.result_secret))

    def access_of(self, order):
        name = self.log.state.orders[order].accesses[-1]
        return self.log.state.accesses[name]

    def members(self, order):
        """Who an order's newest access names, read as an owner would: by its own activity key."""
        from ledger import access_tag

        access = self.access_of(order)
        tree = set(self.log.trees[access.payload["cohort_root"]])
        return [
            person
            for person in self.people
            if any(access_tag(data.activity, access.id) in tree for data in person.data.values())
        ]


def counts_query(by=None):
    params = {"variants": {"panel": "all"}}
    if by:
        params["by"] = by
    return {"v": 1, "family": "genotype_counts", "build": "GRCh37", "params": params}


def expected_counts(people):
    """AC and AN by position, straight from what the people hold."""
    found = {}
    for at, position in enumerate(POSITIONS):
        calls = [person.dosages[at] for person in people if person.dosages[at] is not None]
        found[position] = (sum(calls), 2 * len(calls))
    return found


def answered_counts(result):
    columns = result["answer"]["columns"]
    return {
        pos: (ac, an)
        for pos, ac, an in zip(columns["pos"], columns["ac"], columns["an"], strict=True)
    }


__all__ = ["World", "answered_counts", "counts_query", "expected_counts", "fingerprint"]


def reason_of(world, order):
    """Why an order was refused or its answer withheld, as the ledger says it."""
    done = world.log.state.orders[order]
    return [one.payload["reason"] for one in (*done.refusals, *done.withheld)]
