"""What may be said about an entry without knowing the state: its form, signatures and leaf.

Reads the table in `ledger.entry_types`. It holds no keys and draws no randomness; who a key
belongs to is the fold's question (`ledger.state`).
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nacl.signing import SigningKey

from ledger import kinds as k
from ledger.access_tree import parse_access_tree, tree_root_of
from ledger.entry_types import (
    BASIS_KINDS,
    BY_ROLE,
    COSIGNED_ROLES,
    PERSONAL,
    REPLACE,
    Rule,
    rule_for,
)
from ledger.envelope import (
    Entry,
    Signature,
    Submission,
    about_tag,
    canonical,
    commitment,
    fingerprint,
    pae,
    remember_rule,
    remembered_rule,
)
from ledger.errors import FormatError, PolicyError, RefusedError, VerificationError
from ledger.leaf import Leaf
from ledger.signatures import verify_ed25519, verify_passkey

Signer = Callable[[bytes], Signature]
IndexLists = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
_NO_LISTS: IndexLists = ((), (), ())
_BY_SELF = {"kind": "self"}


def is_personal(rule: Rule, payload: Mapping[str, Any]) -> bool:
    """Tell whether an entry's leaf may hold only a commitment (owners' parties: by role)."""
    if rule.visibility == BY_ROLE:
        return payload.get("role") == "owner"
    return rule.visibility == PERSONAL


def validate_payload(entry: Entry) -> Rule:
    """Check everything about an entry that needs no state and no signature check.

    Canonical payload bytes, exactly the fields of its type, actor = first key, the number of
    signatures. Raises UnknownEntry or FormatError naming the field.
    """
    rule = rule_for(entry.type, entry.version)
    if remembered_rule(entry) is rule:
        return rule
    try:
        payload = entry.payload
    except FormatError as error:
        raise FormatError(f"{entry.type}: the payload is {error}") from None
    _check_fields(rule, payload)
    if payload["schema"] != rule.schema:
        raise FormatError(f"{entry.type}: schema must be {rule.schema}")
    _check_basis(rule, payload)
    _check_signers(rule, entry, payload)
    remember_rule(entry, rule)
    return rule


def _check_fields(rule: Rule, payload: Mapping[str, Any]) -> None:
    if not rule.form.fits(payload):
        for name, kind in rule.required:
            if name not in payload:
                raise FormatError(f"{rule.type}: the field {name} is missing")
            _check_field(rule, name, kind, payload[name])
    count = len(rule.required)
    for name, kind in rule.optional.items():
        if name in payload:
            _check_field(rule, name, kind, payload[name])
            count += 1
    if len(payload) != count:
        raise FormatError(f"{rule.type}: the payload holds a field this version does not have")


def _check_field(rule: Rule, name: str, kind: k.Kind, value: Any) -> None:
    try:
        if kind.test(value):
            return
    except TypeError:
        pass
    raise FormatError(f"{rule.type}: {name} must be {kind.says}")


def _check_basis(rule: Rule, payload: Mapping[str, Any]) -> None:
    if payload["basis"] != _BY_SELF:
        _check_mandated(rule, payload["basis"])
    about = party_of(payload)
    if payload["subject"] is not None and about and payload["subject"] != about:
        raise FormatError(f"{rule.type}: subject must be null or the party the entry is about")


def _check_mandated(rule: Rule, basis: Mapping[str, Any]) -> None:
    kind = basis.get("kind")
    wanted = {"kind", "mandate"} if kind in ("guardian", "deputy", "custodian") else {"kind"}
    if kind not in BASIS_KINDS or basis.keys() != wanted:
        raise FormatError(f'{rule.type}: basis must be {{"kind":"self"}} or name a mandate')
    if "mandate" in wanted and not k.INDEX.test(basis["mandate"]):
        raise FormatError(f"{rule.type}: basis.mandate must be {k.INDEX.says}")
    if kind == "operator" and "marketplace" not in rule.signer:
        raise FormatError(f"{rule.type}: only a stop by the marketplace has the basis operator")


def party_of(payload: Mapping[str, Any]) -> str:
    """Return the party a payload is about; "" where it names none."""
    return str(payload.get("owner") or payload.get("party") or "")


def _check_signers(rule: Rule, entry: Entry, payload: Mapping[str, Any]) -> None:
    if not entry.signatures:
        raise FormatError(f"{rule.type}: the entry is not signed")
    if payload["actor"] != fingerprint(entry.signatures[0].public_key):
        raise FormatError(f"{rule.type}: actor must be the fingerprint of the first key")
    needed = 2 if needs_cosignature(rule, payload) else 1
    if len(entry.signatures) != needed:
        raise FormatError(f"{rule.type}: needs {needed} signatures, has {len(entry.signatures)}")
    if needed == 2 and entry.signatures[0].public_key == entry.signatures[1].public_key:
        raise FormatError(f"{rule.type}: the cosignature must be by another key")


def needs_cosignature(rule: Rule, payload: Mapping[str, Any]) -> bool:
    """Tell whether an attester must sign second: enrolment of people, and guardianship."""
    if rule.type == "party.registered":
        return payload["role"] in COSIGNED_ROLES
    return rule.type == "mandate.given" and payload["kind"] == "guardian"


def check_attachments(entry: Entry, attachments: Mapping[str, bytes]) -> None:
    """Check that exactly the attachments of the type are there and are what it commits to.

    `entry` has passed `validate_payload`. Raises RefusedError.
    """
    wanted = rule_for(entry.type, entry.version).attachments
    if attachments.keys() != wanted.keys():
        names = ", ".join(wanted) or "nothing"
        raise RefusedError(f"{entry.type}: must come with exactly these attachments: {names}")
    for name, committed in wanted.items():
        if _digest_of(name, attachments[name], entry) != entry.payload[committed]:
            raise RefusedError(f"{entry.type}: attachment {name} is not what {committed} says")


def _digest_of(name: str, data: bytes, entry: Entry) -> str:
    if name != "access_tree":
        return hashlib.sha256(data).hexdigest()
    leaves = parse_access_tree(data)
    if len(leaves) != entry.payload["opened"]:
        raise RefusedError("access.recorded: the access tree has not one leaf a grant opened")
    return tree_root_of(leaves).hex()


@dataclass(frozen=True, slots=True)
class PasskeyPolicy:
    """Which passkey assertions count: the relying party id and its origins (WebAuthn 7.2)."""

    rp_id: str
    origins: tuple[str, ...]


def verify_signatures(entry: Entry, passkeys: PasskeyPolicy | None) -> None:
    """Check every signature of an entry over its pre-authentication encoding.

    Says nothing about whose keys they are. Raises VerificationError; PolicyError when a passkey
    signed and no passkey policy is set.
    """
    message = pae(entry.type, entry.version, entry.payload_bytes)
    if not entry.signatures:
        raise VerificationError("the entry is not signed")
    for signature in entry.signatures:
        _verify(signature, message, passkeys)


def _verify(signature: Signature, message: bytes, passkeys: PasskeyPolicy | None) -> None:
    if signature.kind == "ed25519" and len(signature.parts) == 1:
        verify_ed25519(signature.public_key, message, signature.parts[0])
        return
    if signature.kind != "webauthn" or len(signature.parts) != 3:
        raise VerificationError(f"signature kind {signature.kind[:20]!r} is unknown")
    if passkeys is None:
        raise PolicyError("a passkey signed, and this trust policy accepts no passkeys")
    verify_passkey(
        signature.public_key,
        challenge=hashlib.sha256(message).digest(),
        authenticator_data=signature.parts[0],
        client_data_json=signature.parts[1],
        signature=signature.parts[2],
        rp_id=passkeys.rp_id,
        origins=passkeys.origins,
    )


def sign_ed25519(seed: bytes) -> Signer:
    """Return a signer for `make_entry` from a 32-byte Ed25519 seed (RFC 8032)."""
    if len(seed) != 32:
        raise FormatError(f"an Ed25519 seed is 32 bytes, not {len(seed)}")
    key = SigningKey(seed)
    public = bytes(key.verify_key)
    return lambda message: Signature("ed25519", public, (key.sign(message).signature,))


def public_key(seed: bytes) -> bytes:
    """Return the 32-byte Ed25519 public key of a seed."""
    return bytes(SigningKey(seed).verify_key)


def complete_payload(
    type_: str, fields: Mapping[str, Any], actor: str, version: int = 1
) -> dict[str, Any]:
    """Add the common fields a caller left out; id and time are always the caller's own."""
    subject = fields.get("owner") or fields.get("party")
    common = {"subject": subject, "basis": {"kind": "self"}}
    return {**common, **fields, "schema": f"{type_}/{version}", "actor": actor}


