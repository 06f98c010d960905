"""The tables of the fold and the things in them.

Plain slotted records: the rules that change them are in the other `fold_` modules, and every
change goes through the journal so that a refused batch can be undone.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ledger.entry_types import Rule
from ledger.envelope import Entry, canonical_parsed
from ledger.errors import RefusedError
from ledger.fold_journal import Journal
from ledger.leaf import Leaf
from ledger.trust import Pins


class UnknownReference(RefusedError):
    """An entry names something this state does not hold: never there, or erased."""


@dataclass(frozen=True, slots=True)
class Record:
    """One entry of the log as read: entry and salt are None where the envelope is not at hand."""

    index: int
    leaf: Leaf
    entry: Entry | None = None
    salt: bytes | None = field(default=None, repr=False)


@dataclass(slots=True)
class Act:
    """One entry about to take effect: now is Unix ms, the time the log gave it."""

    entry: Entry
    payload: Mapping[str, Any]
    rule: Rule
    index: int
    now: int
    leaf: Leaf

    @property
    def actor(self) -> str:
        """Return the fingerprint of the key the entry says it is signed by."""
        actor: str = self.payload["actor"]
        return actor


@dataclass(frozen=True, slots=True)
class Key:
    """A key of a party: raw public key, kind (ed25519, webauthn, x25519), use, since which leaf."""

    public_key: bytes
    kind: str
    use: str
    index: int


@dataclass(frozen=True, slots=True)
class Attestation:
    """A statement about a party by the attester with that key fingerprint; expires_at in ms."""

    index: int
    claims: Mapping[str, Any]
    expires_at: int
    attester: str


@dataclass(slots=True)
class Party:
    """A set of keys by fingerprint; cosigner: fingerprint of who vouched for the enrolment.

    lasting: it took back a key, mandate or recovery, which must never become unreadable.
    """

    id: str
    role: str
    keys: dict[str, Key]
    registered_index: int
    attestations: list[Attestation] = field(default_factory=list)
    cosigner: str | None = None
    datasets: list[str] = field(default_factory=list)
    entries: list[int] = field(default_factory=list)
    payouts: list[int] = field(default_factory=list)
    lasting: bool = False


WINDOW = ("valid_from", "valid_until")


def split_terms(terms: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the body of terms and their window in time, which together are the terms."""
    body = dict(terms)
    return body, {name: body.pop(name) for name in WINDOW if name in body}


@dataclass(slots=True)
class Grant:
    """One consent with its complete terms; stopped_at, paused_at and mandate are leaf indexes.

    body, window: the terms, of which only the window in time differs for nearly everybody, so the
    body is one for all who say the same.
    basis, mandate: by whose hand it was given, and the mandate.given it was given under.
    """

    id: str
    owner: str
    dataset: str
    offer: str | None
    body: Mapping[str, Any]
    window: Mapping[str, Any]
    terms_sha256: str
    facets: Mapping[str, Any]
    recipient: Mapping[str, Any]
    sealed_grant_sha256: str
    activity_commitment: str
    order: str | None
    index: int
    stopped_at: int | None = None
    paused_at: int | None = None
    basis: str = "self"
    mandate: int | None = None

    @property
    def terms(self) -> dict[str, Any]:
        """Return the terms as they were consented to."""
        return {**self.body, **self.window}


@dataclass(slots=True)
class Dataset:
    """One encrypted file. standing/per_order: its grants that are not finally stopped.

    retain_until: Unix ms after which nobody may keep or use it.
    """

    id: str
    owner: str
    participant: str
    modality: str
    ciphertext_sha256: str
    size: int
    header_size: int
    format: Mapping[str, Any]
    region: str
    index: int
    signing_key: str
    custodian: str | None = None
    controller: str | None = None
    retain_until: int | None = None
    erased: bool = False
    replaced: bool = False
    standing: Grant | None = None
    per_order: dict[str, Grant] | None = None
    entries: list[int] = field(default_factory=list)

    def live(self) -> Iterator[Grant]:
        """Yield the grants that no final stop has ended (a paused one is still among them)."""
        if self.standing is not None:
            yield self.standing
        if self.per_order:
            yield from self.per_order.values()

    def live_for(self, order: str | None) -> Grant | None:
        """Return the grant in force for one order, or the standing one for None."""
        if order is None:
            return self.standing
        return (self.per_order or {}).get(order)


@dataclass(slots=True)
class Offer:
    """What an owner published; withdrawn: the leaf index that ended it."""

    id: str
    owner: str
    datasets: tuple[str, ...]
    terms: Mapping[str, Any]
    facets: Mapping[str, Any]
    index: int
    withdrawn: int | None = None


@dataclass(slots=True)
class Mandate:
    """Who may act for an owner: kind guardian, deputy or custodian; ended: a leaf index.

    valid_until: Unix ms, exclusive; what is consented to under it ends no later. ended_time: Unix
    ms of that leaf; what was consented to under it ended there too.
    """

    id: str
    owner: str
    holder: str
    kind: str
    valid_until: int | None
    index: int
    ended: int | None = None
    ended_time: int | None = None


@dataclass(slots=True)
class Recovery:
    """A new key that counts once effective_at (ms) has passed, unless cancelled."""

    id: str
    party: str
    key: str
    effective_at: int
    index: int
    cancelled: int | None = None


@dataclass(slots=True)
class Share:
    """A dataset shared with one professional's key; stopped: a leaf index."""

    id: str
    owner: str
    dataset: str
    valid_until: int | None
    index: int
    header_sha256: str
    stopped: int | None = None


