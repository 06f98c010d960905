"""The ledger's figures, each beside its limit measured in the same run.

    python -m benchmarks.ledger --json FILE [--quick] [--only NAME ...]

Each part is meant to take less than four minutes on two cores. The tree of 10 million entries is
made by a generator that writes leaf hashes and tiles into the store directly, without entries.
Never tuned to: entries are the ones people make (see `workload`), and whatever comes out is
reported, with the machine's load beside it.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks import ledger_append, ledger_http, ledger_read
from benchmarks.harness import Figure, machine, report, say

Benchmark = Callable[[Path, bool], list[Figure]]
BENCHMARKS: dict[str, Benchmark] = {
    "limits": ledger_append.limits,
    "append": ledger_append.append,
    "append-personal": ledger_append.append_personal,
    "postgres": ledger_append.postgres,
    "proof": ledger_read.proofs,
    "plan": ledger_read.plan,
    "fold": ledger_read.fold,
    "resume": ledger_read.resume,
    "follow": ledger_read.follow,
    "follow-public": ledger_read.follow_public,
    "memory": ledger_read.memory,
    "witnessed": ledger_http.witnessed,
}


def run(quick: bool, only: list[str] | None = None) -> list[Figure]:
    """Run them all, each in its own directory."""
    figures: list[Figure] = []
    for name, benchmark in BENCHMARKS.items():
        if only and name not in only:
            continue
        say(f"ledger: {name} ...")
        with tempfile.TemporaryDirectory(prefix="omic-bench-") as place:
            figures += benchmark(Path(place), quick)
    return figures


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.ledger")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true", help="a twentieth of the work")
    parser.add_argument("--only", action="append", choices=list(BENCHMARKS))
    options = parser.parse_args(argv)
    started = machine()
    report(run(options.quick, options.only), options.json, started)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
