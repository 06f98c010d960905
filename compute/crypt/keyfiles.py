"""Key files any Crypt4GH tool reads: X25519 keys, the secret one with an optional passphrase.

Never overwrites a key and never asks anybody anything.
Spec: crypt4gh key format c4gh-v1 (github.com/EGA-archive/crypt4gh, docs).
"""

import base64
import binascii
import io
import os
from pathlib import Path

import compute.crypt.quiet  # noqa: F401  # isort: skip  (first: the package logs keys)
from crypt4gh.keys import c4gh, kdf
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from compute.crypt.header import check_key, public_of
from compute.errors import CryptError

MAX_ROUNDS = 1_000_000
_SECRET, _PUBLIC = "CRYPT4GH PRIVATE KEY", "CRYPT4GH PUBLIC KEY"


def write_key_files(
    secret_path: Path, public_path: Path, secret: bytes, passphrase: str | None = None
) -> None:
    """Write a key pair as two new files, the secret one readable by its owner alone.

    Raises CryptError when either file exists.
    """
    check_key(secret)
    if secret_path.exists() or public_path.exists():
        raise CryptError(
            "a key file of that name exists; keys are never overwritten", code="exists"
        )
    _write(secret_path, format_secret_key(secret, passphrase), 0o600)
    _write(public_path, format_public_key(public_of(secret)), 0o644)


def format_secret_key(secret: bytes, passphrase: str | None = None) -> bytes:
    """Return the file of a secret key; with a passphrase it is encrypted (scrypt)."""
    check_key(secret)
    if passphrase:
        body = bytes(c4gh.encode_private_key(secret, passphrase.encode(), None))
    else:  # the package would print a warning here
        parts = (c4gh.encode_string(None), c4gh.encode_string(None), c4gh.encode_string(secret))
        body = c4gh.MAGIC_WORD + b"".join(parts)
    return _armour(_SECRET, body)


def format_public_key(public: bytes) -> bytes:
    """Return the file of a public key."""
    check_key(public)
    return _armour(_PUBLIC, public)


def parse_secret_key(data: bytes, passphrase: str | None = None) -> bytes:
    """Return the 32-byte secret key of a key file. Raises CryptError.

    Code "passphrase" when one is needed or wrong.
    """
    body = _body(_SECRET, data)
    if not body.startswith(c4gh.MAGIC_WORD):
        raise CryptError("this is not a Crypt4GH secret key", code="key_file")
    try:
        secret = _open_secret(io.BytesIO(body[len(c4gh.MAGIC_WORD) :]), passphrase)
    except InvalidTag:
        raise CryptError("wrong passphrase, or a damaged key file", code="passphrase") from None
    except (ValueError, NotImplementedError):
        raise CryptError("this is not a Crypt4GH secret key we read", code="key_file") from None
    check_key(secret)
    return secret


def _open_secret(stream: io.BytesIO, passphrase: str | None) -> bytes:
    """Read the fields after the magic word; the package's own reader ends the process on errors."""
    kdf_name = c4gh.decode_string(stream)
    options = c4gh.decode_string(stream) if kdf_name != b"none" else b""
    cipher, body = c4gh.decode_string(stream), bytes(c4gh.decode_string(stream))
    if cipher == b"none":
        return body
    if cipher != b"chacha20_poly1305":
        raise ValueError("unknown cipher")
    if not passphrase:
        raise CryptError("this key file needs its passphrase", code="passphrase")
    rounds = int.from_bytes(options[:4], "big")
    if rounds > MAX_ROUNDS:
        raise ValueError("more rounds than any tool writes")
    key = kdf.derive_key(kdf_name, passphrase.encode(), options[4:], rounds)
    return ChaCha20Poly1305(key).decrypt(body[:12], body[12:], None)


def parse_public_key(data: bytes) -> bytes:
    """Return the 32-byte public key of a key file. Raises CryptError."""
    public = _body(_PUBLIC, data)
    check_key(public)
    return public


def read_secret_key(path: Path, passphrase: str | None = None) -> bytes:
    """Read a secret key file. Raises CryptError."""
    return parse_secret_key(_read(path), passphrase)


def read_public_key(path: Path) -> bytes:
    """Read a public key file. Raises CryptError."""
    return parse_public_key(_read(path))


def _armour(label: str, body: bytes) -> bytes:
    text = base64.b64encode(body).decode()
    return f"-----BEGIN {label}-----\n{text}\n-----END {label}-----\n".encode()


def _body(label: str, data: bytes) -> bytes:
    lines = [line.strip() for line in data.splitlines() if line.strip()]
    kind = label.removeprefix("CRYPT4GH ").encode()  # tools differ in the words before it
    if (
        len(lines) < 3
        or not (lines[0].startswith(b"-----BEGIN ") and lines[0].endswith(kind + b"-----"))
        or not (lines[-1].startswith(b"-----END ") and lines[-1].endswith(kind + b"-----"))
    ):
        raise CryptError(f"this file does not hold a {label}", code="key_file")
    try:
        return base64.b64decode(b"".join(lines[1:-1]), validate=True)
    except binascii.Error:
        raise CryptError("the key file is not base64 inside", code="key_file") from None


def _write(path: Path, data: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CryptError(
            f"cannot read the key file {path}: {error.strerror}", code="key_file"
        ) from None
