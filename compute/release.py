"""The release gate: the one function every number passes on its way out of the worker.

Floors on the cohort, on its complement within the same scope, and on independent owners; then
noise, where the order is private, or else suppression of small strata, rows and cells. Scopes are
consents and published facets, never data, so their sizes are public and judged exactly. Whom a
match keeps is data: it is held to the floors where answers are exact, and never looked at where
they are noised. Never
opens data and never logs an answer. What cannot pass is withheld by code, whole.
Spec: DESIGN section 4 (release control).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from compute.errors import ComputeError
from compute.intervals import with_intervals
from compute.queries import Answer, catalogue
from compute.queries.disclosure import ROUND_TO
from compute.scope import bucket
from compute.suppress import suppress_cells

MIN_PEOPLE = 20
MIN_OWNERS = 3
MIN_PRIVATE_PEOPLE = 100  # below, the noise drowns a frequency: a floor of use, not of safety
CALLED = ("hom_ref", "het", "hom_alt", "hap_ref", "hap_alt")


class WithheldError(ComputeError):
    """The answer does not leave; the code says which rule forbids it."""

    default_code = "withheld"


class Noise(Protocol):
    """Makes a private answer: rho is zCDP's, charged to every person before.

    The answer's own "suppressed" says what is left out and why.
    """

    def add(self, answer: Answer, rho: Fraction) -> Mapping[str, Any]:
        """Return the private answer, with noise for all of rho."""
        ...


@dataclass(frozen=True, slots=True)
class Floors:
    """The least a cohort may be; configuration may raise them and never lower them."""

    people: int = MIN_PEOPLE
    owners: int = MIN_OWNERS
    private_people: int = MIN_PRIVATE_PEOPLE

    def __post_init__(self) -> None:
        least = (MIN_PEOPLE, MIN_OWNERS, MIN_PRIVATE_PEOPLE)
        given = (self.people, self.owners, self.private_people)
        if any(one < floor for one, floor in zip(given, least, strict=True)):
            raise WithheldError("floors can be raised, never lowered", code="floors")


@dataclass(frozen=True, slots=True)
class CohortFacts:
    """What the floors look at: people, people of the same scope left out by facets, owners.

    owners: distinct owners whose attestation says a person and unaffiliated with the buyer.
    largest: the most people any one owner (a custodian) stands for. Where a match kept some of a
    scope, people, owners and largest are of those; rest: how many it left out; unknown: how many
    of them for want of data alone (None: there was no match).
    """

    people: int
    complement: int
    owners: int
    largest: int = 1
    rest: int = 0
    unknown: int | None = None


@dataclass(frozen=True, slots=True)
class Released:
    """An answer that may leave, and what was left out of it (field paths and codes)."""

    answer: Mapping[str, Any]
    people: int
    suppressed: tuple[Mapping[str, str], ...] = field(default=())


def check_floors(facts: CohortFacts, floors: Floors, mode: str = "trusted", least: int = 0) -> None:
    """Check the cohort's size, its complement (0 or as large), whom a match left out of it (0 or as
    many), its owners, and that none of them stands for more than half of it.

    least: the query family's own floor of people. Raises WithheldError, with one code for all:
    which floor failed would tell sizes apart.
    """
    private = floors.private_people if mode == "private" else 0
    small = facts.people < max(private, floors.people, least)
    near = any(0 < left < floors.people for left in (facts.complement, facts.rest))
    dominated = 2 * facts.largest > facts.people
    if small or near or dominated or facts.owners < floors.owners:
        raise WithheldError("a floor of the cohort does not hold", code="below_floor")


def release_gate(
    answer: Answer,
    facts: CohortFacts,
    *,
    mode: str,
    rho: Fraction,
    floors: Floors = Floors(),
    noise: Noise | None = None,
) -> Released:
    """Return what of an answer may leave. Raises WithheldError.

    mode "trusted": exact numbers after floors and suppression, for human review. mode "private":
    noise for all of rho, and nothing at all without it.
    """
    check_floors(facts, floors, mode, least_of(answer.family))
    if mode == "private":
        if noise is None or rho <= 0:
            raise WithheldError("a private answer needs noise and a rho above 0", code="no_noise")
        told = noise.add(answer, rho)
        return Released(told, facts.people, tuple(told.get("suppressed", ())))
    if mode != "trusted":
        raise WithheldError("the release mode is unknown", code="bad_order")
    kept, notes = suppress_strata(answer, floors.people)
    kept, more = suppress_rows(kept, floors.people)
    kept, cells = suppress_cells(kept)
    kept = with_intervals(kept)
    told = _plain(kept, floors.people)
    told["facts"] |= _of_match(facts)
    return Released(told, facts.people, (*notes, *more, *cells))


def least_of(family: str) -> int:
    """Return a query family's own floor of people, 0 where it has none."""
    return catalogue()[family].least_people if family in catalogue() else 0


