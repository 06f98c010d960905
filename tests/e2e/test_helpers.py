"""A whole market on Redis whose compute has helpers: real processes share an order's passes.

The lead dies right after offering its partitions, so that it is the helpers who sum them; it
starts again, offers afresh, and the answer is the one that the files themselves give.
"""

import gzip
import re
import sqlite3
from contextlib import closing

import pytest

from compute import Purpose, Scope
from compute.ingest import parse
from compute.queries import CohortData, PersonData, VariantTable, align, parse_query, run
from marketplace.client import demo_owners
from marketplace.client.demo_data import bgzf, cut
from marketplace.client.researcher import Request
from tests.conftest import REDIS
from tests.e2e.stack import Stack, a_people
from tests.e2e.test_main_job import empty_redis_database

PEOPLE = 22
MORE = 262_000  # sites of one person's file: with the others' a second chunk of the table
QUERY = {"v": 1, "family": "cohort_quality", "build": "GRCh37",
         "params": {"variants": {"panel": "all"}}}  # fmt: skip
QUALITY = Request(
    Purpose(primary="GRU", commercial=False, sponsor="a college"),
    QUERY,
    Scope(modalities=("genotypes",), build="GRCh37", facets={}, region="local"),
    {"mode": "trusted", "rho": "0"},
)


def longer(text):
    """A person's VCF with very many more sites on chromosome 3."""
    lines = gzip.decompress(text).decode().splitlines()
    head = [line for line in lines if line.startswith("#")]
    contig = "##contig=<ID=3,length=198022430,assembly=GRCh37>"
    if not any("ID=3," in line for line in head):
        head.insert(1, contig)
    sites = (f"3\t{1_000 + 10 * at}\t.\tA\tG\t.\tPASS\t.\tGT\t{'0/1' if at % 40 == 0 else '0/0'}"
             for at in range(MORE))  # fmt: skip
    rows = [*head, *(line for line in lines if not line.startswith("#")), *sites]
    return bgzf.compress(("\n".join(rows) + "\n").encode())


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A market with two helpers and 22 people, one of them with a long file; and the files."""
    import redis

    broker = f"redis://{REDIS[0]}:{REDIS[1]}/{empty_redis_database()}"
    compute = {"broker_url": broker, "helpers": 2, "partition_genotypes": 1}
    root = tmp_path_factory.mktemp("helpers")
    made = Stack(root, {"compute": compute, "marketplace": {"broker_url": broker}})
    made.start()
    try:
        made.crowd([])
        files = [cut.vcf(one.participant) for one in a_people(PEOPLE, 0)]
        files[0] = longer(files[0])
        for person, text in zip(a_people(PEOPLE, 0), files, strict=True):
            own = demo_owners.files_of(person)
            made._crowd.join(
                demo_owners.Files(person, text, own.expression, own.participant)
            )  # fmt: skip
        yield made, files
    finally:
        made.stop()
        redis.Redis.from_url(broker).flushdb()


def expected(files):
    """The answer of one process over the files as their owners hold them."""
    people = [parse(text, "genotypes", "one.vcf.gz") for text in files]
    table = VariantTable.union(people)
    members = []
    for number, one in enumerate(people):
        dosage, ploidy = align(one, table)
        members.append(PersonData(f"p{number}", dosage, ploidy))
    return run(parse_query(QUERY), CohortData.of(table, members))


def helped(market):
    """How many partitions the helpers say they left, by helper."""
    logs = sorted((market.layout.root / "logs").glob("helper-*.log"))
    found = [re.findall(r"helped with (\d+) partitions", path.read_text()) for path in logs]
    return [sum(map(int, one)) for one in found]


@pytest.mark.service
def test_helpers_sum_what_a_worker_offers_and_the_answer_is_right(shared):
    market, files = shared
    assert {c.name for c in market.supervisor.children} >= {"compute", "helper-1", "helper-2"}
    order = market.place(QUALITY)
    market.worker_that_dies_at("parts_offered")
    market.pay(order)
    market.until_dead("parts_offered", None, seconds=180)
    market.until(lambda: sum(helped(market)) > 0, what="a helper's work")
    market.until_state(order, "releasing", seconds=180)
    market.until(lambda: (market.review(order), True)[1], what="the reviews")
    assert market.until_state(order, "settled", "refunded") == "settled"
    answer = market.trying(lambda: market.team().researcher.answer(order), "the answer").result
    exact, told = expected(files), answer["answer"]["columns"]
    assert len(exact.columns["n"]) == len(told["n"])
    assert told["n"] == [PEOPLE] * len(told["n"])
    # One person's long file is most of the coverage: that one mean the gate hides.
    means = dict(zip(told["metric"], told["mean"], strict=True))
    assert [name for name, mean in means.items() if mean is None] == ["covered"]
    right = dict(zip(exact.columns["metric"].tolist(), exact.columns["mean"].tolist(), strict=True))
    for name in means.keys() - {"covered"}:
        assert means[name] == pytest.approx(right[name], rel=1e-9), name
    assert market.entries(order).count("access.recorded") == 1
    assert left_over(market) == 0
    assert market.ledger_state().violations == []


def left_over(market):
    path = market.layout.directory("compute") / "store.parts"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        return sum(database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
                   for table in ("offer", "part", "offer_member"))  # fmt: skip
