"""Family age_at_onset: how many people still are without a condition at each age (Kaplan-Meier).

The condition is any of the listed codes, or a descendant by the ontology named; its onset is the
earliest age a record states for it. Who has no such code leaves the curve at the age their record
last speaks of (age or date of the last encounter, measurement or other onset). People with the
condition but no age of its onset, and people whose record tells no age, are left out and counted.

Everybody counts as at risk from birth on. People who died of the condition before they could join
are not in any cohort, so a curve of a deadly one is too high.

What leaves in trusted mode is pooled first: neighbouring ages are joined, in all strata alike,
until no count is small. Counts are rounded to 5, and the curve is made anew from rounded counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, ClassVar, Final, Self, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from compute.parsed import Clinical
from compute.queries.ages import age_in_years, last_known_age
from compute.queries.clinical import ClinicalPartial, clinical_needs
from compute.queries.data import Frame
from compute.queries.family import (
    Answer,
    Cell,
    Column,
    Defaults,
    Disclosure,
    Needs,
    ReleaseMode,
    Sensitivity,
)
from compute.queries.onset_noise import OnsetNoise
from compute.queries.params import AsSet, Strict
from compute.queries.private import PrivateForm
from compute.queries.split import Split
from compute.queries.traits import Curie, Sha256
from compute.survival import kaplan_meier

FAMILY: Final = "age_at_onset"
LEFT_OUT: Final = ("no_onset_age", "no_age")
COUNTS: Final = ("at_risk", "events", "censored")
CURVE: Final = ("survival", "survival_se", "survival_low", "survival_high")
MAX_CODES: Final = 50

Int64: TypeAlias = npt.NDArray[np.int64]
Codes = Annotated[
    list[Curie],
    Field(min_length=1, max_length=MAX_CODES),
    AsSet,
]


class AgeAtOnsetParams(Split):
    """The condition's codes, the ontology of their descendants, bands of age in years, stratum."""

    terms: Codes
    ontology: Sha256 | None = None
    width: Annotated[int, Field(ge=1, le=25)] = 5
    oldest: Annotated[int, Field(ge=5, le=120)] = 90

    @model_validator(mode="after")
    def _whole_bands(self) -> Self:
        if self.oldest % self.width:
            raise ValueError("the oldest age must be a multiple of the width of a band")
        return self

    @property
    def rows(self) -> int:
        """Return the number of bands."""
        return self.oldest // self.width


