"""A whole market of processes on loopback, with real people in it, for attacks over HTTP.

People register, consent to private answers and fall into cohorts by a facet; a researcher orders,
pays test money and opens answers as any buyer would. Who nothing else is said of is a real person
(1000 Genomes), whose lifetime budget is the largest terms may state (1/2) and of which each order
takes a fifth: one default lifetime (1/10). So such a cohort answers five orders, and an attacker
who sees one sees one lifetime.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import people
from benchmarks.attacks import LIFETIME
from benchmarks.harness import say
from compute import preset, private_counts_request
from marketplace.client import demo, demo_owners
from marketplace.client.demo_orders import _parsed as parsed
from marketplace.client.demo_team import Team
from marketplace.client.devpay import pay_test_money
from marketplace.client.owner import Owner
from marketplace.client.session import Session
from marketplace.client.statements import new_id, now_ms
from marketplace.embedded import Layout, Supervisor

FileOf = Callable[[int], bytes]
COHORT = 104
LABELS = ("ACB", "ASW", "BEB", "CDX", "CEU", "CHB")
WAIT_S = 120.0
ENROLLING = 8  # at once: an upload waits until the marketplace has read who may upload


@dataclass
class Cohort:
    """People of one facet: their numbers (rows of genotypes), and their owners with the grant."""

    label: str
    rows: list[int] = field(default_factory=list)
    owners: dict[int, tuple[Owner, str]] = field(default_factory=dict)


@dataclass
class Market:
    """A running market, its cohorts and a researcher.

    file_of: a person's VCF by number; wait_s: how long an answer may take.
    """

    layout: Layout
    cohorts: Sequence[Cohort]
    team: Team
    crowd: demo_owners.Crowd
    file_of: FileOf
    terms: Any
    wait_s: float = WAIT_S
    answers: list[dict[str, Any]] = field(default_factory=list)

    def request(self, names: Sequence[str], cohort: Cohort, rho: Fraction = LIFETIME) -> Any:
        """Return the request of these variants' counts in one cohort."""
        facets = {"population": [cohort.label]}
        asked = private_counts_request(list(names), rho=str(rho), build="GRCh38", facets=facets)
        return parsed(asked)

    def place(self, names: Sequence[str], cohort: Cohort, rho: Fraction = LIFETIME) -> str:
        """Order these variants' counts and pay; return the order's id."""
        return self.place_request(self.request(names, cohort, rho))

    def place_request(self, request: Any) -> str:
        """Order and pay; return the order's id."""
        researcher = self.team.researcher
        order = researcher.order(request, researcher.quote(request))
        pay_test_money(researcher.checkout(order))
        return order

    def collect(self, order: str) -> tuple[dict[str, Any] | None, str]:
        """Wait for an order; return the answer, if one was given, and how the order ended."""
        state = str(self.team.researcher.wait(order, timeout=self.wait_s)["state"])
        if state != "settled":
            return None, state
        found = dict(self.team.researcher.answer(order).result)
        self.answers.append(found)
        return found["answer"], state

    def buy(
        self, names: Sequence[str], cohort: Cohort, rho: Fraction = LIFETIME
    ) -> tuple[dict[str, Any] | None, str]:
        """Place one order and collect it."""
        return self.collect(self.place(names, cohort, rho))

    def enrol_all(self) -> None:
        """Let everybody named by a cohort join it, many at once."""
        waiting = [(row, cohort) for cohort in self.cohorts for row in cohort.rows]
        with ThreadPoolExecutor(ENROLLING) as pool:
            list(pool.map(lambda one: self._join(*one), waiting))

    def enrol(self, row: int, cohort: Cohort) -> None:
        """Let one more person join a cohort."""
        self._join(row, cohort)
        cohort.rows.append(row)

    def _join(self, row: int, cohort: Cohort) -> None:
        """Make keys, encrypt the genome, offer it and consent."""
        home = self.crowd._home(f"p{row}")
        home.create_from(self.layout.trust_file.read_bytes(), "owner", new_id())
        owner = Owner(Session.open(home, self.crowd._view))
        facets = {"population": cohort.label}
        prepared = owner.prepare(self.file_of(row), "genotypes", name="genotypes.vcf")
        offer, offered = owner.offer([prepared.dataset], self.terms, facets)
        granted = owner.grant(prepared.record, offer, self.terms, facets)
        owner.send([prepared], before=[owner.enrol()], after=[offered, granted])
        owner.session.attester.attest(home.party, "owner", demo_owners.OWNER_CLAIMS)
        cohort.owners[row] = (owner, str(granted.entry.payload["grant"]))

    def withdraw(self, row: int, cohort: Cohort) -> None:
        """Let a person leave a cohort."""
        owner, grant = cohort.owners.pop(row)
        owner.withdraw(grant)
        cohort.rows.remove(row)


@contextlib.contextmanager
def market(
    cohorts: Sequence[Cohort],
    file_of: FileOf = lambda row: people.vcf(row, "S"),
    terms: Any = None,
    wait_s: float = WAIT_S,
) -> Iterator[Market]:
    """Start a market, enrol the cohorts, stop it at the end."""
    with tempfile.TemporaryDirectory(prefix="omic-attacks-") as folder:
        layout = Layout(Path(folder).resolve(), demo._free_base(), {})
        supervisor = Supervisor(layout)
        try:
            supervisor.start()
            with demo._watching(supervisor):
                team, crowd = Team(layout), demo_owners.Crowd(layout)
                running = Market(
                    layout, cohorts, team, crowd, file_of, terms or private_terms(), wait_s
                )
                running.enrol_all()
                yield running
        except BaseException:
            say(_last_words(layout))
            raise
        finally:
            supervisor.stop()


def _last_words(layout: Layout) -> str:
    """Return the end of each process's log: the folder goes when the market does."""
    logs = sorted((layout.root / "logs").glob("*.log"))
    ends = [(log.name, log.read_text(errors="replace").splitlines()[-15:]) for log in logs]
    return "\n".join(line for name, end in ends if end for line in (f"--- {name}", *end))


def real_cohorts(cohorts: int, seed: int = 21) -> list[Cohort]:
    """Return cohorts of COHORT real people each, nobody in two."""
    rng = np.random.default_rng(seed)
    rows = rng.choice(people.PEOPLE, (cohorts, COHORT), replace=False).tolist()
    return [Cohort(label, part) for label, part in zip(LABELS, rows, strict=False)]


def private_terms(lifetime: Fraction = 5 * LIFETIME, price: int = 10) -> Any:
    """Return terms of private answers at a price, of whose lifetime an order takes a fifth."""
    return preset(
        "everything_at_a_price",
        valid_from=now_ms() - 1000,
        price=price,
        release_mode="private",
        lifetime_rho=str(lifetime),
        order_share="1/5",
    )
