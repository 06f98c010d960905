"""A running market tells nobody what one person's data say, by payout, entry, size or refusal."""

import pytest

from benchmarks.attacks_http_pairs import CARRIED, Victim, figures, masked, told_apart


@pytest.mark.timeout(600)
def test_orders_about_victims_of_other_data_look_alike_to_everybody_else():
    """Real processes; the control, in which payouts follow data, is one of the figures."""
    found = list(figures(2))
    assert [figure.name for figure in found if not figure.met] == []
    assert len(found) == 5


def victims(each=3):
    return [Victim(at, kind, at, at) for at in range(each) for kind in CARRIED]


def test_views_that_differ_between_kinds_are_told_and_those_that_differ_anyhow_are_not():
    people = victims()
    assert told_apart({one: one.kind for one in people}, *CARRIED) == 1
    assert told_apart({one: one.number % 2 for one in people}, *CARRIED) == 0
    assert told_apart(dict.fromkeys(people, "alike"), *CARRIED) == 0


def test_what_is_masked_is_what_is_drawn_anew_and_nothing_else():
    entry = {
        "order": "0f" * 16,
        "people": 7,
        "time": 1_800_000_000_000,
        "index": 5,
        "said": "V001 in",
    }
    assert masked(entry, {"V001": "VICTIM"}) == {
        "order": "drawn, 32", "people": 7, "time": "moment", "said": "VICTIM in"
    }  # fmt: skip
    assert masked(["0f" * 16]) != masked(["0f" * 32])
