"""Example values for the OpenAPI document: by model where one is worth writing, else by field name.

A test holds each example against its schema.
"""

from collections.abc import Mapping
from typing import Any

ID, DIGEST = "3f9c1e7a5b2d48608c4e9a1b7d5f2c30", "9f86d081884c7d659a2feaa0c55ad015" * 2
NOW = 1_790_000_000_000
QUERY = {
    "v": 1, "family": "genotype_counts", "version": 1, "build": "GRCh37",
    "params": {"variants": {"region": "22:17000000-17500000"}, "by": "population"},
}  # fmt: skip
PURPOSE = {"primary": "HMB", "commercial": False, "project": "Blood pressure and chromosome 22"}
SCOPE = {"modalities": ["genotypes", "participant"], "build": "GRCh37",
         "facets": {"population": ["CEU"]}, "region": "local"}  # fmt: skip
RELEASE = {"mode": "trusted", "rho": "0"}
ITEM = {"kind": "data", "modality": "genotypes", "people": "50-99", "people_priced": 99,
        "weight": 3, "unit": 50, "rate": "1", "amount": 14850}  # fmt: skip
ASK = {"purpose": PURPOSE, "query": QUERY, "scope": SCOPE, "release": RELEASE, "currency": "gbp"}
TRAIT_QUERY = {
    "v": 1, "family": "linear_association", "version": 1, "build": "GRCh37",
    "params": {"trait": {"kind": "covariate", "name": "height"},
               "variants": {"region": "22:17000000-17500000"}},
}  # fmt: skip
EXAMPLES: Mapping[str, Any] = {
    "AskIn": {**ASK, "query": TRAIT_QUERY, "assumed_maf": "1/100", "assumed_sd": "9.5"},
    "TokenIn": {"scopes": ["read"], "minutes": 60},
    "ResolveIn": {"names": ["rs12628", "BRCA2"], "build": "GRCh37", "chain": None},
    "CatalogueOut": {
        "people": "100-199",
        "modalities": {"genotypes": "100-199", "expression": "50-99"},
        "facets": {"population": {"CEU": "50-99", "YRI": "50-99"}},
    },
    "DryRunOut": {
        "people": "50-99", "left_out": {"purpose": "20-49"}, "other_builds": {"GRCh38": "20-49"},
        "match": None, "price": 16835, "currency": "gbp", "items": [ITEM],
        "expected_error": {
            "kind": "exact", "useful": True, "people_assumed": 50, "maf_assumed": "1/100",
            "sd_assumed": "9.5", "statistic": "beta", "noise_sd": 0.0, "sampling_sd": 9.548,
            "se": 9.548,
            "suppressed": "of variants of this frequency about 63 % hide allele counts and "
            "effects, 63 % genotype counts",
        },
    },
}  # fmt: skip
FIELDS: Mapping[str, Any] = {
    "progress": {"step": "summing", "done": 3, "total": 8},
    "query": QUERY, "purpose": PURPOSE, "scope": SCOPE, "release": RELEASE, "items": [ITEM],
    "currency": "gbp", "size": 2_418_000, "amount": 16_835, "total": 16_835, "price": 16_835,
    "state": "running", "modality": "genotypes", "role": "owner", "build": "GRCh37",
    "country": "GB", "charity": "children", "code": "children", "name": "A children's charity",
    "purchase_order": "PO-2026-17", "region": "local", "kind": "code", "mode": "bank",
    "index": 4_211, "settlement_index": 4_310, "access": ID, "reason": None, "match": None,
    "compute": "ingested",
    "url": "https://market.example/signin#one-time-code", "token": "x1yZ…, shown once",
    "objects": ["result", "bundle"], "test_money": True, "ledger_size": 4_512,
    "orders": {"settled": 12, "running": 1}, "scopes": ["read"],
}  # fmt: skip


def example_of(spec: Mapping[str, Any], schema: Mapping[str, Any], name: str) -> Any:
    """Return a value of a schema; name: the field it is of."""
    if "$ref" in schema:
        found = schema["$ref"].rsplit("/", 1)[-1]
        known = EXAMPLES.get(found)
        return known or example_of(spec, spec["components"]["schemas"][found], name)
    if "anyOf" in schema:
        return example_of(spec, schema["anyOf"][0], name)
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
    return value is None or kind is None or isinstance(value, kinds.get(kind, object))


def _text(schema: Mapping[str, Any], name: str) -> str:
    pattern = str(schema.get("pattern", ""))
    if "64" in pattern or "sha256" in name or name in ("etag", "share_root", "proof"):
        return DIGEST
    if "32" in pattern or name in ("order", "dataset", "party", "grant", "quote", "invoice"):
        return ID
    if pattern.startswith("^("):
        return pattern[2:].partition("|")[0]
    return "base64…" if name in ("challenge", "signature", "public_key", "box", "salt") else "…"
