"""Opening bundles: a researcher's is plain JSON, an auditor's is Crypt4GH to the auditor's key."""

from pathlib import Path

from compute.crypt import decrypt_file
from marketplace.client.errors import ClientError
from marketplace.client.keys import KeyStore

CRYPT4GH_MAGIC = b"crypt4gh"


def open_bundle(data: bytes, secret: bytes) -> bytes:
    """Decrypt an auditor's bundle with its X25519 secret (32 bytes)."""
    return decrypt_file(data, secret)


def read_bundle(path: Path, keys: Path | None) -> bytes:
    """Read a bundle file, opening it with the auditor's keys where it is encrypted."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ClientError(f"cannot read the bundle {path}: {error.strerror}") from None
    if not data.startswith(CRYPT4GH_MAGIC):
        return data
    if keys is None:
        raise ClientError(f"{path} is encrypted to an auditor; give --key FOLDER with its keys")
    return open_bundle(data, KeyStore(keys).encryption().secret)