def make_entry(type_: str, fields: Mapping[str, Any], signers: Sequence[Signer]) -> Entry:
    """Sign a payload with each signer in turn and check the result (version 1).

    `fields` must hold id (32 random hex digits) and time (Unix ms). Raises FormatError.
    """
    actor = fingerprint(signers[0](b"").public_key)
    entry = unsigned_entry(type_, complete_payload(type_, fields, actor))
    for signer in signers:
        entry = cosign(entry, signer)
    validate_payload(entry)
    return entry


def sign_entry(seed: bytes, type_: str, fields: Mapping[str, Any]) -> Entry:
    """Sign a payload with one Ed25519 seed: `make_entry` for the common case."""
    return make_entry(type_, fields, [sign_ed25519(seed)])


def unsigned_entry(type_: str, payload: Mapping[str, Any], version: int = 1) -> Entry:
    """Return an entry without signatures over a complete payload, for passkeys and cosigners."""
    return Entry(type_, version, canonical(payload), ())


def cosign(entry: Entry, signer: Signer) -> Entry:
    """Return the entry with one more signature."""
    signature = signer(pae(entry.type, entry.version, entry.payload_bytes))
    signatures = (*entry.signatures, signature)
    return Entry(entry.type, entry.version, entry.payload_bytes, signatures)


