"""A world whose variant table has several chunks, and workers that share the passes over it."""

import json
import queue
import threading
from dataclasses import replace

import numpy as np

from compute.arrays import pack
from compute.messages import PartMessage
from compute.worker_helper import help_with
from compute.worker_ports import Helpers
from tests.compute import worker_world
from tests.compute.worker_world import World, new_id

SITES = tuple(range(1_000, 14_000, 10))
MEN_ON_X = 40  # sites
CHUNKED = ("planes", "cohort_reader", "copy_reader", "genome_counts", "block_sums", "partitions")
WAIT_S = 30


def small_chunks(monkeypatch):
    """Chunks of 512 rows, and four people a batch, so that a small world has several of both."""
    for module in CHUNKED:
        monkeypatch.setattr(f"compute.{module}.CHUNK_ROWS", 512)
    for name in ("BATCH", "OPENED"):
        monkeypatch.setattr(f"compute.cohort_reader.{name}", 4)


def vcf(rng, number):
    """An all-sites VCF: a person's own choice of sites, missing calls, one copy on men's X."""
    lines = [
        "##fileformat=VCFv4.2",
        "##contig=<ID=1,length=249250621,assembly=GRCh37>",
        "##contig=<ID=X,length=155270560,assembly=GRCh37>",
        "##omic_callability=all-sites",
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">',
        f"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tS{number}",
    ]
    known = rng.random(len(SITES)) > 0.03
    calls = rng.choice(["0/0", "0/1", "1/1", "./."], len(SITES), p=[0.5, 0.3, 0.17, 0.03])
    lines += [
        f"1\t{pos}\t.\tA\tG\t.\tPASS\t.\tGT\t{call}"
        for pos, call, here in zip(SITES, calls.tolist(), known.tolist(), strict=True)
        if here
    ]
    single = rng.choice(["0", "1"] if number % 2 else ["0/0", "0/1", "1/1"], MEN_ON_X)
    lines += [
        f"X\t{20_000_000 + 10 * at}\t.\tA\tG\t.\tPASS\t.\tGT\t{call}"
        for at, call in enumerate(single.tolist())
    ]
    return ("\n".join(lines) + "\n").encode()


def record(participant, number):
    value = {
        "schema": "omic.participant/1", "participant": participant,
        "sex": ("female", "male")[number % 2], "population": ("CEU", "YRI")[number // 2 % 2],
        "covariates": {"PC1": round(0.1 * (number % 7), 3), "height": 160.0 + number % 13,
                       "case": float(number % 3 == 0)},
    }  # fmt: skip
    return json.dumps(value).encode()


class Told:
    """What a lead tells helpers of; nobody hears it before `helping`."""

    def __init__(self):
        self.messages = queue.Queue()
        self.all = []

    def send(self, order, attempt, number):
        self.all.append((order, attempt, number))
        self.messages.put((order, attempt, number))


class PartsWorld(World):
    """`people` with genotypes and a record; its worker shares every pass of two chunks and more."""

    def __init__(self, folder, people=24, seed=5, wait_ms=20_000):
        super().__init__(folder)
        self.told, self.wait_ms = Told(), wait_ms
        rng = np.random.default_rng(seed)
        for number in range(people):
            person = self.enrol(rng, number, ("CEU", "YRI")[number // 2 % 2], ())
            for modality, text in (
                ("genotypes", vcf(rng, number)), ("participant", record(person.participant, number)),
            ):  # fmt: skip
                self.register(person, modality, text)
                self.grant(person, modality)
            self.people.append(person)
        self.lead(shared=True)

    def lead(self, *, shared, **more):
        """Let the worker share its passes, or not; clock and the like may be given."""
        send = self.told.send if shared else None
        helpers = Helpers(send, genotypes=1, wait_ms=self.wait_ms)
        self.shop = replace(self.shop, helpers=helpers, **more)

    def helper(self, **more):
        """Another worker on this world's disk, that only helps."""
        shop = replace(self.worker(), **more)
        shop.follower.sync()
        return shop

    def ask(self, query, **more):
        """Place an order and run it up to its draft; return (order, outcome)."""
        order = self.order(query=query, modalities=("genotypes", "participant"), **more)
        return order, self.run("query", order)

    def kept(self, order, attempt=1):
        """The whole result an order's worker kept, but for what is drawn or named afresh."""
        value = json.loads(self.shop.store.kept(f"{order}/{attempt}/result"))
        return {name: value[name] for name in ("answer", "n", "query", "suppressed")}


class helping:
    """Helpers in threads of their own while the block runs; done: partitions each left."""

    def __init__(self, world, count=2, before=lambda message: None):
        self.world, self.before = world, before
        self.shops = [world.helper() for _ in range(count)]
        self.done = [0] * count
        self.failed = []

    def __enter__(self):
        self._threads = [
            threading.Thread(target=self._work, args=(n,)) for n in range(len(self.shops))
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        for _ in self._threads:
            self.world.told.messages.put(None)
        for thread in self._threads:
            thread.join(WAIT_S)
        for shop in self.shops:
            shop.store.close()

    def _work(self, number):
        while (message := self.world.told.messages.get()) is not None:
            try:
                self.before(message)
                self.done[number] += help_with(self.shops[number], part_message(*message))
            except Exception as error:
                self.failed.append(error)


def part_message(order, attempt, number):
    return PartMessage(order=order, attempt=attempt, number=number)


__all__ = [
    "PartsWorld",
    "helping",
    "new_id",
    "pack",
    "part_message",
    "small_chunks",
    "worker_world",
]
