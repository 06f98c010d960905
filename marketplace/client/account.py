"""An account's keys: rotation, a recovery key, and taking an account back with it.

Rotation is signed by the old key. A recovery waits seven days in public: its leaf says, to who
knows the party, whom it is about, so the owner's client shows it whatever any server says, and
cancels it by that leaf alone.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger import RECOVERY_WAIT_MS, Appended, b64, fingerprint, unb64
from marketplace.client.errors import ClientError
from marketplace.client.home import Home
from marketplace.client.keys import SigningKey
from marketplace.client.session import Session
from marketplace.client.statements import append, new_id, now_ms, stated

MARGIN_MS = 60_000  # the log's clock may be ahead of ours
REQUEST = "recovery.json"


@dataclass(frozen=True, slots=True)
class Recovering:
    """A recovery under way; effective_at: Unix ms from when the new key counts."""

    party: str
    index: int
    effective_at: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def rotate(session: Session) -> Appended:
    """Replace the key that signs for this party by a new one, signed by the old key.

    The old key is deleted once the ledger has the entry. Signing in works with the new key as
    soon as the marketplace has seen it.
    """
    home = session.home
    old = home.keys.signing()
    if not home.keys.has("sign.next"):
        home.keys.create("sign.next", "sign")
    new = home.keys.signing("sign.next")
    fields = {**_party(home), "fingerprint": fingerprint(old.public), "key": _key(new, "sign")}
    (done,) = append(session.ledger, home, [stated("party.key_rotated", fields, old)])
    home.keys.rename("sign.next", "sign")
    return done


def add_recovery_key(session: Session, path: Path) -> Appended:
    """Make a recovery key in a file of its own (mode 0600), to be kept elsewhere than this home.

    Raises ClientError where the file exists.
    """
    home, key = session.home, SigningKey(Ed25519PrivateKey.generate())
    _write_new(path, {"party": home.party, "seed": b64(key.private.private_bytes_raw())})
    fields = {**_party(home), "key": _key(key, "recover")}
    (done,) = append(session.ledger, home, [stated("party.key_added", fields, home.keys.signing())])
    return done


def read_recovery(path: Path) -> tuple[str, SigningKey]:
    """Return party and key of a recovery file. Raises ClientError."""
    try:
        value = json.loads(path.read_text())
        key = Ed25519PrivateKey.from_private_bytes(unb64(value["seed"]))
        return str(value["party"]), SigningKey(key)
    except OSError as error:
        raise ClientError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise ClientError(f"{path} is not a recovery file made by `omic account key`") from None


def request(session: Session, key: SigningKey) -> Recovering:
    """Ask, with the recovery key, that this home's new key count for its party after the wait."""
    home = session.home
    effective_at = now_ms() + RECOVERY_WAIT_MS + MARGIN_MS
    new = _key(home.keys.signing(), "sign")
    fields = {**_party(home), "recovery": new_id(), "key": new, "effective_at": effective_at}
    (done,) = append(session.ledger, home, [stated("recovery.requested", fields, key)])
    found = Recovering(home.party, done.index, effective_at)
    home.write(REQUEST, found.to_json())
    return found


def finish(session: Session) -> Appended:
    """Put the new key on the account, once the waiting time is over. Raises ClientError."""
    home = session.home
    document = home.read(REQUEST)
    if document is None:
        raise ClientError(f"no recovery was asked for from {home.path}; see `omic account recover`")
    key = home.keys.signing()
    fields = {**_party(home), "key": _key(key, "sign")}
    (done,) = append(session.ledger, home, [stated("party.key_added", fields, key)])
    home.write(REQUEST, {**document, "finished": done.index})
    return done


def cancel(session: Session, index: int) -> Appended:
    """Cancel the recovery asked for at a ledger entry, which need not be readable to us.

    Raises ClientError where that entry is no recovery of this account.
    """
    home = session.home
    (record,) = session.view.follower.records(index, index + 1)
    leaf = record.leaf
    if leaf.type != "recovery.requested" or leaf.about is None:
        raise ClientError(f"ledger entry {index} asks for no recovery")
    fields = {**_party(home), "recovery": leaf.about.hex()}
    (done,) = append(
        session.ledger, home, [stated("recovery.cancelled", fields, home.keys.signing())]
    )
    return done


def _party(home: Home) -> dict[str, Any]:
    return {"party": home.party, "role": home.identity["role"]}


def _key(key: SigningKey, use: str) -> dict[str, str]:
    return {"public_key": b64(key.public), "kind": "ed25519", "use": use}


def _write_new(path: Path, value: Mapping[str, Any]) -> None:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise ClientError(f"cannot make {path}: {error.strerror}; choose another file") from None
    with os.fdopen(handle, "w") as file:
        json.dump(value, file)
