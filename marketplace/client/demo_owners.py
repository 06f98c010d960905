"""The demo's owners: the crowd that encrypts, registers, offers and consents, and what they see."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from compute import Terms, preset
from marketplace.client.activity import Use, activity
from marketplace.client.demo_data import cut
from marketplace.client.errors import ClientError
from marketplace.client.home import Home
from marketplace.client.owner import Owner, Prepared
from marketplace.client.session import LedgerView, Session
from marketplace.client.statements import new_id, now_ms
from marketplace.client.terminal import money, when
from marketplace.embedded import Layout

Say = Callable[[str], None]
PRICE_A_DATASET = 25
EXAMPLES = ("NA06985", "NA12342", "NA18486")
OWNER_CLAIMS = {"person_verified": True, "unaffiliated": True}
WAIT_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Files:
    """What one person holds: three files."""

    person: Any
    genotypes: bytes
    expression: bytes
    participant: bytes


def files_of(person: Any) -> Files:
    """Cut one person's files out of the shipped cohort."""
    name = str(person.participant)
    return Files(person, cut.vcf(name), cut.expression(name), cut.record(name))


@dataclass(frozen=True, slots=True)
class Participant:
    """One person of the crowd after joining."""

    person: Any
    owner: Owner
    datasets: tuple[str, ...]
    grants: tuple[str, ...]

    @property
    def name(self) -> str:
        return str(self.person.participant)


class Crowd:
    """Makes owners: each in a home of its own, with its own keys; one verified ledger view."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._trust = layout.trust_file.read_bytes()
        first = self._home("view")
        first.create_from(self._trust, "owner", new_id())
        self._view = LedgerView(first.trust, first.path / "ledger-view")
        self._wait_for_compute_key()
        self.terms = demo_terms()

    def join(self, files: Files) -> Participant:
        """Enrol one person, register the three files, offer and consent, in one batch."""
        home = self._home(str(files.person.participant))
        home.create_from(self._trust, "owner", new_id())
        owner = Owner(Session.open(home, self._view))
        prepared = self._prepare(owner, files)
        facets = {"population": str(files.person.population)}
        offer, offered = owner.offer([p.dataset for p in prepared], self.terms, facets)
        grants = [owner.grant(p.record, offer, self.terms, facets) for p in prepared]
        owner.send(prepared, before=[owner.enrol()], after=[offered, *grants])
        index = owner.session.attester.attest(home.party, "owner", OWNER_CLAIMS)
        home.write("enrolled.json", {"attested": index})
        ids = tuple(str(g.entry.payload["grant"]) for g in grants)
        return Participant(files.person, owner, tuple(p.dataset for p in prepared), ids)

    def finish(self, owners: Sequence[Participant]) -> None:
        """Let the three example owners fetch and check their receipts."""
        for owner in examples(owners):
            owner.owner.session.keep_receipts()

    def _prepare(self, owner: Owner, files: Files) -> list[Prepared]:
        name = str(files.person.participant)
        return [
            owner.prepare(files.genotypes, "genotypes", name=f"{name}.vcf.gz"),
            owner.prepare(files.expression, "expression", name=f"{name}.expression.tsv"),
            owner.prepare(files.participant, "participant", name=f"{name}.participant.json"),
        ]

    def _home(self, name: str) -> Home:
        return Home(self._layout.root / "people" / name)

    def _wait_for_compute_key(self) -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            if self._view.sync().compute_keys:
                return
            time.sleep(0.1)
        raise ClientError("compute published no key; see the logs in the demo's directory")


def demo_terms() -> Terms:
    """Return the terms of everybody in the demo: any research at a price, trusted, no insurers."""
    return preset(
        "everything_at_a_price",
        valid_from=now_ms() - 1000,
        price=PRICE_A_DATASET,
        release_mode="trusted",
        lifetime_rho="1/2",
        order_share="1/10",
    )


def examples(owners: Sequence[Participant]) -> list[Participant]:
    """Return the three named example owners."""
    named = [o for o in owners if o.name in EXAMPLES]
    return named if len(named) == len(EXAMPLES) else list(owners[:3])


def leaver(owners: Sequence[Participant]) -> Participant:
    """Return the person who will withdraw: the second example."""
    return examples(owners)[1]


@dataclass(frozen=True, slots=True)
class View:
    """What one example owner sees."""

    name: str
    uses: list[Use]


def owner_view(participant: Participant, say: Say) -> View:
    """Show one owner's activity, each use checked on the ledger."""
    uses = activity(participant.owner.session)
    say(f"   [bold]{participant.name}[/] ({participant.person.population})")
    for use in uses:
        who = use.organisation or "compute service"
        share = money(use.share, use.currency) or "-"
        say(f"     {when(use.time)}  {who}  {use.purpose}  {use.state}  share {share}")
    return View(participant.name, uses)
