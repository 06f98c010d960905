"""Terms kept as one body for all who say the same, and a window of each one's own."""

from hypothesis import given
from hypothesis import strategies as st

from ledger.entry_types import RULES
from ledger.fold_model import split_terms
from tests.ledger.ledger_scenes import Scene

VALUES = st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3)
NAMES = st.sampled_from(["valid_from", "valid_until", "v", "prices", "regions"])


@given(st.dictionaries(NAMES, VALUES | st.lists(VALUES, max_size=2)))
def test_body_and_window_are_the_terms(terms):
    before = dict(terms)
    body, window = split_terms(terms)
    assert {**body, **window} == terms == before
    assert not body.keys() & {"valid_from", "valid_until"}
    assert window.keys() <= {"valid_from", "valid_until"}


def test_equal_values_are_kept_once_and_one_is_not_true():
    state = Scene().state
    first, again, other = {"v": 1}, {"v": 1}, {"v": True}
    assert state.share(first) is first
    assert state.share(again) is first
    assert state.share(other) is other
    assert state.is_shared(first)
    assert not state.is_shared(again)


def test_the_quick_test_of_a_form_judges_each_text_by_itself():
    rule = RULES["consent.granted", 1]
    scene = Scene()
    scene.put("grant")
    payload = dict(scene.example("grant").payload)
    assert rule.form.fits(payload)
    texts = [name for name, kind in rule.required if kind.pattern is not None]
    assert {"id", "grant", "owner", "dataset", "actor", "terms_sha256"} <= set(texts)
    for name in texts:
        for wrong in (payload[name] + "\n", payload[name][:-1] + "\n", "", None, 1):
            assert not rule.form.fits({**payload, name: wrong}), (name, wrong)
        assert not rule.form.fits({key: payload[key] for key in payload if key != name})
    moved = {**payload, "owner": payload["owner"] + "\n" + payload["dataset"], "dataset": ""}
    assert not rule.form.fits(moved)
