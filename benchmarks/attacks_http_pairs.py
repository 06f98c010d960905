"""Do payouts, entries, sizes or refusals of an order tell what one person's data say?

One running market: a crowd of real people, and victims who differ in their data and in nothing
public: they carry what is asked about or do not, their genome is a copy of somebody's in the crowd
or not, their file is unfit in one way or in another. Each order is about the crowd and one victim.
Compared is what everybody but that victim can see of it: its entries on the ledger and their sizes,
the buyer's page of it, the size of its answer, what owners in the crowd are paid, and how a
question about the victim alone is refused. The control pays by data: who carries more gets more.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any
from unittest.mock import patch

import numpy as np

from benchmarks import people
from benchmarks.attacks_market import Cohort, Market, market, private_terms
from benchmarks.harness import Figure, say
from compute import private_counts_request
from compute.queries import filters_of_text
from marketplace import book
from marketplace.client import owner as owner_client
from marketplace.client.activity import activity
from marketplace.client.demo_orders import _parsed as parsed
from marketplace.client.errors import RemoteError

CROWD, REST = 100, 21  # the floors ask for so many in a scope, and so many or nobody beside it
WATCHING = 3  # owners in the crowd who tell what they were paid
CROWD_LABEL = "CROWD"
RHO = Fraction(1, 80)
PRICE = 4_000  # high enough for a share to show one part in a hundred
MOMENT = 10**11  # a number as large is a time in ms
_DRAWN = re.compile(r"[0-9a-f]{32,}|[0-9A-Za-z+/_-]{40,}=*")  # ids, digests, keys, proofs
_PLACES = ("index", "judged_size", "attestations", "size")  # where in the log: as public as a clock
NO_WORDS: Mapping[str, str] = {}
CARRIED = {"carries": 2, "lacks": 0}
UNFIT = ("no genome", "cut")
KINDS = (*CARRIED, "copy", *UNFIT)
PAIRS = (("carries", "lacks"), ("copy", "lacks"), UNFIT)


@dataclass(frozen=True)
class Victim:
    """One person of a kind. row: whose genome it is based on; asked: the variant orders ask of."""

    number: int
    kind: str
    row: int
    asked: int

    @property
    def label(self) -> str:
        """Return the facet that this victim alone has."""
        return f"V{self.number:03}"


@dataclass
class Seen:
    """What was seen of each victim's orders, masked; what it would be if payouts followed data; and
    how the orders ended.
    """

    views: dict[Victim, Any] = field(default_factory=dict)
    by_data: dict[Victim, list[int]] = field(default_factory=dict)
    states: set[str] = field(default_factory=set)


def masked(value: Any, words: Mapping[str, str] = NO_WORDS) -> Any:
    """Return a public value without what is drawn anew each time and without times; lengths stay.

    words: what stands for words that are the buyer's own, such as a victim's label.
    """
    if isinstance(value, Mapping):
        return {key: masked(one, words) for key, one in value.items() if key not in _PLACES}
    if isinstance(value, list | tuple):
        return [masked(one, words) for one in value]
    if isinstance(value, str):
        return f"drawn, {len(value)}" if _DRAWN.fullmatch(value) else _said(value, words)
    return "moment" if isinstance(value, int) and value > MOMENT else value


def _said(text: str, words: Mapping[str, str]) -> str:
    for word, instead in words.items():
        text = text.replace(word, instead)
    return re.sub(r"[0-9a-f]{32,}|pi_[0-9A-Za-z]{24}", "drawn", text)


def told_apart(views: Mapping[Victim, Any], one: str, other: str) -> float:
    """Return the share of orders whose view nobody of the other kind has: 0 alike, 1 all told."""
    sides = [
        [json.dumps(view) for who, view in views.items() if who.kind == kind]
        for kind in (one, other)
    ]
    return float(np.mean([view not in sides[1 - at] for at in (0, 1) for view in sides[at]]))


def figures(each: int) -> Iterator[Figure]:
    """Run `each` victims of every kind through a market, and yield what tells them apart."""
    found = seen(each)
    for one, other in PAIRS:
        yield Figure(f"HTTP: told apart by anything public, {one} or {other}",
                     told_apart(found.views, one, other), "", 0.0, at_least=False,
                     note=f"{each} victims each, two orders a victim")  # fmt: skip
    yield Figure("HTTP: the same where payouts follow data (control), carries or lacks",
                 told_apart(found.by_data, *PAIRS[0]), "", 0.90,
                 note="owners in the crowd compare what they were paid")  # fmt: skip
    settled = float(found.states == {"settled"})
    yield Figure("HTTP: every one of these orders answered", settled, "", 1.0)


def seen(each: int, seed: int = 31) -> Seen:
    """Order twice about the crowd and each victim, and note what is seen of it."""
    names, rng = people.real()[0], np.random.default_rng(seed)
    rows = rng.choice(people.PEOPLE, CROWD + REST + each * len(KINDS), replace=False).tolist()
    crowd, rest, own = rows[:CROWD], rows[CROWD : CROWD + REST], rows[CROWD + REST :]
    asked = rng.permutation(_of_one_length(names)).tolist()
    victims = [Victim(at, KINDS[at % len(KINDS)], row, asked[at]) for at, row in enumerate(own)]
    files = _files(victims, crowd)
    fit = [Cohort(one.label, [one.row]) for one in victims if one.kind not in UNFIT]
    with market(
        [Cohort(CROWD_LABEL, crowd), Cohort("REST", rest), *fit],
        lambda row: files.get(row) or people.vcf(row, "S"),
        private_terms(Fraction(1, 2), PRICE),
    ) as running:
        for one in victims:
            if one.kind in UNFIT:
                _enrol_unfit(running, one)
        say(f"privacy over HTTP: {len(victims)} victims enrolled beside {CROWD} people")
        return _observed(running, victims)


def _of_one_length(names: Sequence[str]) -> list[int]:
    """Return the common variants whose names are as long as most are: sizes are compared."""
    often = np.flatnonzero(people.often())
    lengths = np.array([len(names[at]) for at in often])
    found: list[int] = often[lengths == np.bincount(lengths).argmax()].tolist()
    return found


def _files(victims: Sequence[Victim], crowd: Sequence[int]) -> dict[int, bytes]:
    names, copies = people.real()
    files = {}
    for at, one in enumerate(victims):
        own = copies[crowd[at] if one.kind == "copy" else one.row].copy()
        if one.kind in CARRIED:
            own[one.asked] = CARRIED[one.kind]
        files[one.row] = people.vcf_of(names, own)
    return files


def _enrol_unfit(running: Market, one: Victim) -> None:
    """Let somebody join whose client does not look whether a file is a genome; as long as one."""
    sound, settle = running.file_of(one.row), owner_client.settle
    unfit = b"no genome".ljust(len(sound)) if one.kind == "no genome" else sound[:-20].ljust(
        len(sound), b"\t"
    )  # fmt: skip

    def careless(data: bytes, *rest: Any) -> Any:
        return unfit, settle(data, *rest)[1]

    with patch.object(owner_client, "settle", careless):
        running.enrol(one.row, Cohort(one.label))


def _observed(running: Market, victims: Sequence[Victim]) -> Seen:
    found, names = Seen(), people.real()[0]
    orders = {
        one: [running.place_request(_request(names[one.asked], one, match)) for match in (0, 1)]
        for one in victims
    }
    found.states = {running.collect(order)[1] for both in orders.values() for order in both}
    crowd = running.cohorts[0]
    owners = [crowd.owners[row][0] for row in crowd.rows[:WATCHING]]
    paid = [{use.order: use.share for use in activity(one.session)} for one in owners]
    entries = _entries(running)
    for one, both in orders.items():
        shares = [[each.get(order) for each in paid] for order in both]
        pages = [running.team.researcher.status(order) for order in both]
        said = [entries[order] for order in both]
        view = [said, pages, shares, _refused(running, names[one.asked], one)]
        found.views[one] = masked(view, {one.label: "VICTIM", names[one.asked]: "VARIANT"})
        found.by_data[one] = _paid_by_data(said[0], one)
    return found


def _request(name: str, one: Victim, match: int) -> Any:
    """Return the request about a variant in the crowd and one victim, or in its carriers there."""
    return _asked(name, [CROWD_LABEL, one.label], match)


def _asked(name: str, labels: Sequence[str], match: int = 0) -> Any:
    facets = {"population": list(labels)}
    body = private_counts_request([name], rho=str(RHO), build="GRCh38", facets=facets)
    if match:
        body["query"]["params"]["match"] = filters_of_text(f"carries {name}")
    return parsed(body)


def _refused(running: Market, name: str, one: Victim) -> list[Any]:
    """Return how a question about the victim alone is refused: status, code, words."""
    try:
        quote = running.team.researcher.quote(_asked(name, [one.label]))
    except RemoteError as error:
        return [error.status, error.code, str(error)]
    return [200, "", quote]


def _entries(running: Market) -> dict[str, list[Any]]:
    """Return the public entries of each order as anybody reads them: type and payload."""
    view, found = running.crowd._view, dict[str, list[Any]]()
    for record in view.follower.records(0, view.sync().size):
        entry = record.leaf.entry
        if entry is not None and entry.payload.get("order") is not None:
            found.setdefault(str(entry.payload["order"]), []).append([entry.type, entry.payload])
    return found


def _paid_by_data(entries: Sequence[Any], one: Victim) -> list[int]:
    """Return what the crowd would be paid if a victim's share grew with the copies it carries."""
    (total,) = [payload["owners_total"] for kind, payload in entries if kind == "settlement.made"]
    weights = [(f"{at:03}", 1) for at in range(CROWD)]
    shares = book.split(int(total), [*weights, ("victim", 1 + CARRIED.get(one.kind, 1))])
    return [shares[f"{at:03}"] for at in range(WATCHING)]
