"""The same attacks on a whole running market, over HTTP: nothing here calls the gate.

The attacker reads answers, statuses, lengths and times, and nothing else. Each cohort of 104 real
people answers five orders of one default lifetime (rho 1/10) each: two random panels, one chosen
from a victim's genome, and one question before and after somebody leaves or comes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt

from benchmarks import people
from benchmarks.attacks import LIFETIME, Told, auc, auc_error, score, surplus
from benchmarks.attacks_market import Cohort, Market, market, real_cohorts
from benchmarks.harness import Figure, say
from marketplace.client.errors import RemoteError
from marketplace.client.statements import new_id

PANEL = 12  # as many common variants as are sold for a lifetime at this size
REWRITES = 20


@dataclass
class Found:
    """What the attacks on all cohorts came to."""

    areas: list[float] = field(default_factory=list)
    exact: list[float] = field(default_factory=list)
    victims: list[tuple[float, float]] = field(default_factory=list)
    errors: list[npt.NDArray[Any]] = field(default_factory=list)
    answered: list[float] = field(default_factory=list)
    known: list[float] = field(default_factory=list)
    compared: list[bool] = field(default_factory=list)
    orders: int = 0


@dataclass(frozen=True)
class World:
    """The market, real people, and who is in no cohort at all."""

    running: Market
    names: tuple[str, ...]
    copies: npt.NDArray[np.int8]
    outside: npt.NDArray[np.int64]
    p: npt.NDArray[np.float64]
    rng: np.random.Generator

    def panel(self) -> npt.NDArray[np.int64]:
        """Draw a panel of common variants."""
        common = np.flatnonzero((self.p > 0.05) & (self.p < 0.95))
        return self.rng.choice(common, PANEL, replace=False)

    def ask(self, panel: npt.NDArray[np.int64], cohort: Cohort, found: Found) -> Told | None:
        """Buy a panel; note how much was answered and how wrong it is."""
        names = [self.names[at] for at in panel]
        answer, _ = self.running.buy(names, cohort)
        found.orders += 1
        if answer is None:
            found.answered.append(0.0)
            return None
        told = told_of(answer, names)
        found.answered.append(told.answered)
        found.errors.append(told.ac - self.truth(panel, cohort))
        return told

    def truth(self, panel: npt.NDArray[np.int64], cohort: Cohort) -> npt.NDArray[np.int64]:
        """Return the exact counts, for what an answer was worth and for controls."""
        return self.copies[np.ix_(cohort.rows, panel)].sum(axis=0, dtype=np.int64)


def figures(requests: int, cohorts: int) -> Iterator[Figure]:
    """Run everything and yield the figures."""
    say(f"privacy over HTTP: {cohorts} cohorts of real people enrol ...")
    names, copies = people.real()
    started = time.perf_counter()
    with market(real_cohorts(cohorts)) as running:
        say(f"privacy over HTTP: enrolled in {time.perf_counter() - started:.0f} s")
        inside = [row for cohort in running.cohorts for row in cohort.rows]
        outside = np.setdiff1d(np.arange(people.PEOPLE), inside)
        p = np.clip(copies[outside].mean(axis=0) / 2, 1e-4, 1 - 1e-4)
        world = World(running, names, copies, outside, p, np.random.default_rng(22))
        found = Found()
        for at, cohort in enumerate(running.cohorts):
            _random_panels(world, cohort, found)
            _victim(world, cohort, found)
            _pair(world, cohort, found, leaves=at % 2 == 0)
        yield from _membership(found, len(inside))
        yield from _repeated(world)
        yield from _spent(world)
        yield from _side_channels(running, requests)


def _random_panels(world: World, cohort: Cohort, found: Found) -> None:
    for _ in range(2):
        panel = world.panel()
        told = world.ask(panel, cohort, found)
        if told is None:
            continue
        truth = world.truth(panel, cohort)
        people_in, p = len(cohort.rows), world.p[panel]
        exact = Told(truth * 1.0, np.full(PANEL, 2.0 * people_in), truth / people_in / 2, 0.0)
        for answer, areas in ((told, found.areas), (exact, found.exact)):
            scores = score(world.copies[:, panel], p, 1.0, surplus(answer, p, people_in, 1.0))
            areas.append(auc(scores[cohort.rows], scores[world.outside]))
        found.known.append(_known_but_one(told, truth, world.copies[np.ix_(cohort.rows, panel)]))


def _victim(world: World, cohort: Cohort, found: Found) -> None:
    """Buy a member's own rarest variants; how it ranks among strangers held against them."""
    victim = int(world.rng.choice(cohort.rows))
    carried = np.flatnonzero(world.copies[victim] > 0)
    panel = carried[np.argsort(world.p[carried])[:PANEL]]
    told = world.ask(panel, cohort, found)
    if told is not None:
        p = world.p[panel]
        scores = score(world.copies[:, panel], p, 1.0, surplus(told, p, len(cohort.rows), 1.0))
        strangers = scores[world.outside]
        found.victims.append((float((scores[victim] > strangers).mean()), float(scores[victim])))


