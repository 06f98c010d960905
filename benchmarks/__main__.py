"""Run every benchmark there is: python -m benchmarks [--quick] [--dir DIR] (one JSON file each)."""

import argparse
import importlib
import pkgutil
from pathlib import Path

import benchmarks


def names() -> list[str]:
    """Return the modules here that have a `main`, the harness and helpers left out."""
    found = []
    for module in pkgutil.iter_modules(benchmarks.__path__):
        if module.name.startswith("_") or "_" in module.name:
            continue
        if hasattr(importlib.import_module(f"benchmarks.{module.name}"), "main"):
            found.append(module.name)
    return found


def run_all() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--dir", type=Path, default=Path())
    options = parser.parse_args()
    options.dir.mkdir(parents=True, exist_ok=True)
    codes = []
    for name in names():
        print(f"== {name}", flush=True)
        module = importlib.import_module(f"benchmarks.{name}")
        quick = ["--quick"] if options.quick else []
        codes.append(module.main(["--json", str(options.dir / f"{name}.json"), *quick]))
    return max(codes, default=0)


if __name__ == "__main__":
    raise SystemExit(run_all())
