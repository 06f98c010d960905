"""The release gate: the one function every number passes on its way out of the worker.

Floors on the cohort, on its complement within the same scope, and on independent owners; then
suppression of small strata; then noise, where the order is private. Never opens data and never
logs an answer. What cannot pass is withheld by code, whole. Spec: DESIGN section 4 (release
control); the noise port is filled by the private mode.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from compute.errors import ComputeError
from compute.queries import Answer

MIN_PEOPLE = 20
MIN_OWNERS = 3
CALLED = ("hom_ref", "het", "hom_alt", "hap_ref", "hap_alt")


class WithheldError(ComputeError):
    """The answer does not leave; the code says which rule forbids it."""

    default_code = "withheld"


class Noise(Protocol):
    """Adds calibrated noise to an answer: rho is zCDP's, charged to every person before."""

    def add(self, answer: Answer, rho: Fraction) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Floors:
    """The least a cohort may be; configuration may raise them and never lower them."""

    people: int = MIN_PEOPLE
    owners: int = MIN_OWNERS

    def __post_init__(self) -> None:
        if self.people < MIN_PEOPLE or self.owners < MIN_OWNERS:
            raise WithheldError("floors can be raised, never lowered", code="floors")


@dataclass(frozen=True, slots=True)
class CohortFacts:
    """What the floors look at: people, people of the same scope left out by facets, owners.

    owners: distinct owners whose attestation says a person and unaffiliated with the buyer.
    """

    people: int
    complement: int
    owners: int


@dataclass(frozen=True, slots=True)
class Released:
    """An answer that may leave, and what was left out of it (field paths and codes)."""

    answer: Mapping[str, Any]
    people: int
    suppressed: tuple[Mapping[str, str], ...] = field(default=())


def check_floors(facts: CohortFacts, floors: Floors) -> None:
    """Check the cohort's size, its complement (0 or as large) and its owners.

    Raises WithheldError, with one code for all: which floor failed would tell sizes apart.
    """
    small = facts.people < floors.people
    near = 0 < facts.complement < floors.people
    if small or near or facts.owners < floors.owners:
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
    noise is needed, and is refused where no noise is configured.
    """
    check_floors(facts, floors)
    if mode == "private":
        if noise is None or rho <= 0:
            raise WithheldError("no noise is configured", code="private_mode_not_yet_offered")
        return Released(noise.add(answer, rho), facts.people)
    if mode != "trusted":
        raise WithheldError("the release mode is unknown", code="bad_order")
    kept, notes = suppress_strata(answer, floors.people)
    kept, more = suppress_rows(kept, floors.people)
    return Released(_plain(kept, floors.people), facts.people, (*notes, *more))


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
    """Drop rows whose numbers rest on 1 to least-1 people, every column of them."""
    people = row_people(answer)
    keep = (people == 0) | (people >= least)
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
