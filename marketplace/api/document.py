"""What the OpenAPI document says beyond the views: parameters, errors, headers, examples."""

from collections.abc import Iterator
from typing import Any

from marketplace.api import document_errors
from marketplace.api import document_parts as parts
from marketplace.api.example_values import EXAMPLES
from marketplace.api.examples import example_of
from marketplace.api.protocol import FACE, NEVER_KEPT

PROBLEM_SCHEMA = document_errors.SCHEMA
ALWAYS, SIGNED_IN, CHANGING = (400, 429, 500, 503), (401, 403), (404, 409, 422)
JSON_BODY, RAW_BODY = (413, 415), (413,)
JSON = "application/json"


def complete(spec: Any) -> Any:
    """Return the document with every operation's parameters, errors and examples stated."""
    document_errors.add_to(spec)
    # Not as the app's own: it tags operations only where it is told of no tags.
    spec["tags"] = parts.TAGS
    for path, method, operation in _operations(spec):
        operation["operationId"] = operation["operationId"].replace("-", "_")
        if scheme := parts.SECURITY.get((method, path)):
            operation["security"] = [{scheme: []}]
        _parameters(path, method, operation)
        _body(path, method, operation)
        _answers(path, method, operation)
        for status in sorted(_errors(path, method, operation)):
            operation["responses"][str(status)] = document_errors.reference(status)
        _examples(spec, operation)
    return spec


def _operations(spec: Any) -> Iterator[tuple[str, str, Any]]:
    for path, methods in spec.get("paths", {}).items():
        for method, operation in methods.items():
            yield path, method, operation


def _parameters(path: str, method: str, operation: Any) -> None:
    found = operation.setdefault("parameters", [])
    for one in found:
        if one["in"] == "path":
            said, schema, example = parts.PATH[one["name"]]
            one.update(description=said, schema=dict(schema), example=example)
    found += parts.PARAMETERS.get((method, path), [])
    if _tagged(path, method):
        found.append(parts.UNCHANGED)
    if parts.FILES.get(path, ("", False))[1]:
        found.append(parts.RANGE)
    if _kept(path, method, operation):
        found.append(parts.IDEMPOTENCY)


def _tagged(path: str, method: str) -> bool:
    """Tell whether its answers have an ETag."""
    return method == "get" and path.startswith(FACE) and path not in parts.FILES


def _kept(path: str, method: str, operation: Any) -> bool:
    """Tell whether its answers are kept for a repeated request."""
    here = path.startswith(FACE) and path.removeprefix(FACE[:-1]) not in NEVER_KEPT
    return here and method == "post" and bool(operation.get("security"))


def _body(path: str, method: str, operation: Any) -> None:
    if said := parts.BODIES.get((method, path)):
        media = JSON if path.startswith("/stripe/") else "application/octet-stream"
        schema = parts.STRIPE_EVENT if media == JSON else parts.BYTES
        operation["requestBody"] = {
            "description": said, "required": True, "content": {media: dict(schema)}
        }  # fmt: skip


def _answers(path: str, method: str, operation: Any) -> None:
    good = next(r for status, r in operation["responses"].items() if status.startswith("2"))
    if method == "get" and path in parts.FILES:
        _file(path, operation["responses"])
    if _tagged(path, method):
        operation["responses"]["304"] = {"description": "Unchanged since that ETag"}
    if _tagged(path, method) or (method, path) == ("put", f"{FACE}me/vault"):
        good["headers"] = parts.ETAG
    if _kept(path, method, operation):
        good["headers"] = parts.REPLAYED
    if (method, path) in parts.LINKS:
        good["links"] = _links(*parts.LINKS[method, path])


def _links(names: tuple[str, ...], parameter: str, pointer: str) -> dict[str, Any]:
    taken = {parameter: f"$response.body#{pointer}"}
    return {name: {"operationId": name, "parameters": taken} for name in names}


def _file(path: str, responses: Any) -> None:
    media, ranges = parts.FILES[path]
    schema = parts.BYTES if media != "text/csv" else {"schema": {"type": "string"}}
    responses["200"]["content"] = {media: schema}
    if ranges:
        responses["200"]["headers"] = parts.FILE_HEADERS
        headers = {**parts.FILE_HEADERS, **parts.CONTENT_RANGE}
        part = {"description": "The range asked for", "headers": headers}
        responses["206"] = {**part, "content": {media: schema}}


def _errors(path: str, method: str, operation: Any) -> set[int]:
    wanted = {*ALWAYS, *parts.ERRORS.get((method, path), ())}
    if operation.get("security"):
        wanted |= {*SIGNED_IN}
    if "{" in path:
        wanted |= {404, 409}
    if method in ("post", "put"):
        wanted |= {*CHANGING}
    if body := operation.get("requestBody"):
        wanted |= {*JSON_BODY} if JSON in body["content"] else {*RAW_BODY}
    if parts.FILES.get(path, ("", False))[1]:
        wanted |= {416}
    return wanted


def _examples(spec: Any, operation: Any) -> None:
    bodies = [operation.get("requestBody", {})]
    bodies += [r for status, r in operation["responses"].items() if status.startswith("2")]
    for body in bodies:
        for kind, media in body.get("content", {}).items():
            schema = media.get("schema", {})
            name = str(schema.get("$ref", "")).rsplit("/", 1)[-1]
            if kind == JSON and schema and "example" not in media:
                made = EXAMPLES[name] if name in EXAMPLES else example_of(spec, schema, "")
                media["example"] = made
