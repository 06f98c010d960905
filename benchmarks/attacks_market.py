"""A whole market of processes on loopback, with real people in it, for attacks over HTTP.

Real people (1000 Genomes) register, consent to private answers and fall into cohorts by a facet;
a researcher orders, pays test money and opens answers as any buyer would. Everybody's lifetime
budget is the largest terms may state (1/2), and each order takes a fifth of it: one default
lifetime (1/10). So a cohort answers five orders, and an attacker who sees one sees one lifetime.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import people
from benchmarks.attacks import LIFETIME
from compute import preset, private_counts_request
from marketplace.client import demo, demo_owners
from marketplace.client.demo_orders import _parsed as parsed
from marketplace.client.demo_team import Team
from marketplace.client.devpay import pay_test_money
from marketplace.client.owner import Owner
from marketplace.client.session import Session
from marketplace.client.statements import new_id, now_ms
from marketplace.embedded import Layout, Supervisor

COHORT = 104
LABELS = ("ACB", "ASW", "BEB", "CDX", "CEU", "CHB")
WAIT_S = 120.0


@dataclass
class Cohort:
    """People of one facet: their rows of people.real(), and their owners with the grant."""

    label: str
    rows: list[int]
    owners: dict[int, tuple[Owner, str]] = field(default_factory=dict)


@dataclass
class Market:
    """A running market, its cohorts and a researcher."""

    layout: Layout
    cohorts: list[Cohort]
    team: Team
    crowd: demo_owners.Crowd
    answers: list[dict[str, Any]] = field(default_factory=list)

    def request(self, names: Sequence[str], cohort: Cohort, rho: Fraction = LIFETIME) -> Any:
        """Return the request of these variants' counts in one cohort."""
        facets = {"population": [cohort.label]}
        asked = private_counts_request(list(names), rho=str(rho), build="GRCh38", facets=facets)
        return parsed(asked)

    def place(self, names: Sequence[str], cohort: Cohort, rho: Fraction = LIFETIME) -> str:
        """Order and pay; return the order's id."""
        researcher, request = self.team.researcher, self.request(names, cohort, rho)
        order = researcher.order(request, researcher.quote(request))
        pay_test_money(researcher.checkout(order))
        return order

    def collect(self, order: str) -> tuple[dict[str, Any] | None, str]:
        """Wait for an order; return the answer, if one was given, and how the order ended."""
        state = str(self.team.researcher.wait(order, timeout=WAIT_S)["state"])
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

    def enrol(self, row: int, cohort: Cohort) -> None:
        """Let a person join a cohort: keys, encrypted genome, offer and consent."""
        home = self.crowd._home(f"p{row}")
        home.create_from(self.layout.trust_file.read_bytes(), "owner", new_id())
        owner = Owner(Session.open(home, self.crowd._view))
        facets, terms = {"population": cohort.label}, _terms()
        prepared = owner.prepare(people.vcf(row, "S"), "genotypes", name="genotypes.vcf")
        offer, offered = owner.offer([prepared.dataset], terms, facets)
        granted = owner.grant(prepared.record, offer, terms, facets)
        owner.send([prepared], before=[owner.enrol()], after=[offered, granted])
        owner.session.attester.attest(home.party, "owner", demo_owners.OWNER_CLAIMS)
        cohort.owners[row] = (owner, str(granted.entry.payload["grant"]))
        if row not in cohort.rows:
            cohort.rows.append(row)

    def withdraw(self, row: int, cohort: Cohort) -> None:
        """Let a person leave a cohort."""
        owner, grant = cohort.owners.pop(row)
        owner.withdraw(grant)
        cohort.rows.remove(row)


@contextlib.contextmanager
def market(cohorts: int, seed: int = 21) -> Iterator[Market]:
    """Start a market, enrol the cohorts, stop it at the end."""
    with tempfile.TemporaryDirectory(prefix="omic-attacks-") as folder:
        layout = Layout(Path(folder).resolve(), demo._free_base(), {})
        supervisor = Supervisor(layout)
        try:
            supervisor.start()
            with demo._watching(supervisor):
                rng = np.random.default_rng(seed)
                rows = rng.choice(people.PEOPLE, cohorts * COHORT, replace=False).tolist()
                parts = [rows[at * COHORT : (at + 1) * COHORT] for at in range(cohorts)]
                made = [Cohort(label, part) for label, part in zip(LABELS, parts, strict=False)]
                running = Market(layout, made, Team(layout), demo_owners.Crowd(layout))
                for cohort in made:
                    for row in list(cohort.rows):
                        running.enrol(row, cohort)
                yield running
        finally:
            supervisor.stop()


def _terms() -> Any:
    return preset(
        "everything_at_a_price",
        valid_from=now_ms() - 1000,
        price=10,
        release_mode="private",
        lifetime_rho="1/2",
        order_share="1/5",
    )
