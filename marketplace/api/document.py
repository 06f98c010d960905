"""What the OpenAPI document says beyond the views: errors by status, common headers, examples."""

from collections.abc import Iterator
from typing import Any

from marketplace.api.examples import EXAMPLES, example_of

PROBLEM = "application/problem+json"
PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
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
    422: "What arrived is not what was signed, or its key was used before",
    429: "Too many requests, or too much is waiting; try later",
    503: "A service we need does not answer; try again",
}
ALWAYS, SIGNED_IN, SENT, NAMED = (400, 429, 503), (401, 403), (409, 410, 413, 415, 422), (404,)
LISTS = ("/api/v1/orders", "/api/v1/me/datasets", "/api/v1/me/shares")
MEDIA = {
    "statement.csv": "text/csv", "file": "application/octet-stream",
    "{name}": "application/octet-stream", "{share_id}": "application/octet-stream",
}  # fmt: skip
PAGING = [
    {"name": "limit", "in": "query", "description": "how many at most",
     "schema": {"type": "integer", "minimum": 1, "maximum": 500, "default": 100}},
    {"name": "after", "in": "query", "description": "the `next` of the page before",
     "schema": {"type": "string"}},
]  # fmt: skip
IDEMPOTENCY = {
    "name": "Idempotency-Key", "in": "header",
    "description": "the same key and request within a day get the first answer again",
    "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
}  # fmt: skip
UNCHANGED = {
    "name": "If-None-Match", "in": "header",
    "description": "the ETag you have; 304 while nothing changed", "schema": {"type": "string"},
}  # fmt: skip


def complete(spec: Any) -> Any:
    """Return the document with every operation's errors, headers and examples stated."""
    for path, method, operation in _operations(spec):
        if method == "get" and (media := MEDIA.get(path.rpartition("/")[2])):
            operation["responses"]["200"]["content"] = {media: {"schema": {"type": "string"}}}
        if path.startswith("/api/v1/"):
            _parameters(path, method, operation)
        _errors(path, method, operation)
        _examples(spec, operation)
    return spec


def _operations(spec: Any) -> Iterator[tuple[str, str, Any]]:
    for path, methods in spec.get("paths", {}).items():
        for method, operation in methods.items():
            if method != "parameters":
                yield path, method, operation


def _parameters(path: str, method: str, operation: Any) -> None:
    found = operation.setdefault("parameters", [])
    if method == "get":
        found.append(UNCHANGED)
        operation["responses"]["304"] = {"description": "Unchanged since that ETag"}
    if method == "get" and path in LISTS:
        found += PAGING
    if method == "post" and operation.get("security"):
        found.append(IDEMPOTENCY)


def _errors(path: str, method: str, operation: Any) -> None:
    wanted = {*ALWAYS}
    wanted |= {*SIGNED_IN} if operation.get("security") or path.startswith("/worker/") else set()
    wanted |= {*SENT, 402, 404, 412} if method in ("post", "put") else set()
    wanted |= {*NAMED, 409} if "{" in path else set()
    wanted |= {401} if path == "/api/v1/session" else set()
    content = {PROBLEM: {"schema": PROBLEM_SCHEMA}}
    for status in sorted(wanted):
        operation["responses"][str(status)] = {"description": SAID[status], "content": content}


def _examples(spec: Any, operation: Any) -> None:
    bodies = [operation.get("requestBody", {})]
    bodies += [r for status, r in operation["responses"].items() if status.startswith("2")]
    for body in bodies:
        for media in body.get("content", {}).values():
            schema = media.get("schema", {})
            name = str(schema.get("$ref", "")).rsplit("/", 1)[-1]
            if schema and "example" not in media:
                made = EXAMPLES[name] if name in EXAMPLES else example_of(spec, schema, "")
                media["example"] = made
