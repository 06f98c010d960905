"""Who plays in the demo: the crowd of owners, the researcher with two reviewers, the auditor.

Reviewers and attestations are scripted and said to be so; everything they sign is real.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from compute import (
    Report,
    Scope,
    Terms,
    parse_purpose,
    parse_release,
    parse_scope,
    preset,
    private_counts_request,
    verify_bundle,
)
from ledger import LedgerClient, State, TrustPolicy, audit_ledger, fingerprint
from marketplace.client.activity import Use, activity
from marketplace.client.auditor import open_bundle
from marketplace.client.demo_data import cut
from marketplace.client.devpay import pay_test_money
from marketplace.client.errors import ClientError, RemoteError
from marketplace.client.home import Home
from marketplace.client.keys import KeyStore
from marketplace.client.market import Market
from marketplace.client.owner import Owner, Prepared
from marketplace.client.researcher import Answer, Request, Researcher
from marketplace.client.reviewer import Reviewer
from marketplace.client.session import LedgerView, Session
from marketplace.client.statements import new_id, now_ms
from marketplace.client.terminal import money, when
from marketplace.embedded import Layout

Say = Callable[[str], None]
PRICE_A_DATASET = 25
GENE = "ENSG00000215790"
PRIVATE_RHO = "1/20"
USELESS_VARIANTS = 60
_PURPOSE = {
    "primary": "HMB",
    "commercial": False,
    "project": "Gene expression and ancestry in GEUVADIS",
    "sponsor": "Demonstration University",
}
EXAMPLES = ("NA06985", "NA12342", "NA18486")
OWNER_CLAIMS = {"person_verified": True, "unaffiliated": True}
WAIT_SECONDS = 120.0
REVIEWING = frozenset({"releasing"})


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
        import time

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
class Ask:
    """One order of the demo: a name to show, and the request."""

    title: str
    request: Request


def requests() -> Iterator[Ask]:
    """Yield the researcher's three orders."""
    panel = {"variants": {"panel": "all"}}
    for population in ("CEU", "YRI"):
        query = {"v": 1, "family": "genotype_counts", "build": "GRCh37", "params": panel}
        scope = _scope(["genotypes"], {"population": [population]})
        yield Ask(f"Allele frequencies, {population}", _request(query, scope))
    gene = cut.gene(GENE)
    params = {
        "gene": GENE,
        "chrom": gene.chrom,
        "start": gene.start,
        "end": gene.end,
        "window_bp": 1_000_000,
        "covariates": ["population", "PC1", "PC2", "PC3", "PC4", "PC5"],
    }
    query = {"v": 1, "family": "cis_association", "build": "GRCh37", "params": params}
    scope = _scope(["genotypes", "expression", "participant"], {})
    yield Ask(f"Association of {GENE} expression with nearby variants", _request(query, scope))


def private_requests() -> tuple[Ask, Ask]:
    """Return two private orders on everybody: three common variants, and one of useless noise."""
    common = [str(name) for name in cut.common_variants(USELESS_VARIANTS)]
    few, many = (
        private_counts_request(names, rho=PRIVATE_RHO, purpose=_PURPOSE)
        for names in (common[:3], common)
    )
    return (
        Ask("Three allele frequencies with noise, everybody", _parsed(few)),
        Ask(f"{USELESS_VARIANTS} allele frequencies with noise, everybody", _parsed(many)),
    )


def _parsed(body: Mapping[str, Any]) -> Request:
    return Request(
        parse_purpose(body["purpose"]),
        body["query"],
        parse_scope(body["scope"]),
        parse_release(body["release"]).to_dict(),
    )


def different_request() -> Ask:
    """Return the order that runs after the withdrawal: another question, everybody left.

    About variants nobody asked exact figures of for nearly the same people: that is refused.
    """
    params = {"variants": {"region": "2:1-5000000"}}
    query = {"v": 1, "family": "genotype_counts", "build": "GRCh37", "params": params}
    return Ask(
        "Allele frequencies in a region, everybody", _request(query, _scope(["genotypes"], {}))
    )


def _scope(modalities: list[str], facets: dict[str, list[str]]) -> Scope:
    return parse_scope(
        {"modalities": modalities, "build": "GRCh37", "facets": facets, "region": "local"}
    )


