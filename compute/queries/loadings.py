"""Principal components of a reference panel: what a cohort is projected on.

    ##build=GRCh38
    variant<TAB>af<TAB>PC1<TAB>PC2 …

variant is chrom-pos-ref-alt, af the panel's frequency of ALT. One line a variant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, get_args

import numpy as np
import numpy.typing as npt

from compute.builds import CONTIGS, Build
from compute.errors import QueryError

MAX_COMPONENTS: Final = 40


@dataclass(frozen=True, slots=True, eq=False)
class Loadings:
    """Variants with frequency (V,) and loadings (V, k); names are the components' columns."""

    build: Build
    keys: tuple[tuple[int, int, str, str], ...]
    af: npt.NDArray[np.float64]
    loadings: npt.NDArray[np.float64]
    names: tuple[str, ...]


def parse_loadings(data: bytes) -> Loadings:
    """Parse a loadings file. Raises QueryError ``bad_reference`` naming the line."""
    try:
        lines = data.decode().splitlines()
        build = lines[0].removeprefix("##build=")
        head = lines[1].split("\t")
    except (UnicodeDecodeError, IndexError):
        raise _bad(1, "expected ##build=… and a column line") from None
    if build not in get_args(Build) or head[:2] != ["variant", "af"]:
        raise _bad(1, "expected ##build=GRCh37 or GRCh38, then variant, af, PC1 …")
    names = tuple(head[2:])
    if not 1 <= len(names) <= MAX_COMPONENTS:
        raise _bad(2, f"it must have 1 to {MAX_COMPONENTS} components")
    rows = [_row(number, line, len(names)) for number, line in enumerate(lines[2:], 3) if line]
    if not rows:
        raise _bad(3, "it lists no variant")
    numbers = np.array([values for _, values in rows], np.float64)
    known: Build = "GRCh37" if build == "GRCh37" else "GRCh38"
    return Loadings(known, tuple(key for key, _ in rows), numbers[:, 0], numbers[:, 1:], names)


def _row(number: int, line: str, components: int) -> tuple[tuple[int, int, str, str], list[float]]:
    cells = line.split("\t")
    parts = cells[0].split("-")
    try:
        values = [float(cell) for cell in cells[1:]]
        key = (CONTIGS.index(parts[0]), int(parts[1]), parts[2], parts[3])
    except (ValueError, IndexError):
        raise _bad(number, "a line is variant, frequency, loadings") from None
    if len(values) != components + 1 or not np.isfinite(values).all() or not 0 < values[0] < 1:
        raise _bad(number, "a frequency lies strictly between 0 and 1, loadings are finite")
    return key, values


def _bad(line: int, what: str) -> QueryError:
    return QueryError(f"loadings line {line}: {what}", code="bad_reference")
