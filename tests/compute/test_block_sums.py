"""Families' sums over blocks of the store: whatever the parts, the answer is that of one pass."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compute import block_sums, partitions
from compute.block_sums import BlockSums, gathered, laid_out, parts_of
from compute.cohort_reader import Block
from compute.kernels import pack_bits, pack_dosages, unpack_bits, words_of
from compute.partitions import Alone, Plan
from compute.progress import Pace
from compute.queries import CohortData, PersonData, VariantTable, learned_frame, reduce, run, start
from tests.compute.spec import families_world as w

PANEL = {"variants": {"panel": "all"}}
CASE = {"kind": "covariate", "name": "case"}
QUERIES = {
    "linear_association": {**PANEL, "trait": {"kind": "covariate", "name": "height"}},
    "logistic_association": {**PANEL, "trait": CASE, "covariates": ["PC1"]},
    "cohort_quality": PANEL,
}


class Reader:
    """Stands in for the store: people's dosages and ploidy over rows, batches of five."""

    def __init__(self, dosage, ploidy, rows_a_chunk):
        self._dosage, self._ploidy, self._step = dosage, ploidy, rows_a_chunk

    def __len__(self):
        return len(self._dosage)

    def rows(self, chunk):
        return min(self._step, self._dosage.shape[1] - chunk * self._step)

    def each(self, chunk, work, *, threads=1, tick=lambda: None):
        span = slice(chunk * self._step, chunk * self._step + self.rows(chunk))
        for number, first in enumerate(range(0, len(self._dosage), 5)):
            some = self._dosage[first : first + 5, span]
            haploid = (self._ploidy[first : first + 5, span] == 1) & (some >= 0)
            words, everyone = words_of(some.shape[1]), np.arange(len(some))
            tick()
            work(number % threads, Block(
                first, pack_dosages(some), pack_bits(some == -2, words), everyone,
                pack_bits(haploid, words), everyone, np.zeros(len(some), np.bool_),
            ))  # fmt: skip


@given(st.sets(st.integers(0, 4_999), min_size=1, max_size=60), st.integers(5_000, 9_000))
@settings(deadline=None, max_examples=60)
def test_the_words_taken_hold_the_rows_asked_for(rows, size):
    at = np.array(sorted(rows))
    bits = np.random.default_rng(size).random((1, size)) < 0.5
    planes = np.stack([pack_bits(bits, words_of(size))] * 2, axis=1)
    nothing = np.zeros((0, words_of(size)), np.uint64), np.zeros(0, np.intp)
    block = Block(0, planes, *nothing, *nothing, np.zeros(1, np.bool_))
    layout, words = laid_out(np.arange(len(at)), at, size)
    taken = gathered(block, words, [PersonData("p")])
    assert taken.planes.shape[2] == words_of(layout.width)
    assert np.array_equal(unpack_bits(taken.planes[0, 0], layout.width)[layout.at], bits[0, at])


@given(st.lists(st.integers(0, 900_000), min_size=1, max_size=80, unique=True))
def test_parts_hold_every_row_once_and_one_chunk_each(rows):
    parts = list(parts_of(np.array(rows), 512))
    assert sorted(np.concatenate([own for _, own in parts]).tolist()) == list(range(len(rows)))
    for chunk, own in parts:
        assert {rows[at] // block_sums.CHUNK_ROWS for at in own.tolist()} == {chunk}


@pytest.mark.parametrize("family", sorted(QUERIES))
@pytest.mark.parametrize("threads", [1, 3])
def test_parts_of_the_table_and_of_the_people_make_one_answer(monkeypatch, family, threads):
    variants = 1_100
    rng = np.random.default_rng(4)
    members = [replace(p, dosage=rng.choice(
        np.array([0, 1, 2, -1, -2], np.int8), variants, p=[0.5, 0.3, 0.1, 0.06, 0.04]))
        for p in w.people(n=40)]  # fmt: skip
    ploidy = np.where(np.array([p.dosage for p in members]) < 0, 0, 2).astype(np.int8)
    ploidy[::3, :300] = np.minimum(ploidy[::3, :300], 1)
    members = [
        replace(
            p, dosage=np.minimum(p.dosage, np.where(own == 1, 1, 2)).astype(np.int8), ploidy=own
        )
        for p, own in zip(members, ploidy, strict=True)
    ]
    table = VariantTable.of("GRCh37", [(0, 100 + n, "A", "G") for n in range(variants)])
    data = CohortData.of(table, members)
    query = w.ask(family, QUERIES[family])
    whole = run(query, data)
    # The store has the table's rows in another order, in chunks of 512.
    for module in (block_sums, partitions):
        monkeypatch.setattr(module, "CHUNK_ROWS", 512)
    rows = rng.permutation(variants)
    dosage, kept = np.empty((40, variants), np.int8), np.empty((40, variants), np.int8)
    for person, member in enumerate(members):
        dosage[person, rows], kept[person, rows] = member.dosage, member.ploidy
    partial = start(query, learned_frame(query, data))
    plan = Plan(variants, 40, partitions.chunks_of(rows), 512 * 40, threads)
    ticks = []
    pace = Pace(len(plan.parts()), lambda: ticks.append(1), lambda _done, _total: None)
    sums = BlockSums(
        Reader(dosage, kept, 512), partial, data.people, rows, threads=threads, tick=pace
    )
    Alone().share(plan, sums, pace)
    found = reduce(query, partial)
    assert (
        len(plan.parts()) == 3
        and ticks
        and found.people == whole.people
        and found.facts == whole.facts
    )
    for name, column in whole.columns.items():
        if column.dtype.kind == "f":
            assert found.columns[name] == pytest.approx(column, rel=1e-9, nan_ok=True), name
        else:
            assert found.columns[name].tolist() == column.tolist(), name
