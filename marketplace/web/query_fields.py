"""A family's typed parameters as form fields, and back: made from its schema, never by hand. Pure.

A field's name is its dotted place in the parameters, with the option it belongs to
("trait.feature.unit"). A union is a choice of one of
several groups of fields; only the chosen group is read. Whether values are valid is decided by the
family's own model; its complaints are put beside the fields they are about.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal

from pydantic import ValidationError

from compute.queries import QueryError, catalogue, filters_of_text
from marketplace.texts import say
from marketplace.web.query_words import Said, said

Kind = Literal["text", "whole", "pick", "list", "pairs", "match", "file", "one_of", "group"]
Read = Callable[[str], str]
MATCH = "match"  # filters of any kind and number: one a line, in words, behind the other fields
LAST = {"by": 1, "levels": 2, MATCH: 3}
FILES = frozenset({"score", "loadings", "ontology"})


@dataclass(frozen=True, slots=True)
class Option:
    """One way of a union: its value, the fields it asks for, and how its parameters are shaped.

    shape: "object" (the fields by name, with kind where there is a discriminator), "panel",
    "list" (its one field's value itself) or "none".
    """

    value: str
    shape: str
    fields: tuple["Field", ...]


@dataclass(frozen=True, slots=True)
class Field:
    """One parameter. values: what a pick may be; options: the ways of a union.

    place: what a complaint about it names, in this order. branch: it is a list within a union.
    """

    name: str
    kind: Kind
    said: Said
    required: bool
    default: str
    values: tuple[str, ...] = ()
    options: tuple[Option, ...] = ()
    commas: bool = True
    tag: str = ""
    place: tuple[str, ...] = ()
    branch: bool = False

    @property
    def last(self) -> str:
        """Return the parameter's own name."""
        return self.name.rpartition(".")[2]


class FieldError(Exception):
    """What is wrong with one field; the words are for the person who filled it in."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


@cache
def fields_of(family: str) -> tuple[Field, ...]:
    """Return the fields of a family."""
    schema = catalogue()[family].params.model_json_schema()
    return tuple(_Reader(family, schema).fields(schema, At()))


@dataclass(frozen=True, slots=True)
class At:
    """Where the reader is: names as form fields have them, as words and as complaints have them."""

    name: str = ""
    word: str = ""
    place: tuple[str, ...] = ()

    def into(self, part: str) -> "At":
        """Return the place of a parameter here."""
        dot = "." if self.name else ""
        return At(f"{self.name}{dot}{part}", f"{self.word}{dot}{part}", (*self.place, part))

    def option(self, value: str, *, told: bool) -> "At":
        """Return the place inside an option; told: complaints name it."""
        place = (*self.place, value) if told else self.place
        return At(f"{self.name}.{value}", self.word, place)


class _Reader:
    def __init__(self, family: str, schema: Mapping[str, Any]) -> None:
        self.family, self.defs = family, schema.get("$defs", {})

    def fields(self, schema: Mapping[str, Any], at: At) -> Iterator[Field]:
        needed = schema.get("required", ())
        parts = schema["properties"]
        for name, part in sorted(parts.items(), key=lambda item: LAST.get(item[0], 0)):
            if name == MATCH:
                yield self.made(at.into(name), "match", False, "")
            elif "const" not in part:
                yield self.field(at.into(name), part, name in needed)

    def field(self, at: At, part: Mapping[str, Any], required: bool) -> Field:
        part = self.seen(part)
        ways = [self.seen(way) for way in part.get("anyOf", part.get("oneOf", ()))]
        plain = [way for way in ways if way.get("type") != "null"]
        if len(plain) == 1:
            return self.field(at, {**plain[0], "default": part.get("default")}, required)
        if plain:
            tag = str(part.get("discriminator", {}).get("propertyName", ""))
            options = tuple(self.options(at, plain, tag, optional=len(plain) < len(ways)))
            return self.made(at, "one_of", required, options[0].value, options=options, tag=tag)
        if "properties" in part:
            fixed = next((v["const"] for v in part["properties"].values() if "const" in v), "")
            inner = Option(str(fixed), "object", tuple(self.fields(part, at)))
            tag = "kind" if fixed else ""
            return self.made(at, "group", required, "", options=(inner,), tag=tag)
        return self.simple(at, part, required, _shown(part.get("default")))

    def made(self, at: At, kind: Kind, required: bool, default: str, **more: Any) -> Field:
        words = said(self.family, at.word)
        return Field(at.name, kind, words, required, default, place=at.place, **more)

    def simple(self, at: At, part: Mapping[str, Any], required: bool, default: str) -> Field:
        if "enum" in part:
            values = tuple(map(str, part["enum"]))
            values = values if required or default else ("", *values)
            return self.made(at, "pick", required, default, values=values)
        if part["type"] == "array":
            pattern = part["items"].get("pattern", "")
            commas = not (pattern and re.search(pattern, "a,b"))
            return self.made(at, "list", required, "", commas=commas)
        if part["type"] == "object":
            return self.made(at, "pairs", required, "")
        last = at.name.rpartition(".")[2]
        kinds: tuple[Kind, Kind] = ("file", "whole" if part["type"] == "integer" else "text")
        return self.made(at, kinds[last not in FILES], required, default)

    def options(
        self, at: At, ways: Iterable[Mapping[str, Any]], tag: str, *, optional: bool
    ) -> Iterator[Option]:
        if optional:
            yield Option("none", "none", ())
        for way in ways:
            own = way.get("properties", {})
            if tag:
                value = own[tag]["const"]
                inside = at.option(value, told=True)
                yield Option(value, "object", tuple(self.fields(way, inside)))
            elif way["type"] == "array":
                inner = self.field(at.option("list", told=False), way, required=True)
                words = said(self.family, f"{at.word}.list")
                yield Option("list", "list", (replace(inner, said=words, branch=True),))
            elif any("const" in part for part in own.values()):
                yield Option("panel", "panel", ())
            else:
                value = next(iter(own))
                inside = at.option(value, told=False)
                yield Option(value, "object", tuple(self.fields(way, inside)))

    def seen(self, part: Mapping[str, Any]) -> Mapping[str, Any]:
        if "$ref" not in part:
            return part
        found: Mapping[str, Any] = self.defs[part["$ref"].rsplit("/", 1)[-1]]
        return found


def _shown(value: Any) -> str:
    return "" if value is None or isinstance(value, (list, dict)) else str(value)


def active(fields: Iterable[Field], read: Read) -> Iterator[Field]:
    """Yield the fields that count, with those of the options chosen."""
    for field in fields:
        yield field
        for option in field.options:
            if field.kind == "group" or option.value == (read(field.name) or field.default):
                yield from active(option.fields, read)


def values_of(fields: Iterable[Field], read: Read) -> dict[str, Any]:
    """Return the parameters a filled form stands for. Raises FieldError."""
    found = {}
    for field in fields:
        value = _value(field, read)
        if value is not None:
            found[field.last] = value
    return found


def _value(field: Field, read: Read) -> Any:
    if field.options:
        return _of_option(field, read)
    text = read(field.name)
    if field.kind == "list":
        items = (text.replace(",", " ") if field.commas else text).split()
        return items or None
    if field.kind == "pairs":
        return _pairs(field.name, text) or None
    if field.kind == "match":
        return _filters(field.name, text) or None
    if not text:
        return None
    return _whole(field.name, text) if field.kind == "whole" else text


def _of_option(field: Field, read: Read) -> Any:
    wanted = read(field.name) or field.default
    option = next((one for one in field.options if one.value == wanted), field.options[0])
    if option.shape == "none":
        return None
    if option.shape == "panel":
        return {"panel": "all"}
    inside = values_of(option.fields, read)
    if option.shape == "list":
        return next(iter(inside.values()), [])
    return {**({field.tag: option.value} if field.tag else {}), **inside}


def _whole(name: str, text: str) -> int:
    plain = text.replace(",", "").replace("_", "")
    if not (plain.isascii() and plain.isdigit() and len(plain) < 12):
        raise FieldError(name, say("must be a whole number"))
    return int(plain)


def _pairs(name: str, text: str) -> dict[str, str]:
    found = {}
    for line in filter(None, (line.strip() for line in text.splitlines())):
        parts = line.replace(",", " ").replace("=", " ").split()
        if len(parts) != 2:
            raise FieldError(name, say("each line is a name and its value"))
        found[parts[0]] = parts[1]
    return found


def _filters(name: str, text: str) -> list[dict[str, Any]]:
    try:
        return filters_of_text(text)
    except QueryError as error:
        raise FieldError(name, str(error)) from None


def problems(family: str, params: Mapping[str, Any], read: Read) -> dict[str, str]:
    """Return what the family's model says against parameters, by the field it is about."""
    try:
        catalogue()[family].params.model_validate(params)
    except ValidationError as error:
        shown = list(active(fields_of(family), read))
        found: dict[str, str] = {}
        for one in error.errors(include_url=False, include_input=False):
            field = _about(one["loc"], shown)
            if field is not None and one["type"] != "extra_forbidden":
                found.setdefault(field.name, _message(one, field))
        return found or {"": say("these choices do not go together; see the fields above")}
    return {}


def _about(loc: tuple[Any, ...], shown: Iterable[Field]) -> Field | None:
    """Return the most exact shown field a complaint is about.

    A complaint inside a union names its branch; one about a branch nobody chose is about no field.
    """
    place = [str(part) for part in loc]
    found: Field | None = None
    for field in shown:
        fits = _inside(field.place, place) and (not field.branch or _is_list(place[1:]))
        if fits and (found is None or len(field.place) >= len(found.place)):
            found = field
    return found if found is None or found.kind != "one_of" or len(place) == 1 else None


def _is_list(place: list[str]) -> bool:
    return any(part.startswith(("list[", "function-")) for part in place)


def _inside(parts: Iterable[str], place: list[str]) -> bool:
    rest = iter(place)
    return all(part in rest for part in parts)


def _message(error: Mapping[str, Any], field: Field) -> str:
    kind, example = error["type"], field.said.hint
    like = say("; it looks like %(1)s", example) if example else ""
    if kind in ("missing", "too_short"):
        return say("fill this in") + like
    if kind == "string_pattern_mismatch":
        return say("this cannot be read") + like
    text = str(error["msg"]).removeprefix("Value error, ").removeprefix("Input ")
    return text[:1].lower() + text[1:] + (like if kind == "value_error" else "")


def names_files(fields: Iterable[Field]) -> bool:
    """Tell whether a field names one of the operator's reference files."""
    return any(
        one.kind == "file" or any(names_files(option.fields) for option in one.options)
        for one in fields
    )
