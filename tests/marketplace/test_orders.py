"""The transition table: every pair decided, named errors, and walks that always end well."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.errors import IllegalTransitionError
from marketplace.orders import (
    CANCELLABLE,
    FINAL,
    OVER,
    REFUNDABLE,
    TABLE,
    OrderEvent,
    OrderState,
    allowed,
    diagram,
    step,
)

# The life of an order as its specification draws it, written out a second time by hand.
SPEC = """
drafted: quote>quoted
quoted: place>awaiting_payment expire>expired
awaiting_payment: pay>funded cancel>cancelled expire>expired
funded: need_owners>needs_owners approve>approved refuse>refused cancel>cancelled expire>expired
needs_owners: approve>approved refuse>refused cancel>cancelled expire>expired
approved: start>running refuse>refused fail>failed
running: start>running draft>releasing release>releasing refuse>refused fail>failed
releasing: start>releasing draft>releasing release>releasing settle>settled refuse>refused fail>failed
settled:
refused: refund>refunded
cancelled: pay>cancelled refund>refunded
expired: pay>expired refund>refunded
failed: refund>refunded
refunded:
"""


def spec():
    table = {}
    for line in SPEC.strip().splitlines():
        state, _, rest = line.partition(":")
        for move in rest.split():
            event, _, after = move.partition(">")
            table[OrderState(state), OrderEvent(event)] = OrderState(after)
    return table


@pytest.mark.parametrize("state", OrderState)
@pytest.mark.parametrize("event", OrderEvent)
def test_every_pair_is_decided_as_specified(state, event):
    wanted = spec().get((state, event))
    if wanted is not None:
        assert step(state, event) is wanted
        assert allowed(state, event)
        return
    assert not allowed(state, event)
    with pytest.raises(IllegalTransitionError) as error:
        step(state, event)
    assert state.value in str(error.value)
    assert event.value in str(error.value)


@given(st.lists(st.sampled_from(OrderEvent), max_size=60))
def test_any_walk_stays_in_the_table_and_money_is_never_both_settled_and_refunded(events):
    state, seen = OrderState.DRAFTED, set()
    for event in events:
        if not allowed(state, event):
            continue
        state = step(state, event)
        seen.add(state)
    assert not {OrderState.SETTLED, OrderState.REFUNDED} <= seen


def test_every_state_can_be_reached_and_can_reach_an_end():
    reached, frontier = {OrderState.DRAFTED}, [OrderState.DRAFTED]
    while frontier:
        here = frontier.pop()
        for (state, _event), after in TABLE.items():
            if state is here and after not in reached:
                reached.add(after)
                frontier.append(after)
    assert reached == set(OrderState)
    ends = set(FINAL)
    while grown := {s for (s, _), after in TABLE.items() if after in ends} - ends:
        ends |= grown
    assert ends == set(OrderState)


def test_final_states_have_no_way_out_and_ended_ones_only_a_refund():
    for state, event in TABLE:
        assert state not in FINAL
        if state in REFUNDABLE:
            assert event in (OrderEvent.REFUND, OrderEvent.PAY)
    assert OVER == FINAL | REFUNDABLE
    assert OrderState.RUNNING not in CANCELLABLE


def test_the_diagram_draws_exactly_the_table():
    arrows = {line.strip() for line in diagram().splitlines() if ": " in line}
    assert arrows == {f"{s} --> {after}: {e}" for (s, e), after in TABLE.items()}
    assert diagram().startswith("stateDiagram-v2\n")
