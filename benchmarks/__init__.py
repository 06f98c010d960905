"""Benchmarks: `python -m benchmarks`, or one alone, such as `python -m benchmarks.ledger`."""
