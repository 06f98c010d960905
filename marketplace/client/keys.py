"""The client's keys: made here, kept here (file mode 0600, optional passphrase), never sent.

sign.pem: Ed25519 (PKCS #8). encrypt.pem: X25519 (PKCS #8), the Crypt4GH identity.
datasets/<id>.pem: one signing key a dataset, so that two datasets of a person share no identifier.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from ledger import Signature, b64, unb64
from marketplace.client.errors import HomeError

PrivateKey = Ed25519PrivateKey | X25519PrivateKey
_NAME = re.compile(r"sign|encrypt|vault|datasets/[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class SigningKey:
    """An Ed25519 key that signs ledger entries."""

    private: Ed25519PrivateKey

    @property
    def public(self) -> bytes:
        return self.private.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> Signature:
        """Sign an entry's pre-authentication encoding."""
        return Signature("ed25519", self.public, (self.private.sign(message),))


@dataclass(frozen=True, slots=True)
class EncryptionKey:
    """An X25519 key that opens Crypt4GH files addressed to its holder."""

    private: X25519PrivateKey

    @property
    def public(self) -> bytes:
        return self.private.public_key().public_bytes_raw()

    @property
    def secret(self) -> bytes:
        return self.private.private_bytes_raw()


@dataclass(frozen=True, slots=True)
class KeyStore:
    """The keys under one directory; passphrase None keeps them unencrypted (mode 0600)."""

    directory: Path
    passphrase: str | None = None

    def create(self, name: str, kind: str) -> None:
        """Make a new key ("sign" or "encrypt"); refuses to overwrite one."""
        key = Ed25519PrivateKey.generate() if kind == "sign" else X25519PrivateKey.generate()
        self._keep(name, key)

    def _keep(self, name: str, key: PrivateKey) -> None:
        path = self._path(name)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            raise HomeError(
                f"there is a key already at {path}; keys are never overwritten. "
                "Use another --home, or `omic keygen --show` to see the public parts."
            ) from None
        with os.fdopen(descriptor, "wb") as file:
            file.write(self._encode(key))

    def has(self, name: str) -> bool:
        return self._path(name).exists()

    def signing(self, name: str = "sign") -> SigningKey:
        """Return a signing key by name."""
        key = self._load(name)
        if not isinstance(key, Ed25519PrivateKey):
            raise HomeError(f"{self._path(name)} is not an Ed25519 signing key")
        return SigningKey(key)

    def encryption(self, name: str = "encrypt") -> EncryptionKey:
        """Return an encryption key by name."""
        key = self._load(name)
        if not isinstance(key, X25519PrivateKey):
            raise HomeError(f"{self._path(name)} is not an X25519 encryption key")
        return EncryptionKey(key)

    def delete(self, name: str) -> None:
        """Delete a key; what it alone could open or sign is gone."""
        self._path(name).unlink(missing_ok=True)

    def rename(self, name: str, to: str) -> None:
        """Put a key in another one's place, in one step; the other one is gone."""
        self._path(name).replace(self._path(to))

    def _path(self, name: str) -> Path:
        return self.directory / f"{name}.pem"

    def _encode(self, key: PrivateKey) -> bytes:
        wrap: serialization.KeySerializationEncryption = serialization.NoEncryption()
        if self.passphrase is not None:
            wrap = serialization.BestAvailableEncryption(self.passphrase.encode())
        pkcs8 = serialization.PrivateFormat.PKCS8
        return key.private_bytes(serialization.Encoding.PEM, pkcs8, wrap)

    def secrets(self) -> dict[str, str]:
        """Return every key's 32 secret bytes in base64 by name, for an identity file."""
        found = {}
        for path in sorted(self.directory.rglob("*.pem")):
            name = path.relative_to(self.directory).with_suffix("").as_posix()
            key = self._load(name)
            if isinstance(key, Ed25519PrivateKey | X25519PrivateKey):
                found[name] = b64(key.private_bytes_raw())
        return found

    def restore(self, secrets: Mapping[str, str]) -> None:
        """Put back what `secrets` gave; refuses to overwrite a key. Raises HomeError."""
        for name, text in secrets.items():
            if not _NAME.fullmatch(name):
                raise HomeError("the identity file names a key in a way no key is named")
            kind = X25519PrivateKey if name == "encrypt" else Ed25519PrivateKey
            self._keep(name, kind.from_private_bytes(unb64(text)))

    def _load(self, name: str) -> object:
        path = self._path(name)
        secret = None if self.passphrase is None else self.passphrase.encode()
        try:
            return serialization.load_pem_private_key(path.read_bytes(), secret)
        except FileNotFoundError:
            raise HomeError(f"there is no key at {path}; run `omic keygen` first") from None
        except (TypeError, ValueError):
            raise HomeError(
                f"the key {path} does not open: give its passphrase in OMIC_PASSPHRASE "
                "(or, if it never had one, unset it)"
            ) from None
