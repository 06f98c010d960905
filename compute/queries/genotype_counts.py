"""Family genotype_counts: genotypes, presence, AC, AN, AF, call rate, HWE by variant and stratum.

Counts are of people and of allele copies. At a split multi-allelic site the other ALT keeps its
place: it counts in AN and, as "no copy of this ALT", in hom_ref or het. A person not covered at
a variant enters neither AC, AN nor the call rate. HWE is exact without mid-p, as plink2's --hardy:
on autosomes from diploid calls, on X from women's genotypes and men's single alleles together
(Graffelman and Weir 2016), which also tests that both sexes have one allele frequency.
A variant is present where somebody is called with a copy of it; what hides AC hides that, too.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from compute.builds import CONTIGS
from compute.errors import QueryError
from compute.kernels import hwe_exact, hwe_x_exact
from compute.queries.data import Frame, PersonData, Strata
from compute.queries.family import (
    Answer,
    Cell,
    Column,
    Defaults,
    Disclosure,
    Needs,
    ReleaseMode,
    Sensitivity,
    dosages,
    variant_columns,
)
from compute.queries.frequencies import MAX_VARIANTS, Frequencies
from compute.queries.params import Strict, Variants, select
from compute.queries.private import PrivateForm
from compute.queries.split import Split
from compute.stats import frequency

FAMILY: Final = "genotype_counts"
STATES: Final = ("not_covered", "no_call", "hom_ref", "het", "hom_alt", "hap_ref", "hap_alt")
GENOTYPES: Final = STATES[2:]
ALLELES: Final = ("ac", "af", "present")

Counts: TypeAlias = npt.NDArray[np.int64]
Mask: TypeAlias = npt.NDArray[np.bool_]


class GenotypeCountParams(Split):
    """Which variants, and by which stratum."""

    variants: Variants


class GenotypeCountPartial:
    """Counts of genotype states: stratum x state x variant."""

    def __init__(self, params: GenotypeCountParams, frame: Frame) -> None:
        self.params = params
        self.frame = frame
        self.rows = select(params.variants, frame.table)
        self.strata = Strata(params.by, frame)
        self.levels = self.strata.names
        self._at = np.arange(len(self.rows))
        self.counts: Counts = np.zeros((len(self.levels), len(STATES), len(self.rows)), np.int64)
        self.members = np.zeros(len(self.levels), np.int64)

    @property
    def people(self) -> int:
        """Return how many people were added."""
        return int(self.members.sum())

    def add(self, person: PersonData) -> None:
        """Add one person's genotype states."""
        dosage = dosages(person, self.frame.table)[self.rows]
        level = self.strata.number(person)
        state = dosage.astype(np.intp) + 2
        if person.ploidy is not None:
            haploid = (person.ploidy[self.rows] == 1) & (dosage >= 0)
            state[haploid] += 3
        self.counts[level, state, self._at] += 1
        self.members[level] += 1

    def add_counts(self, counts: Counts, members: npt.NDArray[np.int64]) -> None:
        """Add people counted already: int64 (levels, states, table rows), and people a level."""
        self.counts += counts[:, :, self.rows]
        self.members += members

    def merge(self, other: Self) -> None:
        """Add another partial of the same query and frame."""
        if self.counts.shape != other.counts.shape or self.levels != other.levels:
            raise QueryError("partial counts of different queries cannot be added", code="merge")
        self.counts += other.counts
        self.members += other.members


class GenotypeCounts(Defaults):
    """The family (see the module)."""

    name: ClassVar[str] = FAMILY
    version: ClassVar[int] = 1
    title: ClassVar[str] = (
        "Variant presence, genotype and allele counts, allele frequency, call rate, HWE"
    )
    limits: ClassVar[str] = (
        f"trusted: genome-wide, a region or a panel; private: {MAX_VARIANTS:,} listed variants"
    )
    modes: ClassVar[frozenset[ReleaseMode]] = frozenset({"trusted", "private"})
    params: ClassVar[type[Strict]] = GenotypeCountParams
    private: ClassVar[PrivateForm] = Frequencies()
    disclosure: ClassVar[Disclosure | None] = Disclosure(
        cells=(
            *(Cell(name, (*GENOTYPES, "hwe_p")) for name in GENOTYPES),
            Cell("ac", (*GENOTYPES, "hwe_p", *ALLELES), of="an"),
        ),
        spread=True,
        together=True,
    )
    sensitivity: ClassVar[Sensitivity] = Sensitivity(
        "Adding or removing one person changes, in one stratum and for each variant, exactly one "
        "of the seven genotype counts by 1, AC by at most 2, AN by at most 2, and presence.",
        dict.fromkeys((*STATES, "present"), 1) | {"ac": 2, "an": 2},
    )

    def needs(self, params: GenotypeCountParams) -> Needs:
        """Genotypes, and the participant record where a stratum is asked for."""
        return Needs.by(params.by, "genotypes")

    def start(self, params: GenotypeCountParams, frame: Frame) -> GenotypeCountPartial:
        """Return empty counts."""
        return GenotypeCountPartial(params, frame)

    def reduce(self, partial: GenotypeCountPartial) -> Answer:
        """Return one row a stratum and variant, stratum by stratum."""
        place = variant_columns(partial.frame.table, partial.rows)
        diploid = np.isin(place["contig"], CONTIGS[:23])
        blocks = [
            {
                "stratum": np.full(len(partial.rows), level, dtype=object),
                **place,
                **_statistics(partial.counts[i], diploid, place["contig"] == "X"),
            }
            for i, level in enumerate(partial.levels)
        ]
        columns = {
            name: np.concatenate([block[name] for block in blocks]) for name in _names(blocks)
        }
        people = dict(zip(partial.levels, partial.members.tolist(), strict=True))
        return Answer(self.name, self.version, columns, people, _facts(partial))


def _names(blocks: list[dict[str, Column]]) -> list[str]:
    return list(blocks[0]) if blocks else []


def _facts(partial: GenotypeCountPartial) -> dict[str, Any]:
    facts: dict[str, Any] = {"by": partial.params.by, "variants": len(partial.rows)}
    if isinstance(partial.params.variants, list):
        facts["variants_asked"] = len(partial.params.variants)
    return facts


def _statistics(counts: Counts, two_copies: Mask, on_x: Mask) -> dict[str, Column]:
    state = dict(zip(STATES, counts, strict=True))
    diploid = state["hom_ref"] + state["het"] + state["hom_alt"]
    haploid = state["hap_ref"] + state["hap_alt"]
    ac = state["het"] + 2 * state["hom_alt"] + state["hap_alt"]
    an = 2 * diploid + haploid
    called = diploid + haploid
    hwe = hwe_exact(state["hom_ref"], state["het"], state["hom_alt"])
    men = np.flatnonzero(on_x & (haploid > 0) & (diploid > 0))
    hwe[men] = hwe_x_exact(*(state[name][men] for name in GENOTYPES))
    reason = np.full(len(an), "", dtype="<U16")
    reason[diploid == 0] = "no_diploid_calls"
    reason[~two_copies] = "not_diploid"
    return {
        **{name: state[name] for name in GENOTYPES},
        "no_call": state["no_call"],
        "not_covered": state["not_covered"],
        "ac": ac,
        "an": an,
        "present": ac > 0,
        "af": frequency(ac, an),
        "call_rate": frequency(called, called + state["no_call"]),
        "hwe_p": np.where(reason == "", hwe, np.nan),
        "af_na": np.where(an == 0, "no_calls", ""),
        "hwe_na": reason,
    }
