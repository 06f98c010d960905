"""The dry-run form: what a researcher types, and the request it stands for. Pure.

The request is the same JSON document that `omic dry-run` and `omic order place` read; whether it
is valid is decided by `marketplace.catalogue.parse_request`, not here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from werkzeug.datastructures import MultiDict

from compute.queries import catalogue, parse_query
from marketplace.errors import InputError

GENOTYPES, CIS = "genotype_counts", "cis_association"
FAMILIES = (GENOTYPES, CIS)
DEFAULTS: Mapping[str, str] = {
    "family": GENOTYPES,
    "primary": "HMB",
    "build": "GRCh37",
    "variants": "all",
    "mode": "trusted",
    "rho": "1/100",
    "window": "1000000",
    "by": "",
}
MAX_FIELD = 20_000


@dataclass(frozen=True, slots=True)
class Form:
    """The fields as typed, by name; facets: the published values chosen, by facet."""

    fields: Mapping[str, str]
    facets: Mapping[str, tuple[str, ...]]

    def value(self, name: str) -> str:
        """Return a field's text without outer blanks."""
        return self.fields.get(name, DEFAULTS.get(name, "")).strip()

    def words(self, name: str) -> list[str]:
        """Return a field's items, separated by blanks, commas or lines."""
        return self.value(name).replace(",", " ").split()

    def is_on(self, name: str) -> bool:
        """Tell whether a box is ticked."""
        return bool(self.fields.get(name))


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
    return Form({**fields, "family": _family(fields.get("family", GENOTYPES))}, facets)


def empty_form(family: str) -> Form:
    """Return the form as it is first shown."""
    return Form({**DEFAULTS, "family": _family(family)}, {})


def _family(name: str) -> str:
    return name if name in FAMILIES else GENOTYPES


def request_of(form: Form, region: str) -> dict[str, Any]:
    """Return the request document {purpose, query, scope, release}. Raises InputError."""
    query = {
        "v": 1,
        "family": form.value("family"),
        "build": form.value("build"),
        "params": _genotypes(form) if form.value("family") == GENOTYPES else _cis(form),
    }
    return {
        "purpose": _purpose(form),
        "query": query,
        "scope": {
            "modalities": modalities(query),
            "build": form.value("build"),
            "facets": {name: list(values) for name, values in form.facets.items() if values},
            "region": region,
        },
        "release": _release(form),
    }


def modalities(query: Mapping[str, Any]) -> list[str]:
    """Return the kinds of data a query opens, in the catalogue's order. Raises QueryError."""
    parsed = parse_query(query)
    needed = catalogue()[parsed.family].needs(parsed.params).modalities
    return [name for name in ("genotypes", "expression", "participant") if name in needed]


def _purpose(form: Form) -> dict[str, Any]:
    return {
        "primary": form.value("primary"),
        "diseases": form.words("diseases"),
        "commercial": form.is_on("commercial"),
        "ai_training": form.is_on("ai_training"),
        "project": form.value("project"),
    }


def _release(form: Form) -> dict[str, str]:
    private = form.value("mode") == "private"
    return {"mode": form.value("mode"), "rho": form.value("rho") if private else "0"}


def _genotypes(form: Form) -> dict[str, Any]:
    params: dict[str, Any] = {"variants": _variants(form)}
    if form.value("by"):
        params["by"] = form.value("by")
    return params


def _variants(form: Form) -> Any:
    chosen = form.value("variants")
    if chosen == "region":
        return {"region": form.value("region")}
    return form.words("list") if chosen == "list" else {"panel": "all"}


def _cis(form: Form) -> dict[str, Any]:
    return {
        "gene": form.value("gene"),
        "chrom": form.value("chrom"),
        "start": _whole(form, "start", "the gene's start"),
        "end": _whole(form, "end", "the gene's end"),
        "window_bp": _whole(form, "window", "the window"),
        "covariates": form.words("covariates"),
    }


def _whole(form: Form, name: str, what: str) -> int:
    text = form.value(name).replace(",", "").replace("_", "")
    if not (text.isascii() and text.isdigit() and len(text) < 12):
        raise InputError(f"{what} must be a whole number of bases")
    return int(text)
