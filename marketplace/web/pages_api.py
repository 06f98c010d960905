"""The API for people: every operation of the OpenAPI document on one page, with how to call it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from apiflask import APIFlask
from flask import Blueprint, current_app, render_template

from marketplace.api.common import PROBLEM
from marketplace.web.ports import pages

NOT_FOR_PEOPLE = ("/worker/", "/stripe/")
EVERYWHERE = ("400", "429", "500", "503")
EXTENSION = "omic-api-page"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter: where it goes (path, query, header), what it is, whether it must be there."""

    name: str
    place: str
    said: str
    required: bool


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation: body and answer are examples ("" for none); errors: status -> in words."""

    method: str
    path: str
    summary: str
    text: str
    signed_in: bool
    parameters: tuple[Parameter, ...]
    body: str
    answer: str
    errors: Mapping[str, str]
    call: str


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of error: the end of its type, and its status and title."""

    slug: str
    status: str
    title: str


def add_api_page(made: Blueprint) -> None:
    """Add /docs/api."""
    made.add_url_rule("/docs/api", "api_docs", api_docs)


def api_docs() -> str:
    """Show the API."""
    app = cast("APIFlask", current_app)
    known: tuple[dict[str, list[Operation]], list[Kind]] | None = app.extensions.get(EXTENSION)
    if known is None:
        # Made once a process: what the code says does not change while it runs.
        spec = cast("Mapping[str, Any]", app.spec)
        kinds = [*_kinds(spec["components"]["responses"])]
        known = _groups(spec, pages().services.config.origin), kinds
        app.extensions[EXTENSION] = known
    return render_template("web/api.html", groups=known[0], kinds=known[1])


def _kinds(responses: Mapping[str, Any]) -> Iterator[Kind]:
    for name, response in sorted(responses.items()):
        for slug, one in response["content"][PROBLEM]["examples"].items():
            yield Kind(slug, name[-3:], one["summary"])


def _groups(spec: Mapping[str, Any], origin: str) -> dict[str, list[Operation]]:
    groups: dict[str, list[Operation]] = {}
    for path, method, value in _operations(spec):
        tag = str((value.get("tags") or ["more"])[0])
        groups.setdefault(tag, []).append(_operation(spec, origin, path, method, value))
    return {tag: sorted(found, key=lambda one: one.path) for tag, found in groups.items()}


def _operations(spec: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for path, methods in spec["paths"].items():
        if not path.startswith(NOT_FOR_PEOPLE):
            for method, value in methods.items():
                yield path, method, value


def _operation(
    spec: Mapping[str, Any], origin: str, path: str, method: str, value: Mapping[str, Any]
) -> Operation:
    signed_in = bool(value.get("security"))
    body = _example(value.get("requestBody", {}))
    answers = value["responses"]
    good = next(r for status, r in answers.items() if status.startswith("2"))
    call = f"curl -X {method.upper()} {origin}{path}"
    call += ' -H "Authorization: Bearer $TOKEN"' if signed_in else ""
    call += " -H 'Content-Type: application/json' -d @body.json" if body else ""
    return Operation(
        method.upper(), path, str(value.get("summary", "")), str(value.get("description", "")),
        signed_in, _parameters(value), body, _example(good), _errors(spec, answers), call,
    )  # fmt: skip


def _parameters(value: Mapping[str, Any]) -> tuple[Parameter, ...]:
    return tuple(
        Parameter(one["name"], one["in"], one["description"], bool(one.get("required")))
        for one in value["parameters"]
    )


def _errors(spec: Mapping[str, Any], answers: Mapping[str, Any]) -> dict[str, str]:
    """Return the errors that are this operation's own; what each can answer is said once above."""
    responses = spec["components"]["responses"]
    named = {status: one["$ref"].rsplit("/", 1)[-1] for status, one in answers.items()
             if "$ref" in one}  # fmt: skip
    return {
        status: responses[name]["description"]
        for status, name in named.items()
        if status not in EVERYWHERE
    }


def _example(part: Mapping[str, Any]) -> str:
    example = part.get("content", {}).get("application/json", {}).get("example")
    return "" if example is None else json.dumps(example, indent=1, ensure_ascii=False)
