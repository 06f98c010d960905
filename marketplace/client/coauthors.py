"""Sharing an answer with a co-author: one file that only they can open, with its proof inside.

The form is that of the key pages (keyorigin/static/js/researcher.js): a Crypt4GH file of one JSON
object. It goes any way one likes; the marketplace sees nothing of it.
"""

import json
from pathlib import Path

from compute import CryptError
from compute.crypt import decrypt_file, seal_to
from ledger import LedgerError, b64, unb64
from marketplace.client.errors import ClientError
from marketplace.client.home import Home
from marketplace.client.researcher import Answer, proved

KIND = "omic/shared-answer/1"
PREFIX = "omic-answers"
KEY_BYTES = 32


def answer_key(home: Home) -> str:
    """Return the key others encrypt an answer to, as text to hand around; it opens nothing."""
    return f"{PREFIX}:{b64(home.keys.encryption().public)}"


def parse_answer_key(text: str) -> bytes:
    """Return the 32 bytes of a co-author's X25519 key. Raises ClientError."""
    kind, _, value = text.strip().partition(":")
    try:
        key = unb64(value)
    except LedgerError:
        key = b""
    if kind != PREFIX or len(key) != KEY_BYTES:
        raise ClientError(
            f"this is not a co-author's key; it begins with {PREFIX}: and is what `omic order key` "
            "prints, or stands on their page Open a co-author's answer"
        )
    return key


def share(answer: Answer, order: str, reader: bytes) -> bytes:
    """Return the file that only the reader opens. Raises ClientError for an unusable key."""
    value = {
        "kind": KIND,
        "order": order,
        "result": answer.result_bytes.decode(),
        "bundle": answer.bundle.decode(),
    }
    try:
        return seal_to(reader, json.dumps(value).encode())
    except CryptError:
        raise ClientError("nothing can be encrypted to this co-author's key") from None


def open_shared(path: Path, home: Home) -> tuple[str, Answer]:
    """Return the order and the answer of a file somebody shared, once its proof holds here.

    Raises ClientError for a file made for somebody else, changed, or without a proof that holds.
    """
    try:
        value = json.loads(decrypt_file(path.read_bytes(), home.keys.encryption().secret))
        order, result, bundle = (str(value[name]) for name in ("order", "result", "bundle"))
    except OSError as error:
        raise ClientError(f"cannot read {path}: {error.strerror}") from None
    except (CryptError, ValueError, KeyError, TypeError):
        raise ClientError(
            f"{path} does not open with your keys: it was made for somebody else, or it was changed"
        ) from None
    if value.get("kind") != KIND:
        raise ClientError(f"{path} is no answer that was shared")
    return order, proved(order, result.encode(), bundle.encode(), home.trust)
