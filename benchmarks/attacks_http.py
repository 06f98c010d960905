"""The same attacks on a whole running market, over HTTP: nothing here calls the gate.

A market of real processes is started on loopback; real people (1000 Genomes) register, consent to
private answers and are one cohort. A researcher orders, pays test money and opens answers as any
buyer would; the attacker reads these answers, statuses, lengths and times, and nothing else.

So that more than one trial fits, everybody's terms grant as many lifetimes (rho 1/10) as there are
trials and each order takes one; an attacker sees one order at a time, which is one lifetime.
"""

from __future__ import annotations

import contextlib
import math
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from benchmarks import people
from benchmarks.attacks import LIFETIME, auc, auc_error
from benchmarks.harness import Figure, say
from compute import preset, private_counts_request
from marketplace.client import demo, demo_owners
from marketplace.client.demo_orders import _parsed as parsed
from marketplace.client.demo_team import Team
from marketplace.client.devpay import pay_test_money
from marketplace.client.errors import RemoteError
from marketplace.client.owner import Owner
from marketplace.client.session import Session
from marketplace.client.statements import new_id, now_ms
from marketplace.embedded import Layout, Supervisor

PEOPLE = 104
PANEL = 12  # as many common variants as are sold for a lifetime at this size
WAIT_S = 90.0


@dataclass
class Market:
    """A running market, its cohort (rows of people.real()) and a researcher."""

    layout: Layout
    inside: np.ndarray[Any, Any]
    team: Team
    answers: list[dict[str, Any]] = field(default_factory=list)

    def request(self, names: list[str], rho: Fraction = LIFETIME) -> Any:
        return parsed(private_counts_request(names, rho=str(rho), build="GRCh38"))

    def buy(self, names: list[str], rho: Fraction = LIFETIME) -> tuple[dict[str, Any] | None, str]:
        """Order over HTTP; return the answer, if one was given, and how the order ended."""
        researcher, request = self.team.researcher, self.request(names, rho)
        order = researcher.order(request, researcher.quote(request))
        pay_test_money(researcher.checkout(order))
        state = str(researcher.wait(order, timeout=WAIT_S)["state"])
        if state != "settled":
            return None, state
        found = dict(researcher.answer(order).result)
        self.answers.append(found)
        return found["answer"], state


@contextlib.contextmanager
def market(trials: int, seed: int = 21) -> Iterator[Market]:
    """Start a market, enrol the cohort, stop it at the end."""
    with tempfile.TemporaryDirectory(prefix="omic-attacks-") as folder:
        layout = Layout(Path(folder).resolve(), demo._free_base(), {})
        supervisor = Supervisor(layout)
        try:
            supervisor.start()
            with demo._watching(supervisor):
                rng = np.random.default_rng(seed)
                inside = rng.choice(people.PEOPLE, PEOPLE, replace=False)
                _enrol(layout, inside.tolist(), trials)
                yield Market(layout, inside, Team(layout))
        finally:
            supervisor.stop()


def _enrol(layout: Layout, members: list[int], trials: int) -> None:
    crowd = demo_owners.Crowd(layout)
    terms = preset(
        "everything_at_a_price",
        valid_from=now_ms() - 1000,
        price=10,
        release_mode="private",
        lifetime_rho=str(trials * LIFETIME),
        order_share=str(Fraction(1, trials)),
    )
    for member in members:
        home = crowd._home(f"p{member}")
        home.create_from(layout.trust_file.read_bytes(), "owner", new_id())
        owner = Owner(Session.open(home, crowd._view))
        prepared = owner.prepare(people.vcf(member, "S"), "genotypes", name="genotypes.vcf")
        offer, offered = owner.offer([prepared.dataset], terms, {})
        granted = owner.grant(prepared.record, offer, terms, {})
        owner.send([prepared], before=[owner.enrol()], after=[offered, granted])
        owner.session.attester.attest(home.party, "owner", demo_owners.OWNER_CLAIMS)


