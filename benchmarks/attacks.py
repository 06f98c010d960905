"""What every attack shares: the gate it attacks, its score, and the row it ends in.

The attacker knows the population's frequencies, the victim's genome and every parameter, and sees
what the release gate lets out: the same answers that utility is measured on. `private=False` is
the positive control, the same attack with the defence off: it must succeed, or the attack is not
worth its name. Victims and cohorts are drawn here (seeded); the gate's noise never is.
sampler: OpenDP's, but for tests that must not fail by chance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from compute.noise import add_noise
from compute.private import FormNoise, Sampler
from compute.queries import Answer, parse_query
from compute.release import CohortFacts, release_gate

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
LIFETIME = Fraction(1, 10)
JITTER = 1e-6  # keeps covariances of exact counts invertible


@dataclass(frozen=True, slots=True)
class Measured:
    """One attack's outcome, beside what its answers were worth."""

    attack: str
    people: int
    variants: int
    defence: bool
    trials: int
    rho_spent: str
    answered: float
    rmse: float
    auc: float | None = None
    auc_se: float | None = None
    tpr_at_5: float | None = None
    tpr_at_1: float | None = None
    accuracy: float | None = None
    more: dict[str, Any] = field(default_factory=dict)

    def row(self) -> dict[str, Any]:
        """Return the row as JSON."""
        return {name: value for name, value in asdict(self).items() if value not in (None, {})}


def auc(inside: Floats, outside: Floats) -> float:
    """Return the chance that a member scores above a stranger, ties as one half."""
    ranks = stats.rankdata(np.concatenate([inside, outside]))
    n, m = len(inside), len(outside)
    return float((ranks[:n].sum() - n * (n + 1) / 2) / (n * m))


def auc_error(area: float, n: int, m: int) -> float:
    """Return the standard error of an AUC (Hanley and McNeil 1982)."""
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    spread = area * (1 - area) + (n - 1) * (q1 - area**2) + (m - 1) * (q2 - area**2)
    return math.sqrt(max(0.0, spread / (n * m)))


def tpr(inside: Floats, outside: Floats, fpr: float) -> float:
    """Return the share of members above the threshold that a share `fpr` of strangers passes."""
    return float((inside > np.quantile(outside, 1 - fpr)).mean())


def ceiling(rho: Fraction = LIFETIME) -> float:
    """Return the AUC no attacker can exceed against one person under zCDP rho: Phi(sqrt rho)."""
    return float(stats.norm.cdf(math.sqrt(rho)))


@dataclass(frozen=True, slots=True)
class Told:
    """What one order tells: ALT copies and AN as told, frequencies, the noise's sd in a count.

    NaN where no frequency is given.
    """

    ac: Floats
    an: Floats
    af: Floats
    sd: float

    @property
    def answered(self) -> float:
        """Return the share of the variants that got a frequency."""
        return float(np.isfinite(self.af).mean())


class Gate:
    """The release gate over allele counts: what a buyer of one order is given."""

    def __init__(
        self, people: int, variants: int, *, private: bool, sampler: Sampler = add_noise
    ) -> None:
        names = [f"1-{1000 + at}-A-G" for at in range(variants)]
        value = {"v": 1, "family": "genotype_counts", "build": "GRCh37"}
        self._query = parse_query({**value, "params": {"variants": names}}) if private else None
        self._place = {
            "stratum": np.full(variants, "all", object),
            "contig": np.full(variants, "1", object),
            "pos": np.arange(1000, 1000 + variants),
            "ref": np.full(variants, "A", object),
            "alt": np.full(variants, "G", object),
        }
        self._people, self._sampler = people, sampler
        self._facts = CohortFacts(people, 0, people)

    def ask(self, alt: Ints, an: Ints, rho: Fraction) -> Told:
        """Return what an order worth rho tells of these exact counts."""
        if self._query is None:
            return Told(alt.astype(float), an.astype(float), alt / an, 0.0)
        answer = Answer(
            "genotype_counts", 1, {**self._place, "ac": alt, "an": an}, {"all": self._people}
        )
        noise = FormNoise(self._query, self._sampler)
        told = release_gate(answer, self._facts, mode="private", rho=rho, noise=noise).answer
        ac, an_told, af = (np.array(told["columns"][name], float) for name in ("ac", "an", "af"))
        return Told(ac, an_told, af, float(told["privacy"]["count_sd"]))


