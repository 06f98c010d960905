"""The fold: what the entries of the ledger add up to. Marketplace, compute and auditors share it.

Pure and deterministic: same pins and same records, same state. It never verifies a signature or
a commitment (see `ledger.records`), never reads a clock (an entry acts at the time its leaf says),
and never lets an inadmissible entry have an effect, except that a stop always stops.
"""

from typing import Any

from ledger import fold_consents as consents
from ledger import fold_datasets as datasets
from ledger import fold_operators as operators
from ledger import fold_orders as orders
from ledger import fold_parties as parties
from ledger.entries import clear_lists, is_personal, party_of, validate_payload
from ledger.entry_types import FINAL, PAUSE, PUBLIC, REPLACE, RULES, UnknownEntry, rule_for
from ledger.envelope import Entry, about_tag
from ledger.errors import ConsistencyError, FormatError, RefusedError
from ledger.fold_model import Act, Grant, Record, Tables, UnknownReference
from ledger.fold_orders import Step, always
from ledger.fold_signers import require_signer
from ledger.leaf import Leaf
from ledger.records import verify_record, verify_records
from ledger.trust import Pins, TrustPolicy

__all__ = ["Record", "State", "UnknownReference", "verify_record", "verify_records"]

MAX_NOTED = 10_000

_STEPS: dict[str, tuple[Step, Step]] = {
    "party.registered": (parties.check_registered, parties.apply_registered),
    "party.key_added": (parties.check_key_added, parties.apply_key_added),
    "party.key_removed": (parties.check_key_removed, parties.apply_key_removed),
    "party.key_rotated": (parties.check_key_rotated, parties.apply_key_rotated),
    "party.attested": (parties.check_attested, parties.apply_attested),
    "recovery.requested": (parties.check_recovery, parties.apply_recovery),
    "recovery.cancelled": (parties.check_recovery_cancelled, parties.apply_recovery_cancelled),
    "mandate.given": (parties.check_mandate, parties.apply_mandate),
    "mandate.ended": (parties.check_mandate_ended, parties.apply_mandate_ended),
    "dataset.registered": (datasets.check_registered, datasets.apply_registered),
    "dataset.replaced": (datasets.check_replaced, datasets.apply_replaced),
    "dataset.erased": (datasets.check_erased, datasets.apply_erased),
    "offer.published": (consents.check_offer, consents.apply_offer),
    "offer.withdrawn": (consents.check_offer_withdrawn, consents.apply_offer_withdrawn),
    "consent.granted": (consents.check_granted, consents.apply_granted),
    "consent.rekeyed": (consents.check_rekeyed, consents.apply_rekeyed),
    "consent.withdrawn": (consents.check_withdrawn, consents.apply_grant_stop),
    "consent.paused": (consents.check_paused, consents.apply_grant_stop),
    "consent.resumed": (consents.check_resumed, consents.apply_resumed),
    "objection.raised": (consents.check_objection, consents.apply_objection),
    "objection.lifted": (consents.check_objection_lifted, consents.apply_objection_lifted),
    "share.given": (consents.check_share, consents.apply_share),
    "share.stopped": (consents.check_share_stopped, consents.apply_share_stopped),
    "order.placed": (orders.check_placed, orders.apply_placed),
    "order.approved": (orders.check_approved, orders.apply_status),
    "order.refused": (orders.check_closing, orders.apply_status),
    "order.cancelled": (orders.check_closing, orders.apply_status),
    "order.expired": (orders.check_closing, orders.apply_status),
    "order.failed": (orders.check_closing, orders.apply_status),
    "payment.received": (orders.check_payment, orders.apply_payment),
    "payment.refunded": (orders.check_payment, orders.apply_payment),
    "payment.disputed": (orders.check_payment, orders.apply_payment),
    "access.recorded": (orders.check_access, orders.apply_access),
    "access.refused": (orders.check_access_refused, orders.apply_access_refused),
    "result.published": (orders.check_result, orders.apply_published),
    "result.withheld": (orders.check_withheld, orders.apply_withheld),
    "review.decided": (orders.check_review, orders.apply_review),
    "settlement.made": (orders.check_settlement, orders.apply_settlement),
    "payout.sent": (orders.check_payout, orders.apply_payout),
    "payout.made": (orders.check_payout_made, orders.apply_payout_made),
    "compute.key_published": (orders.check_compute_key, orders.apply_compute_key),
    "compute.released": (always, orders.apply_release),
    "attester.named": (always, always),
    "web.released": (always, always),
    "operator.acted": (operators.check_acted, operators.apply_acted),
    "schema.activated": (always, always),
}
# These name a thing of their own that can exist only once, so a replay is refused without
# remembering the entry's id; there is one such entry for every person, so the memory counts.
_UNIQUE_BY_NAME = frozenset(
    {
        "party.registered",
        "dataset.registered",
        "consent.granted",
        "consent.rekeyed",
        "consent.withdrawn",
    }
)


