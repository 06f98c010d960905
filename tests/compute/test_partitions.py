"""Partitions: the plan, and one answer, to the last bit, whoever sums which."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compute import block_sums, cohort_reader
from compute.arrays import pack, unpack
from compute.block_sums import BlockSums
from compute.cohort_reader import CohortReader
from compute.copies import SharedVariants
from compute.genome_counts import StateSums
from compute.partitions import Alone, Plan, PlanError, chunks_of, runs_of
from compute.planes import CHUNK_ROWS
from compute.progress import Pace
from compute.queries import CohortData, QueryError, VariantTable, learned_frame, reduce, start
from compute.sealing import LocalKms
from compute.store import CohortStore
from tests.compute.spec import families_world as w
from tests.compute.test_block_sums import CASE, PANEL, Reader
from tests.compute.test_cohort_reader import PEOPLE, keep, opener, person_of

LOADINGS, SCORE = "b" * 64, "c" * 64


class Shared:
    """A crew whose partitions are summed by others, from empty sums of their own, out of order."""

    def __init__(self, fresh, seed):
        self._fresh, self._rng = fresh, np.random.default_rng(seed)
        self.left = {}

    def share(self, plan, sums, pace, given=None):
        parts = plan.parts()
        others = [self._fresh() for _ in range(2)]
        for number in self._rng.permutation(len(parts)).tolist():
            other = others[self._rng.integers(2)]
            self.left[number] = pack(other.summed(parts[number]))
            again = pack(self._fresh().summed(parts[number]))
            assert again == self.left[number], "a partition summed twice gives the same bytes"
        for number, part in enumerate(parts):
            sums.take(part, unpack(self.left[number], sums.shapes(part)))
            pace.done()


def quiet():
    return Pace(0, lambda: None, lambda _done, _total: None)


# -- the plan --------------------------------------------------------------------------------------


@given(
    st.sets(st.integers(0, 60), max_size=40),
    st.integers(0, 200_000),
    st.integers(1, 10**11),
)
def test_a_plan_has_every_chunk_once_in_order_and_parts_large_enough(chunks, people, genotypes):
    plan = Plan(61 * CHUNK_ROWS, people, tuple(sorted(chunks)), genotypes, 2)
    parts = plan.parts()
    assert [chunk for part in parts for chunk in part] == sorted(chunks)
    assert all(len(part) * CHUNK_ROWS * max(people, 1) >= genotypes for part in parts[:-1])
    assert Plan.of_text(plan.to_text()) == plan


def test_runs_of_people_follow_from_their_number_alone():
    assert [runs_of(n) for n in (0, 1, 4096, 4097)] == [0, 1, 1, 2]


@pytest.mark.parametrize("text", [
    "", "[]", "{}", '{"rows": 1}', "null",
    '{"rows": 1, "people": 1, "chunks": [0], "genotypes": 0, "threads": 1}',
    '{"rows": 1, "people": 1, "chunks": [0], "genotypes": 1, "threads": 1000}',
    '{"rows": 1, "people": true, "chunks": [0], "genotypes": 1, "threads": 1}',
    '{"rows": 1.5, "people": 1, "chunks": [0], "genotypes": 1, "threads": 1}',
    '{"rows": 1, "people": 1, "chunks": [-1], "genotypes": 1, "threads": 1}',
    '{"rows": 1, "people": 1, "chunks": ["0"], "genotypes": 1, "threads": 1}',
    '{"rows": 1, "people": 1, "chunks": 3, "genotypes": 1, "threads": 1}',
    '{"rows": 1, "people": 1, "chunks": [0], "genotypes": 1, "threads": 1, "x": 1}',
])  # fmt: skip
def test_what_is_no_plan_is_refused(text):
    with pytest.raises(PlanError):
        Plan.of_text(text)


def test_chunks_are_those_that_hold_rows():
    assert chunks_of(np.array([CHUNK_ROWS * 3 + 5, 0, 7])) == (0, 3)
    assert chunks_of(np.zeros(0, np.int64)) == ()


# -- counts of states ------------------------------------------------------------------------------


@given(PEOPLE, st.integers(1, 3), st.integers(1, 3), st.integers(0, 10_000))
@settings(deadline=None, max_examples=30)
def test_counts_are_the_same_whoever_counts_which_part(
    tmp_path_factory, people, levels, chunks_a_part, seed
):
    with pytest.MonkeyPatch.context() as patch:
        for module in ("planes", "cohort_reader", "copy_reader", "genome_counts", "partitions"):
            patch.setattr(f"compute.{module}.CHUNK_ROWS", 512)
        patch.setattr(cohort_reader, "BATCH", 2)
        store = CohortStore(tmp_path_factory.mktemp("s") / "s.sqlite", LocalKms(b"k" * 32))
        table = SharedVariants(store)
        filler = {(pos, "C", "T"): (pos % 3, 2) for pos in range(1000, 2800)}
        for number, (rows, callability, _) in enumerate(people):
            if callability == "gvcf-blocks":
                callability = "all-sites"
            person = person_of({**filler, **rows} if number % 2 else rows, callability)
            keep(store, table, number, person)
        size, count = len(table), len(people)
        # People who came later have grown the table a helper reads: it works on the planned one.
        later = {(pos, "G", "C"): (1, 2) for pos in range(5000, 5700)}
        keep(store, table, count, person_of(later))
        of_person = np.random.default_rng(seed).integers(levels, size=count).tolist()

        def fresh():
            reader = CohortReader(count, opener(store, count), table)
            reader.size = size
            return StateSums(reader, of_person, levels, threads=2)

        chunks = tuple(range(-(-size // 512)))
        plan = Plan(size, count, chunks, 512 * count * chunks_a_part, 2)
        alone, shared = fresh(), fresh()
        Alone().share(plan, alone, quiet())
        Shared(fresh, seed).share(plan, shared, quiet())
        assert alone.found.counts.tobytes() == shared.found.counts.tobytes()
        assert alone.found.stated.tobytes() == shared.found.stated.tobytes()
        assert alone.found.counts[:, :, :size].sum() == count * size
        store.close()


# -- families --------------------------------------------------------------------------------------

QUERIES = {
    "linear_association": {
        **PANEL, "trait": {"kind": "covariate", "name": "height"}, "covariates": ["PC1", "sex"]},
    "score test": {**PANEL, "trait": CASE, "covariates": ["PC1"]},
    "wald test": {**PANEL, "trait": CASE, "covariates": ["PC1"], "test": "wald"},
    "cis_association": {**PANEL, "gene": "G2", "covariates": ["PC1"]},
    "cohort_quality": {**PANEL, "by": "population"},
}  # fmt: skip
FAMILY = {"score test": "logistic_association", "wald test": "logistic_association"}


def cohort(seed, variants):
    """40 people with missing calls, rows not covered, and haploid calls; rows shuffled."""
    rng = np.random.default_rng(seed)
    dosage = rng.choice(np.array([0, 1, 2, -1, -2], np.int8), (40, variants),
                        p=[0.5, 0.3, 0.1, 0.06, 0.04])  # fmt: skip
    ploidy = np.where(dosage < 0, 0, 2).astype(np.int8)
    ploidy[::3, :300] = np.minimum(ploidy[::3, :300], 1)
    dosage = np.minimum(dosage, np.where(ploidy == 1, 1, 2)).astype(np.int8)
    members = [
        replace(person, dosage=own, ploidy=copies)
        for person, own, copies in zip(w.people(n=40, seed=seed), dosage, ploidy, strict=True)
    ]
    table = VariantTable.of("GRCh37", [(0, 100 + n, "A", "G") for n in range(variants)])
    rows = rng.permutation(variants)
    stored, copies = np.empty_like(dosage), np.empty_like(ploidy)
    stored[:, rows], copies[:, rows] = dosage, ploidy
    return CohortData.of(table, members), rows, Reader(stored, copies, 512)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("name", sorted(QUERIES))
def test_a_familys_answer_is_the_same_to_the_last_bit_whoever_sums_which_part(
    monkeypatch, name, seed
):
    for module in (block_sums, __import__("compute.partitions").partitions):
        monkeypatch.setattr(module, "CHUNK_ROWS", 512)
    data, rows, reader = cohort(seed, 1_700)
    query = w.ask(FAMILY.get(name, name), QUERIES[name])
    frame = learned_frame(query, data)
    plan = Plan(1_700, 40, (0, 1, 2, 3), 512 * 40, 3)
    assert len(plan.parts()) == 4

    def fresh():
        partial = start(query, frame)
        return partial, BlockSums(reader, partial, data.people, rows, threads=3)

    alone, summing = fresh()
    Alone().share(plan, summing, quiet())
    shared, taking = fresh()
    Shared(lambda: fresh()[1], seed).share(plan, taking, quiet())
    one, other = reduce(query, alone), reduce(query, shared)
    assert one.people == other.people and one.facts == other.facts
    for column, values in one.columns.items():
        mine = other.columns[column]
        if values.dtype.kind == "O":
            assert mine.tolist() == values.tolist(), column
        else:
            assert mine.tobytes() == values.tobytes(), column


def test_a_family_that_holds_everybodys_calls_is_not_shared():
    data, rows, reader = cohort(1, 600)
    query = w.ask("relatedness", PANEL)
    partial = start(query, data.frame)
    sums = BlockSums(reader, partial, data.people, rows)
    assert not sums.plain
    with pytest.raises(QueryError):
        sums.summed((0,))
