"""`expand[]`: ids replaced by the objects they name. Spec: https://docs.stripe.com/expand."""

from typing import Any

from marketplace.devstripe.errors import StripeFault
from marketplace.devstripe.store import Json, Unit

MAX_DEPTH = 4


def expanded(unit: Unit, body: Json, paths: list[str]) -> Json:
    """Return the answer with each dotted path expanded and every hidden field left out."""
    for path in paths:
        steps = path.split(".")
        if len(steps) > MAX_DEPTH:
            raise StripeFault(f"You cannot expand more than {MAX_DEPTH} levels: {path[:80]}")
        _walk(unit, body, steps)
    cleaned: Json = _clean(body)
    return cleaned


def _walk(unit: Unit, node: Any, steps: list[str]) -> None:
    if not steps or node is None:
        return
    if isinstance(node, list):
        for item in node:
            _walk(unit, item, steps)
        return
    name, rest = steps[0], steps[1:]
    if f"_{name}" in node:
        node[name] = _as_list(node, name)
    elif name not in node:
        raise StripeFault(f"This property cannot be expanded ({name[:80]}).", param="expand")
    elif isinstance(node[name], str):
        node[name] = _object(unit, node[name]) or node[name]
    _walk(unit, node[name] if not isinstance(node[name], str) else None, rest)


def _object(unit: Unit, object_id: str) -> Json | None:
    return unit.find(object_id)


def _as_list(node: Json, name: str) -> Json:
    url = f"/v1/checkout/sessions/{node['id']}/{name}"
    return {"object": "list", "data": node[f"_{name}"], "has_more": False, "url": url}


def _clean(node: Any) -> Any:
    if isinstance(node, list):
        return [_clean(item) for item in node]
    if isinstance(node, dict):
        return {name: _clean(value) for name, value in node.items() if not name.startswith("_")}
    return node
