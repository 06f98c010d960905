"""The entries a bundle carries, each proved to stand in the trusted log before it is read.

An entry counts only when its receipt verifies under the trust policy, its leaf is the one proved,
a personal one opens its leaf's commitment, and every signature on it holds. Whose key signed is
asked here too (`Signers`). Offline: no I/O, no clock.
Spec: C2SP tlog-proof; DESIGN section 3 (entries, leaves) and 3.1 (two audits).
"""

import hmac
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import Field, StrictInt, StrictStr

from compute.claims import fold_claims
from compute.errors import BundleError
from compute.terms import Claims
from compute.values import Value
from ledger import (
    Entry,
    Leaf,
    LedgerError,
    TrustPolicy,
    commitment,
    fingerprint,
    parse_entry_bytes,
    parse_leaf,
    parse_proof,
    unb64,
    validate_payload,
    verify_proof,
    verify_signatures,
)

PERSON_VERIFIED = "person_verified"


class BundleEntry(Value):
    """One entry as a bundle carries it; entry and salt open the leaf of a personal one (base64)."""

    type: StrictStr
    index: Annotated[StrictInt, Field(ge=0)]
    leaf: StrictStr
    receipt: StrictStr
    entry: StrictStr | None = None
    salt: StrictStr | None = None


@dataclass(frozen=True, slots=True)
class Proven:
    """An entry that stands in the log; size is that of the checkpoint its receipt rests on."""

    index: int
    leaf: Leaf
    entry: Entry
    payload: Mapping[str, Any]
    size: int
    root: bytes

    @property
    def actor(self) -> str:
        """Return the fingerprint of the first signature's key."""
        return fingerprint(self.entry.signatures[0].public_key)


def prove(item: BundleEntry, trust: TrustPolicy, now_ms: int) -> Proven:
    """Verify one carried entry. Raises BundleError naming its index and what is wrong."""
    try:
        data = unb64(item.leaf)
        verified = verify_proof(data, trust.policy, item.receipt.encode())
        proof, leaf = parse_proof(item.receipt.encode()), parse_leaf(data)
        entry = leaf.entry if leaf.entry is not None else _open(item, leaf)
        validate_payload(entry)
        verify_signatures(entry, trust.passkeys)
    except LedgerError as error:
        raise BundleError(f"entry {item.index} is not proved: {error}") from None
    if proof.index != item.index:
        raise BundleError(f"entry {item.index}: its receipt is for entry {proof.index}")
    if (entry.type, entry.version) != (leaf.type, leaf.version) or leaf.type != item.type:
        raise BundleError(f"entry {item.index}: leaf and entry are of different types")
    if verified.quorum_time * 1000 > now_ms + 5_000:
        raise BundleError(f"entry {item.index}: its checkpoint is dated after now; check the clock")
    checkpoint = verified.checkpoint
    return Proven(item.index, leaf, entry, entry.payload, checkpoint.size, checkpoint.root)


def _open(item: BundleEntry, leaf: Leaf) -> Entry:
    if item.entry is None or item.salt is None:
        raise BundleError(f"entry {item.index} is personal and comes without its opening")
    entry = parse_entry_bytes(unb64(item.entry))
    if not hmac.compare_digest(commitment(unb64(item.salt), entry), leaf.commitment or b""):
        raise BundleError(f"entry {item.index} does not open its leaf's commitment")
    return entry


def prove_all(items: Iterable[BundleEntry], trust: TrustPolicy, now_ms: int) -> tuple[Proven, ...]:
    """Verify carried entries and return them in log order. Raises BundleError."""
    proven = {item.index: prove(item, trust, now_ms) for item in items}
    return tuple(proven[index] for index in sorted(proven))


@dataclass(slots=True)
class Signers:
    """The parties a bundle shows: their sign keys and what attesters say of them."""

    trust: TrustPolicy
    roles: dict[str, str] = field(default_factory=dict)
    keys: dict[str, set[str]] = field(default_factory=dict)
    attested: dict[str, list[Proven]] = field(default_factory=dict)

    def learn(self, entries: Sequence[Proven]) -> None:
        """Take in registrations, added keys and attestations, in log order; skip what is not valid.

        A removed key is not forgotten: a bundle holds one order's entries, not a party's whole
        history, so that an entry was admitted by the log is what its receipt shows.
        """
        for item in entries:
            if item.leaf.type == "party.registered" and self._enrolled(item):
                self.roles[item.payload["party"]] = item.payload["role"]
                self._add(item.payload["party"], item.payload["keys"])
            elif item.leaf.type in ("party.key_added", "party.key_rotated"):
                if item.actor in self.keys.get(item.payload["party"], ()):
                    self._add(item.payload["party"], [item.payload["key"]])
            elif item.leaf.type == "party.attested":
                self.attested.setdefault(item.payload["party"], []).append(item)

    def _enrolled(self, item: Proven) -> bool:
        """Tell whether people were vouched for by a pinned attester, and sign as themselves."""
        own = {fingerprint(unb64(key["public_key"])) for key in item.payload["keys"]}
        cosigners = [fingerprint(s.public_key) for s in item.entry.signatures[1:]]
        pins = self.trust.pins
        vouched = any(pins.may_attest(PERSON_VERIFIED, cosigner) for cosigner in cosigners)
        return item.actor in own and vouched

    def _add(self, party: str, keys: Iterable[Mapping[str, Any]]) -> None:
        signing = {fingerprint(unb64(k["public_key"])) for k in keys if k["use"] == "sign"}
        self.keys.setdefault(party, set()).update(signing)

    def signed_by(self, item: Proven, party: str, role: str) -> None:
        """Check that an entry is signed by a key of a party. Raises BundleError."""
        if self.roles.get(party) != role:
            raise BundleError(f"the bundle holds no valid registration of the {role} {party}")
        if item.actor not in self.keys[party]:
            raise BundleError(f"entry {item.index} is not signed by a key of the {role} {party}")

    def by_service(self, item: Proven, service: str) -> None:
        """Check that an entry is signed by a pinned service. Raises BundleError."""
        if not self.trust.pins.is_service(service, item.actor):
            raise BundleError(f"entry {item.index} is not signed by a pinned {service} key")

    def claims(self, party: str, at_ms: int) -> Claims:
        """Return what pinned attesters' statements in the bundle say of a party at a time (ms)."""
        held = self.attested.get(party, ())
        statements = ((i.payload["claims"], i.payload["expires_at"], i.actor) for i in held)
        return fold_claims(party, statements, self.trust.pins, at_ms)
