"""Every error the API can answer, for the OpenAPI document: one response a status, with examples.

The problem types come from the error classes themselves, so that a new one is in the document.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from marketplace.api.common import ERROR_BASE, PROBLEM
from marketplace.errors import MarketError

SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "description": "RFC 9457. type names the kind of error and stays the same; detail says what to "
    "do next and is for people.",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
    },
}
SAID = {
    400: "The request is not valid; detail names the field",
    401: "Nobody is signed in, or the session ended",
    402: "The payment was refused; do not repeat it",
    403: "This account, or this token, may not do that",
    404: "Not found, or not yours to see",
    409: "It does not fit the present state; look again, then decide",
    410: "Past its time; ask for a new one",
    412: "Changed meanwhile; read it again, then send your change again",
    413: "The body is too large",
    415: "The body must be JSON",
    416: "The range lies beyond the file; Content-Range says how long that is",
    422: "What arrived is not what was signed, or its key was used before",
    429: "Too many requests, or too much is waiting; try later",
    500: "A fault of the marketplace, written to its log; nothing of the request was kept",
    503: "A service we need does not answer; try again",
}
# What is answered without an error class of ours: (status, slug, title, detail).
PLAIN = (
    (409, "in-progress", "The first request is still being answered",
     "wait a moment, then send it again"),
    (415, "unsupported-media-type", "Unsupported Media Type",
     "send the body as JSON with the header Content-Type: application/json"),
    (416, "range-not-satisfiable", "The range is beyond the file", "the file has 1000 bytes"),
    (422, "key-reused", "This Idempotency-Key was used for another request",
     "choose a new key for a new request"),
    (429, "too-many-requests", "Too Many Requests", "wait for the seconds Retry-After says"),
    (500, "internal", "Something went wrong here",
     "this is a fault of the marketplace, not of the request; it was written to its log"),
    (503, "ledger-unavailable", "The ledger does not answer",
     "the ledger cannot be used now; send the request again in some seconds"),
)  # fmt: skip
FAULT = 500  # whatever it was, no more is said than "internal"
_SECONDS = {"schema": {"type": "integer"}, "description": "seconds to wait before trying again"}
HEADERS: Mapping[int, Mapping[str, Any]] = {
    401: {"WWW-Authenticate": {"schema": {"type": "string", "const": "Bearer"}}},
    409: {"Retry-After": {**_SECONDS, "description": "with not-yet: seconds to wait"}},
    416: {"Content-Range": {"schema": {"type": "string", "pattern": r"^bytes \*/[0-9]+$"}}},
    429: {"Retry-After": _SECONDS},
    503: {"Retry-After": _SECONDS},
}


def reference(status: int) -> dict[str, str]:
    """Return the reference to a status's response in the document's components."""
    return {"$ref": f"#/components/responses/Problem{status}"}


def add_to(spec: Any) -> None:
    """Put the schema and one response a status into the document's components."""
    spec["components"]["schemas"]["Problem"] = dict(SCHEMA)
    made = spec["components"].setdefault("responses", {})
    for status, said in SAID.items():
        content = {
            "schema": {"$ref": "#/components/schemas/Problem"}, "examples": _examples(status)
        }  # fmt: skip
        made[f"Problem{status}"] = {"description": said, "content": {PROBLEM: content}}
        if status in HEADERS:
            made[f"Problem{status}"]["headers"] = dict(HEADERS[status])


def _examples(status: int) -> dict[str, Any]:
    found = {}
    for of, slug, title, detail in (*PLAIN, *_kinds(MarketError)):
        if of == status:
            value = {"type": ERROR_BASE + slug, "title": title, "status": of, "detail": detail}
            found[slug] = {"summary": title, "value": value}
    return found


def _kinds(base: type[MarketError]) -> Iterator[tuple[int, str, str, str]]:
    for kind in base.__subclasses__():
        if kind.status != FAULT:
            detail = (kind.__doc__ or "").partition("\n")[0]
            yield kind.status, kind.slug, kind.title, detail
        yield from _kinds(kind)
