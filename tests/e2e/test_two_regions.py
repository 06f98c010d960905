"""Two compute services of one organisation, in two regions, as real processes on one market.

Each reads its own region's queue, holds its own keys and store, and takes in what is sealed to it
alone. An order goes where it says or is refused with the reason.
"""

import dataclasses
import shutil
import sqlite3
import subprocess
import sys
import tomllib
from contextlib import closing

import pytest
import tomli_w

from compute import Purpose, Scope
from marketplace.client.errors import RemoteError
from marketplace.client.researcher import Request
from tests.e2e.test_cli import omic  # noqa: F401  (a fixture)
from tests.e2e.test_cli_rights import asking_terms, person  # noqa: F401  (a fixture)

ASTHMA = Request(
    Purpose(primary="DS", diseases=("MONDO:0004979",), commercial=False, sponsor="a college"),
    {"v": 1, "family": "genotype_counts", "build": "GRCh37",
     "params": {"variants": {"panel": "all"}}},
    Scope(modalities=("genotypes",), build="GRCh37", facets={}, region="eu"),
    {"mode": "trusted", "rho": "0"},
)  # fmt: skip


class Second:
    """The worker of region eu: keys, databases and process of its own, the same identity."""

    def __init__(self, market):
        first = market.layout.directory("compute")
        self.directory = first.with_name("compute-eu")
        self._run("init", "--region", "eu")
        identity = self.directory / "keys" / "identity.key"
        shutil.copy(first / "keys" / "identity.key", identity)
        config = tomllib.loads((first / "config.toml").read_text())
        (self.directory / "config.toml").write_text(tomli_w.dumps({**config, "region": "eu"}))
        for name in ("worker.token", "ledger.token"):
            shutil.copy(first / name, self.directory / name)
        self.log = (market.layout.root / "logs" / "compute-eu.log").open("wb")
        self.process = None

    def _run(self, *arguments):
        command = [sys.executable, "-m", "compute.worker", *arguments, "--dir", self.directory]
        subprocess.run(list(map(str, command)), check=True, capture_output=True)

    def start(self):
        command = [sys.executable, "-m", "compute.worker", "--dir", str(self.directory)]
        self.process = subprocess.Popen(
            command, cwd=self.directory, stdout=self.log, stderr=self.log
        )

    def stop(self):
        if self.process is not None:
            self.process.terminate()
            self.process.wait(30)
            self.process = None


@pytest.fixture
def second(market):
    made = Second(market)
    yield made
    made.stop()
    made.log.close()


def held(directory, file, statement, *values):
    with closing(sqlite3.connect(f"file:{directory / file}?mode=ro", uri=True)) as db:
        return [row[0] for row in db.execute(statement, values)]


def asked_in(region):
    scope = ASTHMA.scope.model_copy(update={"region": region})
    return dataclasses.replace(ASTHMA, scope=scope)


def test_data_and_orders_of_a_region_stay_there(person, market, second, tmp_path):  # noqa: F811
    second.start()
    regions = lambda: {key.region for key in market.ledger_state().compute_keys.values()}  # noqa: E731
    market.crowd([])
    market.until(lambda: regions() == {"local", "eu"}, what="the second region's key")
    ann, local = person("ann"), market.layout.directory("compute")
    terms = asking_terms(tmp_path / "eu.json", regions=["eu"])
    offer = ann.do("offer", ann.dataset, "--terms", terms)["offer"]
    grant = ann.do("consent", "grant", offer, "--region", "eu")["grants"][0]
    copies = "SELECT grant_id FROM copy"
    market.until(lambda: held(second.directory, "store.sqlite", copies) == [grant], what="the copy")
    assert any(entry["kind"] == "ingest" for entry in ann.do("activity"))
    assert held(local, "store.sqlite", copies) == []

    researcher = market.team().researcher
    with pytest.raises(RemoteError, match="place <20"):
        researcher.quote(asked_in("local"))
    with pytest.raises(RemoteError, match="no compute service works in region 'us'"):
        researcher.quote(asked_in("us"))

    # The region's worker is away: its order waits for it, and no other worker takes it.
    second.stop()
    order = market.place(ASTHMA)
    market.pay(order)
    market.until_state(order, "approved")
    taken = 'SELECT "order" FROM compute_order'
    assert (market.state(order), held(local, "compute.sqlite", taken)) == ("approved", [])
    second.start()
    # One person passes no floor: it is their worker that says so, and the money goes back.
    assert market.until_state(order, "refunded", seconds=120) == "refunded"
    assert held(second.directory, "compute.sqlite", taken) == [order]
    assert held(local, "compute.sqlite", taken) == []