def pooled(answers: Sequence[Told]) -> Told:
    """Return the mean of several answers to one question, as buyers who share would take it."""
    ac, an, af = (
        np.mean([getattr(one, name) for one in answers], axis=0) for name in ("ac", "an", "af")
    )
    return Told(ac, an, af, answers[0].sd / math.sqrt(len(answers)))


def surplus(told: Told, p: Floats, people: int, called: float) -> tuple[Floats, Floats]:
    """Return the likelihood ratio's weights of ALT and REF copies, one of each a variant.

    Normal theory of both noised counts together, covariance of people's calls included: no test
    of these numbers is stronger. called: the share of calls present. The sampling variance is that
    of `people` draws from the population (p).
    """
    q, c = 1 - p, called
    alt_alt = people * (c * (2 * p * q + 4 * p**2) - 4 * p**2 * c**2) + told.sd**2 + JITTER
    ref_ref = people * (c * (2 * p * q + 4 * q**2) - 4 * q**2 * c**2) + told.sd**2 + JITTER
    both = people * (c * 2 * p * q - 4 * p * q * c**2)
    alt = told.ac - 2 * people * c * p
    ref = (told.an - told.ac) - 2 * people * c * q
    whole = alt_alt * ref_ref - both**2
    return (ref_ref * alt - both * ref) / whole, (alt_alt * ref - both * alt) / whole


def score(
    victims: npt.NDArray[Any], p: Floats, called: float, weights: tuple[Floats, Floats]
) -> Any:
    """Return the score of each victim (rows of copies, or one): the higher, the likelier in."""
    alt, ref = weights
    return (victims - 2 * p * called) @ alt + ((2 - victims) - 2 * (1 - p) * called) @ ref


@dataclass(slots=True)
class Game:
    """Who is in the cohort, played again and again: scores, and answers beside the truth."""

    inside: list[Floats] = field(default_factory=list)
    outside: list[Floats] = field(default_factory=list)
    answers: list[tuple[Told, Floats]] = field(default_factory=list)
    _areas: list[float] = field(default_factory=list)

    def against_one(self, member: bool, score: float, told: Told, truth: Floats) -> None:
        """Note the score of one victim, in the cohort or not, against an answer of its own."""
        (self.inside if member else self.outside).append(np.array([score]))
        self.answers.append((told, truth))

    def against_all(self, inside: Floats, outside: Floats, told: Told, truth: Floats) -> None:
        """Note the scores of everybody against one answer; the spread of several is the error."""
        self.inside.append(inside)
        self.outside.append(outside)
        self.answers.append((told, truth))
        self._areas.append(auc(inside, outside))

    def judged(self, **fields: Any) -> Measured:
        """Return the row: AUC with its error, TPR, how much was answered, RMSE of a frequency."""
        inside, outside = np.concatenate(self.inside), np.concatenate(self.outside)
        area = auc(inside, outside)
        error = auc_error(area, len(inside), len(outside))
        if len(self._areas) > 1:
            error = float(np.std(self._areas, ddof=1) / np.sqrt(len(self._areas)))
        return Measured(
            answered=float(np.mean([told.answered for told, _ in self.answers])),
            rmse=rms([told.af - truth for told, truth in self.answers]),
            auc=area,
            tpr_at_5=tpr(inside, outside, 0.05),
            tpr_at_1=tpr(inside, outside, 0.01),
            auc_se=error,
            trials=len(inside) + len(outside),
            **fields,
        )


def rms(errors: Sequence[Any]) -> float:
    """Return the root mean square over what was answered, NaN where nothing was."""
    found = np.concatenate([np.atleast_1d(one) for one in errors])
    found = found[np.isfinite(found)]
    return float(np.sqrt(np.mean(np.square(found)))) if len(found) else math.nan
