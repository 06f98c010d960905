"""Sign-in challenges without memory: what the server issued is told from its own MAC.

A challenge is nonce, expiry and HMAC-SHA256 over both, the kind and the party, under a secret only
the servers of one market know. Asking for one writes nothing, so nobody can use up a party's
challenges; that it works once is the caller's to record when it is spent.
"""

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from ledger import FormatError, b64, unb64
from marketplace.config import read_secret
from marketplace.errors import ConfigError

CONTEXT = b"omic/challenge/v1\n"
NONCE_BYTES, TIME_BYTES, MAC_BYTES, KEY_BYTES = 16, 8, 32, 32
_BODY = NONCE_BYTES + TIME_BYTES


def make(key: bytes, party: str, kind: str, expires_at: int) -> str:
    """Return a fresh challenge in base64; expires_at: Unix ms."""
    body = secrets.token_bytes(NONCE_BYTES) + expires_at.to_bytes(TIME_BYTES, "big")
    return b64(body + _mac(key, party, kind, body))


def expiry(key: bytes, party: str, kind: str, challenge: str) -> int | None:
    """Return when a challenge of ours for this party and kind ends (Unix ms); None if it is not."""
    try:
        raw = unb64(challenge)
    except FormatError:
        return None
    body, mac = raw[:_BODY], raw[_BODY:]
    if len(raw) != _BODY + MAC_BYTES or not hmac.compare_digest(mac, _mac(key, party, kind, body)):
        return None
    return int.from_bytes(body[NONCE_BYTES:], "big")


def _mac(key: bytes, party: str, kind: str, body: bytes) -> bytes:
    message = CONTEXT + f"{kind}\n{party}\n".encode() + body
    return hmac.new(key, message, hashlib.sha256).digest()


def load_key(path: Path) -> bytes:
    """Load the secret, making its file (mode 0600) where there is none. Raises ConfigError."""
    if not path.exists():
        _create(path)
    try:
        key = bytes.fromhex(read_secret(path, "challenge secret"))
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise ConfigError(f"{path} does not hold {KEY_BYTES} bytes in hex; delete it, start again")
    return key


def _create(path: Path) -> None:
    """Make the file whole or not at all: two processes starting together read the same secret."""
    made = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(KEY_BYTES) + "\n")
        try:
            os.link(made, path)
        except FileExistsError:
            return
        finally:
            made.unlink()
    except OSError as error:
        raise ConfigError(f"{path} cannot be made ({error.strerror}); check its folder") from None
