"""A result: its one document, its answer's exact bytes, and the salted commitment in the log.

Floats are allowed here and nowhere else in signed documents: they are written as the shortest text
that reads back to the same number, so the same answer always has the same bytes.
"""

import hashlib
import hmac
import json
import math
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import StrictStr

from compute.errors import BundleError
from compute.values import Value
from ledger import LedgerError, b64, unb64

CONTEXT = b"omic/result/v1"
SALT_BYTES = 32
LEAST_SIZE = 4096
LARGEST_STEP = 1 << 20


class Opening(Value):
    """What opens the commitment: the salt (base64) and SHA-256 of the answer's bytes (hex)."""

    salt: StrictStr
    result_sha256: StrictStr


class ResultDocument(Value):
    """A result as its researcher reads it. n: a bucket of people; suppressed: what is hidden."""

    v: Literal[1]
    order: StrictStr
    access: StrictStr
    query: dict[str, Any]
    query_digest: StrictStr
    code_digest: StrictStr
    release: dict[str, Any]
    n: dict[str, Any]
    answer: Any
    suppressed: list[Any]
    opening: Opening


def answer_bytes(answer: Any) -> bytes:
    """Return the canonical bytes of an answer: sorted keys, no spaces, round-trip floats.

    NaN and infinities become null. Raises BundleError for what JSON cannot hold.
    """
    try:
        text = json.dumps(_finite(answer), sort_keys=True, separators=(",", ":"), allow_nan=False)
        return text.encode()
    except (TypeError, ValueError, RecursionError):
        raise BundleError("the answer holds something JSON cannot hold") from None


def _finite(value: Any) -> Any:
    kind = type(value)
    if kind is str or kind is int:
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise TypeError("a key is not text")
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def padded(document: bytes) -> bytes:
    """Return a JSON document with spaces behind it, to a power of two or to whole MiB.

    A file's size is public on the ledger, and known where the file lies. Unpadded it is the number
    of digits of an answer, and how much of it is hidden: for whoever was to learn nothing of it.
    """
    size = max(LEAST_SIZE, 1 << (len(document) - 1).bit_length())
    if size > LARGEST_STEP:
        size = -(-len(document) // LARGEST_STEP) * LARGEST_STEP
    return document.ljust(size)


def result_commitment(salt: bytes, answer: bytes) -> str:
    """Return HMAC-SHA256(salt, context || SHA-256(answer bytes)) in hex; salt: 32 random bytes.

    Raises BundleError for a salt of another length.
    """
    if len(salt) != SALT_BYTES:
        raise BundleError(f"the salt of a result is {SALT_BYTES} bytes, not {len(salt)}")
    inner = hashlib.sha256(answer).digest()
    return hmac.new(salt, CONTEXT + inner, hashlib.sha256).hexdigest()


def make_opening(salt: bytes, answer: bytes) -> dict[str, str]:
    """Return the opening a result document carries."""
    return {"salt": b64(salt), "result_sha256": hashlib.sha256(answer).hexdigest()}


def check_opening(document: ResultDocument, commitment: str) -> None:
    """Check that a result's answer and salt open a commitment. Raises BundleError."""
    answer = answer_bytes(document.answer)
    if hashlib.sha256(answer).hexdigest() != document.opening.result_sha256:
        raise BundleError("the answer is not the one its opening names")
    try:
        salt = unb64(document.opening.salt)
    except LedgerError:
        raise BundleError("the salt of the opening is not base64") from None
    if not hmac.compare_digest(result_commitment(salt, answer), commitment):
        raise BundleError("answer and salt do not open the commitment in the log")
