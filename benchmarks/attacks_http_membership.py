"""Membership over HTTP at the sizes asked for: everybody's whole lifetime is bought, and attacked.

N people enrol in a running market as owners do: an account, a Crypt4GH file of a panel drawn in
advance, an offer and a consent to private answers, lifetime rho 1/10 and a fifth of it an order. So
five orders for disjoint parts of the panel, each as large as is sold, spend everybody's lifetime.
Members and strangers are held against exactly those answers, and what they are worth is measured
on them too. The control has the defence off, noise and budget: exact counts of as many variants as
theory asks for. Real people as far as there are enough, msprime's for larger cohorts.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from benchmarks.attacks import LIFETIME, Game, Measured, Told, rms
from benchmarks.attacks_http import told_of
from benchmarks.attacks_market import Cohort, Market, market, private_terms
from benchmarks.attacks_people import STRANGERS, Draw, scores, split
from benchmarks.harness import Figure, say
from benchmarks.people import PEOPLE, Genomes, genomes, vcf_of
from compute import expected_error, parse_release, private_counts_request

ORDERS = 5  # a fifth of a lifetime each
RHO = LIFETIME / ORDERS
ATTACK = "membership over HTTP, random panel"
CONTROL = 1.2  # the control's d' squared: an AUC of 0.78, where 0.74 is asked
OTHERS = 1.2  # strangers and the attacker's reference, for each person in a simulated cohort
MOST = 1_000  # variants of one order, whatever the size
WAIT_S = 3600.0

Ints = npt.NDArray[np.int64]


@dataclass
class Bought:
    """What the orders told, each with the columns asked of, and the rho their answers state."""

    told: list[Told] = field(default_factory=list)
    columns: list[Ints] = field(default_factory=list)
    spent: Fraction = Fraction(0)
    states: list[str] = field(default_factory=list)

    def whole(self) -> tuple[Told, Ints]:
        """Return all answers as one, by column, and the columns."""
        columns = np.concatenate(self.columns)
        order = np.argsort(columns)
        ac, an, af = (
            np.concatenate([getattr(one, name) for one in self.told])[order]
            for name in ("ac", "an", "af")
        )
        return Told(ac, an, af, max(one.sd for one in self.told)), columns[order]


@dataclass(frozen=True)
class Outcome:
    """The attack on the answers, on exact ones of the same questions, and with no budget either;
    and what else the run showed.
    """

    private: Measured
    same: Measured
    control: Measured
    figures: Sequence[Figure]


def sold(people: int) -> int:
    """Return how many variants an order of RHO may ask of so many people, as a dry run says."""
    asked = private_counts_request([f"1-{at}-A-G" for at in range(1, MOST + 1)], rho=str(RHO))
    found = expected_error(asked["query"], parse_release(asked["release"]), people)
    return int(found["needs"].get("variants", MOST))


def attacked(people: int, seed: int = 26) -> Outcome:
    """Run one cohort of this size through a market, and attack what it answered."""
    rng = np.random.default_rng(seed)
    everybody = PEOPLE if people + 2 * STRANGERS <= PEOPLE else int((1 + OTHERS) * people)
    who = split(rng, everybody, people, STRANGERS)
    known = len(who.reference)
    say(f"privacy over HTTP: genotypes of {everybody:,} people ...")
    made = genomes(everybody, int(CONTROL * people * (people + known) / known))
    panel = rng.choice(len(made.names), ORDERS * sold(people), replace=False)
    bought, seen = _through_a_market(made, who, panel)
    return _judged(made, who, bought, seen)


def _through_a_market(made: Genomes, who: Draw, panel: Ints) -> tuple[Bought, list[Figure]]:
    """Let the cohort enrol and the panel be bought; return that, and what it took."""
    people, columns = len(who.cohort), np.sort(panel)
    names, held = [made.names[at] for at in columns], made.copies[:, columns]
    cohort = Cohort("ALL", who.cohort.tolist())
    started = time.perf_counter()
    with market(
        [cohort], lambda row: vcf_of(names, held[row]), private_terms(LIFETIME), WAIT_S
    ) as running:
        enrolled = time.perf_counter() - started
        say(f"privacy over HTTP: {people:,} people enrolled in {enrolled:.0f} s")
        bought = _bought(running, made, panel)
        answered = time.perf_counter() - started - enrolled
        more = running.buy(names[:1], cohort, RHO)[0]
    return bought, [
        Figure(f"HTTP: answers after the lifetime, N={people:,}", float(more is not None), "", 0.0,
               at_least=False, note=f"{ORDERS} orders {', '.join(sorted(set(bought.states)))}"),
        Figure(f"HTTP: to enrol a person, N={people:,}", 1000 * enrolled / people, "ms",
               note=f"{enrolled:.0f} s in all; {answered:.0f} s for ingest and {ORDERS} orders"),
    ]  # fmt: skip


def _bought(running: Market, made: Genomes, panel: Ints) -> Bought:
    """Buy the panel in parts, each for a fifth of everybody's lifetime."""
    bought = Bought()
    for columns in np.array_split(panel, ORDERS):
        names = [made.names[at] for at in columns]
        answer, state = running.buy(names, running.cohorts[0], RHO)
        say(f"privacy over HTTP: an order of {len(names)} variants {state}")
        bought.columns.append(columns)
        bought.states.append(state)
        bought.told.append(_nothing(len(names)) if answer is None else told_of(answer, names))
        bought.spent += 0 if answer is None else Fraction(answer["privacy"]["rho"])
    return bought


