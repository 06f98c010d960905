"""Attacks on released frequencies, as statistics. Each returns numbers; a test sets the bar.

The attacker knows the population's frequencies, the victim's genome and every parameter, and sees
what the release gate lets out: the same answers that utility is measured on. `private=False` is
the positive control, the same attack with the defence off: it must succeed, or the attack is not
worth its name. Victims and cohorts are drawn here (seeded); the gate's noise never is.
`membership` draws independent variants, `membership_real` real or simulated haplotypes with their
linkage. sampler: OpenDP's, but for tests that must not fail by chance.
"""

from __future__ import annotations

import math
from collections.abc import Callable
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
from compute.suppress import SMALL

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
LIFETIME = Fraction(1, 10)


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


class Gate:
    """The release gate over allele counts: what a buyer of one order is given."""

    def __init__(
        self, people: int, variants: int, *, private: bool, sampler: Sampler = add_noise
    ) -> None:
        names = [f"1-{1000 + at}-A-G" for at in range(variants)]
        value = {"v": 1, "family": "genotype_counts", "build": "GRCh37"}
        self._query = parse_query({**value, "params": {"variants": names}})
        self._place = {
            "stratum": np.full(variants, "all", object),
            "contig": np.full(variants, "1", object),
            "pos": np.arange(1000, 1000 + variants),
            "ref": np.full(variants, "A", object),
            "alt": np.full(variants, "G", object),
        }
        self._people, self._private, self._sampler = people, private, sampler
        self._facts = CohortFacts(people, 0, people)

    def ask(self, alt: Ints, an: Ints, rho: Fraction) -> tuple[Floats, Floats, float]:
        """Return (ALT copies, frequencies, noise sd of a count); NaN where nothing is answered."""
        if not self._private:
            return alt.astype(float), alt / an, 0.0
        answer = Answer(
            "genotype_counts", 1, {**self._place, "ac": alt, "an": an}, {"all": self._people}
        )
        noise = FormNoise(self._query, self._sampler)
        told = release_gate(answer, self._facts, mode="private", rho=rho, noise=noise).answer
        columns = told["columns"]
        return (
            np.array(columns["ac"], float),
            np.array(columns["af"], float),
            float(told["privacy"]["count_sd"]),
        )


@dataclass(frozen=True, slots=True)
class Panel:
    """How a panel is made: (frequencies, victim's copies) of one trial."""

    name: str
    draw: Callable[[np.random.Generator, int], tuple[Floats, Ints]]


def _random(rng: np.random.Generator, m: int) -> tuple[Floats, Ints]:
    p = rng.uniform(0.05, 0.5, m)
    return p, rng.binomial(2, p).astype(np.int64)


def _rare(rng: np.random.Generator, m: int) -> tuple[Floats, Ints]:
    return np.full(m, 0.001), np.ones(m, np.int64)


def _minor(rng: np.random.Generator, m: int) -> tuple[Floats, Ints]:
    return rng.uniform(0.05, 0.5, m), np.full(m, 2, np.int64)


RANDOM = Panel("membership, random panel", _random)
RARE = Panel("membership, victim's rare variants (beacon, rarest first)", _rare)
MINOR = Panel("membership, victim's minor homozygotes", _minor)


