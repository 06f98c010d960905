"""Who used my data: every access on the ledger, checked for being about me, asking nobody.

The owner's home holds an activity key for each grant; its tag in an access tree tells, to the
owner alone, that the grant was used. Money comes from the settlement, with a proof of its own.
"""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from compute import parse_terms
from ledger import (
    Leaf,
    LedgerError,
    State,
    about_tag,
    access_index,
    activity_commitment,
    canonical,
    leaf_hash,
    parse_access_tree,
    unb64,
    verify_inclusion,
)
from marketplace.client.errors import LedgerChangedError
from marketplace.client.hand import hand_of
from marketplace.client.history import Event, Held, Mine, events
from marketplace.client.session import Session


@dataclass(frozen=True, slots=True)
class Use:
    """One use of one person's data, as its owner sees it."""

    time: int
    index: int
    access: str
    order: str | None
    purpose: str
    project: str | None
    organisation: str | None
    family: str | None
    datasets: tuple[str, ...]
    state: str
    share: int | None
    currency: str | None
    proof: str
    rho: str = "0"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def activity(session: Session) -> list[Use]:
    """Return every use of this home's data, oldest first, each verified against the ledger.

    Raises LedgerChangedError where an access tree does not have the root the ledger shows.
    """
    state = session.view.sync()
    foreign_entries(session, state.size)
    return uses_in(session, state)


def uses_in(session: Session, state: State) -> list[Use]:
    """Return the uses of this home's data in a state just synced, as `activity` does."""
    keys = _activity_keys(session)
    shares = proved_shares(session, state)
    return [
        use
        for access in sorted(state.accesses.values(), key=lambda a: a.index)
        if (use := _use(session, state, access.index, access.payload, keys, shares)) is not None
    ]


@dataclass(frozen=True, slots=True)
class Foreign:
    """A ledger entry about this party that was not made in this home. time: Unix ms."""

    index: int
    type: str
    time: int

    def words(self) -> str:
        """Say what it is, and what to do if it should not be there."""
        said = f"Ledger entry {self.index}, not made here: {_MEANING.get(self.type, self.type)}"
        if self.type == "recovery.requested":
            return f"{said}. If it was not you: `omic account cancel {self.index}`"
        if self.type in _KEY_CHANGES:
            return f"{said}. {_FALSE_KEY}"
        return said

    @property
    def expected(self) -> bool:
        """Tell whether others are meant to write this: it gives nobody a right over our data."""
        return self.type in _EXPECTED

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


_KEY_CHANGES = ("party.registered", "party.key_added", "party.key_removed", "party.key_rotated")
_FALSE_KEY = (
    "If it was not you, on no other device either, whoever runs this ledger may be trying to act "
    "for you. Compute refuses a key that none of your keys signed. Keep your home directory, and "
    "tell the auditors this entry's number"
)
_MEANING = {
    "party.registered": "your account was enrolled again, with keys that are not yours",
    "party.attested": "an attester stated something of you",
    "payout.sent": "a payout to you was recorded",
    "recovery.requested": "somebody asked to take over your account; it can act after seven days",
    "party.key_added": "a key was added to your account",
    "party.key_removed": "a key was removed from your account",
    "party.key_rotated": "a key of your account was replaced",
    "mandate.given": "somebody may act for you",
    "consent.withdrawn": "a consent of yours was ended",
    "consent.paused": "a consent of yours was paused",
}
_EXPECTED = ("party.attested", "payout.sent")
_ABOUT_PARTIES = ("party.", "recovery.")


def foreign_entries(session: Session, size: int) -> list[Foreign]:
    """Return what others wrote about us and were not meant to: see `written_about`."""
    return [one for one in written_about(session, size) if not one.expected]


def written_about(session: Session, size: int) -> list[Foreign]:
    """Look through the public leaves for what others wrote about us.

    Stops and erasures act in the clear, so a rogue log could end or forget somebody's consent, and
    a leaf says whom it is about to who knows the party: whoever signs, only we can tell that it
    was not us. Raises LedgerChangedError for an erasure of ours that we did not sign.
    """
    ours = {int(document["index"]) for document in session.home.documents("entries")}
    party, found = session.home.party, []
    for record in session.view.follower.records(0, size):
        leaf = record.leaf
        if record.index in ours:
            continue
        if ours.intersection(leaf.erases):
            raise LedgerChangedError(
                f"ledger entry {record.index} erases entries of yours and you did not sign it: "
                "keep your home directory (it holds the proof) and tell the auditors"
            )
        if ours.intersection(leaf.stops) or _is_about(leaf, party):
            found.append(Foreign(record.index, leaf.type, leaf.time))
    return found


def _is_about(leaf: Leaf, party: str) -> bool:
    if leaf.entry is not None:
        return leaf.type.startswith(_ABOUT_PARTIES) and leaf.entry.payload.get("party") == party
    return leaf.commitment is not None and leaf.about == about_tag(party, leaf.commitment)


def _activity_keys(session: Session) -> dict[str, tuple[bytes, str]]:
    """Return activity key and dataset of each grant in the home."""
    return {
        str(d["grant"]): (unb64(d["activity_key"]), str(d["dataset"]))
        for d in session.home.documents("grants")
        if d.get("index") is not None
    }


