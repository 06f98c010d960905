"""A whole small market in one process, with a simulated ledger and the development Stripe server.

The ledger simulator admits entries by the real fold (`ledger.State`), so an entry the real log
would refuse is refused here; payments go through the real SDK (`stripe_world`). Both can be told
to fail before or after they act, as a network cut would.
"""

import hashlib
import io
import os
import threading
from dataclasses import dataclass, field, replace

from compute import preset, terms_sha256
from ledger import (
    Appended,
    Pins,
    Record,
    State,
    Submission,
    TrustPolicy,
    UnavailableError,
    activity_commitment,
    b64,
    entry_bytes,
    fingerprint,
    format_leaf,
    make_entry,
    make_leaf,
    public_key,
    sign_ed25519,
    tree_root_of,
    verify_signatures,
)
from ledger.cosignature import Ed25519Cosigner
from ledger.note import Ed25519Signer, format_vkey
from ledger.trust import CLAIMS, Auditor
from marketplace import webhooks
from marketplace.app import create_app
from marketplace.background import Background
from marketplace.config import Limits, MarketConfig, StripeConfig
from marketplace.entries import EntrySigner
from marketplace.objects import ObjectStore
from marketplace.services import Services
from marketplace.store import Database
from marketplace.view import LedgerView
from tests.marketplace.stripe_world import DevPayments

ORIGIN = "http://localhost:8080"
START = 1_800_000_000_000
YEAR = 365 * 86_400_000
WORKER_TOKEN = "worker-token"
QUERY = {
    "v": 1,
    "family": "genotype_counts",
    "build": "GRCh37",
    "params": {"variants": {"panel": "all"}},
}
PURPOSE = {"primary": "GRU", "commercial": False, "project": "a study", "sponsor": "a university"}
SCOPE = {"modalities": ["genotypes"], "build": "GRCh37", "facets": {}, "region": "local"}
RELEASE = {"mode": "trusted", "rho": "0"}
ASK = {"purpose": PURPOSE, "query": QUERY, "scope": SCOPE, "release": RELEASE}


def new_id():
    return os.urandom(16).hex()


def digest(data):
    return hashlib.sha256(data).hexdigest()


class Clock:
    """A clock that moves only when told; Unix ms."""

    def __init__(self):
        self.now = START

    def __call__(self):
        return self.now

    def forward(self, ms):
        self.now += ms


class SimLedger:
    """The log in memory: admits by the real fold, all or none, a repeat answers its first place."""

    def __init__(self, pins, clock):
        self.state, self.records, self.clock = State(pins), [], clock
        self.known, self.lock = {}, threading.Lock()
        self.fail_before = self.fail_after = 0
        self.refuse_type = None

    def append(self, submissions, wait=False):
        with self.lock:
            if self.fail_before > 0:
                self.fail_before -= 1
                raise UnavailableError("the cable is cut before")
            places = self._take(submissions)
            if self.fail_after > 0:
                self.fail_after -= 1
                raise UnavailableError("the cable is cut after")
            return places

    def entries(self, start, end):
        return [format_leaf(record.leaf) for record in self.records[start:end]]

    def accept(self, submission):
        """Take one entry of somebody whose cable is never cut; return its index."""
        with self.lock:
            return self._take([submission])[0].index

    def _take(self, submissions):
        mark, records = self.state.savepoint(), []
        try:
            places = [self._one(one, records) for one in submissions]
        except BaseException:
            self.state.rollback(mark)
            raise
        self.state.release(mark)
        for record in records:
            self.known[entry_bytes(record.entry)] = record.index
        self.records += records
        return places

    def _one(self, submission, records):
        entry = submission.entry
        if (index := self.known.get(entry_bytes(entry))) is not None:
            return Appended(index, format_leaf(self.records[index].leaf), 0)
        verify_signatures(entry, None)
        leaf = make_leaf(entry, submission.salt, self.clock())
        index = self.state.size
        self.state.admit(entry, leaf)
        records.append(Record(index, leaf, entry, submission.salt))
        return Appended(index, format_leaf(leaf), leaf.time)

    def types(self, order=None):
        """Return the entry types in order, of one order if given."""
        return [
            record.leaf.type
            for record in self.records
            if order is None or record.entry.payload.get("order") == order
        ]