def _pair(world: World, cohort: Cohort, found: Found, *, leaves: bool) -> None:
    """Ask before and after somebody leaves or comes; say of each variant if they carry it."""
    panel = world.panel()
    before = world.ask(panel, cohort, found)
    if leaves:
        person, sign = cohort.rows[-1], 1.0
        world.running.withdraw(person, cohort)
    else:
        person, sign = int(world.rng.choice(world.outside)), -1.0
        world.running.enrol(person, cohort)
    after = world.ask(panel, cohort, found)
    if before is None or after is None:
        return
    gap = sign * (_half(before) - _half(after))  # copies - 1 of the person, and noise
    carries = world.copies[person, panel] > 0
    found.compared += ((gap > -0.5) == carries).tolist()


def _half(told: Told) -> npt.NDArray[np.float64]:
    return (told.ac - (told.an - told.ac)) / 2


def told_of(answer: dict[str, Any], names: list[str]) -> Told:
    """Return an answer's numbers in the order of these variants."""
    columns = answer["columns"]
    parts = (columns[name] for name in ("contig", "pos", "ref", "alt"))
    place = {"-".join(map(str, row)): at for at, row in enumerate(zip(*parts, strict=True))}
    order = [place[name] for name in names]
    ac, an, af = (np.array(columns[name], float)[order] for name in ("ac", "an", "af"))
    return Told(ac, an, af, float(answer["privacy"]["count_sd"]))


def _known_but_one(told: Told, truth: Any, members: Any) -> float:
    """Return how often the last person's carrier status is guessed, carriers and not alike.

    The attacker subtracts everybody else's exact copies and asks what is nearer, 0 or a copy.
    """
    carrier = members > 0
    people_in = len(members)
    guess = _half(told) - (truth - members - (people_in - 1)) > -0.5
    found = [(guess == carrier)[carrier == flag] for flag in (True, False)]
    return float(np.mean([part.mean() for part in found if part.size]))


def _membership(found: Found, inside: int) -> Iterator[Figure]:
    spread = float(np.std(found.areas, ddof=1) / math.sqrt(len(found.areas)))
    share = float(np.mean(found.answered))
    each = f"{len(found.areas)} orders of rho {LIFETIME}, {inside} people in cohorts of 104"
    yield Figure("HTTP: AUC, random panel, real people", float(np.mean(found.areas)), "", 0.60,
                 at_least=False, note=f"SE {spread:.3f}; {each}")  # fmt: skip
    yield Figure("HTTP: the same, exact counts (control)", float(np.mean(found.exact)), "",
                 note=f"{PANEL} variants of 104 people: sqrt(m/N) says 0.60")  # fmt: skip
    ranks = [rank for rank, _ in found.victims]
    yield Figure("HTTP: AUC, victim's rarest variants", float(np.mean(ranks)), "",
                 note=f"{len(ranks)} victims are too few to judge; the gate's rows do")  # fmt: skip
    wrong = np.concatenate(found.errors)
    theory = math.sqrt(4 * PANEL / (2 * float(LIFETIME)))
    yield Figure("HTTP: RMSE of a count against truth", float(np.sqrt(np.mean(wrong**2))),
                 "copies", theory * 1.15, at_least=False,
                 note=f"theory {theory:.1f}; the same answers as the attacks")  # fmt: skip
    yield Figure("HTTP: answered share within budget", share, "", 0.90,
                 note=f"{found.orders} orders")  # fmt: skip
    yield Figure("HTTP: K-1 fake owners, accuracy", float(np.mean(found.known)), "", 0.60,
                 at_least=False, note="carrier or not, each person in turn unknown")  # fmt: skip
    error = math.sqrt(0.25 / len(found.compared))
    yield Figure("HTTP: differencing by withdrawal and upload, accuracy",
                 float(np.mean(found.compared)), "", 0.60 + 2 * error, at_least=False,
                 note=f"{len(found.compared)} guesses: bar 0.60 and 2 SE")  # fmt: skip


