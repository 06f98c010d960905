"""The membership attacks on real and simulated people: linkage and population structure included.

The attacker knows the genomes of a reference sample that is not in the cohort, and how variants go
together there (linkage, ancestry), and takes the likelihood ratio of sums with that covariance.
Theory (Sankararaman 2009, with a reference of R people): d' = sqrt(m / N * R / (N + R)), AUC =
Phi(d' / sqrt 2); the controls' panels are as large as that asks for, the private ones as large as
is sold for a lifetime.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.attacks import LIFETIME, Floats, Game, Gate, Ints, Measured, Told
from benchmarks.people import Copies
from compute.noise import add_noise
from compute.private import Sampler

STRANGERS = 500
RIDGE = 0.001  # shrinks the reference's covariance towards its diagonal
BLOCK = 250  # variants taken together; further apart they go together by ancestry alone


@dataclass(frozen=True, slots=True)
class Draw:
    """Who is who in one trial: rows of people."""

    cohort: Ints
    strangers: Ints
    reference: Ints


def split(rng: np.random.Generator, everybody: int, people: int, strangers: int) -> Draw:
    """Draw a cohort and strangers; everybody else is the reference."""
    order = rng.permutation(everybody)
    return Draw(order[:people], order[people : people + strangers], order[people + strangers :])


def random_variants(
    copies: Copies,
    people: int,
    variants: int,
    *,
    releases: int,
    private: bool = True,
    rho: Fraction = LIFETIME,
    seed: int = 8,
    sampler: Sampler = add_noise,
) -> Measured:
    """Buy a panel of common variants (copies' columns), and hold everybody against it."""
    rng = np.random.default_rng(seed)
    gate = Gate(people, variants, private=private, sampler=sampler)
    an = np.full(variants, 2 * people, np.int64)
    game = Game()
    for _ in range(releases):
        who = split(rng, len(copies), people, STRANGERS)
        panel = np.sort(rng.choice(copies.shape[1], variants, replace=False))
        alt = _sum(copies, who.cohort, panel)
        told = gate.ask(alt, an, rho)
        members = rng.choice(who.cohort, min(people, STRANGERS), replace=False)
        scored = np.concatenate([members, who.strangers])
        found = scores(copies, scored, who.reference, panel, told, people)
        game.against_all(found[: len(members)], found[len(members) :], told, alt / an)
    return game.judged(
        attack="membership, random panel, haplotypes",
        people=people,
        variants=variants,
        defence=private,
        rho_spent=str(rho) if private else "none",
    )


def _sum(copies: Copies, rows: Ints, columns: Ints) -> Ints:
    """Return the copies of some people at some variants, a few at a time to keep memory low."""
    found = np.zeros(len(columns), np.int64)
    for at in range(0, len(rows), 1000):
        found += copies[np.ix_(rows[at : at + 1000], columns)].sum(axis=0, dtype=np.int64)
    return found


def scores(
    copies: Copies, scored: Ints, reference: Ints, panel: Ints, told: Told, people: int
) -> Floats:
    """Return each scored person's likelihood ratio, block after block of neighbouring variants.

    scored, reference: rows of copies; panel: its columns.
    """
    total = np.zeros(len(scored))
    weight = people * (1 + people / len(reference))
    for at in range(0, len(panel), BLOCK):
        block = panel[at : at + BLOCK]
        known = copies[np.ix_(reference, block)].astype(np.float32)
        mean = known.mean(axis=0)
        cov = np.cov(known.T).reshape(len(block), len(block))
        cov += RIDGE * np.diag(np.diag(cov)) + 1e-9 * np.eye(len(block))
        # ALT and REF copies carry the same sum with independent noise: half their difference
        # has half the variance.
        gap = (told.ac - (told.an - told.ac))[at : at + BLOCK] / 2 + people - people * mean
        spread = weight * cov + told.sd**2 / 2 * np.eye(len(block))
        own = copies[np.ix_(scored, block)] - mean
        total += own @ np.linalg.solve(spread, gap)
    return total


def rarest_variants(
    copies: Any,
    people: int,
    variants: int,
    *,
    trials: int,
    private: bool = True,
    rho: Fraction = LIFETIME,
    seed: int = 8,
    sampler: Sampler = add_noise,
) -> Measured:
    """Buy the victim's own variants, rarest first: a beacon's best order.

    Yes and no are read off the counts, so no beacon tells more. copies: people x variants, an
    array or a sparse matrix of SciPy.
    """
    rng = np.random.default_rng(seed)
    gate = Gate(people, variants, private=private, sampler=sampler)
    totals = np.asarray(copies.sum(axis=0, dtype=np.int64)).ravel()
    everybody = copies.shape[0]
    an, game = np.full(variants, 2 * people, np.int64), Game()
    for trial in range(2 * trials):
        member = trial % 2 == 0
        drawn = rng.choice(everybody, people + 1, replace=False)
        victim, cohort = int(drawn[0]), drawn[:people] if member else drawn[1:]
        chosen = _rarest(copies, victim, totals, variants)
        local = _dense(copies[:, chosen])
        alt = local[cohort].sum(axis=0, dtype=np.int64)
        told = gate.ask(alt, an, rho)
        own, others = local[victim].astype(float), (totals[chosen] - local[victim]).astype(float)
        found = _against_others(local, own, others, told, people)
        game.against_one(member, found, told, alt / an)
    return game.judged(
        attack="membership, victim's rarest variants, haplotypes",
        people=people,
        variants=variants,
        defence=private,
        rho_spent=str(rho) if private else "none",
    )


def _rarest(copies: Any, victim: int, totals: Ints, variants: int) -> Ints:
    carried = np.flatnonzero(_dense(copies[[victim]])[0] > 0)
    found = carried[np.argsort(totals[carried], kind="stable")[:variants]]
    if len(found) < variants:
        raise ValueError(f"a victim carries {len(found)} variants and not {variants}")
    return np.sort(found)


def _against_others(
    local: npt.NDArray[Any], own: Floats, others: Floats, told: Told, people: int
) -> float:
    """Score a victim; the attacker knows what everybody there is carries together, but for it."""
    everybody = len(local)
    mean = others / (everybody - 1)
    cov = np.cov(local.T.astype(np.float32)).reshape(len(own), len(own))
    cov += RIDGE * np.diag(np.diag(cov)) + 1e-9 * np.eye(len(own))
    # The cohort is drawn from a known, finite population: what is left is its sampling.
    spread = people * (1 - people / everybody) * cov + (told.sd**2 / 2 + 1e-6) * np.eye(len(own))
    gap = (told.ac - (told.an - told.ac)) / 2 + people - people * mean - (own - mean) / 2
    return float((own - mean) @ np.linalg.solve(spread, gap))


def _dense(part: Any) -> npt.NDArray[Any]:
    return part.toarray() if hasattr(part, "toarray") else part