class SimFollower:
    """Folds what the simulated ledger holds."""

    def __init__(self, ledger, pins):
        self.ledger, self.state = ledger, State(pins)
        self.silent = False

    def sync(self):
        if self.silent:
            raise UnavailableError("the ledger does not answer")
        for record in self.ledger.records[self.state.size :]:
            self.state.apply(record)


class SimSender:
    """Where job ids go."""

    def __init__(self):
        self.sent, self.regions = [], {}

    def send(self, job_id, region="local"):
        self.sent.append(job_id)
        self.regions[job_id] = region


@dataclass
class Party:
    """Somebody with keys."""

    id: str = field(default_factory=new_id)
    seed: bytes = field(default_factory=lambda: os.urandom(32))
    token: str = ""

    @property
    def key(self):
        return public_key(self.seed)

    @property
    def auth(self):
        return {"Authorization": f"Bearer {self.token}"}


@dataclass
class Owner(Party):
    dataset: str = field(default_factory=new_id)
    dataset_seed: bytes = field(default_factory=lambda: os.urandom(32))
    grant: str = field(default_factory=new_id)
    grant_index: int = -1
    activity_key: bytes = field(default_factory=lambda: os.urandom(32))
    file: bytes = field(default_factory=lambda: os.urandom(1000))


class World:
    """Everything at once; see the helper methods."""

    def __init__(self, path, *, url=None, limits=None, stripe=None, **config_changes):
        self.clock = Clock()
        self.operators = [Party(), Party(), Party()]
        self.signed_in = []
        self.market, self.compute, self.attester = (os.urandom(32) for _ in range(3))
        self.auditor = Party()
        self.trust = _trust(self)
        self.ledger = SimLedger(self.trust.pins, self.clock)
        self.follower = SimFollower(self.ledger, self.trust.pins)
        self.payments = DevPayments(path / "stripe", lambda: self.clock() / 1000, **(stripe or {}))
        self.sender = SimSender()
        config = _config(path, url or f"sqlite:///{path / 'market.sqlite'}", limits or Limits())
        config = replace(config, **config_changes)
        db = Database(config.database_url)
        db.migrate()
        self.services = Services(
            config=config, db=db, objects=ObjectStore.open(str(path / "objects")),
            ledger=self.ledger, view=LedgerView(self.follower, self.clock),
            payments=self.payments, signer=EntrySigner(self.market), sender=self.sender,
            trust=self.trust, worker_token=WORKER_TOKEN, clock=self.clock,
            challenge_key=os.urandom(32),
        )  # fmt: skip
        self.background = Background(self.services)
        self.app = create_app(self.services)
        self.http = self.app.test_client()
        self.worker_auth = {"Authorization": f"Bearer {WORKER_TOKEN}"}
        self.submit(self.compute, "compute.key_published", _compute_key())

    def close(self):
        self.services.db.close()
        self.payments.close()

    # -- the ledger's clients ----------------------------------------------------------------

    def submit(self, seeds, type_, fields, **more):
        """Sign and append one entry; return its index."""
        seeds = [seeds] if isinstance(seeds, bytes) else seeds
        value = {"id": new_id(), "time": self.clock(), **fields}
        entry = make_entry(type_, value, [sign_ed25519(seed) for seed in seeds])
        return self.ledger.accept(Submission(entry, **more))

    def register(self, party, role):
        key = {"public_key": b64(party.key), "kind": "ed25519", "use": "sign"}
        salt = {"salt": os.urandom(32)} if role == "owner" else {}
        fields = {"party": party.id, "role": role, "keys": [key]}
        self.submit([party.seed, self.attester], "party.registered", fields, **salt)
        return party

    def attest(self, party, role, **claims):
        salt = {"salt": os.urandom(32)} if role == "owner" else {}
        fields = {"party": party.id, "role": role, "claims": claims}
        fields["expires_at"] = self.clock() + YEAR
        return self.submit(self.attester, "party.attested", fields, **salt)

    def owner(self, population="CEU", price=200, upload=True, **more):
        """Register an owner with one dataset and a standing consent."""
        owner = self.register(Owner(), "owner")
        self.sign_in(owner)
        if upload:
            self.upload(owner)
        self.register_dataset(
            owner, custodian=more.pop("custodian", None), build=more.pop("build", "GRCh37")
        )
        if upload:
            answer = self.http.post(
                "/api/v1/datasets", json={"dataset": owner.dataset}, headers=owner.auth
            )
            assert answer.status_code == 200, answer.json
        self.grant(owner, population, price, **more)
        return owner

    def dataset_of_the_same_person(self, owner, build="GRCh37"):
        """Give an owner a second dataset, of the participant the first is of, with a consent."""
        person = self.ledger.state.datasets[owner.dataset].participant
        owner.dataset = new_id()
        self.register_dataset(owner, participant=person, build=build)
        self.grant(owner)

    def register_dataset(self, owner, data=None, participant=None, custodian=None, build="GRCh37"):
        data = owner.file if data is None else data
        self.submit(
            owner.seed,
            "dataset.registered",
            {
                "dataset": owner.dataset, "owner": owner.id,
                "participant": participant or new_id(),
                "modality": "genotypes", "signing_key": b64(public_key(owner.dataset_seed)),
                "ciphertext": {"sha256": digest(data), "size": len(data), "header_size": 124},
                "format": {"build": build}, "region": "local", "controller": None,
                "custodian": custodian,
            },
            salt=os.urandom(32),
        )  # fmt: skip

    def grant(self, owner, population="CEU", price=200, currency="gbp", mode="trusted"):
        terms = preset(
            "everything_at_a_price", valid_from=0, price=price, release_mode=mode,
            currency=currency,
        ).to_dict()  # fmt: skip
        owner.grant = new_id()
        sealed = os.urandom(64)
        owner.grant_index = self.submit(
            owner.dataset_seed,
            "consent.granted",
            {
                "grant": owner.grant, "owner": owner.id, "dataset": owner.dataset, "offer": None,
                "terms": terms, "terms_sha256": terms_sha256(terms),
                "facets": {"population": population},
                "recipient": {"key_id": "epoch-1", "region": "local"},
                "sealed_grant_sha256": digest(sealed), "order": None,
                "activity_commitment": activity_commitment(owner.activity_key),
            },
            salt=os.urandom(32), attachments={"sealed_grant": sealed},
        )  # fmt: skip

    def stop(self, owner, type_="consent.withdrawn", seed=None, **changes):
        """Return a signed stop of an owner that nobody has sent yet."""
        state = self.ledger.state
        fields = {
            "consent.withdrawn": {"grant": owner.grant, "stops": [owner.grant_index]},
            "consent.paused": {"grant": owner.grant, "stops": [owner.grant_index]},
            "objection.raised": {"stops": state.stops_of_owner(owner.id)},
            "dataset.erased": {
                "stops": state.stops_of_dataset(owner.dataset),
                "erases": state.erases_of_dataset(owner.dataset),
            },
            "dataset.replaced": {"stops": state.stops_of_dataset(owner.dataset), "erases": []},
        }[type_]
        about = {} if type_ == "objection.raised" else {"dataset": owner.dataset}
        value = {"id": new_id(), "time": self.clock(), "owner": owner.id, **about, **fields}
        entry = make_entry(type_, {**value, **changes}, [sign_ed25519(seed or owner.seed)])
        return Submission(entry, os.urandom(32))

    def fold_afresh(self):
        """Follow the ledger from its beginning, as a restarted server does: erased is gone."""
        erased = {i for r in self.ledger.records for i in r.leaf.erases}
        fresh = SimFollower(self.ledger, self.trust.pins)
        for record in self.ledger.records:
            gone = record.index in erased
            fresh.state.apply(Record(record.index, record.leaf) if gone else record)
        self.follower = fresh
        self.services = replace(self.services, view=LedgerView(fresh, self.clock))
        self.background = Background(self.services)

    def withdraw(self, owner):
        fields = {"grant": owner.grant, "dataset": owner.dataset, "owner": owner.id}
        self.submit(
            owner.dataset_seed, "consent.withdrawn", {**fields, "stops": [owner.grant_index]},
            salt=os.urandom(32),
        )  # fmt: skip

    def researcher(self):
        party = self.register(Party(), "researcher")
        self.attest(party, "researcher", non_profit=True, accredited_researcher=True,
                    sector="academic", country="GB", organisation="a university")  # fmt: skip
        return self.sign_in(party)

    def reviewer(self):
        party = self.register(Party(), "reviewer")
        self.attest(party, "reviewer", output_reviewer=True)
        return self.sign_in(party)

    def operate(self, number, action, details):
        """Let an operator state something on the ledger."""
        fields = {"action": action, "details": details}
        index = self.submit(self.operators[number].seed, "operator.acted", fields)
        self.services.view.refresh()
        return index

    # -- the market's clients ----------------------------------------------------------------

    def sign_in(self, party):
        challenge = self.http.post("/api/v1/session/challenge", json={"party": party.id})
        text = challenge.json["challenge"]
        message = b"omic/session/v1\n" + text.encode() + b"\n" + ORIGIN.encode()
        body = {
            "party": party.id, "challenge": text, "public_key": b64(party.key),
            "signature": b64(sign_ed25519(party.seed)(message).parts[0]),
        }  # fmt: skip
        answer = self.http.post("/api/v1/session", json=body)
        assert answer.status_code == 200, answer.json
        party.token = answer.json["token"]
        if party not in self.signed_in:
            self.signed_in.append(party)
        return party

    def upload(self, owner, data=None, sha256=None):
        data = owner.file if data is None else data
        headers = {**owner.auth, "X-Content-SHA256": sha256 or digest(data)}
        return self.http.put(f"/api/v1/uploads/{owner.dataset}", data=data, headers=headers)

    def quote(self, researcher, **changes):
        answer = self.http.post("/api/v1/quotes", json={**ASK, **changes}, headers=researcher.auth)
        assert answer.status_code == 200, answer.json
        return answer.json

    def sign_order(self, researcher, quote, **changes):
        """Put order.placed on the ledger; return order id and index."""
        order = new_id()
        fields = {
            "order": order, "researcher": researcher.id, "result_key": b64(os.urandom(32)),
            "attestations": [], **quote["order_fields"], **changes,
        }  # fmt: skip
        return order, self.submit(researcher.seed, "order.placed", fields)

    def place(self, researcher, **changes):
        """Quote, sign and open an order; return its id."""
        quote = self.quote(researcher, **changes)
        order, index = self.sign_order(researcher, quote)
        body = {"quote": quote["quote"], "index": index}
        answer = self.http.post("/api/v1/orders", json=body, headers=researcher.auth)
        assert answer.status_code == 200, answer.json
        return order

    def checkout(self, researcher, order):
        answer = self.http.post(f"/api/v1/orders/{order}/checkout", headers=researcher.auth)
        assert answer.status_code == 200, answer.json
        return answer.json["session_id"]

    def webhook(self, event):
        raw, signature = event
        return self.http.post("/stripe/webhook", data=raw, headers={"Stripe-Signature": signature})

    def pay(self, researcher, order):
        assert self.webhook(self.payments.pay(self.checkout(researcher, order))).status_code == 200
        self.turn()

    def told(self, event):
        """Send an event to the webhook and let the background act on it, and on nothing else."""
        answer = self.webhook(event)
        webhooks.work(self.services)
        return answer

    def deliver_events(self):
        """Send every event the payment provider has to the webhook; return the answers' codes."""
        return [self.webhook(event).status_code for event in self.payments.events()]

    def turn(self, times=3):
        """Follow the ledger and do a round of background work, a few times."""
        for _ in range(times):
            self.services.view.refresh()
            self.background.run_once()

    def state(self, researcher, order):
        answer = self.http.get(f"/api/v1/orders/{order}", headers=researcher.auth)
        return answer.json["state"]

    # -- the worker --------------------------------------------------------------------------

    def job(self, kind="query"):
        """Return the newest sent job of a kind, leased: (job id, fencing number)."""
        for job_id in reversed(self.sender.sent):
            answer = self.http.post(
                f"/worker/v1/jobs/{job_id}/lease", json={"worker": "w1"}, headers=self.worker_auth
            )
            if answer.status_code == 200 and answer.json["kind"] == kind:
                return job_id, answer.json["lease"]
        raise AssertionError(f"no {kind} job was sent")

    def outcome(self, job, **outcome):
        return self.http.post(
            f"/worker/v1/jobs/{job[0]}/outcome",
            json={"lease": job[1], "outcome": outcome},
            headers=self.worker_auth,
        )

    def deliver(self, job, name, data=b"encrypted"):
        return self.http.put(
            f"/worker/v1/jobs/{job[0]}/objects/{name}?lease={job[1]}",
            data=data,
            headers={**self.worker_auth, "X-Content-SHA256": digest(data)},
        )

    def record_access(self, order, owners, attempt=1):
        access = new_id()
        tags = sorted(os.urandom(32) for _ in owners)
        placed = self.ledger.state.orders[order].payload
        fields = {
            "access": access, "order": order, "purpose": "GRU",
            "query_digest": placed["query_digest"], "code_digest": placed["code_digest"],
            "judged_size": self.ledger.state.size, "judged_root": "0" * 64,
            "cohort_size": len(tags), "opened": len(tags), "cohort_root": tree_root_of(tags).hex(), "excluded": {},
            "release": placed["release"], "region": "local", "attempt": attempt,
        }  # fmt: skip
        attachment = {"access_tree": b"".join(tags)}
        self.submit(self.compute, "access.recorded", fields, attachments=attachment)
        return access

    def publish(self, order, access):
        fields = {
            "order": order, "access": access, "commitment": "1" * 64,
            "ciphertext_sha256": digest(b"encrypted"), "ciphertext_size": 9,
        }  # fmt: skip
        self.submit(self.compute, "result.published", fields)

    def review(self, reviewer, order, commitment, decision="approve"):
        fields = {
            "order": order, "draft_commitment": commitment, "decision": decision,
            "reviewer": reviewer.id,
        }  # fmt: skip
        self.submit(reviewer.seed, "review.decided", fields)

    def answered_by_fewer(self):
        """Answer a paid order from 4 of the 24 people it was quoted for: a part is to go back."""
        owners = [self.owner(upload=False) for _ in range(24)]
        researcher = self.researcher()
        order = self.place(researcher)
        self.pay(researcher, order)
        for owner in owners[4:]:
            self.withdraw(owner)
        self.turn()
        self.answer(order, owners[:4])
        return researcher, order

    def answer(self, order, owners):
        """Do a worker's whole query job in private style: access, result, delivery, outcome."""
        job = self.job()
        access = self.record_access(order, owners)
        self.publish(order, access)
        for name in ("result", "bundle", "auditor_bundle"):
            assert self.deliver(job, name).status_code == 200
        scope = [owner.grant for owner in owners]
        answer = self.outcome(
            job, state="released", access=access, scope=scope, result_sha256=digest(b"encrypted")
        )
        assert answer.status_code == 200, answer.json
        return access