class State(Tables):
    """The state after `size` entries. Not for several threads at once."""

    __slots__ = ()

    def __init__(self, trust: TrustPolicy | Pins, *, personal: bool = True) -> None:
        """Start empty. personal=False folds public leaves only and never decides a consent."""
        super().__init__(trust if isinstance(trust, Pins) else trust.pins, personal)

    def check(self, entry: Entry, leaf: Leaf) -> None:
        """Refuse an entry that may not become leaf number `size` now; changes nothing.

        leaf: from `make_leaf`, its time is now. Signatures are checked by `verify_signatures`.
        Raises RefusedError, FormatError or UnknownEntry (contracts section 1).
        """
        self._checked(entry, leaf)

    def stopped_by(self, entry: Entry, leaf: Leaf) -> list[Grant]:
        """Return the grants a stop that is not in the log would end or pause; changes nothing.

        A grant it names counts through its rekeyings, and a list out of date does not matter:
        who may stop a grant may do so late. Raises as `check` when the signer may not.
        """
        act = self._signed(entry, leaf)
        payload = act.payload
        if act.rule.stop not in (FINAL, PAUSE) or payload["owner"] not in self.parties:
            return []
        found = [grant for at in leaf.stops if (grant := self._current(at)) is not None]
        return [
            grant
            for grant in found
            if grant.owner == payload["owner"]
            and payload.get("dataset", grant.dataset) == grant.dataset
        ]

    def admit(self, entry: Entry, leaf: Leaf) -> None:
        """Check an entry and let it take effect: what the log does before sequencing it.

        Raises as `check`, and then has changed nothing. Inside a savepoint it can be undone.
        """
        self._take_effect(self._checked(entry, leaf), leaf)
        self._advance(leaf)

    def apply(self, record: Record) -> None:
        """Fold the next record. An inadmissible entry has no effect and is noted in `violations`.

        Raises ConsistencyError when the record is not number `size`.
        """
        if record.index != self.size:
            raise ConsistencyError(f"the fold expects leaf {self.size}, not {record.index}")
        leaf, entry = record.leaf, record.leaf.entry or record.entry
        if (leaf.type, leaf.version) not in RULES:
            self._unknown(leaf)
        elif entry is None:
            self._without_envelope(leaf)
        else:
            self._fold(entry, leaf)
        self._advance(leaf)

    def refuse(self, record: Record, reason: str) -> None:
        """Fold a record whose signature or commitment is bad: noted, no effect but its stops.

        Raises ConsistencyError when the record is not number `size`.
        """
        if record.index != self.size:
            raise ConsistencyError(f"the fold expects leaf {self.size}, not {record.index}")
        self._stop_anyway(record.leaf)
        self._note(RefusedError(reason))
        self._advance(record.leaf)

    def ended_by(self, leaf: Leaf) -> list[int]:
        """Return the leaves of the grants this leaf ends or replaces, through their rekeyings."""
        rule = RULES.get((leaf.type, leaf.version))
        if not leaf.stops or rule is None or rule.stop == PAUSE:
            return []
        if rule.stop == REPLACE:
            return list(leaf.stops)
        return [one for at in leaf.stops for one in consents.lineage(self, at)]

    def changes(self) -> list[object]:
        """Return records that may have changed since the last call, some more than once.

        The first call returns none and starts noting: for a reader who keeps copies of records.
        """
        return self.journal.changes()

    def savepoint(self) -> int:
        """Start recording changes; end with `release` or `rollback`. Savepoints may nest."""
        return self.journal.savepoint()

    def release(self, mark: int) -> None:
        """Keep the changes since the savepoint."""
        self.journal.release(mark)

    def rollback(self, mark: int) -> None:
        """Take back the changes since the savepoint."""
        self.journal.rollback(mark)

    def consent_blocked(self) -> str | None:
        """Return why no consent may be decided on this state, or None."""
        if not self.personal:
            return "this follower reads public leaves only"
        if self.undecidable is not None:
            return self.undecidable
        if self.missing:
            return (
                f"{len(self.missing)} personal entries cannot be read and no erasure names them, "
                f"first leaf {min(self.missing)}"
            )
        return None

    def in_force(self, grant: Grant) -> bool:
        """Tell whether a grant counts: not stopped, paused, objected to; dataset in use."""
        if grant.stopped_at is not None or grant.paused_at is not None:
            return False
        if grant.owner in self.objections:
            return False
        dataset = self.datasets.get(grant.dataset)
        return dataset is not None and not (dataset.erased or dataset.replaced)

    def grant_in_force(self, grant_id: str) -> bool:
        """Tell whether a grant counts, by its id; False for an unknown one."""
        grant = self.grants.get(grant_id)
        return grant is not None and self.in_force(grant)

    def live_grants(self) -> list[Grant]:
        """Return every grant in force, in the order they were given."""
        return [grant for grant in self.grants.values() if self.in_force(grant)]

    def claims(self, party: str, now_ms: int, pins: Pins | None = None) -> dict[str, Any]:
        """Return what unexpired statements of attesters pinned for each claim say of a party.

        The newest statement of a claim counts. pins: another policy than the fold's own.
        """
        trusted = self.pins if pins is None else pins
        found = self.parties.get(party)
        result: dict[str, Any] = {}
        for item in found.attestations if found is not None else ():
            for claim, value in item.claims.items():
                if trusted.may_attest(claim, item.attester):
                    result.pop(claim, None)
                    if now_ms < item.expires_at:
                        result[claim] = value
        return result

    def compute_key_for(self, region: str, now_ms: int) -> str | None:
        """Return the key_id of the newest recipient key valid now in a region, or None."""
        valid = [
            key
            for key in self.compute_keys.values()
            if key.region == region and key.not_before <= now_ms < key.not_after
        ]
        return max(valid, key=lambda key: key.index).key_id if valid else None

    def stops_of_owner(self, owner: str) -> list[int]:
        """Return the grants an objection of this owner must stop: leaf indexes, rising."""
        party = self.parties.get(owner)
        names = party.datasets if party is not None else []
        return sorted(grant.index for name in names for grant in self.datasets[name].live())

    def stops_of_dataset(self, dataset: str) -> list[int]:
        """Return the grants that replacing or erasing a dataset must stop: leaf indexes, rising."""
        found = self.datasets.get(dataset)
        return sorted(grant.index for grant in found.live()) if found is not None else []

    def erases_of_dataset(self, dataset: str) -> list[int]:
        """Return the leaves that erasing a dataset must name: indexes, rising."""
        found = self.datasets.get(dataset)
        return sorted(set(found.entries)) if found is not None else []

    def erases_of_account(self, owner: str) -> list[int]:
        """Return what erasing the owner's last dataset must name to close the account too."""
        party = self.parties.get(owner)
        if party is None:
            return []
        about = {at for name in party.datasets for at in self.datasets[name].entries}
        return sorted(about | set(party.entries) | set(party.payouts))

    def _current(self, index: int) -> Grant | None:
        """Return the grant given at a leaf, or what it was rekeyed to, unless it has stopped."""
        return consents.current_grant(self, index)

    def _checked(self, entry: Entry, leaf: Leaf) -> Act:
        act = self._signed(entry, leaf)
        _STEPS[act.rule.type][0](self, act)
        return act

    def _signed(self, entry: Entry, leaf: Leaf) -> Act:
        """Check an entry's form, leaf and signer, and not yet what it refers to."""
        rule = validate_payload(entry)
        payload = entry.payload
        if (leaf.type, leaf.version) != (entry.type, entry.version):
            raise RefusedError(f"{rule.type}: the leaf says it is another type of entry")
        if (leaf.entry is None) != is_personal(rule, payload):
            raise RefusedError(f"{rule.type}: a personal entry stands in the clear, or the reverse")
        if (leaf.stops, leaf.resumes, leaf.erases) != clear_lists(rule, payload):
            raise RefusedError(f"{rule.type}: the leaf's index lists are not the entry's")
        if leaf.about is not None and leaf.about != _tag_of(leaf, payload):
            raise RefusedError(f"{rule.type}: the leaf says it is about somebody else")
        act = Act(entry, payload, rule, self.size, max(self.time, leaf.time), leaf)
        if rule.type not in _UNIQUE_BY_NAME and payload["id"] in self.ids:
            raise RefusedError(f"{rule.type}: an entry with this id exists already")
        require_signer(self, act)
        return act

    def _take_effect(self, act: Act, leaf: Leaf) -> None:
        if leaf.stops:
            consents.stop_in_clear(self, act.rule.stop, act.index, leaf.stops)
        _STEPS[act.rule.type][1](self, act)
        if act.rule.type not in _UNIQUE_BY_NAME:
            self.journal.add(self.ids, act.payload["id"])

    def _advance(self, leaf: Leaf) -> None:
        self.journal.change(self, "size", self.size + 1)
        if leaf.time > self.time:
            self.journal.change(self, "time", leaf.time)

    def _fold(self, entry: Entry, leaf: Leaf) -> None:
        try:
            act = self._checked(entry, leaf)
        except (RefusedError, FormatError) as error:
            self._stop_anyway(leaf)
            self._note(error)
            return
        self._take_effect(act, leaf)

    def _note(self, error: RefusedError | FormatError) -> None:
        # What refers to erased things cannot be told from what refers to nothing.
        erased = isinstance(error, UnknownReference) and bool(self.absent)
        notes = self.dangling if erased else self.violations
        if len(notes) < MAX_NOTED:
            self.journal.push(notes, (self.size, str(error)))

    def _stop_anyway(self, leaf: Leaf) -> None:
        if leaf.stops:
            rule = RULES.get((leaf.type, leaf.version))
            # An unknown kind of stop is a final one.
            stop = (rule.stop if rule is not None else None) or FINAL
            consents.stop_in_clear(self, stop, self.size, leaf.stops)

    def _unknown(self, leaf: Leaf) -> None:
        self._stop_anyway(leaf)
        try:
            rule_for(leaf.type, leaf.version)
        except UnknownEntry as error:
            if self.undecidable is None:
                self.journal.change(self, "undecidable", f"leaf {self.size}: {error}")

    def _without_envelope(self, leaf: Leaf) -> None:
        self._stop_anyway(leaf)
        if RULES[leaf.type, leaf.version].visibility == PUBLIC:
            self._note(RefusedError(f"{leaf.type}: a public entry hides behind a commitment"))
        if not self.personal:
            return
        self.journal.put(self.absent, self.size, leaf)
        self.journal.add(self.missing, self.size)


def _tag_of(leaf: Leaf, payload: dict[str, Any]) -> bytes:
    return about_tag(party_of(payload), leaf.commitment or b"")