def figures(trials: int, requests: int) -> Iterator[Figure]:
    """Run everything and yield the figures; `trials` orders of a lifetime each."""
    say(f"privacy over HTTP: {PEOPLE} real people enrol ...")
    with market(trials) as running:
        yield from _membership(running, trials)
        yield from _repeated(running)
        yield from _spent(running)
        yield from _side_channels(running, requests)


def _membership(running: Market, trials: int) -> Iterator[Figure]:
    """Random panel against everybody; the victim's rarest variants; everybody but one known."""
    names, copies = people.real()
    rng = np.random.default_rng(22)
    outside = np.setdiff1d(np.arange(people.PEOPLE), running.inside)
    reference = copies[outside].mean(axis=0) / 2
    common = np.flatnonzero((reference > 0.05) & (reference < 0.95))
    areas, exact_areas, victims, errors, guesses, answered = [], [], [], [], [], []
    say(f"privacy over HTTP: {trials} orders of a lifetime each ...")
    for trial in range(trials - 1):
        member = trial % 2 == 0
        victim = int(rng.choice(running.inside if member else outside))
        chosen = rng.choice(common, PANEL, replace=False)
        if trial % 4 >= 2:  # half of the trials: the victim's own rarest variants
            carried = np.flatnonzero(copies[victim] > 0)
            chosen = carried[np.argsort(reference[carried])[:PANEL]]
        answer, _ = running.buy([names[at] for at in chosen])
        if answer is None:
            answered.append(0.0)
            continue
        order = _rows_of(answer, [names[at] for at in chosen])
        counts = np.array(answer["columns"]["ac"], float)[order]
        truth = copies[running.inside][:, chosen].sum(axis=0)
        sd, p = float(answer["privacy"]["count_sd"]), reference[chosen]
        answered.append(float(np.mean([value is not None for value in answer["columns"]["af"]])))
        errors.append(counts - truth)
        weight = (counts - 2 * PEOPLE * p) / (sd**2 + 2 * PEOPLE * p * (1 - p))
        score = (copies[:, chosen] - 2 * p) @ weight
        plain = (copies[:, chosen] - 2 * p) @ ((truth - 2 * PEOPLE * p) / (p * (1 - p) + 1e-9))
        if trial % 4 < 2:
            areas.append(auc(score[running.inside], score[outside]))
            exact_areas.append(auc(plain[running.inside], plain[outside]))
        else:
            victims.append((member, float(score[victim])))
        guesses.append(_known_but_one(counts, truth, copies[running.inside][:, chosen]))
    share = float(np.mean(answered))
    spread = float(np.std(areas) / math.sqrt(max(1, len(areas))))
    note = f"SE {spread:.3f}; {len(areas)} orders, answered {share:.2f}, rho 1/10 each"
    yield Figure("HTTP: AUC, random panel, real people", float(np.mean(areas)), "", 0.60,
                 at_least=False, note=note)  # fmt: skip
    yield Figure("HTTP: the same, exact counts (control)", float(np.mean(exact_areas)), "",
                 note="12 variants of 104 people: sqrt(m/N) says 0.60")  # fmt: skip
    scores = {flag: np.array([s for m, s in victims if m is flag]) for flag in (True, False)}
    if min(map(len, scores.values())) > 1:
        area = auc(scores[True], scores[False])
        error = auc_error(area, len(scores[True]), len(scores[False]))
        note = f"SE {error:.3f}: {len(victims)} orders are too few to judge, the rows above do"
        yield Figure("HTTP: AUC, victim's rarest variants", area, "", note=note)
    found = np.concatenate(errors)
    yield Figure("HTTP: RMSE of a count against truth", float(np.sqrt(np.mean(found**2))), "copies",
                 math.sqrt(4 * PANEL / (2 * float(LIFETIME))) * 1.1, at_least=False,
                 note="theory 15.5; the same answers as the attacks above")  # fmt: skip
    yield Figure("HTTP: answered share within budget", share, "", 0.90)
    yield Figure("HTTP: K-1 fake owners, accuracy", float(np.mean(guesses)), "", 0.60,
                 at_least=False, note="carrier or not, each person in turn unknown")  # fmt: skip


