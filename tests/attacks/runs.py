"""One run seen from outside: a worker on a stopwatch, and all that leaves it, with its time.

The worker here is the worst there could be: what it does takes as long as its data are. Time is a
stopwatch's, so that nothing depends on how busy a machine is.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from benchmarks.attacks_http_pairs import masked
from compute import worker_query
from tests.compute.worker_world import World, vcf

TICK_MS = 30_000
MS_A_COPY = 3
SITES = tuple(range(1000, 3000, 10))  # enough for a copied genome to be noticed


@dataclass
class Stopwatch:
    """Milliseconds of one run. ticking: off, nothing waits for a clock tick."""

    now: int = 0
    ticking: bool = True

    def wait_for_tick(self):
        if self.ticking:
            self.now += -self.now % TICK_MS


@dataclass
class Seen:
    """What anybody but the victim can see of a run: (ms, what, its public part)."""

    watch: Stopwatch
    of: list = field(default_factory=list)

    def note(self, what, *parts):
        self.of.append((self.watch.now, what, *parts))

    @property
    def times(self):
        return [moment for moment, *_ in self.of]

    def sizes(self, what):
        return [parts for _, name, *parts in self.of if name == what]


class WatchedWorld(World):
    """A world whose victim joins with data of the test's choice, and whose runs are watched."""

    mode = "private"

    def __init__(self, folder, people):
        folder.mkdir(exist_ok=True)
        super().__init__(folder, people=people)
        self.watch = Stopwatch()
        self.shop = replace(self.shop, wait_for_tick=self.watch.wait_for_tick)
        self.run("ingest")

    def terms(self, **more):
        settings = {"release_mode": self.mode, "lifetime_rho": "1/2", "order_share": "1/10"}
        return super().terms(**{**settings, **more})

    def joins(self, dosages, file=None):
        """Let somebody join with these genotypes, or with a file of any bytes."""
        victim = self.enrol(np.random.default_rng(99), len(self.people), "CEU", ())
        victim.dosages = list(dosages)
        self.register(victim, "genotypes", vcf("victim", victim.dosages) if file is None else file)
        self.grant(victim, "genotypes")
        self.people.append(victim)
        return victim

    def leaves(self, victim):
        self.withdraw(victim)
        self.people.remove(victim)

    def seen(self, monkeypatch, query, after=None, **release):
        """Run an order to its end; return its id and what was seen. after: called once opened."""
        order = self.order(query=query, **release)
        self.watch.now = 0
        seen, worker = Seen(self.watch), worker_query.answer_query
        append, put, told = self.log.append, self.market.put_object, self.market.outcome

        def slow(cohort, *rest):
            found = worker(cohort, *rest)
            self.watch.now += MS_A_COPY * int(np.sum(found.columns["ac"]))
            if after is not None:
                after(order)
            return found

        def appended(submissions, wait=False):
            for one in submissions:
                kind, payload = one.entry.type, one.entry.payload
                if kind != "order.cancelled":  # the attacker's own
                    seen.note("entry", kind, len(one.entry.payload_bytes), masked(payload))
            return append(submissions, wait)

        def given(job, name, data):
            seen.note("object", name, len(data))
            put(job, name, data)

        def ended(job, outcome):
            seen.note("outcome", outcome.state, outcome.code, len(outcome.scope))
            told(job, outcome)

        with monkeypatch.context() as patch:
            patch.setattr(worker_query, "answer_query", slow)
            patch.setattr(self.log, "append", appended)
            patch.setattr(self.market, "put_object", given)
            patch.setattr(self.market, "outcome", ended)
            self.complete(order)
        return order, seen
