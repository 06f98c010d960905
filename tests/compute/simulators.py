"""In-process simulators of the worker's ports: a ledger log, a follower of it, a marketplace.

The log admits entries with the real rules (`ledger.State`), commits to them with the real leaf
format and cosigns real notes; what it leaves out is HTTP, storage and witness processes.
"""

import hashlib
import os
import time
from dataclasses import dataclass, field

from compute.ingest import parse
from compute.jobs_client import MissingFileError
from compute.messages import JobMessage
from compute.worker_outcomes import LeaseLostError
from compute.worker_ports import Beat
from ledger import (
    Appended,
    NotFoundError,
    Record,
    RefusedError,
    State,
    UnavailableError,
    check_attachments,
    format_leaf,
    leaf_hash,
    make_leaf,
    parse_access_tree,
    tree_root,
    validate_payload,
    verify_signatures,
)
from ledger import Checkpoint as LogCheckpoint
from ledger.checkpoint import format_checkpoint
from ledger.cosignature import Ed25519Cosigner
from ledger.note import Ed25519Signer, Note, format_note, format_vkey, sign_note


def now_ms():
    return time.time_ns() // 1_000_000


class Death(BaseException):
    """A kill: nothing above may catch it, as nothing catches SIGKILL."""


@dataclass(frozen=True)
class Checkpoint:
    size: int
    root: bytes
    quorum_time: int
    note: str


class Cosigners:
    """The log's key and three witnesses', signing in this process."""

    def __init__(self, origin):
        self.origin = origin
        self.signer = Ed25519Signer(origin, os.urandom(32))
        self.witnesses = [Ed25519Cosigner(f"w{i}.sim", os.urandom(32)) for i in range(3)]

    def policy(self):
        lines = [f"log {format_vkey(self.signer.vkey)}"]
        lines += [f"witness w{i} {format_vkey(w.vkey)}" for i, w in enumerate(self.witnesses)]
        return "\n".join([*lines, "group g 2 w0 w1 w2", "quorum g", ""])

    def note(self, size, root, time_ms):
        text = format_checkpoint(LogCheckpoint(self.origin, size, root))
        note = sign_note(text, [self.signer])
        cosigned = [one.cosign(note.text, time_ms // 1000) for one in self.witnesses]
        return format_note(Note(note.text, (*note.signatures, *cosigned))).decode()


class SimLog:
    """Implements LedgerPort; `fail` makes every call raise, `on_append` sees each submission."""

    def __init__(self, pins, cosigners):
        self.pins = pins
        self.cosigners = cosigners
        self.state = State(pins)
        self.records = []
        self.leaves = []
        self.sealed = {}
        self.trees = {}
        self.known = {}
        self.down = False
        self.on_append = None
        self.types = []

    def append(self, submissions, wait=False):
        if self.down:
            raise UnavailableError("down")
        return [self._one(item) for item in submissions]

    def _one(self, submission):
        entry = submission.entry
        if self.on_append is not None:
            self.on_append(entry)
        name = (entry.payload_bytes, entry.signatures)
        if name in self.known:
            return self.known[name]
        validate_payload(entry)
        verify_signatures(entry, None)
        check_attachments(entry, submission.attachments)
        leaf = make_leaf(entry, submission.salt, max(now_ms(), self.state.time))
        self.state.admit(entry, leaf)
        index = len(self.records)
        self.records.append(Record(index, leaf, entry, submission.salt))
        self.leaves.append(format_leaf(leaf))
        self.types.append(entry.type)
        self._keep(index, submission, leaf)
        self.known[name] = Appended(index, self.leaves[-1], leaf.time)
        return self.known[name]

    def _keep(self, index, submission, leaf):
        if "sealed_grant" in submission.attachments:
            self.sealed[index] = submission.attachments["sealed_grant"]
        if "access_tree" in submission.attachments:
            root = submission.entry.payload["cohort_root"]
            self.trees[root] = parse_access_tree(submission.attachments["access_tree"])
        if submission.entry.type != "consent.paused":
            for stopped in leaf.stops:
                self.sealed.pop(stopped, None)

    def grants(self, indexes):
        if self.down:
            raise UnavailableError("down")
        return {index: self.sealed[index] for index in indexes if index in self.sealed}

    def access_tree(self, root):
        if root.hex() not in self.trees:
            raise NotFoundError("no such tree")
        return self.trees[root.hex()]

    def receipt(self, index):
        return f"simulated receipt of {index}"


class SimFollower:
    """Implements FollowerPort over a SimLog; `ahead_ms` moves the checkpoint's time."""

    ahead_ms = 0

    def __init__(self, log):
        self.log = log
        self.state = State(log.pins)
        self.checkpoint = None
        self.syncs = 0
        self.on_sync = None

    def sync(self):
        if self.log.down:
            raise UnavailableError("down")
        self.syncs += 1
        if self.on_sync is not None:
            self.on_sync(self.syncs)
        for record in self.log.records[self.state.size :]:
            self.state.apply(record)
        root = tree_root(leaf_hash(leaf) for leaf in self.log.leaves)
        now = now_ms() + self.ahead_ms
        note = self.log.cosigners.note(self.state.size, root, now)
        self.checkpoint = Checkpoint(self.state.size, root, now, note)
        return self.checkpoint

    def wait_for(self, index, deadline):
        checkpoint = self.sync()
        assert checkpoint.size > index
        return checkpoint

    def records(self, start, end):
        return iter(self.log.records[start:end])


class SimParser:
    """Parses in this process: the confined child has tests of its own."""

    def __init__(self):
        self.parsed = 0

    def parse(self, plaintext, modality, name, *, callability=None):
        self.parsed += 1
        return parse(bytes(plaintext), modality, name, callability=callability)


@dataclass
class SimMarket:
    """Implements MarketPort over dictionaries."""

    files: dict = field(default_factory=dict)
    jobs: dict = field(default_factory=dict)
    objects: dict = field(default_factory=dict)
    outcomes: list = field(default_factory=list)
    stops: list = field(default_factory=list)
    told: list = field(default_factory=list)
    cancelled: bool = False
    leases: int = 0
    current: dict = field(default_factory=dict)
    on_put: object = None

    def add(self, job_id, kind, order=None):
        self.jobs[job_id] = (kind, order)
        return job_id

    def lease(self, job_id):
        if job_id not in self.jobs:
            return None
        kind, order = self.jobs[job_id]
        self.leases += 1
        self.current[job_id] = self.leases
        return JobMessage(
            job_id=job_id,
            kind=kind,
            order=order,
            attempt=1,
            lease=self.leases,
            lease_ms=60_000,
        )

    def heartbeat(self, job, progress):
        self._fence(job)
        self.told.append(progress)
        stops, self.stops = tuple(self.stops), []
        return Beat(stops, self.cancelled)

    def dataset_file(self, dataset):
        if dataset not in self.files:
            raise MissingFileError("gone")
        return self.files[dataset]

    def put_object(self, job, name, data):
        self._fence(job)
        if self.on_put is not None:
            self.on_put(name)
        self.objects[job.order, name] = data

    def outcome(self, job, outcome):
        self._fence(job)
        self.outcomes.append(outcome)
        self.jobs.pop(job.job_id, None)

    def _fence(self, job):
        if self.current.get(job.job_id) != job.lease:
            raise LeaseLostError("lost")


def sha256(data):
    return hashlib.sha256(data).hexdigest()


__all__ = ["Death", "RefusedError", "SimFollower", "SimLog", "SimMarket", "SimParser"]
