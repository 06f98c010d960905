"""Everything on the ledger that is about one owner: uses, refusals, administrators, payments.

Pure: given the verified ledger, the access trees and what the home holds, always the same list,
which is the ledger itself read with this owner's keys. Nothing is taken from a server's word: a
use is a tag only this owner's activity key makes, a refusal is the owner's own terms applied to
the order its researcher signed, a payment is proved against the settlement's root.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from compute import Terms, TermsError, Verdict, claims_of, judge_order
from ledger import Pins, Record, State, access_index, activity_commitment

USE, INGEST, REFUSAL, ADMIN, PAYMENT, MINE = (
    "use", "ingest", "refusal", "administrator", "payment", "yours",
)  # fmt: skip
SAID = {
    "consent.granted": "You consented",
    "consent.rekeyed": "Your consent was moved to a newer key, unchanged",
    "consent.withdrawn": "You withdrew a consent",
    "consent.paused": "You paused a consent",
    "consent.resumed": "You resumed a consent",
    "objection.raised": "You objected to every use",
    "objection.lifted": "You lifted your objection",
    "dataset.registered": "You registered data",
    "dataset.replaced": "You replaced data by a corrected file",
    "dataset.erased": "You erased data",
    "share.given": "You shared data with a professional",
    "share.stopped": "You stopped a share",
    "mandate.given": "A mandate to act for you was given",
    "mandate.ended": "A mandate to act for you was ended, and what was consented to under it",
}


@dataclass(frozen=True, slots=True)
class Held:
    """One consent as its home holds it; ended: the leaf that ended it, or None."""

    grant: str
    dataset: str
    index: int
    activity_key: bytes = field(repr=False)
    terms: Terms
    order: str | None = None
    ended: int | None = None


@dataclass(frozen=True, slots=True)
class Mine:
    """What an owner's home knows: consents, and the leaf and type of every entry of its own.

    hands: for entries that somebody signed under a mandate, what they are: guardian, deputy, ...
    """

    party: str
    grants: Sequence[Held]
    entries: Mapping[int, str]
    shares: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    hands: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened: kind, leaf index, time (Unix ms), who, why, what and how much.

    attested: whether organisation is what an attester says. proof: how anybody can check it.
    """

    kind: str
    index: int
    time: int
    text: str
    order: str | None = None
    researcher: str | None = None
    organisation: str | None = None
    attested: bool = False
    purpose: str | None = None
    project: str | None = None
    query: str | None = None
    datasets: tuple[str, ...] = ()
    share: int | None = None
    currency: str | None = None
    proof: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


Tags = Callable[[str], Sequence[bytes]]
"""The root of an access tree (hex) -> its leaves, verified."""


def events(
    state: State, records: Iterable[Record], mine: Mine, tags: Tags, pins: Pins
) -> list[Event]:
    """Return everything about this owner in the order of the ledger.

    state and records: of the same verified size; public leaves are enough.
    """
    reader = _Reader(state, mine, tags, pins)
    return [event for record in records for event in reader.read(record)]


