"""PGS Catalog scoring files (format 2.0), as published: harmonised columns win where they stand.

Source: pgscatalog.org/downloads, "Scoring file format". Rows that cannot be scored variant by
variant (haplotypes, interactions, genotype-specific weights, no position) are counted by reason.
Never guesses a build.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Self

import numpy as np
import numpy.typing as npt

from compute.builds import CONTIG_CODE, Build, canonical_contig
from compute.errors import QueryError

Model = Literal["additive", "dominant", "recessive"]
_BUILDS: Final[Mapping[str, Build]] = {
    "grch37": "GRCh37", "hg19": "GRCh37", "grch38": "GRCh38", "hg38": "GRCh38",
}  # fmt: skip
LONGEST_POSITION: Final = 9  # digits; the longest chromosome has 249 million bases
_BASES: Final = frozenset("ACGT")
_CODES: Final[Mapping[str, int]] = {"A": 0, "C": 1, "G": 2, "T": 3}  # 3 - code: other strand
NO_BASE: Final = 4
_TRUE: Final = frozenset({"true", "1"})


@dataclass(frozen=True, slots=True)
class Weight:
    """One row: contig code, 1-based position, effect allele, other allele ("" unknown), weight."""

    contig: int
    pos: int
    effect: str
    other: str
    weight: float
    model: Model = "additive"


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """The rows of a file as columns, in the file's order; codes: see `base_codes`."""

    contig: npt.NDArray[np.int8]
    pos: npt.NDArray[np.int32]
    effect: tuple[str, ...]
    other: tuple[str, ...]
    weight: npt.NDArray[np.float64]
    model: npt.NDArray[np.str_]
    effect_code: npt.NDArray[np.uint8]
    other_code: npt.NDArray[np.uint8]

    @classmethod
    def of(cls, rows: Sequence[Weight]) -> Self:
        """Build the columns."""
        effect, other = (tuple(getattr(row, name) for row in rows) for name in ("effect", "other"))
        return cls(
            np.array([row.contig for row in rows], np.int8),
            np.array([row.pos for row in rows], np.int32),
            effect,
            other,
            np.array([row.weight for row in rows], np.float64),
            np.array([row.model for row in rows], dtype="<U9"),
            base_codes(effect),
            base_codes(other),
        )

    def __len__(self) -> int:
        return len(self.pos)

    def row(self, number: int) -> Weight:
        """Return one row."""
        model: Model = self.model[number].item()
        return Weight(
            int(self.contig[number]), int(self.pos[number]), self.effect[number],
            self.other[number], float(self.weight[number]), model,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Score:
    """A scoring file. rows: how many it lists; skipped: those not scored, by reason."""

    pgs_id: str
    build: Build
    weights: Weights
    rows: int
    skipped: Mapping[str, int]


def base_codes(alleles: Iterable[str]) -> npt.NDArray[np.uint8]:
    """Return A, C, G, T as 0, 1, 2, 3 and any other text as NO_BASE."""
    return np.array([_CODES.get(allele, NO_BASE) for allele in alleles], np.uint8)


def parse_scorefile(data: bytes) -> Score:
    """Parse a scoring file (inflated bytes). Raises QueryError ``bad_reference``."""
    try:
        lines = data.decode().splitlines()
    except UnicodeDecodeError:
        raise _bad("it is not UTF-8 text") from None
    meta = dict(_pair(line) for line in lines if line.startswith("#") and "=" in line)
    body = [line for line in lines if line.strip() and not line.startswith("#")]
    if not body:
        raise _bad("it has no column line")
    head = body[0].split("\t")
    harmonised = "hm_chr" in head and "hm_pos" in head
    build = _build(meta, harmonised=harmonised)
    skipped: Counter[str] = Counter()
    weights = [
        found
        for line in body[1:]
        if (found := _weight(_cells(head, line), harmonised, skipped)) is not None
    ]
    if not weights:
        raise _bad("no row of it can be scored")
    return Score(
        meta.get("pgs_id") or meta.get("pgs_name") or "unnamed",
        build, Weights.of(weights), len(body) - 1, dict(skipped),
    )  # fmt: skip


def _pair(line: str) -> tuple[str, str]:
    key, _, value = line.lstrip("#").rstrip().partition("=")
    return key.strip(), value.strip()


def _cells(head: list[str], line: str) -> dict[str, str]:
    return {name: cell.strip() for name, cell in zip(head, line.split("\t"), strict=False)}


def _build(meta: Mapping[str, str], *, harmonised: bool) -> Build:
    stated = meta.get("HmPOS_build" if harmonised else "genome_build", "")
    found = _BUILDS.get(stated.lower())
    if found is None:
        raise _bad("it states no build (GRCh37, GRCh38); load the harmonised file of the score")
    return found


class _Unscored(Exception):
    """Why a row is not scored."""


def _weight(cells: Mapping[str, str], harmonised: bool, skipped: Counter[str]) -> Weight | None:
    try:
        return _scored(cells, harmonised)
    except _Unscored as reason:
        skipped[str(reason)] += 1
        return None


def _scored(cells: Mapping[str, str], harmonised: bool) -> Weight:
    names = ("hm_chr", "hm_pos") if harmonised else ("chr_name", "chr_position")
    chrom, pos = (cells.get(name, "") for name in names)
    code = CONTIG_CODE.get(canonical_contig(chrom) or "", -1)
    if code < 0 or not (pos.isascii() and pos.isdigit() and len(pos) <= LONGEST_POSITION):
        raise _Unscored("no_position")
    if _says(cells, "is_haplotype") or _says(cells, "is_diplotype"):
        raise _Unscored("haplotype")
    if _says(cells, "is_interaction") or cells.get("dosage_0_weight"):
        raise _Unscored("not_additive")
    effect = cells.get("effect_allele", "").upper()
    other = (cells.get("other_allele") or cells.get("hm_inferOtherAllele") or "").upper()
    if not effect or not _BASES.issuperset(effect):
        raise _Unscored("bad_allele")
    if not _BASES.issuperset(other):
        other = ""  # several inferred, joined by a slash: not known
    model: Model = (
        "dominant"
        if _says(cells, "is_dominant")
        else "recessive"
        if _says(cells, "is_recessive")
        else "additive"
    )
    return Weight(code, int(pos), effect, other, _number(cells.get("effect_weight", "")), model)


def _says(cells: Mapping[str, str], name: str) -> bool:
    return cells.get(name, "").lower() in _TRUE


def _number(text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        raise _Unscored("bad_weight") from None
    if not math.isfinite(weight):
        raise _Unscored("bad_weight")
    return weight


def _bad(what: str) -> QueryError:
    return QueryError(f"the scoring file cannot be used: {what}", code="bad_reference")
