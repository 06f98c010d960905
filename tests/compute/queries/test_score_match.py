"""A scoring file matched to a variant table, against the rule told row by row."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute.queries.data import VariantTable
from compute.queries.score_match import Matched, match
from compute.queries.scorefile import Score, Weight, Weights, parse_scorefile

OTHER_STRAND = {"A": "T", "C": "G", "G": "C", "T": "A"}
Taken = dict[int, tuple[float, bool, str]]

alleles = st.sampled_from(["A", "C", "G", "T", "AC", "TTG"])
positions = st.integers(1, 6)
sites = st.lists(
    st.tuples(st.integers(0, 1), positions, alleles, alleles).filter(lambda key: key[2] != key[3]),
    max_size=12,
    unique=True,
)
weights = st.lists(
    st.builds(
        Weight,
        st.integers(0, 1),
        positions,
        alleles,
        st.one_of(alleles, st.just("")),
        st.floats(-2, 2),
        st.sampled_from(["additive", "dominant", "recessive"]),
    ),
    max_size=12,
)


def flipped(allele: str) -> str:
    return "".join(OTHER_STRAND[base] for base in allele)


def fitting(effect: str, other: str, here: list[tuple[int, str, str]]) -> list[tuple[int, bool]]:
    if other:
        return [(n, effect == r) for n, r, a in here if {effect, other} == {r, a}]
    if len(here) > 1:
        return [(n, False) for n, r, a in here if effect == a]
    return [(n, effect == r) for n, r, a in here if effect in (r, a)]


def slowly(rows: list[Weight], table: VariantTable, palindromic: str) -> tuple[Taken, Counter[str]]:
    """Match one row after another, looking through the whole table each time."""
    taken: Taken = {}
    told: Counter[str] = Counter()
    keys = list(enumerate(table.keys()))
    for row in rows:
        here = [(n, k[2], k[3]) for n, k in keys if k[:2] == (row.contig, row.pos)]
        ambiguous = {row.effect, row.other} in ({"A", "T"}, {"C", "G"})
        if not here:
            told["not_in_cohort"] += 1
        elif ambiguous and palindromic == "drop":
            told["palindromic"] += 1
        else:
            fits = fitting(row.effect, row.other, here)
            if not fits and not ambiguous:
                fits = fitting(flipped(row.effect), flipped(row.other), here)
                told["other_strand"] += bool(fits)
            if len(fits) != 1:
                told["several_alleles" if fits else "other_alleles"] += 1
            elif fits[0][0] in taken:
                told["repeated"] += 1
            else:
                taken[fits[0][0]] = (row.weight, fits[0][1], row.model)
    return taken, +told


def as_taken(matched: Matched) -> Taken:
    columns = (matched.rows, matched.weight, matched.on_ref, matched.model)
    return {row: rest for row, *rest_ in zip(*(c.tolist() for c in columns), strict=True)
            for rest in [tuple(rest_)]}  # fmt: skip


@given(sites, weights, st.sampled_from(["drop", "as_written"]), st.randoms())
def test_columns_match_as_rows_do(
    keys: list[tuple[int, int, str, str]], rows: list[Weight], palindromic: str, shuffle: object
) -> None:
    # A store's table grows by later sites, so it need not lie in genome order.
    shuffle.shuffle(keys)  # type: ignore[attr-defined]
    table = VariantTable.of("GRCh38", keys)
    matched = match(Score("x", "GRCh38", Weights.of(rows), len(rows), {}), table,
                    palindromic=palindromic)  # fmt: skip
    taken, told = slowly(rows, table, palindromic)
    assert as_taken(matched) == taken
    assert matched.told == told
    assert matched.rows.tolist() == sorted(taken)


def test_the_first_row_of_a_site_wins() -> None:
    table = VariantTable.of("GRCh38", [(0, 5, "A", "G")])
    rows = [Weight(0, 5, "G", "A", 1.5), Weight(0, 5, "C", "T", 2.5), Weight(0, 5, "G", "A", 3.5)]
    matched = match(Score("x", "GRCh38", Weights.of(rows), 3, {}), table, palindromic="drop")
    assert matched.weight.tolist() == [1.5]
    assert matched.told == {"repeated": 2, "other_strand": 1}


def test_an_empty_match_has_no_rows() -> None:
    table = VariantTable.of("GRCh38", [])
    rows = [Weight(0, 5, "G", "A", 1.5)]
    matched = match(Score("x", "GRCh38", Weights.of(rows), 1, {}), table, palindromic="drop")
    assert matched.rows.shape == (0,)
    assert matched.rows.dtype == np.intp


@pytest.mark.parametrize("place", ["2147483648", "9" * 5000])
def test_a_position_beyond_every_chromosome_is_no_position(place: str) -> None:
    text = (
        "#pgs_id=PGS1\n#genome_build=GRCh38\n"
        "chr_name\tchr_position\teffect_allele\tother_allele\teffect_weight\n"
        f"1\t{place}\tA\tG\t0.5\n1\t7\tA\tG\t0.5\n"
    )
    score = parse_scorefile(text.encode())
    assert score.skipped == {"no_position": 1}
    assert score.weights.row(0) == Weight(0, 7, "A", "G", 0.5)