def _request(query: dict[str, Any], scope: Scope) -> Request:
    return Request(parse_purpose(_PURPOSE), query, scope, {"mode": "trusted", "rho": "0"})


@dataclass
class Done:
    """One order that ran to its end."""

    title: str
    order: str
    request: Request
    status: dict[str, Any]
    answer: Answer | None
    report: Report | None = None

    def to_json(self, audit: "Audit") -> dict[str, Any]:
        """Return the order's line of the demo's JSON; cohort_size is the auditor's figure."""
        from hashlib import sha256

        found = self.answer is not None
        return {
            "id": self.order,
            "query": self.request.query["family"],
            "state": self.status["state"],
            "cohort_size": audit.cohort_sizes.get(self.order),
            "result_sha256": sha256(self.answer.result_bytes).hexdigest() if self.answer else None,
            "verified": found and audit.verified.get(self.order, False),
        }


class Team:
    """The researcher and two output reviewers, attested by the local stand-in."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        trust = layout.trust_file.read_bytes()
        self.researcher = Researcher(self._session("researcher", "researcher", trust))
        self.researcher.join(_claims("Demonstration University", accredited_researcher=True))
        self.reviewers = [
            Reviewer(self._session(f"reviewer-{n}", "reviewer", trust)) for n in (1, 2)
        ]
        for reviewer in self.reviewers:
            joining = Researcher(reviewer.session)
            joining.join(_claims("Output Checking Service", output_reviewer=True), "reviewer")

    def buy(self, ask: Ask, say: Say) -> Done:
        """Dry run, quote, order, pay, have it reviewed, wait, open and keep the answer."""
        say(f"   [bold]{ask.title}[/]")
        rehearsal = self.researcher.dry_run(ask.request)
        quote = self.researcher.quote(ask.request)
        price = money(quote["total"], quote["currency"])
        say(f"     dry run: {rehearsal['people']} people; price {price}")
        order = self.researcher.order(ask.request, quote)
        pay_test_money(self.researcher.checkout(order))
        if ask.request.release["mode"] == "trusted":
            self._review(order, say)
        status = self.researcher.wait(order, timeout=WAIT_SECONDS)
        done = Done(ask.title, order, ask.request, status, None)
        if status["state"] == "settled":
            done.answer = self.researcher.answer(order)
        say(f"     {status['state']}: paid {price}, split among everyone in scope")
        return done

    def refused_as_useless(self, ask: Ask, say: Say) -> bool:
        """Ask for a price that must be refused before payment; say why it was."""
        say(f"   [bold]{ask.title}[/]")
        try:
            self.researcher.quote(ask.request)
        except RemoteError as error:
            say(f"     not sold: {str(error).split('. ', 1)[-1]}")
            return True
        return False

    def _review(self, order: str, say: Say) -> None:
        """Both reviewers read the draft and approve it (a script plays them here)."""
        status = self.researcher.wait(
            order,
            until=REVIEWING | frozenset({"settled", "refunded", "refused"}),
            timeout=WAIT_SECONDS,
        )
        if status["state"] not in REVIEWING:
            return
        for reviewer in self.reviewers:
            (waiting,) = [w for w in reviewer.waiting() if w["order"] == order]
            reviewer.draft(order)
            reviewer.decide(order, str(waiting["draft_commitment"]), "approve")
        say("     two reviewers ([yellow]scripted[/]) opened the draft and approved it")

    def _session(self, name: str, role: str, trust: bytes) -> Session:
        home = Home(self._layout.root / "people" / name)
        home.create_from(trust, role, new_id())
        return Session.open(home)


def _claims(organisation: str, **more: bool) -> dict[str, Any]:
    return {
        "person_verified": True,
        "organisation": organisation,
        "sector": "academic",
        "non_profit": True,
        "country": "GB",
        **more,
    }


def show_private(done: Done, say: Say) -> None:
    """Show the noisy frequencies of a private answer with their errors."""
    if done.answer is None:
        return
    columns = done.answer.result["answer"]["columns"]
    rows = zip(*(columns[name] for name in ("contig", "pos", "af", "af_se")), strict=True)
    for contig, position, frequency, error in rows:
        say(f"     {contig}:{position}  frequency {frequency:.3f} ± {error:.3f} (noise included)")


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


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object."""
    value: dict[str, Any] = json.loads(path.read_text())
    return value
