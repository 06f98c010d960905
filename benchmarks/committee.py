"""The table a data access committee reads, written from measured figures into a document.

    python -m benchmarks.committee ARCHITECTURE.md FILE.json...

writes what several runs of a benchmark kept (`--json`), in the order given.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from benchmarks.harness import Figure

START, END = "<!-- privacy figures: start -->", "<!-- privacy figures: end -->"


def write_table(path: Path, figures: Sequence[Figure]) -> None:
    """Replace what stands between the two marks of a Markdown file. Raises ValueError if none."""
    text = path.read_text()
    head, mark, rest = text.partition(START)
    _, end, tail = rest.partition(END)
    if not mark or not end:
        raise ValueError(f"{path} lacks the marks {START} and {END}")
    path.write_text(f"{head}{START}\n{table(figures)}\n{END}{tail}")


def table(figures: Sequence[Figure]) -> str:
    """Return the Markdown table: what was measured, how it came out, what it must reach."""
    lines = [
        "| measured | value | must be | without noise | reached | note |",
        "|---|---|---|---|---|---|",
    ]
    for one in figures:
        sign = ">=" if one.at_least else "<="
        target = "" if one.target is None else f"{sign} {one.target:.3g}"
        limit = "" if one.limit is None else f"{one.limit:.3g}"
        met = {True: "yes", False: "**no**", None: ""}[one.met]
        value = f"{one.value:.3g} {one.unit}".strip()
        lines.append(f"| {one.name} | {value} | {target} | {limit} | {met} | {one.note} |")
    return "\n".join(lines)


def read_figures(path: Path) -> list[Figure]:
    """Return the figures a benchmark kept as JSON."""
    names = {field.name for field in fields(Figure)}
    kept = json.loads(path.read_text())["figures"]
    return [Figure(**{name: value for name, value in one.items() if name in names}) for one in kept]


if __name__ == "__main__":
    document, *files = map(Path, sys.argv[1:])
    write_table(document, [figure for file in files for figure in read_figures(file)])
