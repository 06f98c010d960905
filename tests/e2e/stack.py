"""A whole embedded market in one object: the real supervisor, real processes, small limits.

Nothing here runs in a thread: whoever waits (`until`) also watches the children, as `omic up`
does, so that a killed process comes back.
"""

import os
import secrets
import signal
import socket
import time
from contextlib import suppress
from pathlib import Path

from ledger import LedgerClient, audit_ledger
from marketplace.client import demo_owners, demo_team
from marketplace.client.demo_data import cut
from marketplace.client.devpay import pay_test_money
from marketplace.client.errors import RemoteError
from marketplace.client.statements import now_ms
from marketplace.embedded import Layout, Supervisor

PORTS = 8
# A killed worker's lease must run out soon; otherwise the limits are the market's own.
LIMITS = {"lease_ms": 1500, "resend_ms": 500, "attempts": 40, "quote_ms": 1_800_000}
# Whoever is ready is paid soon; nobody is before a test onboards somebody.
PAYOUTS = {"period_ms": 8_000, "minimum": 0}
WAIT_SECONDS = 60.0
FAULT = "OMIC_FAULT_STEP"


def free_base() -> int:
    """Eight free ports in a row, away from those people use."""
    for _ in range(200):
        base = 20_000 + PORTS * secrets.randbelow(1500)
        with suppress(OSError):
            for offset in range(PORTS):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", base + offset))
            return base
    raise AssertionError("no eight free ports in a row")


def a_people(ceu: int, yri: int) -> list:
    everyone = cut.people()
    parts = [[p for p in everyone if p.population == name] for name in ("CEU", "YRI")]
    return parts[0][:ceu] + parts[1][:yri]


class Stack:
    """One running market and the means to hurt it."""

    def __init__(self, root: Path, overrides=None) -> None:
        market = {"limits": LIMITS, "payouts": PAYOUTS, **(overrides or {}).get("marketplace", {})}
        self.layout = Layout(
            root.resolve(), free_base(), {**(overrides or {}), "marketplace": market}
        )
        self.said: list[str] = []
        self.supervisor = Supervisor(self.layout, report=self.said.append)
        self.owners: list[demo_owners.Participant] = []

    def start(self) -> None:
        self.supervisor.start()

    def stop(self) -> None:
        os.environ.pop(FAULT, None)
        self.supervisor.stop()

    # -- waiting

    def until(self, check, seconds=WAIT_SECONDS, what="it"):
        """Poll until true, watching the children; what a killed server breaks is tried again."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.supervisor.watch_once()
            with suppress(RemoteError):
                if result := check():
                    return result
            time.sleep(0.05)
        raise AssertionError(f"{what} did not happen within {seconds:.0f} s\n{self.logs()}")

    def trying(self, act, what="it"):
        """Do something once its servers answer."""
        return self.until(lambda: (act(),), what=what)[0]

    def logs(self) -> str:
        tails = []
        for path in sorted((self.layout.root / "logs").glob("*.log")):
            lines = path.read_text(errors="replace").splitlines()[-12:]
            tails.append(f"--- {path.name}\n" + "\n".join(lines))
        return "\n".join(tails)

    # -- people

    def crowd(self, people) -> list[demo_owners.Participant]:
        """Let people join: register three files each, offer and consent."""
        if not hasattr(self, "_crowd"):
            self._crowd = demo_owners.Crowd(self.layout)
        made = [self._crowd.join(demo_owners.files_of(person)) for person in people]
        self.owners += made
        return made

    @property
    def view(self):
        return self._crowd._view

    def team(self) -> demo_team.Team:
        if not hasattr(self, "_team"):
            self._team = demo_team.Team(self.layout)
        return self._team

    # -- orders

    def place(self, request) -> str:
        researcher = self.team().researcher
        quote = self.trying(lambda: researcher.quote(request), "a quote")
        return researcher.order(request, quote)

    def pay(self, order) -> None:
        checkout = self.trying(lambda: self.team().researcher.checkout(order), "a checkout")
        pay_test_money(checkout)

    def state(self, order) -> str:
        return self.team().researcher.status(order)["state"]

    def until_state(self, order, *states, seconds=WAIT_SECONDS) -> str:
        def reached():
            state = self.state(order)
            return state if state in states else None

        return self.until(reached, seconds, f"order {order} becoming {' or '.join(states)}")

    def review(self, order, decision="approve") -> None:
        for reviewer in self.team().reviewers:
            waiting = self.trying(reviewer.waiting, "the list of drafts")
            (mine,) = [w for w in waiting if w["order"] == order]
            if mine["mine"] is None:
                draft = self.trying(lambda one=reviewer: one.draft(order), "the draft")
                reviewer.decide(draft, decision)

    # -- hurting it

    def kill(self, name: str) -> None:
        """SIGKILL one process, as a power cut would, and wait until the supervisor noticed."""
        child = self.child(name)
        before, pid = child.restarts, child.process.pid
        child.started = 0.0  # a crash under test is no crash loop: keep the back-off short
        os.killpg(pid, signal.SIGKILL)
        self.until(lambda: child.restarts > before and child.process is not None, what="a restart")

    def child(self, name: str):
        (child,) = [c for c in self.supervisor.children if c.name == name]
        return child

    def worker_that_dies_at(self, step: str) -> None:
        """Replace the worker by one that kills itself at a named step."""
        os.environ[FAULT] = step
        try:
            self.kill("compute")
        finally:
            del os.environ[FAULT]

    def until_dead(self, step: str, then: str | None, seconds=WAIT_SECONDS) -> None:
        """Wait until the worker died of its step; the next one dies at `then`, if any."""
        child = self.child("compute")
        before = child.restarts
        child.started = 0.0
        if then is not None:
            os.environ[FAULT] = then
        try:
            self.until(lambda: child.restarts > before, seconds, f"the worker dying at {step}")
        finally:
            os.environ.pop(FAULT, None)

    # -- judging it

    def ledger_state(self):
        return self.view.sync()

    def entries(self, order) -> list[str]:
        """Types of an order's entries in order, read from the verified public leaves."""
        found = []
        for record in self.view.follower.records(0, self.ledger_state().size):
            entry = record.leaf.entry
            if entry is not None and entry.payload.get("order") == order:
                found.append(record.leaf.type)
        return found

    def audited(self):
        """The auditor's full report, with access to the envelopes."""
        token = (self.layout.root / "auditor" / "ledger.token").read_text().strip()
        trust = self.view.trust
        client = LedgerClient(trust.ledger_url, token=token)
        return audit_ledger(client, trust, envelopes=client, now=now_ms())
