"""The table a data access committee reads, written from measured figures into a document.

    python -m benchmarks.committee ARCHITECTURE.md FILE.json...

FILE.json: what runs of `benchmarks.privacy` kept (`--json`), whole or of some parts. The rows of a
part that was run are replaced, all of them; a part of no file keeps its rows as they stand, with
the day they were measured, and one that never was run says "not run". Of two files with one part
the later named counts.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from benchmarks.harness import Figure

START, END = "<!-- privacy figures: start -->", "<!-- privacy figures: end -->"
PARTS = ("membership", "real", "msprime", "pairs", "mechanism", "utility", "trusted", "sampler",
         "http", "http-membership", "http-pairs")  # fmt: skip
WITHOUT_NOISE, NOT_RUN = "without noise", "not run"
HEAD = ("measured", "value", "must be", WITHOUT_NOISE, "reached", "note", "part, day")


@dataclass(frozen=True)
class Run:
    """One part as it was run. day: YYYY-MM-DD, UTC; scale: the share of the full work."""

    part: str
    day: str
    figures: Sequence[Figure]
    scale: float = 1.0

    def to_json(self) -> dict[str, Any]:
        """Return what a file keeps."""
        figures = [figure.to_json() for figure in self.figures]
        return {"part": self.part, "day": self.day, "scale": self.scale, "figures": figures}


def write_table(path: Path, runs: Sequence[Run]) -> None:
    """Replace the parts that were run in the table between two marks of a Markdown file.

    Raises ValueError where the marks, or the part of a row between them, are missing.
    """
    text = path.read_text()
    head, mark, rest = text.partition(START)
    old, end, tail = rest.partition(END)
    if not mark or not end:
        raise ValueError(f"{path} lacks the marks {START} and {END}")
    path.write_text(f"{head}{START}\n{table(runs, old)}\n{END}{tail}")


def table(runs: Sequence[Run], old: str = "") -> str:
    """Return the Markdown table: what was measured, how it came out, what it must reach, when."""
    rows = _kept(old)
    for run in runs:
        if run.part not in PARTS:
            raise ValueError(f"there is no part {run.part}; there are {', '.join(PARTS)}")
        rows[run.part] = [_line(_cells(run, figure)) for figure in run.figures]
    lines = [_line(HEAD), "|" + "---|" * len(HEAD)]
    for part in PARTS:
        never = _line((f"everything of part {part}", NOT_RUN, *[""] * 4, part))
        lines += rows.get(part) or [never]
    return "\n".join(lines)


def _kept(old: str) -> dict[str, list[str]]:
    """Return the rows of a table as they stand, by part."""
    rows: dict[str, list[str]] = {}
    for line in old.strip().splitlines()[2:]:
        cells = [cell.strip() for cell in line.strip("|").split(" |")]
        part = cells[-1].partition(",")[0]
        if len(cells) != len(HEAD) or part not in PARTS:
            raise ValueError(f"no part of the benchmark is named by the row: {line[:80]}")
        if cells[1] != NOT_RUN:
            rows.setdefault(part, []).append(line)
    return rows


def _cells(run: Run, one: Figure) -> Sequence[str]:
    sign = ">=" if one.at_least else "<="
    share = "" if run.scale == 1 else f", {run.scale:.0%} of the work"
    return (
        one.name,
        f"{one.value:.3g} {one.unit}".strip(),
        "" if one.target is None else f"{sign} {one.target:.3g}",
        "" if one.limit is None or one.limit_name != WITHOUT_NOISE else f"{one.limit:.3g}",
        {True: "yes", False: "**no**", None: ""}[one.met],
        one.note,
        f"{run.part}, {run.day}{share}",
    )


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def read_runs(path: Path) -> Iterator[Run]:
    """Yield the parts a run of the benchmark kept as JSON. Raises ValueError for another file."""
    names = {field.name for field in fields(Figure)}
    kept = json.loads(path.read_text()).get("runs")
    if kept is None:
        raise ValueError(f"{path} names no parts; write it anew: benchmarks.privacy --json {path}")
    for run in kept:
        figures = [
            Figure(**{name: value for name, value in one.items() if name in names})
            for one in run["figures"]
        ]
        yield Run(run["part"], run["day"], figures, run["scale"])


if __name__ == "__main__":
    document, *files = map(Path, sys.argv[1:])
    write_table(document, [run for file in files for run in read_runs(file)])
