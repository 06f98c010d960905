"""A world with very many people: put straight into fold and store, for questions of size.

Nobody here registered or was ingested; what is real is what is under test: the fold's rules for
what comes after, the store's keys (each person an own one), the vault, the planner and the worker.
People share a few genotype patterns, so that the sum over any set of them is known exactly.
"""

import hashlib
import os
from dataclasses import dataclass

import numpy as np

from compute.copies import encode_genotypes
from compute.gcm import KEY_BYTES
from compute.heads import CopyHead, copy_context, fresh_head, seal_messages
from compute.ingest import parse
from compute.terms import terms_sha256
from compute.variants import SharedVariants
from ledger import Dataset, Grant, Record, b64, fingerprint, public_key, sign_entry
from ledger.fold_model import Attestation, Key, Party, split_terms
from tests.compute.simulators import Checkpoint, SimFollower, now_ms
from tests.compute.worker_world import POSITIONS, YEAR, World, new_id, simulated, vcf

PATTERNS, BODIES, GROUPS, BATCH = 64, 5, 3, 1_000


class CountingKms:
    """The world's KMS, telling `turned(number of the person)` of every data key it unwraps."""

    def __init__(self, inner, turned):
        self.inner, self.turned, self.people = inner, turned, {}

    def wrap(self, key, context):
        return self.inner.wrap(key, context)

    def unwrap(self, wrapped, context):
        key = self.inner.unwrap(wrapped, context)
        number = self.people.get(context)
        if number is not None:
            self.turned(number)
        return key

    def unwrap_each(self, wrapped, contexts):
        return [self.unwrap(*pair) for pair in zip(wrapped, contexts, strict=True)]


class SizedFollower(SimFollower):
    """Follows a log whose first leaves stand for people put there directly: no tree over them."""

    def sync(self):
        self.syncs += 1
        if self.on_sync is not None:
            self.on_sync(self.syncs)
        for record in self.log.records[self.state.size :]:
            self.state.apply(record)
        root = hashlib.sha256(b"%d" % self.state.size).digest()
        now = now_ms() + self.ahead_ms
        note = self.log.cosigners.note(self.state.size, root, now)
        self.checkpoint = Checkpoint(self.state.size, root, now, note)
        return self.checkpoint


def _sized(pins):
    log, trust, _ = simulated(pins)
    return log, trust, lambda: SizedFollower(log)


@dataclass(frozen=True, slots=True)
class Stored:
    """One person who was put there: what an owner needs to sign an opt-out."""

    owner: str
    seed: bytes
    grant: str


class StoredWorld(World):
    """`count` people in force at once, of GROUPS populations; about `leavers` of them can sign."""

    def __init__(self, folder, count, leavers):
        super().__init__(folder, backend=_sized)
        self.count, step = count, max(1, count // leavers)
        step -= step % GROUPS == 0  # so that every population has its leavers
        self.kms = CountingKms(self.shop.vault._kms, lambda number: None)
        self.shop.vault._kms = self.kms
        self.dosages = self._patterns()
        names = [f"{number:032x}" for number in range(3 * count)]
        self.ids = names[:count], names[count : 2 * count], names[2 * count :]
        self.stored = {n: self._stored(n) for n in range(0, count, step)}
        self._fill_store()
        self.shop.follower.sync()  # both folds stand at one size
        self._fill_fold(self.log.state)
        self._fill_fold(self.shop.follower.state)
        filler = self.log.records[-1].leaf
        first = len(self.log.records)
        self.log.records += [Record(first + n, filler) for n in range(count)]

    def _patterns(self):
        rng = np.random.default_rng(11)
        return [[int(rng.binomial(2, 0.4)) for _ in POSITIONS] for _ in range(PATTERNS)]

    def _stored(self, number):
        owners, _, grants = self.ids
        return Stored(owners[number], os.urandom(32), grants[number])

    def _fill_store(self):
        table = SharedVariants(self.shop.store)
        parsed = [parse(vcf("S", one), "genotypes", "S.vcf") for one in self.dosages]
        versions, messages = zip(*(encode_genotypes(table, one) for one in parsed), strict=True)
        for start in range(0, self.count, BATCH):
            last = min(start + BATCH, self.count)
            self.shop.store.put_all(
                [self._copy(n, versions[-1], messages[n % PATTERNS]) for n in range(start, last)]
            )
        self.shop.variants.refresh()

    def _copy(self, number, version, messages):
        _, datasets, grants = self.ids
        dataset, grant = datasets[number], grants[number]
        context, key = copy_context(dataset, grant), os.urandom(KEY_BYTES)
        bare = fresh_head(dataset, grant, "genotypes", version)
        head = CopyHead(
            dataset, grant, "genotypes", bare.layout, version,
            self.kms.wrap(key, b"data" + context),
            self.kms.wrap(self.activity_of(number), b"activity" + context),
        )  # fmt: skip
        self.kms.people[b"data" + context] = number
        return head, seal_messages(head, key, messages)

    def activity_of(self, number):
        return hashlib.sha256(b"activity %d" % number).digest()

    def _fill_fold(self, state):
        owners, datasets, grants = self.ids
        bodies = [self.terms(valid_from=1, price=5 + body) for body in range(BODIES)]
        named = [(*split_terms(terms), terms_sha256(terms)) for terms in bodies]
        attester = fingerprint(public_key(self.seeds["attester"]))
        says = Attestation(0, {"unaffiliated": True}, now_ms() + YEAR, attester)
        facets = [{"population": f"P{group}"} for group in range(GROUPS)]
        recipient = {"key_id": self.epoch.key_id, "region": "local"}
        for n in range(self.count):
            index, owner = state.size + n, owners[n]
            body, window, sha256 = named[n % BODIES]
            grant = Grant(
                grants[n], owner, datasets[n], None, state.share(body), window, sha256, facets[n % GROUPS],
                recipient, "", "", None, index,
            )  # fmt: skip
            signing = public_key(self.stored[n].seed) if n in self.stored else index.to_bytes(32)
            dataset = Dataset(
                datasets[n], owner, owner, "genotypes", "", 1, 1, {"build": "GRCh37"}, "local",
                index, b64(signing), standing=grant, entries=[index],
            )  # fmt: skip
            name = fingerprint(signing)
            party = Party(
                owner, "owner", {name: Key(signing, "ed25519", "sign", index)}, index,
                [says], datasets=[datasets[n]], entries=[index],
            )  # fmt: skip
            state.grants[grant.id] = state.grant_at[index] = grant
            state.datasets[dataset.id], state.parties[owner] = dataset, party
            state.key_owner[name] = owner
        state.size += self.count

    def opt_out(self, number):
        """Raise one person's objection, signed, through the log's real admission."""
        one = self.stored[number]
        stops = self.log.state.stops_of_owner(one.owner)
        fields = {"id": new_id(), "time": now_ms(), "owner": one.owner, "stops": stops}
        return self.send(sign_entry(one.seed, "objection.raised", fields))

    def expected(self, members):
        """AC and AN by position over these people, from what the patterns hold."""
        held = np.bincount(np.fromiter(members, np.int64) % PATTERNS, minlength=PATTERNS)
        sums = held @ np.array(self.dosages)
        return {
            pos: (int(ac), 2 * int(held.sum())) for pos, ac in zip(POSITIONS, sums, strict=True)
        }
