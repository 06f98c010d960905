"""The orders the demo's researcher places: exact ones, private ones, one of useless noise."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from compute import Scope, parse_purpose, parse_release, parse_scope, private_counts_request
from marketplace.client.demo_data import cut
from marketplace.client.researcher import Request

GENE = "ENSG00000215790"
PRIVATE_RHO = "1/20"
USELESS_VARIANTS = 60
_PURPOSE = {
    "primary": "HMB",
    "commercial": False,
    "project": "Gene expression and ancestry in GEUVADIS",
    "sponsor": "Demonstration University",
}


@dataclass(frozen=True, slots=True)
class Ask:
    """One order of the demo: a name to show, and the request."""

    title: str
    request: Request


def requests() -> Iterator[Ask]:
    """Yield the researcher's three orders."""
    panel = {"variants": {"panel": "all"}}
    for population in ("CEU", "YRI"):
        query = {"v": 1, "family": "genotype_counts", "build": "GRCh37", "params": panel}
        scope = _scope(["genotypes"], {"population": [population]})
        yield Ask(f"Allele frequencies, {population}", _request(query, scope))
    gene = cut.gene(GENE)
    params = {
        "gene": GENE,
        "chrom": gene.chrom,
        "start": gene.start,
        "end": gene.end,
        "window_bp": 1_000_000,
        "covariates": ["population", "PC1", "PC2", "PC3", "PC4", "PC5"],
    }
    query = {"v": 1, "family": "cis_association", "build": "GRCh37", "params": params}
    scope = _scope(["genotypes", "expression", "participant"], {})
    yield Ask(f"Association of {GENE} expression with nearby variants", _request(query, scope))


def private_requests() -> tuple[Ask, Ask]:
    """Return two private orders on everybody: three common variants, and one of useless noise."""
    common = [str(name) for name in cut.common_variants(USELESS_VARIANTS)]
    few, many = (
        private_counts_request(names, rho=PRIVATE_RHO, purpose=_PURPOSE)
        for names in (common[:3], common)
    )
    return (
        Ask("Three allele frequencies with noise, everybody", _parsed(few)),
        Ask(f"{USELESS_VARIANTS} allele frequencies with noise, everybody", _parsed(many)),
    )


def different_request() -> Ask:
    """Return the order that runs after the withdrawal: another question, everybody left.

    About variants nobody asked exact figures of for nearly the same people: that is refused.
    """
    params = {"variants": {"region": "2:1-5000000"}}
    query = {"v": 1, "family": "genotype_counts", "build": "GRCh37", "params": params}
    return Ask(
        "Allele frequencies in a region, everybody", _request(query, _scope(["genotypes"], {}))
    )


def _parsed(body: Mapping[str, Any]) -> Request:
    return Request(
        parse_purpose(body["purpose"]),
        body["query"],
        parse_scope(body["scope"]),
        parse_release(body["release"]).to_dict(),
    )


def _scope(modalities: list[str], facets: dict[str, list[str]]) -> Scope:
    return parse_scope(
        {"modalities": modalities, "build": "GRCh37", "facets": facets, "region": "local"}
    )


def _request(query: dict[str, Any], scope: Scope) -> Request:
    return Request(parse_purpose(_PURPOSE), query, scope, {"mode": "trusted", "rho": "0"})
