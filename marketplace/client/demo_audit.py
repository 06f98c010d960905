"""The demo's auditor: the whole ledger, and each result from its bundle alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from compute import verify_bundle
from ledger import LedgerClient, State, TrustPolicy, audit_ledger, fingerprint
from marketplace.client.auditor import open_bundle
from marketplace.client.demo_team import Done
from marketplace.client.home import Home
from marketplace.client.keys import KeyStore
from marketplace.client.market import Market
from marketplace.client.researcher import Answer
from marketplace.client.session import LedgerView
from marketplace.client.statements import now_ms
from marketplace.embedded import Layout

Say = Callable[[str], None]


@dataclass
class Audit:
    """The auditor's verdicts."""

    ledger: dict[str, Any]
    lines: list[str]
    verified: dict[str, bool] = field(default_factory=dict)
    cohort_sizes: dict[str, int] = field(default_factory=dict)


def audit(layout: Layout, orders: Sequence[Done], say: Say) -> Audit:
    """Audit the ledger in full and each result from its bundle alone."""
    directory = layout.root / "auditor"
    home = Home(layout.root / "people" / "view")
    trust = home.trust
    client = LedgerClient(trust.ledger_url, token=(directory / "ledger.token").read_text().strip())
    report = audit_ledger(client, trust, envelopes=client, now=now_ms())
    say(f"   {report.words()}")
    ledger = {"size": report.size, "root": report.root.hex(), "verified": report.verdict == "pass"}
    result = Audit(ledger, [report.words()])
    auditor = _Auditor(
        layout,
        trust,
        KeyStore(directory / "keys").encryption().secret,
        client.entries(0, report.size),
        LedgerView(trust).sync(),
    )
    for done in orders:
        if done.answer is not None:
            auditor.check(done, done.answer, result)
            say(f"   {result.lines[-1]}")
    return result


@dataclass(frozen=True, slots=True)
class _Auditor:
    """What the auditor holds: trust file, own key, and the public log."""

    layout: Layout
    trust: TrustPolicy
    secret: bytes
    leaves: list[bytes]
    state: State

    def check(self, done: Done, answer: Answer, result: Audit) -> None:
        """Verify the researcher's bundle and the auditor's own, offline."""
        public = verify_bundle(answer.bundle, self.trust, now_ms(), leaves=self.leaves)
        opened = open_bundle(auditor_bundle(self.layout, done.order), self.secret)
        full = verify_bundle(opened, self.trust, now_ms(), leaves=self.leaves)
        access = self.state.accesses[str(answer.result["access"])]
        done.report = full
        result.verified[done.order] = public.ok and full.complete
        result.cohort_sizes[done.order] = int(access.payload["cohort_size"])
        result.lines.append(f"{done.title}: {full.verdict}")


def auditor_bundle(layout: Layout, order: str) -> bytes:
    """Fetch the bundle that only the auditor's key opens."""
    market = Market(layout.url("marketplace"))
    key = KeyStore(layout.root / "auditor" / "keys").signing()
    market.sign_in(fingerprint(key.public), key)
    return market.download(f"/orders/{order}/objects/auditor_bundle")
