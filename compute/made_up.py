"""Answers to any question over made-up people: the real families, real columns, invented numbers.

A buyer sees what an order would give before anything is paid or opened. The people follow from the
query's digest alone, so the same question always shows the same numbers, and they say nothing of
anybody. Noise here is ordinary pseudo-randomness: there is nobody to protect.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import islice
from typing import Any, Final

import numpy as np

from compute.builds import CONTIGS, Build
from compute.errors import QueryError
from compute.intervals import with_intervals
from compute.parsed import NO_CALL, Clinical, Demographics, Measurement, Term
from compute.queries.catalogue import (
    Query,
    learned_frame,
    private_form,
    query_digest,
    run,
    unmatched,
)
from compute.queries.data import CohortData, Frame, Key, PersonData, VariantTable
from compute.queries.disclosure import DOMINATED
from compute.queries.distribution import Between
from compute.queries.family import Answer
from compute.queries.hierarchy import Hierarchy
from compute.queries.loadings import Loadings
from compute.queries.params import span_of
from compute.queries.private_association_params import (
    Category,
    Number,
    PrivateAssociationParams,
)
from compute.queries.scorefile import Score, Weight, Weights
from compute.queries.split import Split

PEOPLE: Final = 120
PRIVATE_PEOPLE: Final = 2_000  # noise is made for cohorts
VARIANTS: Final = 120
NO_CALLS: Final = 0.02
_PAIRS: Final = (("A", "G"), ("C", "T"), ("G", "A"), ("T", "C"))
_SPAN: Final = ("22", 17_000_000, 18_000_000)


def made_up_answer(query: Query, rho: Fraction | None = None) -> Mapping[str, list[Any]]:
    """Return the columns of a query's answer over made-up people; rho: with noise, as private.

    Raises QueryError as a run would, and where the family has no private form.
    """
    rng = np.random.default_rng(int(query_digest(query)[:16], 16))
    query = unmatched(query)  # everybody here is made up: a match has nothing to be judged on
    answer = _exact(query, rng, PEOPLE if rho is None else PRIVATE_PEOPLE)
    if rho is None:
        columns: dict[str, list[Any]] = with_intervals(answer).as_json()["columns"]
        columns.pop(DOMINATED, None)
        return columns
    form = private_form(query)
    if form is None:
        raise QueryError(f"{query.family} has no private form; ask for an exact answer")
    problem = form.problem(query.params)
    if problem is not None:
        raise QueryError(problem)
    shape = form.shape(query.params)
    sd, vector = shape.sd(rho), form.vector(query.params, answer)
    if shape.picks:
        noisy = vector + rng.gumbel(0, shape.scale(rho), len(vector))
        noised = np.argsort(-noisy, kind="stable")[: shape.picks]
    else:
        noised = vector + np.rint(rng.normal(0, sd, len(vector))).astype(np.int64)
    return form.told(query.params, noised, sd).columns


def _exact(query: Query, rng: np.random.Generator, count: int) -> Answer:
    table = _table(query, rng)
    people = tuple(_people(query, table, rng, count))
    cohort = CohortData.of(table, people)
    frame = Frame(table, cohort.frame.levels, references=_references(query, table, rng))
    whole = CohortData(frame, people)
    return run(query, CohortData(learned_frame(query, whole), people))


def _table(query: Query, rng: np.random.Generator) -> VariantTable:
    build: Build = query.build or "GRCh37"
    named = (getattr(query.params, name, None) for name in ("variant", "variants", "weights"))
    chosen = next((one for one in named if one is not None), None)
    if isinstance(chosen, str):
        return VariantTable.of(build, [_key(chosen)])
    if isinstance(chosen, (list, dict)):
        return VariantTable.of(build, sorted(_key(name) for name in islice(chosen, VARIANTS)))
    chrom, start, end = span_of(query.params) or _SPAN
    width = max(0, min(VARIANTS, end - start + 1))
    places = sorted(rng.choice(np.arange(start, end + 1), width, replace=False).tolist())
    code = CONTIGS.index(chrom)
    return VariantTable.of(build, [(code, max(1, p), *_PAIRS[p % 4]) for p in places])


def _key(name: str) -> Key:
    chrom, pos, ref, alt = name.split("-")
    return CONTIGS.index(chrom), int(pos), ref, alt


def _people(
    query: Query, table: VariantTable, rng: np.random.Generator, count: int
) -> Iterator[PersonData]:
    needs, levels = query.needs, _levels(query)
    clamps = {one.name: one.clamp for one in _adjusted(query) if isinstance(one, Number)}
    # A variant asked for alone is common, so that there is something of every genotype to see.
    base = rng.beta(0.8, 2.0, len(table)) if len(table) > 1 else np.full(len(table), 0.4)
    shift = {level: np.clip(base + rng.normal(0, 0.12, len(base)), 0.01, 0.99)
             for level in levels["population"]}  # fmt: skip
    for at in range(count):
        strata = {name: values[at % len(values)] for name, values in levels.items()}
        dosage = rng.binomial(2, shift[strata["population"]]).astype(np.int8)
        dosage[rng.random(len(dosage)) < NO_CALLS] = NO_CALL
        pull = max(0.0, float(dosage[len(dosage) // 2])) if len(dosage) else 0.0
        yield PersonData(
            f"made-up-{at:03d}", dosage, None, strata,
            covariates=_Drawn(rng, pull, clamps), features=_features(query, rng, pull),
            clinical=_record(query, rng) if "clinical" in needs.modalities else None,
        )  # fmt: skip


class _Drawn(Mapping[str, float]):
    """A number for every name asked for: a covariate is whatever the buyer calls it.

    clamps: where some of them are clamped to, which most of their values lie in.
    """

    def __init__(
        self, rng: np.random.Generator, pull: float, clamps: Mapping[str, Between]
    ) -> None:
        self._rng, self._pull, self._clamps = rng, pull, clamps
        self._known: dict[str, float] = {}

    def __getitem__(self, name: str) -> float:
        if name not in self._known:
            drawn = float(self._rng.normal(0.6 * self._pull, 1.0))
            clamp = self._clamps.get(name)
            self._known[name] = clamp.middle + clamp.half * drawn / 3 if clamp else drawn
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)


def _levels(query: Query) -> dict[str, tuple[str, ...]]:
    found = {"population": ("CEU", "YRI"), "sex": ("female", "male", "male", "female")}
    groups = getattr(query.params, "groups", None)
    if groups is not None and groups.kind == "stratum":
        found[groups.stratum] = (groups.a, groups.b)
    listed = {one.name: one.levels for one in _adjusted(query) if isinstance(one, Category)}
    params = query.params
    if isinstance(params, Split) and params.by is not None and params.levels is not None:
        listed[params.by] = params.levels
    for name, levels in listed.items():  # sex there and back, so that the two do not go together
        found[name] = (*levels, *(reversed(levels) if name == "sex" else ()))
    return found


def _adjusted(query: Query) -> Sequence[Number | Category]:
    found = query.params
    return found.adjusted() if isinstance(found, PrivateAssociationParams) else ()


def _features(query: Query, rng: np.random.Generator, pull: float) -> dict[str, float]:
    low, high = (float(getattr(query.params, name, at)) for name, at in (("low", 5), ("high", 15)))
    middle, wide = (low + high) / 2, (high - low) / 6 or 1.0
    return {
        name: float(rng.normal(middle + wide * (pull - 0.5), wide))
        for name in query.needs.features[:500]
    }


def _record(query: Query, rng: np.random.Generator) -> Clinical:
    params = query.params
    trait = getattr(params, "trait", None) or getattr(params, "groups", None)
    named = [*getattr(params, "terms", ())]
    pair = (getattr(params, "first", None), getattr(params, "second", None))
    named += [getattr(one, "term", None) for one in (trait, *pair)]
    onset = f"P{int(np.clip(rng.normal(48, 14), 0, 89))}Y"
    last = f"P{int(np.clip(rng.normal(62, 15), 18, 95))}Y"
    terms = tuple(
        Term(str(name), "made up", onset=onset) for name in named if name and rng.random() < 0.4
    )
    told = Demographics(last_seen=last)
    return Clinical("phenopacket", terms, tuple(_measured(params, trait, rng)), told)


def _measured(params: Any, trait: Any, rng: np.random.Generator) -> Iterator[Measurement]:
    source = params if getattr(params, "code", None) else trait
    if getattr(source, "code", None) is None:
        return
    low, high = (float(getattr(params, name, at)) for name, at in (("low", 4), ("high", 8)))
    count = min(int(getattr(params, "min_readings", 3)), 500)
    mean = rng.normal((low + high) / 2, (high - low) / 4 or 1.0)
    for at, value in enumerate(rng.normal(mean, (high - low) / 5 or 1.0, count)):
        yield Measurement(source.code, float(value), source.unit, at * 900_000)


def _references(query: Query, table: VariantTable, rng: np.random.Generator) -> dict[str, Any]:
    """Return small stand-ins for the operator's files a query names."""
    found: dict[str, Any] = {}
    for digest in query.needs.references:
        if digest == getattr(query.params, "score", None):
            drawn = rng.normal(0, 0.2, len(table)).tolist()
            rows = zip(table.keys(), drawn, strict=True)
            weights = Weights.of([Weight(c, p, a, r, w) for (c, p, r, a), w in rows])
            found[digest] = Score("made up", table.build, weights, len(weights), {})
        elif digest == getattr(query.params, "loadings", None):
            shape = (len(table), 4)
            af = np.full(len(table), 0.3)
            names = ("PC1", "PC2", "PC3", "PC4")
            found[digest] = Loadings(
                table.build, tuple(table.keys()), af, rng.normal(0, 0.2, shape), names
            )
        else:
            found[digest] = Hierarchy({})
    return found