def _of_match(facts: CohortFacts) -> dict[str, Any]:
    """Return what is told of a match: people rounded to 5, who has no such data in a bucket."""
    if facts.unknown is None:
        return {}
    people = ROUND_TO * round(facts.people / ROUND_TO)
    return {"match": {"people": people, "no_such_data": bucket(facts.unknown)}}


def suppress_strata(answer: Answer, least: int) -> tuple[Answer, list[Mapping[str, str]]]:
    """Drop every stratum of fewer than `least` people whole, so that nothing in it is derived.

    When exactly one stratum is dropped the smallest other goes too: a total would give the
    dropped one away by subtraction (complementary suppression). Raises WithheldError when no
    stratum is left.
    """
    drop = {name for name, size in answer.people.items() if size < least}
    left = sorted((size, name) for name, size in answer.people.items() if name not in drop)
    if len(drop) == 1 and left:
        drop.add(left[0][1])
    if drop == set(answer.people):
        raise WithheldError("no stratum is large enough", code="nothing_releasable")
    notes: list[Mapping[str, str]] = [
        {"path": f"stratum/{name}", "code": "small_stratum"} for name in sorted(drop)
    ]
    if not drop:
        return answer, notes
    keep = ~np.isin(answer.columns["stratum"].astype(str), sorted(drop))
    columns = {name: column[keep] for name, column in answer.columns.items()}
    people = {name: size for name, size in answer.people.items() if name not in drop}
    return replace(answer, columns=columns, people=people), notes


def suppress_rows(answer: Answer, least: int) -> tuple[Answer, list[Mapping[str, str]]]:
    """Drop rows whose numbers rest on 1 to least-1 people, every column of them.

    Rows lie stratum by stratum; one dropped in a stratum goes in all, for the unsplit row less the
    others would give it away.
    """
    people = row_people(answer)
    keep = (people == 0) | (people >= least)
    if len(answer.people) > 1:
        keep = np.tile(keep.reshape(len(answer.people), -1).all(axis=0), len(answer.people))
    if keep.all():
        return answer, []
    columns = {name: column[keep] for name, column in answer.columns.items()}
    count = int((~keep).sum())
    note = {"path": "rows", "code": "small_row", "rows": bucketed(count, least)}
    return replace(answer, columns=columns), [note]


def row_people(answer: Answer) -> npt.NDArray[np.int64]:
    """Return how many people each row's numbers rest on: n, or people with a call."""
    if "n" in answer.columns:
        return answer.columns["n"].astype(np.int64)
    called = [name for name in CALLED if name in answer.columns]
    if not called:
        return np.full(len(answer), sum(answer.people.values()), np.int64)
    total: npt.NDArray[np.int64] = np.sum([answer.columns[name] for name in called], axis=0)
    return total


def bucketed(count: int, least: int) -> str:
    """Return a count as text, with 1 to least-1 told apart from nothing only as "<least"."""
    return str(count) if count == 0 or count >= least else f"<{least}"


def _plain(answer: Answer, least: int) -> dict[str, Any]:
    """Return the JSON form, with the counts of people left out of a model in buckets."""
    value = answer.as_json()
    left_out = value["facts"].get("left_out")
    if isinstance(left_out, dict):
        value["facts"]["left_out"] = {
            name: bucketed(int(count), least) for name, count in left_out.items()
        }
    return value
