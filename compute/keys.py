"""The worker's own keys: identity, recipient epochs, key-encryption key, in files of mode 0600.

The identity key (Ed25519) signs access, result and key entries and is pinned in the trust file.
An epoch's recipient keys (X25519 for Crypt4GH headers, the HPKE pair for sealed grants) live 90
days and overlap by 30. Never prints or logs a secret; `init` prints public parts only.
"""

import json
import os
import secrets
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from compute.config import ConfigError
from compute.crypt import crypt4gh, hpke
from ledger import b64, unb64

EPOCH_MS = 90 * 86_400_000
OVERLAP_MS = 30 * 86_400_000
KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class Epoch:
    """One epoch's recipient keys; times in Unix milliseconds. repr leaves the secrets out."""

    key_id: str
    region: str
    not_before: int
    not_after: int
    crypt4gh_public: bytes
    hpke_public: bytes
    crypt4gh_secret: bytes
    hpke_secret: bytes

    def __repr__(self) -> str:
        return f"Epoch({self.key_id}, {self.region})"

    def published(self) -> dict[str, Any]:
        """Return the fields of compute.key_published."""
        return {
            "key_id": self.key_id,
            "region": self.region,
            "crypt4gh_public": b64(self.crypt4gh_public),
            "hpke_public": b64(self.hpke_public),
            "not_before": self.not_before,
            "not_after": self.not_after,
        }


@dataclass(slots=True, repr=False)
class KeyRing:
    """Every key of one worker; epochs come and go while it runs."""

    identity_seed: bytes
    kek: bytes
    epochs: tuple[Epoch, ...]

    @property
    def identity_public(self) -> bytes:
        """Return the public Ed25519 key of compute's identity, 32 bytes."""
        return (
            Ed25519PrivateKey.from_private_bytes(self.identity_seed).public_key().public_bytes_raw()
        )

    def epoch(self, key_id: str) -> Epoch | None:
        """Return the epoch a grant was sealed to, or None when its secret was destroyed."""
        return next((epoch for epoch in self.epochs if epoch.key_id == key_id), None)


def new_epoch(region: str, now_ms: int) -> Epoch:
    """Draw an epoch's recipient keys, valid from now for 90 days."""
    crypt4gh_secret, crypt4gh_public = crypt4gh.generate_keypair()
    hpke_secret, hpke_public = hpke.generate_keypair()
    return Epoch(
        key_id=secrets.token_hex(16),
        region=region,
        not_before=now_ms,
        not_after=now_ms + EPOCH_MS,
        crypt4gh_public=crypt4gh_public,
        hpke_public=hpke_public,
        crypt4gh_secret=crypt4gh_secret,
        hpke_secret=hpke_secret,
    )


def create_keys(directory: Path, region: str, now_ms: int) -> KeyRing:
    """Return the keys under directory/keys, drawn and written whole when there are none yet.

    Keys that exist are never overwritten: a second call returns the same ones.
    """
    folder = directory / "keys"
    if not folder.exists():
        fresh = directory / "keys.new"
        if fresh.exists():
            shutil.rmtree(fresh)  # a first start that was cut short: nothing of it was published
        fresh.mkdir(mode=0o700, parents=True)
        _write(fresh / "kek.key", secrets.token_bytes(KEY_BYTES))
        _write(fresh / "identity.key", Ed25519PrivateKey.generate().private_bytes_raw())
        write_epoch(fresh, new_epoch(region, now_ms))
        fresh.rename(folder)
    return load_keys(directory)


def write_epoch(folder: Path, epoch: Epoch) -> None:
    """Write one epoch's keys, public and secret, as one file of mode 0600."""
    secret = {
        "crypt4gh_secret": b64(epoch.crypt4gh_secret),
        "hpke_secret": b64(epoch.hpke_secret),
    }
    text = json.dumps({**epoch.published(), **secret}, sort_keys=True)
    path = _epoch_path(folder, epoch)
    fresh = path.with_suffix(".new")  # a first write cut short must not be read as an epoch
    _write_text(fresh, text)
    fresh.rename(path)
    _sync_folder(folder)


def destroy_epoch(folder: Path, epoch: Epoch) -> None:
    """Overwrite and delete one epoch's file, for good as far as the file system allows."""
    path = _epoch_path(folder, epoch)
    if not path.exists():
        return
    with path.open("r+b") as file:
        file.write(bytes(path.stat().st_size))
        file.flush()
        os.fsync(file.fileno())
    path.unlink()
    _sync_folder(folder)


def needs_next(epochs: Iterable[Epoch], region: str, now_ms: int) -> bool:
    """Tell whether the newest epoch in force has less than the overlap left."""
    current = current_epoch(epochs, region, now_ms)
    return current is None or current.not_after - now_ms < OVERLAP_MS


def _epoch_path(folder: Path, epoch: Epoch) -> Path:
    return folder / f"epoch-{epoch.key_id}.json"


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def load_keys(directory: Path) -> KeyRing:
    """Read the keys. Raises ConfigError when one is missing or readable by others."""
    folder = directory / "keys"
    epochs = [_read_epoch(path) for path in sorted(folder.glob("epoch-*.json"))]
    if not epochs:
        raise ConfigError(f"{folder} holds no recipient keys: run `python -m compute.worker init`")
    return KeyRing(
        identity_seed=_read(folder / "identity.key"),
        kek=_read(folder / "kek.key"),
        epochs=tuple(sorted(epochs, key=lambda epoch: epoch.not_before)),
    )


def current_epoch(epochs: Iterable[Epoch], region: str, now_ms: int) -> Epoch | None:
    """Return the newest epoch of a region in force now."""
    live = [e for e in epochs if e.region == region and e.not_before <= now_ms < e.not_after]
    return max(live, key=lambda epoch: epoch.not_before, default=None)


def _read_epoch(path: Path) -> Epoch:
    _refuse_shared(path)
    try:
        value = json.loads(path.read_text())
        return Epoch(
            key_id=str(value["key_id"]),
            region=str(value["region"]),
            not_before=int(value["not_before"]),
            not_after=int(value["not_after"]),
            crypt4gh_public=unb64(value["crypt4gh_public"]),
            hpke_public=unb64(value["hpke_public"]),
            crypt4gh_secret=unb64(value["crypt4gh_secret"]),
            hpke_secret=unb64(value["hpke_secret"]),
        )
    except (ValueError, KeyError, TypeError):
        raise ConfigError(f"{path} is not a recipient key file of ours") from None


def _read(path: Path) -> bytes:
    _refuse_shared(path)
    data = unb64(path.read_text().strip())
    if len(data) != KEY_BYTES:
        raise ConfigError(f"{path} does not hold a key of {KEY_BYTES} bytes")
    return data


def _refuse_shared(path: Path) -> None:
    if not path.is_file():
        raise ConfigError(f"{path} is missing: run `python -m compute.worker init`")
    if path.stat().st_mode & 0o077:
        raise ConfigError(f"{path} can be read by others: chmod 600 it")


def _write(path: Path, key: bytes) -> None:
    _write_text(path, b64(key))


def _write_text(path: Path, text: str) -> None:
    handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
