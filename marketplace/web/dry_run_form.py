"""The query builder's form: what a researcher fills in, and the request it stands for. Pure.

The request is the same JSON document that `omic dry-run` and `omic order place` read; whether it
is valid is decided by `marketplace.catalogue.parse_request`, not here.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from werkzeug.datastructures import MultiDict

from compute.queries import catalogue, parse_query, text_of_filters
from marketplace.errors import InputError
from marketplace.texts import say_made
from marketplace.web.query_fields import Field, FieldError, fields_of, problems, values_of
from marketplace.web.query_words import GROUPS

FAMILIES = tuple(family for _title, families in GROUPS for family in families)
MODALITIES = (
    "genotypes", "expression", "methylation", "proteomics", "metabolomics", "microbiome",
    "clinical", "participant",
)  # fmt: skip
DEFAULTS: Mapping[str, str] = {
    "family": FAMILIES[0],
    "primary": "HMB",
    "build": "GRCh37",
    "mode": "trusted",
    "rho": "1/20",
    "maf": "1/4",
}
MAX_FIELD = 100_000


@dataclass(frozen=True, slots=True)
class Form:
    """The fields as typed, by name; facets: the published values chosen, by facet."""

    fields: Mapping[str, str]
    facets: Mapping[str, tuple[str, ...]]
    wrong: Mapping[str, str] = field(default_factory=dict)

    def value(self, name: str) -> str:
        """Return a field's text without outer blanks."""
        return self.fields.get(name, DEFAULTS.get(name, "")).strip()

    def words(self, name: str) -> list[str]:
        """Return a field's items, separated by blanks, commas or lines."""
        return self.value(name).replace(",", " ").split()

    def is_on(self, name: str) -> bool:
        """Tell whether a box is ticked."""
        return bool(self.fields.get(name))

    def param(self, name: str) -> str:
        """Return what was typed for a parameter."""
        return self.fields.get(f"q:{name}", "").strip()

    def shown(self, one: Field) -> str:
        """Return what a parameter's field shows: what was typed, else its default."""
        return self.fields.get(f"q:{one.name}", one.default)

    @property
    def family(self) -> str:
        """Return the family asked."""
        return self.value("family")

    @property
    def modes(self) -> list[str]:
        """Return the release modes the family offers."""
        return sorted(catalogue()[self.family].modes, reverse=True)

    @property
    def measures(self) -> bool:
        """Tell whether an error of the family's answers depends on a value's spread."""
        return catalogue()[self.family].sampled is not None

    @property
    def mode(self) -> str:
        """Return the mode chosen, or the one there is."""
        chosen = self.value("mode")
        return chosen if chosen in self.modes else self.modes[0]


def read_form(sent: "MultiDict[str, str]") -> Form:
    """Read a sent form. Raises InputError for a field longer than any honest one."""
    if any(len(value) > MAX_FIELD for value in sent.values()):
        raise InputError("a field is too long; give a long variant list to omic dry-run instead")
    fields = {name: value for name, value in sent.items() if not name.startswith("facet:")}
    facets = {
        name.removeprefix("facet:"): tuple(values)
        for name, values in sent.lists()
        if name.startswith("facet:")
    }
    return Form({**fields, "family": _family(fields.get("family", ""))}, facets)


def empty_form(family: str) -> Form:
    """Return the form as it is first shown."""
    return Form({**DEFAULTS, "family": _family(family)}, {})


def _family(name: str) -> str:
    return name if name in FAMILIES else FAMILIES[0]


def query_of(form: Form) -> dict[str, Any]:
    """Return the query document. Raises FieldError."""
    params = values_of(fields_of(form.family), form.param)
    return {"v": 1, "family": form.family, "build": form.value("build"), "params": params}


def wrong_in(form: Form) -> dict[str, str]:
    """Return what is wrong with the question, by field; "" is the question as a whole."""
    try:
        return problems(form.family, query_of(form)["params"], form.param)
    except FieldError as error:
        return {error.name: say_made(str(error))}


def request_of(form: Form, region: str) -> dict[str, Any]:
    """Return the request document {purpose, query, scope, release}. Raises QueryError."""
    query = query_of(form)
    parsed = parse_query(query)
    needed = parsed.modalities
    scope = {
        "modalities": [name for name in MODALITIES if name in needed],
        "build": parsed.build,
        "facets": {name: list(values) for name, values in form.facets.items() if values},
        "region": region,
    }
    if parsed.build is None:
        del query["build"], scope["build"]
    return {
        "purpose": _purpose(form),
        "query": query,
        "scope": scope,
        "release": {"mode": form.mode, "rho": form.value("rho") if form.mode == "private" else "0"},
    }


def _purpose(form: Form) -> dict[str, Any]:
    return {
        "primary": form.value("primary"),
        "diseases": form.words("diseases"),
        "commercial": form.is_on("commercial"),
        "ai_training": form.is_on("ai_training"),
        "project": form.value("project"),
    }


def form_of(request: Mapping[str, Any]) -> Form:
    """Return the form filled with an earlier request, to ask it again."""
    purpose, query, release = request["purpose"], request["query"], request["release"]
    fields = {
        "family": _family(str(query["family"])),
        "build": str(query.get("build") or DEFAULTS["build"]),
        "primary": str(purpose.get("primary", "HMB")),
        "diseases": " ".join(purpose.get("diseases") or ()),
        "project": str(purpose.get("project") or ""),
        "commercial": "yes" if purpose.get("commercial") else "",
        "ai_training": "yes" if purpose.get("ai_training") else "",
        "mode": str(release["mode"]),
        "rho": str(release.get("rho") or "") if release["mode"] == "private" else DEFAULTS["rho"],
    }
    params = _filled(fields_of(fields["family"]), query["params"])
    facets = (request["scope"].get("facets") or {}).items()
    return Form(
        {**fields, **{f"q:{name}": text for name, text in params}},
        {name: tuple(values) for name, values in facets},
    )


def _filled(fields: Iterable[Field], params: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for one in fields:
        value = params.get(one.last)
        if one.kind == "group":
            yield from _filled(one.options[0].fields, value or {})
        elif one.options:
            yield from _filled_option(one, value)
        elif value is not None:
            yield one.name, text_of_filters(value) if one.kind == "match" else _text(value)


def _filled_option(one: Field, value: Any) -> Iterator[tuple[str, str]]:
    if value is None:
        return
    shape = (
        "list"
        if isinstance(value, list)
        else str(value.get(one.tag or "", "")) or next(iter(value), "")
    )
    option = next((o for o in one.options if o.value == shape), None)
    if option is not None:
        yield one.name, option.value
        inner = {option.fields[0].last: value} if isinstance(value, list) else value
        yield from _filled(option.fields, inner)


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "\n".join(map(str, value))
    if isinstance(value, dict):
        return "\n".join(f"{name} {number}" for name, number in value.items())
    return str(value)
