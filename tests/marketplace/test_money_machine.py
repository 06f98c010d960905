"""The money machine, for a moment; `python -m benchmarks.orders --steps 100000` runs it for long."""

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.marketplace.money_machine import MoneyMachine


def test_any_interleaving_ends_balanced_and_every_order_in_one_end():
    chosen = settings(
        max_examples=6, stateful_step_count=30, deadline=None, derandomize=True,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    run_state_machine_as_test(MoneyMachine, settings=chosen)
