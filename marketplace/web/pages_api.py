"""The API for people: every operation of the OpenAPI document on one page, with how to call it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from apiflask import APIFlask
from flask import Blueprint, current_app, render_template

from marketplace.web.ports import pages

NOT_FOR_PEOPLE = ("/worker/", "/stripe/")
EXTENSION = "omic-api-page"


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation: body and answer are JSON skeletons made of the schemas ("" for none)."""

    method: str
    path: str
    summary: str
    text: str
    signed_in: bool
    body: str
    answer: str
    call: str


def add_api_page(made: Blueprint) -> None:
    """Add /docs/api."""
    made.add_url_rule("/docs/api", "api_docs", api_docs)


def api_docs() -> str:
    """Show the API."""
    app = cast("APIFlask", current_app)
    known: dict[str, list[Operation]] | None = app.extensions.get(EXTENSION)
    if known is None:
        # Made once a process: what the code says does not change while it runs.
        known = _groups(cast("Mapping[str, Any]", app.spec), pages().services.config.origin)
        app.extensions[EXTENSION] = known
    return render_template("web/api.html", groups=known)


def _groups(spec: Mapping[str, Any], origin: str) -> dict[str, list[Operation]]:
    groups: dict[str, list[Operation]] = {}
    for path, method, value in _operations(spec):
        tag = str((value.get("tags") or ["more"])[0])
        groups.setdefault(tag, []).append(_operation(spec, origin, path, method, value))
    return groups


def _operations(spec: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for path, methods in spec["paths"].items():
        if not path.startswith(NOT_FOR_PEOPLE):
            for method, value in methods.items():
                yield path, method, value


def _operation(
    spec: Mapping[str, Any], origin: str, path: str, method: str, value: Mapping[str, Any]
) -> Operation:
    signed_in = bool(value.get("security"))
    body = _skeleton(spec, value.get("requestBody", {}))
    good = [r for status, r in value["responses"].items() if status.startswith("2")]
    call = f"curl -X {method.upper()} {origin}{path}"
    call += ' -H "Authorization: Bearer $TOKEN"' if signed_in else ""
    call += " -H 'Content-Type: application/json' -d @body.json" if body else ""
    return Operation(
        method.upper(), path, str(value.get("summary", "")), str(value.get("description", "")),
        signed_in, body, _skeleton(spec, good[0] if good else {}), call,
    )  # fmt: skip


def _skeleton(spec: Mapping[str, Any], part: Mapping[str, Any]) -> str:
    schema = part.get("content", {}).get("application/json", {}).get("schema")
    return json.dumps(_sample(spec, schema, 0), indent=1) if schema else ""


def _sample(spec: Mapping[str, Any], schema: Mapping[str, Any], depth: int) -> Any:
    """Return a value of a schema's shape: type names instead of values."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        schema = spec["components"]["schemas"][name]
    if depth > 4:
        return "…"
    if "anyOf" in schema:
        return _sample(spec, schema["anyOf"][0], depth)
    if schema.get("type") == "array":
        return [_sample(spec, schema.get("items", {}), depth + 1)]
    if "properties" in schema:
        items = schema["properties"].items()
        return {name: _sample(spec, item, depth + 1) for name, item in items}
    return str(schema.get("pattern") or schema.get("type") or "any")
