"""Is this person in the cohort? Panels of independent variants, the attacker's best of a size.

A random panel is bought once and everybody is held against it; a panel chosen from a victim's own
genome is bought for that victim alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from benchmarks.attacks import (
    LIFETIME,
    Floats,
    Game,
    Gate,
    Ints,
    Measured,
    Told,
    pooled,
    score,
    surplus,
)
from compute.noise import add_noise
from compute.private import Sampler
from compute.suppress import SMALL

SCORED = 500  # members, and as many strangers, held against one random panel


@dataclass(frozen=True, slots=True)
class Panel:
    """How a panel is made: (frequencies, victim's copies) of one trial."""

    name: str
    draw: Callable[[np.random.Generator, int], tuple[Floats, Ints]]


def common(rng: np.random.Generator, m: int) -> Floats:
    """Return frequencies of common variants, even between 0.05 and 0.5."""
    return rng.uniform(0.05, 0.5, m)


def _rare(rng: np.random.Generator, m: int) -> tuple[Floats, Ints]:
    return np.full(m, 0.001), np.ones(m, np.int64)


def _minor(rng: np.random.Generator, m: int) -> tuple[Floats, Ints]:
    return common(rng, m), np.full(m, 2, np.int64)


RARE = Panel("victim's rare variants (beacon, rarest first)", _rare)
MINOR = Panel("victim's minor homozygotes", _minor)


def random_panel(
    people: int,
    variants: int,
    *,
    releases: int,
    private: bool = True,
    orders: int = 1,
    rho: Fraction = LIFETIME,
    missing: float = 0.0,
    seed: int = 1,
    sampler: Sampler = add_noise,
) -> Measured:
    """Buy a panel drawn in advance for rho over some orders, and hold everybody against it.

    releases: how often, each with a cohort of its own; the AUC's error is their spread. orders:
    the same question by so many buyers, who share what they learn.
    """
    rng = np.random.default_rng(seed)
    gate = Gate(people, variants, private=private, sampler=sampler)
    game = Game()
    for _ in range(releases):
        p = common(rng, variants)
        members, alt, an = _cohort(rng, people, p, missing)
        told = pooled([gate.ask(alt, an, rho / orders) for _ in range(orders)])
        weights = surplus(told, p, people, 1 - missing)
        strangers = rng.binomial(2, p, (SCORED, variants))
        inside, outside = (score(one, p, 1 - missing, weights) for one in (members, strangers))
        game.against_all(inside, outside, told, alt / an)
    return game.judged(
        attack="membership, random panel",
        people=people,
        variants=variants,
        defence=private,
        rho_spent=str(rho) if private else "none",
        more=_more(orders, missing),
    )


def _cohort(
    rng: np.random.Generator, people: int, p: Floats, missing: float
) -> tuple[npt.NDArray[np.int64], Ints, Ints]:
    """Return the genomes of up to SCORED members, and the exact counts of the whole cohort."""
    known = min(SCORED, people)
    members = rng.binomial(2, p, (known, len(p)))
    called = rng.random(members.shape) >= missing
    rest = rng.binomial(people - known, 1 - missing, len(p))
    alt = (members * called).sum(axis=0) + rng.binomial(2 * rest, p)
    return members, alt.astype(np.int64), (2 * (called.sum(axis=0) + rest)).astype(np.int64)


def chosen_panel(
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
    """Buy a panel made for one victim, in the cohort or not, `trials` times each."""
    rng = np.random.default_rng(seed)
    gate, game = Gate(people, variants, private=private, sampler=sampler), Game()
    for trial in range(2 * trials):
        member = trial % 2 == 0
        p, victim = panel.draw(rng, variants)
        an = _called(rng, people, variants, missing)
        alt = (rng.binomial(an - 2 * member, p) + victim * member).astype(np.int64)
        told = pooled([gate.ask(alt, an, rho / orders) for _ in range(orders)])
        weights = surplus(told, p, people, 1 - missing)
        found = float(score(victim, p, 1 - missing, weights))
        game.against_one(member, found, told, alt / an)
    return game.judged(
        attack=f"membership, {panel.name}",
        people=people,
        variants=variants,
        defence=private,
        rho_spent=str(rho) if private else "none",
        more=_more(orders, missing),
    )


def trusted_panel(
    panel: Panel | None, people: int, variants: int, *, trials: int, seed: int = 6
) -> Measured:
    """Run the attack on trusted mode's exact answers: allele counts of 1 to SMALL copies hidden.

    panel: None for a random one. A hidden row still says that it is small; the attacker here
    passes it over.
    """
    rng = np.random.default_rng(seed)
    an, game = np.full(variants, 2 * people, np.int64), Game()
    for trial in range(2 * trials):
        member = trial % 2 == 0
        if panel is None:
            p = common(rng, variants)
            victim = rng.binomial(2, p).astype(np.int64)
        else:
            p, victim = panel.draw(rng, variants)
        alt = (rng.binomial(an - 2 * member, p) + victim * member).astype(np.int64)
        shown = ~(((alt >= 1) & (alt <= SMALL)) | ((an - alt >= 1) & (an - alt <= SMALL)))
        told = Told(alt * 1.0, an * 1.0, np.where(shown, alt / an, np.nan), 0.0)
        parts = (victim - 2 * p) * (alt - an * p) / (an * p * (1 - p))
        game.against_one(member, float(parts[shown].sum()), told, alt / an)
    return game.judged(
        attack=f"trusted mode, {'random panel' if panel is None else panel.name}",
        people=people,
        variants=variants,
        defence=True,
        rho_spent="none",
    )


def _called(rng: np.random.Generator, people: int, variants: int, missing: float) -> Ints:
    """Return AN of each variant, the victim always called."""
    if not missing:
        return np.full(variants, 2 * people, np.int64)
    return (2 + 2 * rng.binomial(people - 1, 1 - missing, variants)).astype(np.int64)


def _more(orders: int, missing: float) -> dict[str, float]:
    return {
        **({"orders": orders} if orders > 1 else {}),
        **({"missing": missing} if missing else {}),
    }
