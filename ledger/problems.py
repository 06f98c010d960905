"""How the ledger's errors travel over HTTP: problem details (RFC 9457), both directions."""

from typing import Any

from ledger.errors import (
    ConsistencyError,
    FormatError,
    LedgerError,
    NotFoundError,
    PolicyError,
    RefusedError,
    StaleError,
    StoreError,
    VerificationError,
)

CONTENT_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:omic:ledger:"

# Subclasses first: the first class an error is an instance of names it.
_KINDS: tuple[tuple[type[LedgerError], str, int, str], ...] = (
    (FormatError, "format", 400, "The request is malformed"),
    (ConsistencyError, "consistency", 500, "The log does not agree with itself"),
    (VerificationError, "verification", 422, "A signature or hash is wrong"),
    (RefusedError, "refused", 409, "The log's rules refuse the entry"),
    (NotFoundError, "not-found", 404, "There is no such thing"),
    (PolicyError, "policy", 503, "The witnesses' quorum is not met"),
    (StaleError, "stale", 503, "No fresh enough checkpoint"),
    (StoreError, "store", 503, "The log cannot store"),
)
_BY_KIND = {kind: cls for cls, kind, _, _ in _KINDS}


def problem(error: LedgerError) -> tuple[dict[str, Any], int]:
    """Return the problem document of an error, and its HTTP status."""
    for cls, kind, status, title in _KINDS:
        if isinstance(error, cls):
            return document(kind, status, title, str(error)), status
    return document("internal", 500, "The log failed", str(error)), 500


def document(kind: str, status: int, title: str, detail: str) -> dict[str, Any]:
    """Build a problem document."""
    return {"type": TYPE_PREFIX + kind, "title": title, "status": status, "detail": detail}


def error_from(value: Any, status: int) -> LedgerError:
    """Turn an answer of status >= 400 back into the error it states."""
    if not isinstance(value, dict):
        return LedgerError(f"the ledger answered {status}")
    kind = str(value.get("type", "")).removeprefix(TYPE_PREFIX)
    entry = f" (entry {value['entry']} of the batch)" if isinstance(value.get("entry"), int) else ""
    detail = str(value.get("detail", f"the ledger answered {status}"))[:1000]
    return _BY_KIND.get(kind, LedgerError)(detail + entry)
