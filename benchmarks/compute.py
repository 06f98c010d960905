"""Compute's figures, each beside plink2's or bcftools' in the same run, interleaved.

    python -m benchmarks.compute --json FILE [--quick] [--only PART ...] [--data FOLDER]

The genotypes are made (benchmarks.compute_data) and kept in --data. Answers are compared with the
peer's before a time is reported; a difference ends the run. Times are medians, warm page cache.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks import compute_genotypes, compute_ingest, compute_store
from benchmarks.compute_data import Cohort, cohort
from benchmarks.harness import Figure, machine, report, say

Part = Callable[[Cohort, Path, bool], list[Figure]]
PARTS: dict[str, Part] = {
    "counts": compute_genotypes.counts,
    "hardy": compute_genotypes.hardy,
    "linear": compute_genotypes.linear,
    "logistic": compute_genotypes.logistic,
    "score": compute_genotypes.score,
    "ingest": compute_ingest.ingest,
    "study": compute_ingest.study,
    "crypt4gh": compute_store.crypt4gh,
    "erasure": compute_store.erasure,
    "people": compute_store.people,
}


def run(folder: Path, quick: bool, only: list[str] | None = None) -> list[Figure]:
    """Run the parts over one cohort."""
    made = cohort(folder, 500, 20_000, 2) if quick else cohort(folder, 5_000, 500_000, 10)
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="omic-bench-") as place:
        for name, part in PARTS.items():
            if not only or name in only:
                say(f"compute: {name} ...")
                found = part(made, Path(place), quick)
                for figure in found:
                    say(f"compute:   {figure.name}: {figure.value:.4g} {figure.unit}")
                figures += found
    return figures


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.compute")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true", help="500 people x 20,000 variants")
    parser.add_argument("--only", action="append", choices=list(PARTS))
    default = Path(tempfile.gettempdir()) / "omic-compute-data"
    parser.add_argument("--data", type=Path, default=default)
    options = parser.parse_args(argv)
    started = machine()
    report(run(options.data, options.quick, options.only), options.json, started)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
