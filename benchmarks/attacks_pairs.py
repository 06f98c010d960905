"""Attacks that compare: two cohorts one person apart, and a cohort of the attacker's own but one.

Each ends in a guess (carrier or not) whose chance is one half; accuracy is what it gets right. What
is compared is half of ALT less REF copies: both are noised by themselves, so this has half the
noise's variance of either.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.attacks import LIFETIME, Floats, Gate, Measured, Told, rms
from compute.noise import add_noise
from compute.private import Sampler
from compute.release import CohortFacts, Floors, WithheldError, check_floors

FREQUENCY = 0.2


@dataclass(frozen=True, slots=True)
class Kind:
    """A way to two cohorts one person apart. pairs: how many pairs a lifetime is split over."""

    name: str
    pairs: int = 1


WITHDRAWAL = Kind("withdrawal")  # before and after the person leaves
UPLOAD = Kind("upload")  # before and after the person comes
FILTER = Kind("filter")  # two scopes of many left out, one person apart
OVERLAP = Kind("20 overlapping pairs", 20)
KINDS = (WITHDRAWAL, UPLOAD, FILTER, OVERLAP)


def differencing(
    kind: Kind,
    people: int,
    *,
    trials: int,
    private: bool = True,
    seed: int = 2,
    sampler: Sampler = add_noise,
) -> Measured:
    """Say from pairs of answers, S and S without one person, if that person is a carrier.

    The lifetime is split over all answers: whoever stays pays for each.
    """
    rng = np.random.default_rng(seed)
    share = LIFETIME / (2 * kind.pairs)
    gates = [Gate(n, 1, private=private, sampler=sampler) for n in (people, people - 1)]
    right, certain, answers = 0, 0, []
    for _ in range(trials):
        carrier = int(rng.integers(2))
        gaps = []
        for _ in range(kind.pairs):
            rest = rng.binomial(2 * (people - 1), FREQUENCY, 1).astype(np.int64)
            pair = [
                gate.ask(rest + copies, np.array([2 * n], np.int64), share)
                for gate, copies, n in zip(gates, (carrier, 0), (people, people - 1), strict=True)
            ]
            gaps.append(_half_gap(pair[0]) - _half_gap(pair[1]))
            answers.append((pair[0], (rest + carrier) / (2 * people)))
        # A person without a copy moves half of ALT less REF by -1, a carrier of one by 0.
        right += int((float(np.mean(gaps)) > -0.5) == bool(carrier))
        # Without noise a gap is proof; noise without bounds leaves both possible, always.
        certain += int(answers[-1][0].sd == 0)
    return _guessed(f"differencing by {kind.name}", people, private, answers, right / trials,
                    trials, certain_reveals=certain)  # fmt: skip


def floor_refuses_complement_of_one(people: int) -> bool:
    """Tell whether S without one person, taken from S by a filter, is refused whatever it asks."""
    try:
        check_floors(CohortFacts(people - 1, 1, people - 1), Floors(), "private")
    except WithheldError:
        return True
    return False


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
    right, answers = 0, []
    for _ in range(trials):
        known = rng.binomial(2 * (people - 1), FREQUENCY, 1).astype(np.int64)
        carrier = int(rng.integers(2))
        told = gate.ask(known + carrier, an, LIFETIME)
        gap = _half_gap(told) - (float(known[0]) - (people - 1))
        right += int((gap > -0.5) == bool(carrier))
        answers.append((told, (known + carrier) / an))
    return _guessed("one person among the attacker's own", people, private, answers,
                    right / trials, trials)  # fmt: skip


def _half_gap(told: Told) -> float:
    return float(told.ac[0] - (told.an[0] - told.ac[0])) / 2


def _guessed(
    attack: str,
    people: int,
    private: bool,
    answers: list[tuple[Told, Floats]],
    accuracy: float,
    trials: int,
    **more: int,
) -> Measured:
    return Measured(
        attack=attack,
        people=people,
        variants=1,
        defence=private,
        trials=trials,
        rho_spent=str(LIFETIME) if private else "none",
        answered=float(np.mean([told.answered for told, _ in answers])),
        rmse=rms([told.af - truth for told, truth in answers]),
        accuracy=accuracy,
        more=more,
    )