def _repeated(world: World) -> Iterator[Figure]:
    """Ask a question again, written otherwise, many at once: the same bytes, nothing charged."""
    cohort, last = world.running.cohorts[-1], world.running.answers[-1]
    asked = list(last["query"]["params"]["variants"])
    rng = np.random.default_rng(25)
    orders = [
        world.running.place([*rng.permutation(asked).tolist(), *asked[:3]], cohort)
        for _ in range(REWRITES)
    ]
    answers = [world.running.collect(order)[0] for order in orders]
    same = float(np.mean([answer == last["answer"] for answer in answers]))
    yield Figure(f"HTTP: {REWRITES} rewritten questions with the same bytes", same, "", 1.0,
                 note="the budget was spent before: each was free")  # fmt: skip


def _spent(world: World) -> Iterator[Figure]:
    """After the last lifetime nobody is left who could be asked."""
    states, given = set(), 0
    for cohort in world.running.cohorts:
        answer, state = world.running.buy([world.names[6]], cohort)
        given += answer is not None
        states.add(state)
    yield Figure("HTTP: answers after the last lifetime", float(given), "", 0.0, at_least=False,
                 note=f"orders end {', '.join(sorted(states))}, the money goes back")  # fmt: skip


def _side_channels(running: Market, requests: int) -> Iterator[Figure]:
    """Time, status and length of what a member's and a stranger's variants are answered with."""
    names, copies = people.real()
    rng, cohort = np.random.default_rng(23), running.cohorts[0]
    inside = copies[cohort.rows].sum(axis=0)
    rows = (np.flatnonzero(inside > 0), np.flatnonzero(inside == inside.min()))
    pair = [names[int(rng.choice(each))] for each in rows]
    bodies = [running.request([name], cohort).to_json() for name in pair]
    session = running.team.researcher.session.market
    yield from compared(
        "dry run, a variant a member carries or nobody",
        requests,
        *(lambda body=body: _answered(session, "POST", "/dry-run", body) for body in bodies),
    )
    stranger = running.team.reviewers[0].session.market
    orders = (f"/orders/{new_id()}", f"/orders/{running.answers[0]['order']}")
    yield from compared(
        "refusal, an order that is not or is somebody else's",
        requests,
        *(lambda path=path: _answered(stranger, "GET", path, None) for path in orders),
    )


def _answered(session: Any, method: str, path: str, body: Any) -> tuple[int, int]:
    headers = {"Authorization": f"Bearer {session._token}"}
    response = session._http.request(
        method, f"{session.url}/api/v1{path}", json=body, headers=headers
    )
    return response.status_code, len(response.content)


def compared(what: str, requests: int, one: Any, other: Any) -> Iterator[Figure]:
    """Ask both in turns, order drawn, and tell them apart by time, status and length.

    A request without an answer counts as a difference: what fails fast is not alike.
    """
    say(f"privacy over HTTP: {requests} requests each, {what} ...")
    rng = np.random.default_rng(24)
    seconds: tuple[list[float], list[float]] = ([], [])
    shapes: tuple[set[Any], set[Any]] = (set(), set())
    for _ in range(requests):
        for side in rng.permutation(2).tolist():
            started = time.perf_counter()
            try:
                shapes[side].add((one, other)[side]())
            except (RemoteError, httpx.HTTPError) as error:
                shapes[side].add((type(error).__name__, side))
            seconds[side].append(time.perf_counter() - started)
    area = told_apart(np.array(seconds[0]), np.array(seconds[1]))
    note = f"SE {auc_error(0.5, requests, requests):.3f}, {requests} requests each, medians "
    note += " and ".join(f"{1000 * float(np.median(times)):.2f} ms" for times in seconds)
    yield Figure(f"HTTP: AUC by time, {what}", area, "", 0.55, at_least=False, note=note)
    same = shapes[0] == shapes[1] and len(shapes[0]) == 1
    yield Figure(f"HTTP: same status and length, {what}", float(same), "", 1.0,
                 note=f"{sorted(shapes[0], key=str)} and {sorted(shapes[1], key=str)}")  # fmt: skip


def told_apart(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> float:
    """Return the better AUC of two guesses from times: which is slower, and which varies more.

    Never below 1/2: who is always wrong is always right.
    """
    middle = float(np.median(np.concatenate([one, other])))
    areas = auc(one, other), auc(np.abs(one - middle), np.abs(other - middle))
    return max(max(area, 1 - area) for area in areas)