def clear_lists(rule: Rule, payload: Mapping[str, Any]) -> IndexLists:
    """Return the lists (stops, resumes, erases) that stand in the clear in an entry's leaf."""
    if not rule.points:
        return _NO_LISTS
    stops = (payload["replaces"],) if rule.stop == REPLACE else tuple(payload.get("stops", ()))
    return stops, tuple(payload.get("resumes", ())), tuple(payload.get("erases", ()))


def make_leaf(entry: Entry, salt: bytes | None, time: int, data: bytes | None = None) -> Leaf:
    """Return the leaf of an entry sequenced at `time` (Unix ms); salt: 32 bytes if personal.

    `entry` has passed `validate_payload`; data: its entry bytes, if made already.
    Raises RefusedError when the salt does not fit.
    """
    rule = rule_for(entry.type, entry.version)
    lists = clear_lists(rule, entry.payload)
    if not is_personal(rule, entry.payload):
        if salt is not None:
            raise RefusedError(f"{entry.type}: a public entry has no salt")
        return Leaf(entry.type, entry.version, time, None, entry, *lists)
    if salt is None:
        raise RefusedError(f"{entry.type}: a personal entry needs a salt of 32 random bytes")
    committed = commitment(salt, entry, data)
    about = about_tag(party_of(entry.payload), committed)
    return Leaf(entry.type, entry.version, time, committed, None, *lists, about)


def make_submission(
    entry: Entry, salt: bytes | None = None, attachments: Mapping[str, bytes] | None = None
) -> Submission:
    """Pack an entry for the ledger and check it as the ledger will. Raises LedgerError."""
    submission = Submission(entry, salt, dict(attachments or {}))
    validate_payload(entry)
    check_attachments(entry, submission.attachments)
    make_leaf(entry, salt, 0)
    return submission


def submission_for(
    entry: Entry, salt: bytes, attachments: Mapping[str, bytes] | None = None
) -> Submission:
    """Pack an entry, using the salt only where the entry is personal. Raises LedgerError."""
    rule = validate_payload(entry)
    personal = is_personal(rule, entry.payload)
    return make_submission(entry, salt if personal else None, attachments)