def _rows_of(answer: dict[str, Any], names: list[str]) -> list[int]:
    columns = answer["columns"]
    parts = (columns[field] for field in ("contig", "pos", "ref", "alt"))
    place = {"-".join(map(str, row)): at for at, row in enumerate(zip(*parts, strict=True))}
    return [place[name] for name in names]


def _known_but_one(counts: Any, truth: Any, members: Any) -> float:
    """Return how often the last person's carrier status is guessed, carriers and not alike.

    The attacker subtracts everybody else's exact copies and asks what is nearer, 0 or a copy.
    """
    carrier = members > 0
    guess = (counts - (truth - members)) > 0.5
    found = [(guess == carrier)[carrier == flag] for flag in (True, False)]
    return float(np.mean([part.mean() for part in found if part.size]))


def _repeated(running: Market) -> Iterator[Figure]:
    """Ask the last question again, written otherwise: the same bytes, nothing charged."""
    last = running.answers[-1]
    asked = list(last["query"]["params"]["variants"])
    before = len(running.answers)
    answers = [running.buy(list(reversed(asked)) + asked[:3])[0] for _ in range(2)]
    same = all(answer == last["answer"] for answer in answers)
    yield Figure("HTTP: a question rewritten gives the same answer", float(same), "", 1.0,
                 note=f"{len(running.answers) - before} new orders, no new noise")  # fmt: skip


def _spent(running: Market) -> Iterator[Figure]:
    """After the last lifetime nobody is left who could be asked."""
    names, _ = people.real()
    running.buy([names[5]])
    answer, state = running.buy([names[6]])
    yield Figure("HTTP: answers after the last lifetime", float(answer is not None), "", 0.0,
                 at_least=False, note=f"the order ends {state}, its money goes back")  # fmt: skip


def _side_channels(running: Market, requests: int) -> Iterator[Figure]:
    """Time, status and length of what a member's and a stranger's variants are answered with."""
    names, copies = people.real()
    outside = np.setdiff1d(np.arange(people.PEOPLE), running.inside)
    rng = np.random.default_rng(23)
    carried = np.flatnonzero(copies[running.inside].sum(axis=0) > 0)
    absent = np.flatnonzero((copies[running.inside].sum(axis=0) == 0) & (copies[outside].any(0)))
    pair = [names[int(rng.choice(rows))] for rows in (carried, absent if len(absent) else carried)]
    bodies = [running.request([name]).to_json() for name in pair]
    session = running.team.researcher.session.market
    yield from _compared(
        "dry run, a variant a member carries or nobody",
        requests,
        *(lambda body=body: _answered(session, "POST", "/dry-run", body) for body in bodies),
    )
    stranger = running.team.reviewers[0].session.market
    orders = (f"/orders/{new_id()}", f"/orders/{running.answers[0]['order']}")
    yield from _compared(
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


def _compared(what: str, requests: int, one: Any, other: Any) -> Iterator[Figure]:
    """Ask both in turns, order drawn, and tell them apart by time, status and length."""
    say(f"privacy over HTTP: {requests} requests each, {what} ...")
    rng = np.random.default_rng(24)
    seconds: tuple[list[float], list[float]] = ([], [])
    shapes: tuple[set[Any], set[Any]] = (set(), set())
    for _ in range(requests):
        for side in rng.permutation(2).tolist():
            started = time.perf_counter()
            with contextlib.suppress(RemoteError, httpx.HTTPError):
                shapes[side].add((one, other)[side]())
            seconds[side].append(time.perf_counter() - started)
    area = auc(np.array(seconds[0]), np.array(seconds[1]))
    area = max(area, 1 - area)
    note = f"SE {auc_error(0.5, requests, requests):.3f}, {requests} requests each"
    yield Figure(f"HTTP: AUC by time, {what}", area, "", 0.55, at_least=False, note=note)
    same = shapes[0] == shapes[1] and len(shapes[0]) == 1
    yield Figure(f"HTTP: same status and length, {what}", float(same), "", 1.0,
                 note=f"{sorted(shapes[0])} and {sorted(shapes[1])}")  # fmt: skip