class AgeAtOnsetPartial(ClinicalPartial):
    """Cells: onsets by band, then people who left by band, then those left out, by reason."""

    def __init__(self, params: AgeAtOnsetParams, frame: Frame) -> None:
        terms = [(term, params.ontology) for term in params.terms]
        super().__init__(params, frame, terms, 2 * params.rows + len(LEFT_OUT))
        self.codes = frozenset[str]().union(*self.wanted)

    def cells_of(self, record: Clinical) -> Sequence[int]:
        """Return the one cell of a record."""
        cells = [0] * self.counts.shape[1]
        cells[self._cell(record)] = 1
        return cells

    def _cell(self, record: Clinical) -> int:
        bands: int = self.params.rows
        width: int = self.params.width
        ages = list(_onsets(record, self.codes))
        if ages:
            known = [age for age in ages if age is not None]
            if not known:
                return 2 * bands
            band = int(min(known) // width)
            return band if band < bands else 2 * bands - 1  # well until the oldest age
        last = last_known_age(record)
        if last is None:
            return 2 * bands + 1
        return bands + min(bands - 1, int(last // width))

    def parts(self) -> tuple[Int64, Int64, Int64]:
        """Return (events, censored, left out), int64 (strata, bands) and (strata, reasons)."""
        bands = self.params.rows
        return (
            self.counts[:, :bands],
            self.counts[:, bands : 2 * bands],
            self.counts[:, 2 * bands :],
        )


def _onsets(record: Clinical, codes: frozenset[str]) -> Iterator[float | None]:
    for term in record.terms:
        if term.curie in codes and not term.excluded:
            yield age_in_years(term.onset, record.demographics.birth_year)


def curve_of(at_risk: Int64, events: Int64) -> dict[str, Column]:
    """Return the curve's columns of counts (strata, bands), row by row."""
    found = kaplan_meier(at_risk, events)
    parts = (found.share, found.se, found.low, found.high)
    return {name: part.reshape(-1) for name, part in zip(CURVE, parts, strict=True)}


def pooled(answer: Answer, small: int) -> Answer:
    """Join neighbouring bands, in all strata alike, until no count is from 1 to small.

    From the youngest on; what is left over at the end joins the bands before it.
    """
    strata = len(answer.people)
    columns = {name: answer.columns[name].reshape(strata, -1) for name in COUNTS}
    firsts = _firsts(columns["at_risk"], columns["events"], columns["censored"], small)
    ends = np.array([*firsts[1:], columns["events"].shape[1]]) - 1
    summed = {name: np.add.reduceat(columns[name], firsts, axis=1) for name in COUNTS[1:]}
    kept: dict[str, Column] = {
        "stratum": answer.columns["stratum"].reshape(strata, -1)[:, firsts],
        "age_from": answer.columns["age_from"].reshape(strata, -1)[:, firsts],
        "age_to": answer.columns["age_to"].reshape(strata, -1)[:, ends],
        "at_risk": columns["at_risk"][:, firsts],
        **summed,
    }
    curve = curve_of(kept["at_risk"], kept["events"])
    flat = {name: column.reshape(-1) for name, column in kept.items()}
    return replace(answer, columns={**flat, **curve})


def _firsts(at_risk: Int64, events: Int64, censored: Int64, small: int) -> list[int]:
    """Return the first band of each pool."""

    def fine(first: int, end: int) -> bool:
        counts = (at_risk[:, first], events[:, first:end].sum(1), censored[:, first:end].sum(1))
        return not any(bool(((count >= 1) & (count <= small)).any()) for count in counts)

    bands = events.shape[1]
    firsts = [0]
    for band in range(1, bands):
        if fine(firsts[-1], band):
            firsts.append(band)
    while len(firsts) > 1 and not fine(firsts[-1], bands):
        firsts.pop()
    return firsts


def _remade(columns: Mapping[str, Column]) -> dict[str, Column]:
    names = columns["stratum"]
    strata = len(dict.fromkeys(names.tolist()))
    return curve_of(*(columns[name].reshape(strata, -1) for name in COUNTS[:2]))


class AgeAtOnset(Defaults):
    """The family (see the module)."""

    name: ClassVar[str] = FAMILY
    version: ClassVar[int] = 1
    title: ClassVar[str] = "Age at onset of a coded condition: Kaplan-Meier curve, by stratum"
    modes: ClassVar[frozenset[ReleaseMode]] = frozenset({"trusted", "private"})
    private: ClassVar[PrivateForm] = OnsetNoise()
    params: ClassVar[type[Strict]] = AgeAtOnsetParams
    disclosure: ClassVar[Disclosure | None] = Disclosure(
        pool=pooled,
        cells=tuple(Cell(name, (*COUNTS, *CURVE)) for name in COUNTS),
        rounded=COUNTS,
        remake=_remade,
        spread=True,
    )
    limits: ClassVar[str] = f"{MAX_CODES} codes of one condition; counts rounded to 5, ages pooled"
    sensitivity: ClassVar[Sensitivity] = Sensitivity(
        "One person has their onset in one band or leaves in one band, so changes one of these "
        "counts by 1, and people at risk in each band up to it by 1.",
        dict.fromkeys(COUNTS, 1),
    )

    def needs(self, params: AgeAtOnsetParams) -> Needs:
        """Clinical data, the ontology named, and the record where a stratum is asked for."""
        return clinical_needs(params.by, params.ontology)

    def start(self, params: AgeAtOnsetParams, frame: Frame) -> AgeAtOnsetPartial:
        """Return empty counts."""
        return AgeAtOnsetPartial(params, frame)

    def reduce(self, partial: AgeAtOnsetPartial) -> Answer:
        """Return one row a stratum and band, stratum by stratum, youngest first."""
        params, levels = partial.params, partial.strata.names
        events, censored, left_out = partial.parts()
        both = events + censored
        at_risk = both[:, ::-1].cumsum(axis=1)[:, ::-1]
        starts = np.arange(params.rows) * params.width
        columns: dict[str, Column] = {
            "stratum": np.repeat(np.array(levels, dtype=object), params.rows),
            "age_from": np.tile(starts, len(levels)),
            "age_to": np.tile(starts + params.width, len(levels)),
            "at_risk": at_risk.reshape(-1),
            "events": events.reshape(-1),
            "censored": censored.reshape(-1),
            **curve_of(at_risk, events),
        }
        people = dict(zip(levels, both.sum(axis=1).tolist(), strict=True))
        facts = {
            "terms": list(params.terms),
            "by": params.by,
            "descendants": params.ontology is not None,
            "codes_counted": len(partial.codes),
            "left_out": dict(zip(LEFT_OUT, left_out.sum(axis=0).tolist(), strict=True)),
        }
        return Answer(self.name, self.version, columns, people, facts)