def membership(
    panel: Panel,
    people: int,
    variants: int,
    *,
    trials: int,
    private: bool = True,
    orders: int = 1,
    rho: Fraction = LIFETIME,
    missing: float = 0.0,
    seed: int = 1,
    sampler: Sampler = add_noise,
) -> Measured:
    """Tell members from strangers by the likelihood ratio, spending rho over some orders.

    Orders are averaged: many buyers who share what they learn are one attacker.
    """
    rng = np.random.default_rng(seed)
    gate = Gate(people, variants, private=private, sampler=sampler)
    scores: dict[bool, list[float]] = {True: [], False: []}
    errors: list[Floats] = []
    answered: list[float] = []
    for trial in range(2 * trials):
        member = trial % 2 == 0
        p, victim = panel.draw(rng, variants)
        an = _called(rng, people, variants, missing)
        alt = rng.binomial(an - 2 * member, p) + victim * member
        seen = [gate.ask(alt, an, rho / orders) for _ in range(orders)]
        counts = np.mean([one[0] for one in seen], axis=0)
        noise = seen[0][2] ** 2 / orders
        score = (victim - 2 * p) * (counts - an * p) / (noise + an * p * (1 - p))
        scores[member].append(float(score.sum()))
        errors.append(np.mean([one[1] for one in seen], axis=0) - alt / an)
        answered.append(float(np.isfinite(seen[0][1]).mean()))
    inside, outside = np.array(scores[True]), np.array(scores[False])
    area = auc(inside, outside)
    return Measured(
        attack=panel.name,
        people=people,
        variants=variants,
        defence=private,
        trials=2 * trials,
        rho_spent=str(rho) if private else "none",
        answered=float(np.mean(answered)),
        rmse=_rms(errors),
        auc=area,
        auc_se=auc_error(area, trials, trials),
        tpr_at_5=tpr(inside, outside, 0.05),
        tpr_at_1=tpr(inside, outside, 0.01),
        more={"orders": orders, "missing": missing} if orders > 1 or missing else {},
    )


def membership_real(
    kind: str,
    copies: npt.NDArray[np.int8],
    people: int,
    variants: int,
    *,
    trials: int,
    private: bool = True,
    rho: Fraction = LIFETIME,
    seed: int = 8,
    sampler: Sampler = add_noise,
) -> Measured:
    """The attack on real or simulated people, linkage and population structure included.

    copies: everybody there is (people x variants). Each trial draws a cohort and a victim in it or
    not. The attacker knows the frequencies of all the others and how variants go together (linkage,
    ancestry), and takes the likelihood ratio of sums with that covariance. kind "random": common
    variants; "rarest": the victim's own, rarest first, so a beacon's best order (yes and no are
    read off the counts, so no beacon tells more).
    """
    rng = np.random.default_rng(seed)
    gate = Gate(people, variants, private=private, sampler=sampler)
    totals = copies.sum(axis=0, dtype=np.int64)
    covariance = np.cov(copies.T.astype(np.float32))
    covariance += 0.02 * np.diag(np.diag(covariance))
    an = np.full(variants, 2 * people, np.int64)
    scores: dict[bool, list[float]] = {True: [], False: []}
    errors: list[Floats] = []
    answered: list[float] = []
    for trial in range(2 * trials):
        member = trial % 2 == 0
        drawn = rng.choice(len(copies), people + 1, replace=False)
        victim, cohort = int(drawn[0]), drawn[:people] if member else drawn[1:]
        chosen = _chosen(kind, rng, copies[victim], totals, len(copies), variants)
        alt = copies[np.ix_(cohort, chosen)].sum(axis=0, dtype=np.int64)
        known = totals[chosen] - alt - (0 if member else copies[victim, chosen])
        least = 1 / (4 * len(copies))
        p = np.clip(known / (2 * (len(copies) - people - 1)), least, 1 - least)
        counts, af, sd = gate.ask(alt, an, rho)
        spread = people * covariance[np.ix_(chosen, chosen)] + (sd**2 + 1e-6) * np.eye(variants)
        own = np.linalg.solve(spread, copies[victim, chosen] - 2 * p)
        surplus = counts - an * p - (copies[victim, chosen] - 2 * p) / 2
        scores[member].append(float(own @ surplus))
        errors.append(af - alt / an)
        answered.append(float(np.isfinite(af).mean()))
    inside, outside = np.array(scores[True]), np.array(scores[False])
    area = auc(inside, outside)
    return Measured(
        attack=f"membership, {kind} variants, haplotypes",
        people=people,
        variants=variants,
        defence=private,
        trials=2 * trials,
        rho_spent=str(rho) if private else "none",
        answered=float(np.mean(answered)),
        rmse=_rms(errors),
        auc=area,
        auc_se=auc_error(area, trials, trials),
        tpr_at_5=tpr(inside, outside, 0.05),
        tpr_at_1=tpr(inside, outside, 0.01),
    )


