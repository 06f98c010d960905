"""The demo's researcher and two output reviewers.

Reviewers and attestations are scripted and said to be so; everything they sign is real.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from compute import Report
from marketplace.client.demo_orders import Ask
from marketplace.client.devpay import pay_test_money
from marketplace.client.errors import RemoteError
from marketplace.client.home import Home
from marketplace.client.researcher import Answer, Request, Researcher
from marketplace.client.reviewer import Reviewer
from marketplace.client.session import Session
from marketplace.client.statements import new_id
from marketplace.client.terminal import money
from marketplace.embedded import Layout

Say = Callable[[str], None]
WAIT_SECONDS = 120.0
REVIEWING = frozenset({"releasing"})


@dataclass(frozen=True, slots=True)
class Placed:
    """One order that is paid and running. price: as shown."""

    ask: Ask
    order: str
    price: str


@dataclass
class Done:
    """One order that ran to its end."""

    title: str
    order: str
    request: Request
    status: dict[str, Any]
    answer: Answer | None
    report: Report | None = None

    def to_json(self, sizes: Mapping[str, int], verified: Mapping[str, bool]) -> dict[str, Any]:
        """Return the order's line of the demo's JSON; sizes and verified are the auditor's."""
        found = self.answer is not None
        return {
            "id": self.order,
            "query": self.request.query["family"],
            "state": self.status["state"],
            "cohort_size": sizes.get(self.order),
            "result_sha256": sha256(self.answer.result_bytes).hexdigest() if self.answer else None,
            "verified": found and verified.get(self.order, False),
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
        """Place one order and bring it to its end."""
        placed = self.place(ask, say)
        self.review(placed, say)
        return self.collect(placed, say)

    def place(self, ask: Ask, say: Say) -> Placed:
        """Dry run, quote, order and pay; the order then runs by itself."""
        say(f"   [bold]{ask.title}[/]")
        rehearsal = self.researcher.dry_run(ask.request)
        quote = self.researcher.quote(ask.request)
        price = money(quote["total"], quote["currency"])
        say(f"     dry run: {rehearsal['people']} people; price {price}; ordered and paid")
        order = self.researcher.order(ask.request, quote)
        pay_test_money(self.researcher.checkout(order))
        return Placed(ask, order, price)

    def review(self, placed: Placed, say: Say) -> None:
        """Have an exact answer looked at; one with noise needs no review."""
        if placed.ask.request.release["mode"] == "trusted":
            say(f"   [bold]{placed.ask.title}[/]")
            self._review(placed.order, say)

    def collect(self, placed: Placed, say: Say) -> Done:
        """Wait for an order's end, and open and keep the answer."""
        ask, order = placed.ask, placed.order
        say(f"   [bold]{ask.title}[/]")
        status = self.researcher.wait(order, timeout=WAIT_SECONDS)
        done = Done(ask.title, order, ask.request, status, None)
        if status["state"] == "settled":
            done.answer = self.researcher.answer(order)
        say(f"     {status['state']}: {placed.price} split among everyone in scope")
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
            reviewer.decide(reviewer.draft(order), "approve")
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
