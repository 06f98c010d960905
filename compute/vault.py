"""The vault: the only module that opens sealed grants and unwraps data keys.

It opens nothing without a `RecordedAccess`: proof that an access.recorded entry naming the very
grant stands in the log under a checkpoint the follower verified (signature, witnesses, age). It
opens a grant only under the terms about to be applied, since the seal's HPKE `info` binds them,
and never a grant the fold shows stopped or paused. Never decides who belongs to a cohort, never
logs, never writes a plaintext. Spec: DESIGN 3.1 "Grant bound to terms", "No hidden use".

Tags. A leaf of an access tree is HMAC-SHA256(activity key, "omic/access/v1" || access id). It lies
inside the sealed grant, so before the first opening nobody here knows it: an access of purpose
"ingest" uses the grant's `activity_commitment` (32 bytes, from the owner's own envelope) as the
key instead. The owner computes both for each access; outsiders hold neither the commitment (it is
in the personal envelope, not in the leaf) nor the key.
"""

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from compute.cohort_reader import CohortReader
from compute.copy_reader import OpenedBatch, OpenedCopy, activity_keys
from compute.crypt import (
    CryptError,
    decrypt_all,
    grant_info,
    open_grant,
    session_keys,
)
from compute.errors import ComputeError
from compute.gcm import KEY_BYTES
from compute.heads import CopyColumns, copy_context, fresh_head, seal_messages
from compute.keys import KeyRing
from compute.sealing import Kms
from compute.store import CohortStore
from compute.variants import SharedVariants
from ledger import Grant, State, access_tag, tree_root_of

INGEST = "ingest"
_MINT = object()


class VaultRefusedError(ComputeError):
    """The vault will not open this; the code says which rule forbids it."""

    default_code = "vault_refused"


class VerifiedLog(Protocol):
    """What the vault needs of a follower: its fold and the checkpoint that covers it."""

    @property
    def state(self) -> State:
        """Return the fold."""
        ...

    @property
    def checkpoint(self) -> Any:
        """Return the checkpoint whose tree it is of, with the time of its quorum."""
        ...


@dataclass(frozen=True, slots=True, init=False, eq=False)
class RecordedAccess:
    """An access that stands in the witnessed log. Made by `recorded_access` and nowhere else."""

    access: str
    index: int
    purpose: str
    tags: frozenset[bytes]
    log: VerifiedLog

    def __init__(self, mint: object, log: VerifiedLog, access: str, tags: frozenset[bytes]) -> None:
        if mint is not _MINT:
            raise VaultRefusedError("an access token comes from the log only", code="no_access")
        entry = log.state.accesses[access]
        object.__setattr__(self, "access", access)
        object.__setattr__(self, "index", entry.index)
        object.__setattr__(self, "purpose", str(entry.payload["purpose"]))
        object.__setattr__(self, "tags", tags)
        object.__setattr__(self, "log", log)


def recorded_access(log: VerifiedLog, access: str, leaves: Sequence[bytes]) -> RecordedAccess:
    """Turn an access entry under the follower's verified checkpoint into a token.

    leaves: the access tree, checked against the entry's cohort_root. Raises VaultRefusedError.
    """
    entry = log.state.accesses.get(access)
    if entry is None or log.checkpoint is None or entry.index >= log.checkpoint.size:
        raise VaultRefusedError(
            "no access entry covered by a witnessed checkpoint: nothing is opened", code="no_access"
        )
    if tree_root_of(sorted(leaves)).hex() != str(entry.payload["cohort_root"]):
        raise VaultRefusedError("the access tree is not the one recorded", code="wrong_tree")
    return RecordedAccess(_MINT, log, access, frozenset(leaves))


@dataclass(frozen=True, slots=True, repr=False)
class OpenedGrant:
    """What a sealed grant holds, for the length of one ingest."""

    grant: Grant
    session_keys: tuple[bytes, ...]
    activity_key: bytes
    access: RecordedAccess


