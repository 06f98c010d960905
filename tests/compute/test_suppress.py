"""Nothing hidden is determined: every table there can be is released, and an attacker who knows
the rules, the totals and all that stays sees at least two values for each hidden small cell."""

import itertools
from collections import defaultdict

import numpy as np
import pytest

from compute.queries import Answer
from compute.suppress import SMALL, suppress_cells

CELLS = ("hom_ref", "het", "hom_alt")


def table_of(rows_by_stratum):
    """One row a variant in each stratum; rows_by_stratum: name -> array (variants, 3)."""
    parts = {name: np.asarray(rows, np.int64) for name, rows in rows_by_stratum.items()}
    cells = np.concatenate(list(parts.values()))
    zeros = np.zeros(len(cells), np.int64)
    ac, an = cells[:, 1] + 2 * cells[:, 2], 2 * cells.sum(axis=1)
    columns = {
        "stratum": np.repeat(np.array(list(parts), object), [len(p) for p in parts.values()]),
        **{name: cells[:, at] for at, name in enumerate(CELLS)},
        "hap_ref": zeros,
        "hap_alt": zeros,
        "no_call": zeros,
        "not_covered": zeros,
        "ac": ac,
        "an": an,
        "present": ac > 0,
        "af": ac / np.maximum(an, 1),
        "call_rate": np.ones(len(cells)),
        "hwe_p": cells[:, 1] / 1000,
    }
    people = {name: int(part[0].sum()) for name, part in parts.items()}
    return Answer("genotype_counts", 1, columns, people)


def splits(people):
    return [
        (people - het - alt, het, alt)
        for het in range(people + 1)
        for alt in range(people - het + 1)
    ]


def views(answer, *more):
    kept, _ = suppress_cells(answer)
    hidden = ["hidden"] if "hidden" in kept.columns else []
    names = (*CELLS, "ac", "an", "af", "hwe_p", "present", *hidden, *more)
    return list(zip(*(kept.columns[name].tolist() for name in names), strict=True))


def undetermined(groups):
    """Check that no small cell hidden in a group of equal views has one value in all of it."""
    checked = 0
    for view, tables in groups.items():
        for at, shown in enumerate(itertools.chain.from_iterable(row[:3] for row in view)):
            if shown is None:
                values = {table[at] for table in tables}
                assert len(values) > 1 or not 1 <= max(values) <= SMALL, (view, tables)
                checked += 1
    return checked


def test_no_hidden_cell_of_one_table_is_determined():
    for people in (20, 25, 40):
        groups = defaultdict(list)
        every = splits(people)
        for cells, view in zip(every, views(table_of({"all": every})), strict=True):
            groups[(view,)].append(cells)
        assert undetermined(groups) > 20


def test_the_test_catches_a_rule_that_hides_too_little():
    groups = defaultdict(list)
    for ref, het, alt in splits(20):
        small = 1 <= alt <= SMALL
        groups[((ref, het, None if small else alt),)].append((ref, het, alt))
    with pytest.raises(AssertionError):
        undetermined(groups)


def test_no_hidden_cell_of_two_strata_is_determined_even_with_the_unsplit_table():
    every = list(itertools.product(splits(20), repeat=2))
    first, second = (np.array([pair[at] for pair in every]) for at in (0, 1))
    shown = views(table_of({"A": first, "B": second}))
    groups = defaultdict(list)
    for at, (a, b) in enumerate(every):
        total = tuple(x + y for x, y in zip(a, b, strict=True))
        view = (shown[at], shown[len(every) + at])
        groups[(*view, (total,))].append((*a, *b))
    found = 0
    for (left, right, _), tables in groups.items():
        found += undetermined({(left, right): tables})
    assert found > 1000


def test_no_shown_cell_is_small():
    for row in views(table_of({"all": splits(30)})):
        assert all(cell is None or cell == 0 or cell > SMALL for cell in row[:4])


def test_common_variants_keep_everything():
    kept, notes = suppress_cells(table_of({"all": [(40, 50, 20), (90, 10, 10)]}))
    assert notes == []
    assert kept.columns["het"].tolist() == [50, 10]


def test_a_small_genotype_keeps_frequencies_and_loses_what_determines_it():
    kept, notes = suppress_cells(table_of({"all": [(60, 40, 5)]}))
    row = {name: kept.columns[name].tolist()[0] for name in kept.columns}
    assert (row["hom_ref"], row["het"], row["hom_alt"], row["hwe_p"]) == (None,) * 4
    assert (row["ac"], row["an"]) == (50, 210)
    assert row["hidden"] == "small_cell"
    assert notes == [{"path": "columns/hidden", "code": "small_cell"}]


def test_a_rare_allele_loses_its_frequency_and_presence():
    kept, _ = suppress_cells(table_of({"all": [(98, 2, 0)]}))
    for name in ("ac", "af", "present"):
        assert kept.columns[name].tolist() == [None]


def test_presence_says_no_more_than_a_count_that_stays():
    for row in views(table_of({"all": splits(30)}), "present"):
        ac, present = row[3], row[-1]
        assert (present is None) == (ac is None)
        assert present is None or present == (ac > 0)


def test_presence_in_one_stratum_goes_where_the_other_is_hidden():
    kept, _ = suppress_cells(table_of({"A": [(60, 30, 20)], "B": [(60, 5, 0)]}))
    assert kept.columns["present"].tolist() == [None, None]


def test_a_small_cell_in_one_stratum_hides_the_variant_in_all():
    rows = {"A": [(60, 30, 20), (60, 30, 20)], "B": [(60, 40, 5), (60, 40, 25)]}
    kept, notes = suppress_cells(table_of(rows))
    assert kept.columns["hidden"].tolist() == ["small_cell", "", "small_cell", ""]
    assert kept.columns["ac"].tolist() == [None, 70, None, 90]
    assert kept.columns["an"].tolist() == [220, 220, 210, 250]
    assert len(notes) == 1


def test_an_effect_on_a_few_carriers_goes_whole():
    columns = {
        "ac": np.array([3, 40, 98]),
        "an": np.array([100, 100, 100]),
        "n": np.array([50, 50, 50]),
        **{name: np.array([0.1, 0.2, 0.3]) for name in ("beta", "se", "t", "p")},
    }
    kept, _ = suppress_cells(Answer("cis_association", 1, columns, {"all": 50}))
    for name in ("ac", "beta", "se", "t", "p"):
        assert [value is None for value in kept.columns[name].tolist()] == [True, False, True]
    assert kept.as_json()["columns"]["beta"] == [None, 0.2, None]