def _use(
    session: Session,
    state: State,
    index: int,
    payload: Mapping[str, Any],
    keys: Mapping[str, tuple[bytes, str]],
    shares: Mapping[str, Mapping[str, Any]],
) -> Use | None:
    tags = _tags(session, str(payload["cohort_root"]))
    access = str(payload["access"])
    used = tuple(d for key, d in keys.values() if _is_used(tags, key, access, payload["purpose"]))
    if not used:
        return None
    order = payload["order"]
    placed = state.orders[order].payload if order in state.orders else None
    share = shares.get(str(order))
    return Use(
        time=int(payload["time"]),
        index=index,
        access=access,
        order=order,
        purpose=str(payload["purpose"]),
        project=None if placed is None else str(placed["purpose"].get("project", "")),
        organisation=None if placed is None else _organisation(state, str(placed["researcher"])),
        family=None if placed is None else str(placed["query"].get("family", "")),
        datasets=used,
        state=_outcome(state, order),
        share=None if share is None else int(share["amount"]),
        currency=None if share is None else str(share["currency"]),
        proof=f"tag among {len(tags)} in the access tree {payload['cohort_root'][:16]}…",
        rho=str((payload["release"] or {}).get("rho") or "0"),
    )


def _is_used(tags: Sequence[bytes], key: bytes, access: str, purpose: str) -> bool:
    """Tell whether a grant's tag is in an access tree.

    Before the first opening compute does not know the activity key, so an access of purpose
    "ingest" is keyed with what the consent commits to instead.
    """
    if purpose == "ingest":
        key = bytes.fromhex(activity_commitment(key))
    return access_index(tags, key, access) is not None


def _tags(session: Session, root: str) -> list[bytes]:
    """Return the tags of an access tree, kept in the home once verified."""
    known = session.home.read(f"access-trees/{root}.json")
    if known is not None:
        return [bytes.fromhex(tag) for tag in known["tags"]]
    try:
        tags = parse_access_tree(b"".join(session.ledger.access_tree(bytes.fromhex(root))))
    except LedgerError as error:
        raise LedgerChangedError(
            f"the access tree {root} is not served as it must be: {error}"
        ) from None
    session.home.write(f"access-trees/{root}.json", {"tags": [tag.hex() for tag in tags]})
    return tags


def _organisation(state: State, party: str) -> str | None:
    known = state.parties.get(party)
    if known is None:
        return None
    for attestation in reversed(known.attestations):
        if "organisation" in attestation.claims:
            return str(attestation.claims["organisation"])
    return None


def _outcome(state: State, order: str | None) -> str:
    if order is None:
        return "checked and stored for consented use"
    known = state.orders.get(order)
    if known is None:
        return "unknown order"
    if known.result is not None:
        return "answer released"
    return "withheld" if known.withheld else "in progress"


def proved_shares(session: Session, state: State) -> dict[str, dict[str, Any]]:
    """Return this owner's shares by order, each proved against the settlement on the ledger."""
    shares: dict[str, dict[str, Any]] = {}
    for share in session.market.listed("/me/shares", "shares"):
        order = state.orders.get(str(share["order"]))
        if order is None or order.settlement is None:
            continue
        verify_share(share, session.home.party, order.settlement.payload)
        shares[str(share["order"])] = share
    return shares


def verify_share(share: Mapping[str, Any], owner: str, settlement: Mapping[str, Any]) -> None:
    """Check one share against the share root of its settlement entry.

    Raises LedgerChangedError: the marketplace shows an amount the ledger does not commit to.
    """
    value = {
        "order": share["order"],
        "owner": owner,
        "amount": share["amount"],
        "currency": share["currency"],
    }
    size, root = int(settlement["shares"]), str(settlement["share_root"])
    if (error := leaf_error(value, share, size, root)) is not None:
        raise LedgerChangedError(
            f"the share shown for order {share['order']} is not the one on the ledger: {error}"
        )


def leaf_error(
    value: Mapping[str, Any], proof: Mapping[str, Any], size: int, root: str
) -> str | None:
    """Say why a salted value is not a leaf under a root (hex) of `size` leaves, or None.

    proof: {"salt", "index", "proof"} in hex as the API gives them.
    """
    leaf = hmac.new(bytes.fromhex(proof["salt"]), canonical(dict(value)), hashlib.sha256).digest()
    steps = [bytes.fromhex(item) for item in proof["proof"]]
    try:
        verify_inclusion(int(proof["index"]), size, leaf_hash(leaf), steps, bytes.fromhex(root))
    except LedgerError as error:
        return str(error)
    return None


def mine_of(session: Session) -> Mine:
    """Return what this home knows of its owner's consents and entries, and its proved shares."""
    home = session.home
    state = session.view.sync()
    grants = [
        Held(
            grant=str(d["grant"]),
            dataset=str(d["dataset"]),
            index=int(d["index"]),
            activity_key=unb64(d["activity_key"]),
            terms=parse_terms(d["terms"]),
            order=d.get("order"),
            ended=_ended(state, d),
        )
        for d in home.documents("grants")
        if d.get("index") is not None
    ]
    own = list(home.documents("entries"))
    entries = {int(d["index"]): str(d["type"]) for d in own}
    hands = {int(d["index"]): hand for d in own if (hand := hand_of(d)) is not None}
    return Mine(home.party, grants, entries, proved_shares(session, state), hands)


def _ended(state: State, document: Mapping[str, Any]) -> int | None:
    stop = document.get("stop")
    return int(stop) if document["state"] != "paused" and stop is not None else None


def own_events(session: Session, mine: Mine) -> list[Event]:
    """Return everything on the ledger about this home's owner, in its order, each verified."""
    state = session.view.sync()
    records = session.view.follower.records(0, state.size)
    pins = session.home.trust.pins
    return events(state, records, mine, lambda root: _tags(session, root), pins)
