"""A result: its one document, the exact bytes of what it says, and their salted commitment.

Floats are allowed here and nowhere else in signed documents: they are written as the shortest text
that reads back to the same number, so the same answer always has the same bytes.
"""

import hashlib
import hmac
import json
import math
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import StrictStr, ValidationError

from compute.errors import BundleError
from compute.values import Value
from ledger import LedgerError, b64, unb64

CONTEXT = b"omic/result/v2"
SALT_BYTES = 32
LEAST_SIZE = 4096
LARGEST_STEP = 1 << 20


class Opening(Value):
    """What opens the commitment: the salt (base64) and SHA-256 of the committed bytes (hex)."""

    salt: StrictStr
    result_sha256: StrictStr


class ResultDocument(Value):
    """A result as its researcher reads it. n: a bucket of people; suppressed: what is hidden."""

    v: Literal[2]
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


VERSION = 2  # of the document, as in the commitment's context


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


def committed_bytes(document: Mapping[str, Any]) -> bytes:
    """Return what a result commits to: all it says but the opening, canonical.

    Numbers, how many people they are about, what is hidden and what was asked: nobody changes one
    of them and keeps the proof. Raises BundleError for a document that lacks a part.
    """
    try:
        said = {name: document[name] for name in ResultDocument.model_fields if name != "opening"}
    except KeyError as error:
        raise BundleError(f"not a result: it lacks {error.args[0]}") from None
    return answer_bytes(said)


def result_commitment(salt: bytes, committed: bytes) -> str:
    """Return HMAC-SHA256(salt, context || SHA-256(committed bytes)) in hex; salt: 32 random bytes.

    Raises BundleError for a salt of another length.
    """
    if len(salt) != SALT_BYTES:
        raise BundleError(f"the salt of a result is {SALT_BYTES} bytes, not {len(salt)}")
    inner = hashlib.sha256(committed).digest()
    return hmac.new(salt, CONTEXT + inner, hashlib.sha256).hexdigest()


def make_opening(salt: bytes, committed: bytes) -> dict[str, str]:
    """Return the opening a result document carries."""
    return {"salt": b64(salt), "result_sha256": hashlib.sha256(committed).hexdigest()}


def commitment_of(document: Mapping[str, Any]) -> str:
    """Return the commitment of a result or a draft, from what it says and its own salt.

    Raises BundleError for a document that is no result, or is not the one its opening names.
    """
    committed = committed_bytes(document)
    try:
        opening = Opening.model_validate(document["opening"])
        salt = unb64(opening.salt)
    except (KeyError, ValidationError, LedgerError):
        raise BundleError("the opening of the result is malformed") from None
    if hashlib.sha256(committed).hexdigest() != opening.result_sha256:
        raise BundleError("the result is not the one its opening names")
    return result_commitment(salt, committed)


def check_opening(document: ResultDocument, commitment: str) -> None:
    """Check that a result and its salt open a commitment. Raises BundleError."""
    if not hmac.compare_digest(commitment_of(document.model_dump()), commitment):
        raise BundleError("result and salt do not open the commitment in the log")
