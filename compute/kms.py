"""Key management behind one port: a key file, AWS KMS, or both with a post-quantum layer.

An outside KMS is asked once a start, not once a person: it wraps one key-encryption key, under
which the data keys lie (envelope encryption). What it is given is already sealed to the worker's
own hybrid key pair (HPKE with ML-KEM-768 and X25519, from its key file), so that neither the KMS
operator nor a recording of the traffic opens it, today or with a quantum computer; and the key
file alone opens nothing without the KMS.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import parse_qs, urlsplit

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from compute.crypt import hpke
from compute.errors import CryptError
from compute.gcm import KEY_BYTES
from compute.sealing import Kms, LocalKms, StoreError

CONTEXT: Final = b"omic/kek/v2"


class _OneByOne:
    """What is asked of a KMS for many keys, asked for each."""

    __slots__ = ()

    def unwrap_each(self: Kms, wrapped: Sequence[bytes], contexts: Sequence[bytes]) -> list[bytes]:
        """Open many wrapped keys, each as `unwrap` does: all or none."""
        return [self.unwrap(*pair) for pair in zip(wrapped, contexts, strict=True)]


@dataclass(frozen=True, slots=True, repr=False)
class HybridKms(_OneByOne):
    """Seals to a hybrid key pair drawn from a key file's secret."""

    secret: bytes

    @staticmethod
    def of_key(key: bytes) -> "HybridKms":
        """Derive the key pair from 32 secret bytes (HKDF-SHA256)."""
        kdf = HKDF(SHA256(), hpke.SECRET_BYTES, salt=None, info=b"omic/kms/hybrid/v1")
        return HybridKms(kdf.derive(key))

    def wrap(self, key: bytes, context: bytes) -> bytes:
        """Seal a key; `context` is bound as HPKE info."""
        return hpke.seal(key, hpke.public_of(self.secret), context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Open a sealed key. Raises StoreError."""
        try:
            return hpke.unseal(wrapped, self.secret, context)
        except CryptError:
            raise _not_opened("the worker's key file") from None


class KmsClient(Protocol):
    """The two calls of boto3's KMS client that are used."""

    def encrypt(self, **arguments: Any) -> Mapping[str, Any]:
        """Encrypt a few bytes under a key of the service."""
        ...

    def decrypt(self, **arguments: Any) -> Mapping[str, Any]:
        """Open what `encrypt` gave, in the same context."""
        ...


@dataclass(frozen=True, slots=True)
class AwsKms(_OneByOne):
    """AWS KMS (or what speaks its protocol). The context is KMS's encryption context."""

    client: KmsClient
    key_id: str

    def wrap(self, key: bytes, context: bytes) -> bytes:
        """Encrypt up to 4,096 bytes under the named key. Raises StoreError."""
        found = self._call(self.client.encrypt, Plaintext=key, context=context)
        return bytes(found["CiphertextBlob"])

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Decrypt what `wrap` made. Raises StoreError."""
        found = self._call(self.client.decrypt, CiphertextBlob=wrapped, context=context)
        return bytes(found["Plaintext"])

    def _call(self, call: Any, *, context: bytes, **arguments: Any) -> Mapping[str, Any]:
        from botocore.exceptions import BotoCoreError, ClientError

        bound = {"omic": context.hex()}
        try:
            found: Mapping[str, Any] = call(KeyId=self.key_id, EncryptionContext=bound, **arguments)
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "unknown")
            raise _not_opened(f"AWS KMS ({code})") from None
        except BotoCoreError as error:
            raise _not_opened(f"AWS KMS ({type(error).__name__})") from None
        return found


@dataclass(frozen=True, slots=True)
class LayeredKms(_OneByOne):
    """Wraps with `inner`, then with `outer`: both are needed to unwrap."""

    inner: Kms
    outer: Kms

    def wrap(self, key: bytes, context: bytes) -> bytes:
        """Wrap twice."""
        return self.outer.wrap(self.inner.wrap(key, context), context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Unwrap twice. Raises StoreError."""
        return self.inner.unwrap(self.outer.unwrap(wrapped, context), context)


def enveloped(outer: Kms, path: Path) -> LocalKms:
    """Return a KMS under the key-encryption key kept wrapped by `outer` in a file, drawn at first.

    Raises StoreError where the file is there and does not open: it is never drawn again over data.
    """
    try:
        wrapped = bytes.fromhex(str(json.loads(path.read_text())["wrapped_kek"]))
    except FileNotFoundError:
        return LocalKms(_drawn(outer, path))
    except (ValueError, KeyError, TypeError):
        raise StoreError(f"{path} is not a wrapped key: restore it from the backup") from None
    return LocalKms(outer.unwrap(wrapped, CONTEXT))


def _drawn(outer: Kms, path: Path) -> bytes:
    key = os.urandom(KEY_BYTES)
    text = json.dumps({"v": 1, "wrapped_kek": outer.wrap(key, CONTEXT).hex()}) + "\n"
    try:
        fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:  # another worker of this directory drew it meanwhile
        return enveloped(outer, path).kek
    with os.fdopen(fd, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return key


def open_kms(url: str, key: bytes, directory: Path) -> LocalKms:
    """Open the KMS a configuration names: "file" (the key itself), or

    aws-kms://KEY-ID?region=eu-central-1[&endpoint=https://…], credentials as boto3 finds them.
    Raises StoreError.
    """
    if url in {"", "file"}:
        return LocalKms(key)
    parts = urlsplit(url)
    if parts.scheme != "aws-kms" or not parts.netloc:
        raise StoreError('kms_url must be "file" or aws-kms://KEY-ID?region=REGION')
    options = parse_qs(parts.query)
    client = _aws_client(options.get("region", [None])[0], options.get("endpoint", [None])[0])
    outer = LayeredKms(HybridKms.of_key(key), AwsKms(client, parts.netloc + parts.path))
    return enveloped(outer, directory / "kek.wrapped")


def _aws_client(region: str | None, endpoint: str | None) -> KmsClient:
    try:
        import boto3
    except ImportError:
        raise StoreError("aws-kms needs boto3: pip install 'omic-market[aws]'") from None
    client: KmsClient = boto3.client("kms", region_name=region, endpoint_url=endpoint)
    return client


def _not_opened(who: str) -> StoreError:
    return StoreError(f"{who} does not open the store's key-encryption key; nothing is read")
