"""The values the matcher takes and gives: a request, and a verdict with a reason for each term.

Plain values: the rules are in `compute.match` and `compute.modifiers`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from pydantic import model_validator

from compute.ontology import Ontology
from compute.terms import Claims, Purpose
from compute.values import Rational, Value


class Verdict(StrEnum):
    """What the matcher answers; of several, the one furthest down decides."""

    PERMITTED = "permitted"
    NEEDS_OWNER = "needs_owner"
    FORBIDDEN = "forbidden"


SEVERITY = {verdict: rank for rank, verdict in enumerate(Verdict)}

# Reasons grouped so coarsely that a count of people for each says nothing of one person's terms.
GROUPS = (
    "purpose",
    "buyer",
    "place",
    "time",
    "price",
    "query",
    "release",
    "needs_owner",
    "facets",
    "modality",
    "build",
    "invalid",
)


class Release(Value):
    """The release an order asks for: rho is the privacy budget it wants of each person.

    Trusted release uses none: there a ledger entry may hold null, read here as "0".
    """

    mode: Literal["private", "trusted"]
    rho: Rational = "0"

    @model_validator(mode="before")
    @classmethod
    def _no_budget(cls, value: object) -> object:
        if (
            isinstance(value, Mapping)
            and value.get("mode") == "trusted"
            and value.get("rho") is None
        ):
            return {**value, "rho": "0"}
        return value


@dataclass(frozen=True, slots=True)
class Request:
    """One use as it is judged: who asks what, where, how the answer leaves, and when."""

    purpose: Purpose
    claims: Claims
    family: str
    modalities: frozenset[str]
    release: Release
    region: str
    now_ms: int
    ontology: Ontology

    def claim(self, name: str) -> bool | str | None:
        """Return an attribute of the buyer that is attested now, or None."""
        return self.claims.value(name, self.now_ms)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why one term was or was not met; group is one of GROUPS."""

    code: str
    verdict: Verdict
    text: str
    group: str


@dataclass(frozen=True, slots=True)
class Match:
    """The answer: the worst verdict of all reasons, and one reason for each term."""

    verdict: Verdict
    reasons: tuple[Reason, ...]

    @property
    def decisive(self) -> Reason:
        """Return the first reason that carries the verdict."""
        return next(reason for reason in self.reasons if reason.verdict is self.verdict)


def permitted(code: str, text: str, group: str = "purpose") -> Reason:
    """Make the reason of a term that is met."""
    return Reason(code, Verdict.PERMITTED, text, group)


def forbidden(code: str, text: str, group: str = "purpose") -> Reason:
    """Make the reason of a term that is not met."""
    return Reason(code, Verdict.FORBIDDEN, text, group)


def ask(code: str, text: str) -> Reason:
    """Make the reason of a term only the owner can decide."""
    return Reason(code, Verdict.NEEDS_OWNER, text, "needs_owner")
