"""Example values for the OpenAPI document, made of a schema: by model, by field name, by type."""

from collections.abc import Mapping
from typing import Any

from marketplace.api.example_values import DIGEST, EXAMPLES, FIELDS, ID, NOW


def example_of(spec: Mapping[str, Any], schema: Mapping[str, Any], name: str) -> Any:
    """Return a value of a schema; name: the field it is of."""
    if "$ref" in schema:
        found = schema["$ref"].rsplit("/", 1)[-1]
        known = EXAMPLES.get(found)
        return known or example_of(spec, spec["components"]["schemas"][found], name)
    if "anyOf" in schema:
        missing = name in FIELDS and FIELDS[name] is None
        return None if missing else example_of(spec, schema["anyOf"][0], name)
    if name in FIELDS and _fits(FIELDS[name], schema.get("type")):
        return FIELDS[name]
    if "properties" in schema:
        items = schema["properties"].items()
        return {field: example_of(spec, part, field) for field, part in items}
    return _plain(spec, schema, name)


def _plain(spec: Mapping[str, Any], schema: Mapping[str, Any], name: str) -> Any:
    kind = schema.get("type")
    if kind == "array":
        items = schema.get("items", {})
        return [example_of(spec, items, "" if "$ref" in items else name)]
    if kind == "integer":
        wanted = NOW if name.endswith(("_at", "_until", "deadline", "until", "since")) else 1
        return max(int(schema.get("minimum", 0)), min(wanted, int(schema.get("maximum", wanted))))
    return {"boolean": False, "object": {}, "number": 0.5}.get(str(kind), _text(schema, name))


def _fits(value: Any, kind: Any) -> bool:
    kinds = {"string": str, "integer": int, "array": list, "object": dict, "boolean": bool}
    return value is not None and (kind is None or isinstance(value, kinds.get(kind, object)))


def _text(schema: Mapping[str, Any], name: str) -> str:
    pattern = str(schema.get("pattern", ""))
    if "64" in pattern or "sha256" in name or name in ("etag", "share_root", "proof"):
        return DIGEST
    if "32" in pattern or name in ("order", "dataset", "party", "grant", "quote", "invoice"):
        return ID
    if pattern.startswith("^("):
        return pattern[2:].partition("|")[0]
    return f"a {name.replace('_', ' ')}" if name else "text"
