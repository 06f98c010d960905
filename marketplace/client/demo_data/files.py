"""Read the shipped GEUVADIS files into plain values.

The PLINK 1 reader is our own (format: https://www.cog-genomics.org/plink/1.9/formats#bed). Values
of expression stay text, so that the cut hands on exactly what the source wrote.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

import numpy as np
import numpy.typing as npt

_BED_MAGIC: Final = b"\x6c\x1b\x01"
# Two bits a genotype, lowest first: hom first allele, missing, het, hom second allele. The first
# allele of the .bim is ALT here, so these are copies of ALT; -1 = no call.
_DOSAGE: Final = np.array([2, -1, 1, 0], dtype=np.int8)


@dataclass(frozen=True, slots=True)
class Person:
    """One person of the demo cohort, public under the study's consent."""

    participant: str
    population: str
    sex: str


@dataclass(frozen=True, slots=True)
class Gene:
    """A gene's place: GRCh37, 1-based, inclusive."""

    id: str
    chrom: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Snp:
    """One line of the .bim; ``ref`` is its second allele."""

    chrom: str
    pos: int
    id: str
    ref: str
    alt: str


def _lines(name: str) -> list[str]:
    data = files(__package__).joinpath(name).read_bytes()
    text = gzip.decompress(data) if name.endswith(".gz") else data
    return text.decode("utf-8").splitlines()


@cache
def samples() -> dict[str, tuple[Person, str]]:
    """Return participant -> (Person, ENA run of its expression)."""
    rows = [line.split("\t") for line in _lines("samples.tsv")[1:]]
    return {row[0]: (Person(row[0], row[2], row[4]), row[1]) for row in rows}


@cache
def snps() -> tuple[Snp, ...]:
    """Return the variants in file order."""
    rows = [line.split() for line in _lines("Geuvadis.bim")]
    return tuple(Snp(row[0], int(row[3]), row[1], row[5], row[4]) for row in rows)


@cache
def dosages() -> dict[str, npt.NDArray[np.int8]]:
    """Return participant -> copies of ALT for every variant, -1 = no call."""
    ids = [line.split()[1] for line in _lines("Geuvadis.fam")]
    raw = files(__package__).joinpath("Geuvadis.bed").read_bytes()
    if not raw.startswith(_BED_MAGIC):
        raise ValueError("Geuvadis.bed is not a variant-major PLINK 1 file")
    packed = np.frombuffer(raw, np.uint8, offset=3).reshape(len(snps()), -1)
    codes = (packed[:, :, None] >> np.array([0, 2, 4, 6], np.uint8)) & 3
    matrix = _DOSAGE[codes.reshape(len(snps()), -1)[:, : len(ids)]].T
    return dict(zip(ids, np.ascontiguousarray(matrix), strict=True))


@cache
def expression_columns() -> tuple[tuple[str, ...], dict[str, tuple[str, ...]]]:
    """Return feature ids, and run -> values as written ("NaN" = missing)."""
    head, *rows = [line.split("\t") for line in _lines("Geuvadis_CEU_YRI_Expr.txt.gz")]
    columns = zip(*(row[1:] for row in rows), strict=True)
    return tuple(row[0] for row in rows), dict(zip(head[1:], columns, strict=True))


@cache
def components() -> dict[str, tuple[float, ...]]:
    """Return run -> the study's five principal components."""
    rows = [line.split("\t") for line in _lines("Geuvadis_CEU_YRI_covariates.txt")[1:]]
    return {row[0]: tuple(map(float, row[1:])) for row in rows}


@cache
def genes() -> dict[str, Gene]:
    """Return gene id -> its place, for the genes the source annotates."""
    rows = [line.split("\t") for line in _lines("Geuvadis_CEU_Annot.txt")[1:]]
    return {row[0]: Gene(row[0], row[1], int(row[2]), int(row[3])) for row in rows}