@dataclass
class _Reader:
    """Reads one record after another; used: the orders that used this owner's data so far."""

    state: State
    mine: Mine
    tags: Tags
    pins: Pins
    used: set[str] = field(default_factory=set)

    def read(self, record: Record) -> Iterator[Event]:
        leaf, entry = record.leaf, record.leaf.entry
        if (said := self.mine.entries.get(record.index)) is not None:
            text = _by(self.mine.hands.get(record.index), SAID.get(said, f"You signed {said}"))
            yield Event(MINE, record.index, leaf.time, text, proof=_receipt(record.index))
        elif set(leaf.stops) & {held.index for held in self.mine.grants}:
            text = "Your consent was stopped by somebody else: the marketplace, or a mandate"
            yield Event(ADMIN, record.index, leaf.time, text, proof=_leaf(record.index))
        if entry is None:
            return
        handle = {
            "access.recorded": self._access,
            "order.placed": self._placed,
            "access.refused": self._refused,
            "result.withheld": self._refused,
            "settlement.made": self._settled,
            "operator.acted": self._acted,
        }.get(leaf.type)
        if handle is not None:
            yield from handle(record.index, leaf.time, entry.payload)

    def _access(self, index: int, time: int, payload: Mapping[str, Any]) -> Iterator[Event]:
        leaves, access = self.tags(str(payload["cohort_root"])), str(payload["access"])
        ingest = payload["purpose"] == "ingest"
        found = tuple(
            held.dataset
            for held in self.mine.grants
            if access_index(leaves, _key(held, ingest), access) is not None
        )
        if not found:
            return
        proof = f"your tag among {len(leaves)} of access tree {payload['cohort_root']}"
        if ingest:
            text = "The compute service checked your file and stored it for consented use"
            yield Event(INGEST, index, time, text, datasets=found, proof=proof)
            return
        order = str(payload["order"])
        self.used.add(order)
        text = f"Your data was used: {payload['purpose']}"
        yield Event(USE, index, time, text, datasets=found, proof=proof, **self._order(order))

    def _placed(self, index: int, time: int, payload: Mapping[str, Any]) -> Iterator[Event]:
        """Tell of orders this owner's consents say no to, or leave to the owner."""
        claims = claims_of(self.state, self.pins, str(payload["researcher"]), time)
        for held in self.mine.grants:
            if held.order is not None or not held.index < index < (held.ended or index + 1):
                continue
            try:
                match = judge_order(held.terms, payload, claims, time)
            except TermsError:
                continue
            if match.verdict is Verdict.PERMITTED:
                continue
            asks = match.verdict is Verdict.NEEDS_OWNER
            text = f"{'Not used unless you say yes' if asks else 'Refused'}: {match.decisive.text}"
            about = self._order(str(payload["order"]))
            yield Event(REFUSAL, index, time, text, datasets=(held.dataset,),
                        proof=_leaf(index), **about)  # fmt: skip

    def _refused(self, index: int, time: int, payload: Mapping[str, Any]) -> Iterator[Event]:
        if payload["order"] in self.used:
            text = f"The answer was not given out: {payload['reason']}"
            about = self._order(str(payload["order"]))
            yield Event(REFUSAL, index, time, text, proof=_leaf(index), **about)

    def _settled(self, index: int, time: int, payload: Mapping[str, Any]) -> Iterator[Event]:
        share = self.mine.shares.get(str(payload["order"]))
        if share is not None:
            given = "You gave your data: your terms ask nothing for this use"
            yield Event(
                PAYMENT, index, time, given if share["given"] else "Your share was settled",
                share=int(share["amount"]), currency=str(share["currency"]),
                proof=f"share {share['index']} of {payload['shares']} under the settlement's root",
                **self._order(str(payload["order"])),
            )  # fmt: skip

    def _acted(self, index: int, time: int, payload: Mapping[str, Any]) -> Iterator[Event]:
        text = f"An administrator acted (about everybody): {payload['action']}"
        yield Event(ADMIN, index, time, text, proof=_leaf(index))

    def _order(self, order: str) -> dict[str, Any]:
        known = self.state.orders.get(order)
        if known is None:
            return {"order": order}
        placed = known.payload
        claims = claims_of(self.state, self.pins, str(placed["researcher"]), int(placed["time"]))
        organisation = claims.value("organisation", int(placed["time"]))
        return {
            "order": order,
            "researcher": str(placed["researcher"]),
            "organisation": str(organisation or placed["purpose"].get("sponsor") or "") or None,
            "attested": organisation is not None,
            "purpose": str(placed["purpose"]["primary"]),
            "project": str(placed["purpose"].get("project") or "") or None,
            "query": str(placed["query"]["family"]),
        }


def _key(held: Held, ingest: bool) -> bytes:
    """Before the first opening compute knows only what the consent commits to."""
    if ingest:
        return bytes.fromhex(activity_commitment(held.activity_key))
    return held.activity_key


def _by(hand: str | None, text: str) -> str:
    """Say that a guardian, deputy or custodian did, under their mandate, what the text says."""
    if hand is None:
        return text
    return f"Your {hand} {text[4:]}" if text.startswith("You ") else f"{text} (by your {hand})"


def _leaf(index: int) -> str:
    return f"ledger leaf {index}"


def _receipt(index: int) -> str:
    return f"your receipt of ledger leaf {index}"


CSV_COLUMNS = (
    "index", "time", "kind", "text", "organisation", "attested", "purpose", "project", "query",
    "share", "currency", "datasets", "order", "researcher", "proof",
)  # fmt: skip


def csv_rows(found: Iterable[Event]) -> Iterator[list[str]]:
    """Yield a heading and one row an event; a cell a spreadsheet would run is made plain text."""
    yield list(CSV_COLUMNS)
    for event in found:
        value = event.to_json()
        yield [_cell(value[name]) for name in CSV_COLUMNS]


def _cell(value: object) -> str:
    if value is None:
        return ""
    text = " ".join(value) if isinstance(value, tuple) else str(value)
    return "'" + text if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