class Vault:
    """Opens what the log says may be opened, and destroys what it says has ended."""

    def __init__(self, keys: KeyRing, store: CohortStore, kms: Kms) -> None:
        self._keys, self._store, self._kms = keys, store, kms

    def open(
        self, grant_id: str, terms: Mapping[str, Any], sealed: bytes, access: RecordedAccess
    ) -> OpenedGrant:
        """Open a sealed grant under the terms about to be applied. Raises VaultRefusedError.

        Codes: stopped, not_recorded, sealed_mismatch, no_epoch, wrong_terms, wrong_activity_key.
        """
        grant = _grant_in_force(grant_id, access)
        if access.purpose != INGEST:
            raise VaultRefusedError("grants are opened at ingest only", code="not_recorded")
        _demand(access, bytes.fromhex(grant.activity_commitment))
        if hashlib.sha256(sealed).hexdigest() != grant.sealed_grant_sha256:
            raise VaultRefusedError(
                "the sealed grant is not the signed one", code="sealed_mismatch"
            )
        header, activity = self._unseal(grant, terms, sealed)
        if hashlib.sha256(activity).hexdigest() != grant.activity_commitment:
            raise VaultRefusedError(
                "the activity key is not the committed one", code="wrong_activity_key"
            )
        return OpenedGrant(grant, self._session_keys(grant, header), activity, access)

    def decrypt(self, opened: OpenedGrant, ciphertext: bytes, header_size: int) -> memoryview:
        """Decrypt a whole Crypt4GH file, its owner's header left out, in memory.

        Raises VaultRefusedError (code tampered).
        """
        try:
            body = memoryview(ciphertext)[header_size:]
            return decrypt_all(body, opened.session_keys)
        except CryptError:
            raise VaultRefusedError("the ciphertext does not decrypt", code="tampered") from None

    def keep_copy(
        self, opened: OpenedGrant, modality: str, table_version: int, chunks: Iterable[bytes]
    ) -> None:
        """Encrypt a derived copy under a fresh data key and store it."""
        grant = opened.grant
        _grant_in_force(grant.id, opened.access)
        context = copy_context(grant.dataset, grant.id)
        key = os.urandom(KEY_BYTES)
        head = fresh_head(grant.dataset, grant.id, modality, table_version)._replace(
            wrapped_data_key=self._kms.wrap(key, b"data" + context),
            wrapped_activity_key=self._kms.wrap(opened.activity_key, b"activity" + context),
        )
        self._store.put(head, seal_messages(head, key, list(chunks)))

    def reader(self, grant_id: str, access: RecordedAccess) -> OpenedCopy:
        """Unwrap one data key for reading under a recorded access. Raises VaultRefusedError.

        Codes: stopped, not_recorded, no_copy.
        """
        return self.batch([grant_id], access).person(0)

    def batch(self, grant_ids: Sequence[str], access: RecordedAccess) -> OpenedBatch:
        """Unwrap the data keys of many grants, each as `reader` does, in order: all or none."""
        copies = self._copies([_grant_in_force(grant_id, access) for grant_id in grant_ids])
        for key in activity_keys(self._kms, copies):
            _demand(access, key)
        return OpenedBatch(self._store, self._kms, copies)

    def cohort(
        self, grant_ids: Sequence[str], access: RecordedAccess, variants: SharedVariants
    ) -> CohortReader:
        """Return a reader of the genotypes of many grants, in order. It raises as `batch`."""
        return CohortReader(
            len(grant_ids), lambda a, b: self.batch(grant_ids[a:b], access), variants
        )

    def tag(self, grant: Grant, access: str) -> bytes:
        """Compute a grant's leaf in an access tree; opens no data. Raises VaultRefusedError."""
        return self.tags([grant], access)[0]

    def tags(self, grants: Sequence[Grant], access: str) -> list[bytes]:
        """Compute the leaves of many grants, each as `tag` does, in order."""
        return [access_tag(key, access) for key in activity_keys(self._kms, self._copies(grants))]

    def activity_openings(
        self, grant_ids: Sequence[str], access: RecordedAccess
    ) -> list[tuple[str, bytes]]:
        """Return (grant, activity key) of members, for the auditor's bundle. Raises as `reader`."""
        grants = [_grant_in_force(grant_id, access) for grant_id in grant_ids]
        keys = activity_keys(self._kms, self._copies(grants))
        for key in keys:
            _demand(access, key)
        return list(zip(grant_ids, keys, strict=True))

    def destroy(self, grants: Iterable[str]) -> int:
        """Destroy wrapped keys and derived copies of these grants; return how many there were."""
        return self._store.destroy_grants(grants)

    def _copies(self, grants: Sequence[Grant]) -> CopyColumns:
        """Return each grant's copy, in order. Raises VaultRefusedError."""
        copies = self._store.columns([grant.dataset for grant in grants])
        if list(copies.grants) != [grant.id for grant in grants]:
            raise VaultRefusedError("there is no derived copy under this grant", code="no_copy")
        return copies

    def _unseal(self, grant: Grant, terms: Mapping[str, Any], sealed: bytes) -> tuple[bytes, bytes]:
        epoch = self._keys.epoch(str(grant.recipient["key_id"]))
        if epoch is None:
            raise VaultRefusedError("the epoch this grant was sealed to has ended", code="no_epoch")
        info = grant_info(grant.owner, grant.dataset, grant.id, terms)
        try:
            return open_grant(sealed, epoch.hpke_secret, info)
        except CryptError:
            raise VaultRefusedError(
                "the grant does not open under the terms to be applied", code="wrong_terms"
            ) from None

    def _session_keys(self, grant: Grant, header: bytes) -> tuple[bytes, ...]:
        epoch = self._keys.epoch(str(grant.recipient["key_id"]))
        try:
            return tuple(session_keys(header, epoch.crypt4gh_secret)) if epoch else ()
        except CryptError:
            raise VaultRefusedError("the header packet does not open", code="tampered") from None


def _grant_in_force(grant_id: str, access: RecordedAccess) -> Grant:
    """Return the grant when the fold, as it stands now, shows it in force."""
    state = access.log.state
    grant = state.grants.get(grant_id)
    if grant is None or state.consent_blocked() or not state.in_force(grant):
        raise VaultRefusedError("the grant is not in force", code="stopped")
    if is_over(state, grant, int(access.log.checkpoint.quorum_time)):
        raise VaultRefusedError("the consent's time, or the data's, is over", code="expired")
    return grant


def is_over(state: State, grant: Grant, now_ms: int) -> bool:
    """Tell whether a grant's own end, or its dataset's retention, has passed (Unix ms)."""
    until = grant.terms.get("valid_until")
    if type(until) is int and now_ms >= until:
        return True
    dataset = state.datasets.get(grant.dataset)
    kept = None if dataset is None else dataset.retain_until
    return kept is not None and now_ms >= kept


def _demand(access: RecordedAccess, key: bytes) -> None:
    """Refuse a grant whose leaf is not in the recorded access tree."""
    if access_tag(key, access.access) not in access.tags:
        raise VaultRefusedError("the recorded access does not name this grant", code="not_recorded")
