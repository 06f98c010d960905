"""Hostile files of every kind through the worker's own ingest: refused by name, nothing stored.

Each comes as its owner would send it: encrypted to them, registered, uploaded, its key granted to
compute. The worker records the access, opens it, and parses it in its confined children. What it
keeps on its disk is the same before and after, and the next person's good file is ingested.
"""

import sqlite3
from contextlib import closing

import numpy as np
import pytest

from compute.ingest import HostLimits
from compute.worker_ingest import PARSERS
from compute.worker_start import ParserPool
from tests.compute.ingest.hostile_files import HOSTILE
from tests.compute.worker_world import World

MEMORY = 512 << 20
TABLES = ("copy", "variant_rows", "own_copy", "answer", "answer_member")


class Hostile:
    """A world whose worker parses in confined children, and everything it keeps."""

    def __init__(self, folder, temporary):
        self.temporary = temporary
        self.world = World(folder)
        self.pool = ParserPool(PARSERS)
        self.world.restart(parser=self.pool)
        self.random = np.random.default_rng(1)
        self.owner = self.enrol()

    def enrol(self, *modalities):
        return self.world.enrol(self.random, 1, "CEU", modalities)

    def close(self):
        for host in self.pool._free.queue:
            host.close()
        self.world.shop.store.close()

    def peak(self):
        return max(host.used.peak for host in self.pool._free.queue)

    def stored(self):
        """Rows of the store by table, its segments' sizes, and every file the worker has."""
        path = self.world.folder / "store.sqlite"
        with closing(sqlite3.connect(path)) as store:
            rows = {
                table: store.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
                for table in TABLES
            }
        segments = self.world.shop.store.segments
        files = {str(one) for one in self.world.folder.rglob("*")}
        sizes = {name: segments.size(name) for name in segments.names()}
        return rows, sizes, files, list(self.temporary.iterdir())


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        temporary = tmp_path_factory.mktemp("temporary")
        patch.setenv("TMPDIR", str(temporary))
        made = Hostile(tmp_path_factory.mktemp("worker"), temporary)
        # Files and variant table as they are in use, so that nothing is the first of its kind.
        made.enrol("genotypes", "expression", "participant")
        made.world.run("ingest")
        yield made
        made.close()


@pytest.mark.parametrize("name", HOSTILE)
def test_it_is_refused_by_name_and_nothing_is_stored(hostile, name):
    modality, make, code = HOSTILE[name]
    data = hostile.world.register(hostile.owner, modality, make())
    hostile.world.grant(hostile.owner, modality)
    before = hostile.stored()
    outcome = hostile.world.run("ingest")
    assert outcome.datasets == {data.id: f"file.{code}"}
    assert hostile.stored() == before
    assert hostile.peak() <= MEMORY == HostLimits().memory
    assert hostile.world.shop.book.ingested()[data.grant] == ("excluded", f"file.{code}")
    del hostile.world.market.files[data.id]
    good = hostile.enrol("genotypes").data["genotypes"]
    assert hostile.world.run("ingest").datasets == {good.id: "ingested"}
    assert hostile.stored()[0]["copy"] == before[0]["copy"] + 1