def _trust(world):
    log = Ed25519Signer("log.test", os.urandom(32))
    witness = Ed25519Cosigner("w0.test", os.urandom(32))
    policy = [
        f"log {format_vkey(log.vkey)}",
        f"witness w0 {format_vkey(witness.vkey)}",
        "quorum w0",
    ]
    pins = Pins(
        marketplace=(public_key(world.market),),
        compute=(public_key(world.compute),),
        treasurer=tuple(one.key for one in world.operators),
        auditors=(Auditor("an auditor", world.auditor.key, os.urandom(32)),),
        attesters=dict.fromkeys(CLAIMS, (public_key(world.attester),)),
    )
    world.auditor.id = fingerprint(world.auditor.key)
    for operator in world.operators:
        operator.id = fingerprint(operator.key)
    return TrustPolicy("log.test", "http://ledger.test", ORIGIN, "\n".join([*policy, ""]), pins)


def _config(path, url, limits):
    return MarketConfig(
        directory=path, port=8080, public_url=ORIGIN, database_url=url,
        object_store_url=str(path / "objects"), broker_url="memory://", ledger_url="",
        trust_file=path / "t", ledger_token_file=path / "l", worker_token_file=path / "w",
        stripe=StripeConfig("http://stripe.test", path / "k", path / "s"), limits=limits,
        rate_limit="100000 per minute",
    )  # fmt: skip


def _compute_key():
    return {
        "key_id": "epoch-1", "region": "local", "crypt4gh_public": b64(os.urandom(32)),
        "hpke_public": b64(os.urandom(64)), "not_before": 0, "not_after": 2**50,
    }  # fmt: skip


def stream(data):
    return io.BytesIO(data)