def _nothing(variants: int) -> Told:
    return Told(*(np.full(variants, np.nan) for _ in range(3)), 0.0)


def _judged(made: Genomes, who: Draw, bought: Bought, seen: Sequence[Figure]) -> Outcome:
    told, panel = bought.whole()
    exact = made.copies[who.cohort].sum(axis=0, dtype=np.int64)
    every = np.arange(len(exact))
    private = _held(made, who, panel, told, exact, str(bought.spent))
    same, control = (
        _held(made, who, columns, _counted(exact[columns], who), exact)
        for columns in (panel, every)
    )
    return Outcome(private, same, control, [*_worth(told, exact[panel], who), *seen])


def _counted(exact: Ints, who: Draw) -> Told:
    copies = 2.0 * len(who.cohort)
    return Told(exact * 1.0, np.full(len(exact), copies), exact / copies, 0.0)


def _held(
    made: Genomes, who: Draw, panel: Ints, told: Told, exact: Ints, spent: str = "none"
) -> Measured:
    """Hold members and strangers against what was told; unanswered variants say nothing."""
    people, game, given = len(who.cohort), Game(), np.isfinite(told.af)
    scored = np.concatenate([who.cohort, who.strangers])
    used = Told(told.ac[given], told.an[given], told.af[given], told.sd)
    found = scores(made.copies, scored, who.reference, panel[given], used, people)
    game.against_all(found[:people], found[people:], told, exact[panel] / (2 * people))
    return game.judged(
        attack=ATTACK, people=people, variants=len(panel), defence=spent != "none", rho_spent=spent
    )


def _worth(told: Told, exact: Ints, who: Draw) -> Iterator[Figure]:
    """Compare the error of the very frequencies that were attacked with theory."""
    people = len(who.cohort)
    share = exact / (2 * people)
    theory = told.sd * float(np.sqrt(np.mean(share**2 + (1 - share) ** 2))) / (2 * people)
    chance = 1 + 3 / np.sqrt(2 * len(share))
    yield Figure(f"HTTP: RMSE of a frequency against truth, N={people:,}",
                 rms([told.af - share]), "", float(chance * theory), at_least=False,
                 note=f"theory {theory:.2g}, bar 3 SE; the same answers as the attack")  # fmt: skip