def _chosen(
    kind: str,
    rng: np.random.Generator,
    victim: npt.NDArray[np.int8],
    totals: Ints,
    everybody: int,
    variants: int,
) -> Ints:
    """Return which variants are asked, in a set order, `variants` of them."""
    frequency = totals / (2 * everybody)
    if kind == "random":
        common = np.flatnonzero((frequency > 0.05) & (frequency < 0.95))
        return np.sort(rng.choice(common, variants, replace=len(common) < variants))
    carried = np.flatnonzero(victim > 0)
    return carried[np.argsort(frequency[carried], kind="stable")[:variants]]


def membership_trusted(
    panel: Panel, people: int, variants: int, *, trials: int, seed: int = 6
) -> Measured:
    """Run the attack on trusted mode's exact answers: allele counts of 1 to SMALL copies hidden.

    A hidden row still says that it is small; the attacker here passes it over.
    """
    rng = np.random.default_rng(seed)
    an = np.full(variants, 2 * people, np.int64)
    scores: dict[bool, list[float]] = {True: [], False: []}
    answered = []
    for trial in range(2 * trials):
        member = trial % 2 == 0
        p, victim = panel.draw(rng, variants)
        alt = rng.binomial(an - 2 * member, p) + victim * member
        shown = ~(((alt >= 1) & (alt <= SMALL)) | ((an - alt >= 1) & (an - alt <= SMALL)))
        score = (victim - 2 * p) * (alt - an * p) / (an * p * (1 - p))
        scores[member].append(float(score[shown].sum()))
        answered.append(float(shown.mean()))
    inside, outside = np.array(scores[True]), np.array(scores[False])
    area = auc(inside, outside)
    return Measured(
        attack=f"trusted mode, {panel.name}",
        people=people,
        variants=variants,
        defence=True,
        trials=2 * trials,
        rho_spent="none",
        answered=float(np.mean(answered)),
        rmse=0.0,
        auc=area,
        auc_se=auc_error(area, trials, trials),
        tpr_at_5=tpr(inside, outside, 0.05),
        tpr_at_1=tpr(inside, outside, 0.01),
    )


def _rms(errors: list[Any]) -> float:
    """Return the root mean square over what was answered, NaN where nothing was."""
    found = np.concatenate([np.atleast_1d(one) for one in errors])
    found = found[np.isfinite(found)]
    return float(np.sqrt(np.mean(np.square(found)))) if len(found) else math.nan


def _called(rng: np.random.Generator, people: int, variants: int, missing: float) -> Ints:
    """Return AN of each variant, the victim always called."""
    if not missing:
        return np.full(variants, 2 * people, np.int64)
    return (2 + 2 * rng.binomial(people - 1, 1 - missing, variants)).astype(np.int64)


def differencing(
    people: int,
    *,
    trials: int,
    private: bool = True,
    seed: int = 2,
    af: float = 0.2,
    sampler: Sampler = add_noise,
) -> Measured:
    """Ask before and after one person leaves, and say from the difference if it was a carrier.

    Half of the lifetime goes to each side: whoever stays pays for both.
    """
    rng = np.random.default_rng(seed)
    gate, after = (Gate(n, 1, private=private, sampler=sampler) for n in (people, people - 1))
    right, certain, errors, answered = 0, 0, [], []
    for _ in range(trials):
        carrier = int(rng.integers(2))
        rest = rng.binomial(2 * (people - 1), af, 1).astype(np.int64)
        sizes = [np.array([2 * n], np.int64) for n in (people, people - 1)]
        full = gate.ask(rest + carrier, sizes[0], LIFETIME / 2)
        less = after.ask(rest, sizes[1], LIFETIME / 2)
        first, second = (one[0][0] for one in (full, less))
        difference = first - second
        right += int((difference > 0.5) == bool(carrier))
        # Without noise a difference of one copy is proof; under noise every difference may be 0.
        certain += int(full[2] == 0 and difference >= 1)
        errors.append(full[1][0] - (rest[0] + carrier) / (2 * people))
        answered.append(float(np.isfinite(full[1][0])))
    return Measured(
        attack="differencing by withdrawal",
        people=people,
        variants=1,
        defence=private,
        trials=trials,
        rho_spent=str(LIFETIME) if private else "none",
        answered=float(np.mean(answered)),
        rmse=_rms(errors),
        accuracy=right / trials,
        more={"certain_reveals": certain},
    )