@dataclass(frozen=True, slots=True)
class Payment:
    """One payment entry: kind received, refunded or disputed; amount in minor units."""

    kind: str
    amount: int
    currency: str
    provider: str
    reference_commitment: str
    index: int


@dataclass(frozen=True, slots=True)
class Review:
    """A reviewer's decision about one draft."""

    reviewer: str
    draft_commitment: str
    decision: str
    index: int


@dataclass(frozen=True, slots=True)
class Done:
    """An entry that closed a step of an order: its leaf index and payload."""

    index: int
    payload: Mapping[str, Any]


@dataclass(slots=True)
class OrderState:
    """An order and everything that happened to it.

    status: placed, approved, running, withheld, published, settled, or closed as refused,
    cancelled, expired, failed.
    """

    id: str
    index: int
    payload: Mapping[str, Any]
    payments: list[Payment] = field(default_factory=list)
    accesses: list[str] = field(default_factory=list)
    reviews: list[Review] = field(default_factory=list)
    refusals: list[Done] = field(default_factory=list)
    withheld: list[Done] = field(default_factory=list)
    result: Done | None = None
    settlement: Done | None = None
    status: str = "placed"
    reason: str | None = None

    def paid(self) -> int:
        """Return what was received less what was refunded, in minor units."""
        signs = {"received": 1, "refunded": -1}
        return sum(signs.get(item.kind, 0) * item.amount for item in self.payments)


@dataclass(frozen=True, slots=True)
class CustodianSplit:
    """What part of a person's share goes to its custodian, in percent, from leaf `index` on."""

    index: int
    party: str
    percent: int


@dataclass(frozen=True, slots=True)
class OperatorAct:
    """What an operator stated at a leaf; time: Unix ms; actor: fingerprint of the key."""

    index: int
    time: int
    actor: str
    action: str
    details: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Access:
    """One recorded use of data."""

    id: str
    index: int
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ComputeKey:
    """A recipient key of the compute service; valid from not_before until before not_after (ms)."""

    key_id: str
    region: str
    crypt4gh_public: str
    hpke_public: str
    not_before: int
    not_after: int
    index: int


@dataclass(slots=True)
class Tables:
    """Everything the fold knows. Read it freely; only `State.apply` and `admit` change it."""

    pins: Pins
    personal: bool = True
    size: int = 0
    time: int = 0
    parties: dict[str, Party] = field(default_factory=dict)
    datasets: dict[str, Dataset] = field(default_factory=dict)
    offers: dict[str, Offer] = field(default_factory=dict)
    grants: dict[str, Grant] = field(default_factory=dict)
    mandates: dict[str, Mandate] = field(default_factory=dict)
    recoveries: dict[str, Recovery] = field(default_factory=dict)
    shares: dict[str, Share] = field(default_factory=dict)
    objections: set[str] = field(default_factory=set)
    orders: dict[str, OrderState] = field(default_factory=dict)
    accesses: dict[str, Access] = field(default_factory=dict)
    compute_keys: dict[str, ComputeKey] = field(default_factory=dict)
    compute_releases: list[Done] = field(default_factory=list)
    settlements: dict[int, str] = field(default_factory=dict)
    payouts: dict[str, Done] = field(default_factory=dict)  # payout.made, by payout
    custodian_splits: dict[str, tuple[CustodianSplit, ...]] = field(default_factory=dict)
    operator_acts: dict[int, OperatorAct] = field(default_factory=dict)
    missing: set[int] = field(default_factory=set)
    erased: set[int] = field(default_factory=set)
    erased_datasets: dict[str, str] = field(default_factory=dict)  # dataset -> who erased it
    violations: list[tuple[int, str]] = field(default_factory=list)
    dangling: list[tuple[int, str]] = field(default_factory=list)
    undecidable: str | None = None
    # Look-ups that keep every rule at constant cost.
    grant_at: dict[int, Grant] = field(default_factory=dict, repr=False)
    mandate_at: dict[int, Mandate] = field(default_factory=dict, repr=False)
    paused_by: dict[int, tuple[Grant, ...]] = field(default_factory=dict, repr=False)
    key_owner: dict[str, str] = field(default_factory=dict, repr=False)
    participants: dict[str, str] = field(default_factory=dict, repr=False)
    recovering: dict[str, Recovery] = field(default_factory=dict, repr=False)
    references: set[tuple[str, str]] = field(default_factory=set, repr=False)
    bank_marks: set[tuple[str, ...]] = field(default_factory=set, repr=False)
    ids: set[str] = field(default_factory=set, repr=False)
    absent: dict[int, Leaf] = field(default_factory=dict, repr=False)
    shared: dict[bytes, Any] = field(default_factory=dict, repr=False)
    # Datasets whose consents changed, oldest first, and what a reader made of this state (its own
    # affair: neither is part of what the entries mean, so both may be left out of a copy).
    touched: list[str] = field(default_factory=list, repr=False, compare=False)
    derived: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)
    journal: Journal = field(default_factory=Journal, repr=False, compare=False)

    def share(self, value: Mapping[str, Any]) -> Any:
        """Return one copy of equal terms, facets, ... so that a million grants fit in memory."""
        # By bytes, not by ==, for which 1 and true are the same.
        return self.shared.setdefault(canonical_parsed(value), value)

    def is_shared(self, value: Mapping[str, Any]) -> bool:
        """Tell whether a value is a copy `share` returned."""
        return self.shared.get(canonical_parsed(value)) is value
