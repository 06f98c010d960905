"""Form parameters as Stripe encodes them: `a[b][0]=c` in, nested dict/list/str out.

Pure. Malformed input surfaces as `StripeFault`, never as ValueError or KeyError.
Spec: https://docs.stripe.com/api (form-encoded bodies) and the SDK's own encoder.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from marketplace.devstripe.errors import StripeFault, invalid, missing, unknown_param
from marketplace.devstripe.money import check_amount, check_currency

MAX_DEPTH = 6
_KEY = re.compile(r"\A([a-zA-Z0-9_]+)((?:\[[a-zA-Z0-9_]*\])*)\Z")
_PART = re.compile(r"\[([a-zA-Z0-9_]*)\]")


def parse_form(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Nest flat form pairs; bracketed integers (or empty brackets) become lists."""
    root: dict[str, Any] = {}
    for key, value in pairs:
        _insert(root, _path(key), value)
    return {name: _listed(value) for name, value in root.items()}


def _path(key: str) -> list[str]:
    found = _KEY.match(key)
    if found is None:
        raise StripeFault(f"Invalid parameter name: {key[:80]!r}", code="parameter_unknown")
    path = [found.group(1), *_PART.findall(found.group(2))]
    if len(path) > MAX_DEPTH:
        raise StripeFault(f"Parameter nested too deeply: {key[:80]!r}", code="parameter_invalid")
    return path


def _insert(node: dict[str, Any], path: list[str], value: str) -> None:
    *parents, last = path
    for name in parents:
        child = node.setdefault(name or str(len(node)), {})
        if not isinstance(child, dict):
            raise invalid(path[0], "used both as a value and as an object.")
        node = child
    node[last or str(len(node))] = value


def _listed(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    done = {name: _listed(value) for name, value in node.items()}
    if done and all(name.isdecimal() for name in done):
        return [done[name] for name in sorted(done, key=int)]
    return done


def merged_metadata(old: Mapping[str, str], new: Mapping[str, str]) -> dict[str, str]:
    """Merge metadata as Stripe does: an empty value removes the key."""
    return {name: text for name, text in {**old, **new}.items() if text != ""}


@dataclass(frozen=True, slots=True)
class Params:
    """Typed reading of one request's parameters; `path` prefixes names in messages."""

    values: Mapping[str, Any] = field(default_factory=dict)
    path: str = ""

    def named(self, name: str) -> str:
        """Return a parameter's whole name, as messages give it."""
        return f"{self.path}[{name}]" if self.path else name

    def only(self, accepted: Iterable[str]) -> None:
        """Refuse names this endpoint does not take (`expand` is always taken)."""
        extra = sorted(set(self.values) - set(accepted) - {"expand"})
        if extra:
            raise unknown_param(self.named(extra[0]))

    def text(self, name: str, limit: int = 5000) -> str | None:
        """Return text, None where there is none. Raises the 400 fault, as every reading here."""
        value = self.values.get(name)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            raise invalid(self.named(name), "must be a string.")
        if len(value) > limit:
            raise invalid(self.named(name), f"must be at most {limit} characters.")
        return value

    def required(self, name: str) -> str:
        """Return text that must be given."""
        value = self.text(name)
        if value is None:
            raise missing(self.named(name))
        return value

    def choice(self, name: str, allowed: Iterable[str], default: str) -> str:
        """Return one of the values allowed."""
        value = self.text(name) or default
        if value not in set(allowed):
            raise invalid(self.named(name), f"must be one of {', '.join(sorted(allowed))}.")
        return value

    def integer(self, name: str) -> int | None:
        """Return a whole number of at most 12 digits, None where it is not given."""
        value = self.text(name)
        if value is None:
            return None
        if not re.fullmatch(r"-?[0-9]{1,12}", value):
            raise invalid(
                self.named(name), f"Invalid integer: {value[:40]}", "parameter_invalid_integer"
            )
        return int(value)

    def boolean(self, name: str, default: bool = False) -> bool:
        """Return "true" or "false" as a truth value."""
        return self.choice(name, ("true", "false"), "true" if default else "false") == "true"

    def amount(self, name: str, currency: str) -> int:
        """Return an amount in the currency's minor units, within Stripe's bounds."""
        value = self.integer(name)
        if value is None:
            raise missing(self.named(name))
        return check_amount(value, currency, self.named(name))

    def currency(self, name: str = "currency") -> str:
        """Return a currency's code, in small letters."""
        return check_currency(self.required(name), self.named(name))

    def url(self, name: str) -> str | None:
        """Return an address that may be redirected to, None where it is not given."""
        value = self.text(name)
        if value is not None and not is_web_url(value):
            raise invalid(self.named(name), "Not a valid URL", "url_invalid")
        return value

    def sub(self, name: str) -> "Params":
        """Return the parameters of an object, none where it is not given."""
        value = self.values.get(name) or {}
        if not isinstance(value, Mapping):
            raise invalid(self.named(name), "must be an object.")
        return Params(value, self.named(name))

    def subs(self, name: str) -> "list[Params]":
        """Return the parameters of each object of a list."""
        value = self.values.get(name) or []
        if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
            raise invalid(self.named(name), "must be an array of objects.")
        return [Params(item, f"{self.named(name)}[{i}]") for i, item in enumerate(value)]

    def texts(self, name: str) -> list[str]:
        """Return a list of text."""
        value = self.values.get(name) or []
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise invalid(self.named(name), "must be an array of strings.")
        return list(value)

    def metadata(self, name: str = "metadata") -> dict[str, str]:
        """Read metadata: at most 50 keys of 40 characters, values of 500."""
        value = self.sub(name).values
        if len(value) > 50:
            raise invalid(self.named(name), "at most 50 keys.")
        for key, text in value.items():
            if not isinstance(text, str) or len(key) > 40 or len(text) > 500:
                raise invalid(f"{self.named(name)}[{key[:40]}]", "keys 40, values 500 characters.")
        return dict(value)


def is_web_url(value: str) -> bool:
    """Say whether a URL may be redirected to: http or https with a host, nothing else."""
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)