def fake_owners(
    people: int,
    *,
    trials: int,
    private: bool = True,
    seed: int = 3,
    sampler: Sampler = add_noise,
) -> Measured:
    """Everybody in the cohort but one is the attacker's: guess if the last is a carrier."""
    rng = np.random.default_rng(seed)
    gate = Gate(people, 1, private=private, sampler=sampler)
    an = np.array([2 * people], np.int64)
    right, errors, answered = 0, [], []
    for _ in range(trials):
        known = rng.binomial(2 * (people - 1), 0.2, 1).astype(np.int64)
        carrier = int(rng.integers(2))
        counts, af, _ = gate.ask(known + carrier, an, LIFETIME)
        right += int((counts[0] - known[0] > 0.5) == bool(carrier))
        errors.append(af[0] - (known[0] + carrier) / an[0])
        answered.append(float(np.isfinite(af[0])))
    return Measured(
        attack="one person among the attacker's own",
        people=people,
        variants=1,
        defence=private,
        trials=trials,
        rho_spent=str(LIFETIME) if private else "none",
        answered=float(np.mean(answered)),
        rmse=_rms(errors),
        accuracy=right / trials,
    )


def audit_bound(
    rho: Fraction,
    runs: int,
    *,
    shrink: float = 1.0,
    confidence: float = 0.95,
    sampler: Sampler = add_noise,
) -> float:
    """Return a lower bound on mu, the Gaussian privacy the mechanism really gives one person.

    One person holding two ALT copies is in or out of `runs` draws each. Clopper-Pearson over 40
    thresholds, Bonferroni-corrected. Honest noise stays below sqrt(2 rho). shrink: the share of
    the noise that is kept, for the positive control.
    """
    bought = rho if shrink == 1 else rho / Fraction(shrink).limit_denominator(1000) ** 2
    inside = sampler(np.full(runs, 52), 4, bought).values
    outside = sampler(np.full(runs, 50), 4, bought).values
    thresholds = np.quantile(np.concatenate([inside, outside]), np.linspace(0.02, 0.98, 40))
    tail = (1 - confidence) / (2 * len(thresholds))
    best = 0.0
    for threshold in thresholds:
        low = _clopper(int((inside > threshold).sum()), runs, tail)[0]
        high = _clopper(int((outside > threshold).sum()), runs, tail)[1]
        if 0 < low < 1 and 0 < high < 1:
            best = max(best, float(stats.norm.ppf(low) - stats.norm.ppf(high)))
    return best


def _clopper(hits: int, runs: int, tail: float) -> tuple[float, float]:
    low = 0.0 if hits == 0 else float(stats.beta.ppf(tail, hits, runs - hits + 1))
    high = 1.0 if hits == runs else float(stats.beta.ppf(1 - tail, hits + 1, runs - hits))
    return low, high


def averaging(
    asked: int, rho: Fraction, allowed: int, sampler: Sampler = add_noise
) -> tuple[int, float]:
    """Return (answers got, error of their mean) of one count asked in so many ways.

    allowed: how many the accountant lets through.
    """
    got = min(asked, allowed)
    draws = sampler(np.full(got * 400, 1000), 4, rho).values.reshape(400, got)
    return got, float(np.sqrt(np.mean((draws.mean(axis=1) - 1000) ** 2)))


def association_null(
    people: int,
    variants: int,
    rho: Fraction,
    tests: int,
    seed: int = 4,
    sampler: Sampler = add_noise,
) -> float:
    """Return the type-I error at 0.05 of the noise-corrected allelic test, cases against controls.

    Both groups are halves of one cohort, so one person is in one group only: rho buys both.
    """
    rng = np.random.default_rng(seed)
    p = rng.uniform(0.1, 0.5, tests)
    an = people  # copies in each half
    halves = [sampler(rng.binomial(an, p), 4 * variants, rho) for _ in range(2)]
    noise = halves[0].sd ** 2
    first, second = (half.values / an for half in halves)
    pooled = np.clip((first + second) / 2, 0.01, 0.99)
    variance = 2 * pooled * (1 - pooled) / an + 2 * noise / an**2
    chi = (first - second) ** 2 / variance
    return float((chi > stats.chi2.ppf(0.95, 1)).mean())
