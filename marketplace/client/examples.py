"""An example request for every query family: what `omic order template --family NAME` prints.

Places to fill in are written in capitals. Each example parses once they are filled, which a test
checks, and asks of as little data as its family needs.
"""

from collections.abc import Mapping
from typing import Any

from compute.queries import catalogue, parse_query

ORDER = ("genotypes", "expression", "participant", "methylation", "proteomics", "metabolomics",
         "microbiome", "clinical")  # fmt: skip
SHELF = "SHA256_FROM_omic_references"
_PANEL: Mapping[str, Any] = {"variants": {"panel": "all"}}
_REGION: Mapping[str, Any] = {"variants": {"region": "22:17000000-17500000"}}
_FEATURES: Mapping[str, Any] = {
    "features": ["ENSG00000189339"], "modality": "expression",
    "namespace": "Ensembl", "unit": "TPM",
}  # fmt: skip
_HEIGHT: Mapping[str, Any] = {"kind": "covariate", "name": "height"}
_TERM: Mapping[str, Any] = {"kind": "term", "term": "HP:0001631", "ontology": SHELF}
PARAMS: Mapping[str, Mapping[str, Any]] = {
    "genotype_counts": _PANEL,
    "cis_association": {
        "gene": "ENSG00000189339", "chrom": "1", "start": 1592939, "end": 1624167,
        "window_bp": 250000, "covariates": ["PC1", "population", "sex"],
    },
    "linear_association": {**_PANEL, "trait": _HEIGHT, "covariates": ["PC1", "sex"]},
    "logistic_association": {**_PANEL, "trait": _TERM, "covariates": ["PC1", "sex"]},
    "polygenic_score": {"score": SHELF, "by": "population"},
    "feature_summary": {**_FEATURES, "by": "population"},
    "feature_differential": {
        **_FEATURES, "scale": "log2_plus_1",
        "groups": {"kind": "stratum", "stratum": "population", "a": "CEU", "b": "YRI"},
    },
    "feature_by_genotype": {
        "feature": "ENSG00000189339", "modality": "expression", "namespace": "Ensembl",
        "unit": "TPM", "variant": "1-1590681-A-G",
    },
    "clinical_counts": {"terms": ["HP:0001631", "HP:0001250"], "ontology": SHELF, "by": "sex"},
    "clinical_crosstab": {"first": _TERM, "second": {**_TERM, "term": "HP:0001250"}},
    "time_in_range": {"code": "LOINC:2339-0", "unit": "mg/dL", "low": "70", "high": "180"},
    "age_at_onset": {
        "terms": ["MONDO:0004975"], "ontology": SHELF, "width": 5, "oldest": 90, "by": "sex",
    },
    "linkage": _REGION,
    "ancestry_projection": {"loadings": SHELF, "by": "population"},
    "cohort_pca": {**_PANEL, "components": 4, "by": "population"},
    "relatedness": _PANEL,
    "cohort_quality": {**_PANEL, "by": "population"},
    "feature_distribution": {
        "feature": "ENSG00000189339", "low": "0", "high": "100", "bins": 10,
    },
    "score_distribution": {
        "weights": {"1-1590681-A-G": "0.2", "1-1602536-T-C": "-0.1"}, "low": "-1", "high": "1",
    },
    "private_association": {
        "feature": "ENSG00000189339", "variants": ["1-1590681-A-G"], "low": "0", "high": "100",
    },
    "top_counts": {"k": 1, "variants": ["1-1590681-A-G", "1-1602536-T-C"]},
    "top_association": {
        "k": 1, "features": ["ENSG00000189339"], "namespace": "Ensembl", "unit": "TPM",
        "low": "0", "high": "100", "variants": ["1-1590681-A-G", "1-1602536-T-C"],
    },
}  # fmt: skip


def example(family: str) -> dict[str, Any]:
    """Return a whole request to start from. Raises QueryError for an unknown family."""
    query = {"v": 1, "family": family, "build": "GRCh37", "params": dict(PARAMS.get(family, {}))}
    parsed = parse_query(filled(query))
    if parsed.build is None:
        del query["build"]
    needed = parsed.modalities
    mode = "trusted" if "trusted" in catalogue()[family].modes else "private"
    scope: dict[str, Any] = {
        "modalities": [name for name in ORDER if name in needed],
        "facets": {},
        "region": "local",
    }
    if parsed.build is not None:
        scope["build"] = parsed.build
    return {
        "purpose": {"primary": "HMB", "commercial": False, "project": "PROJECT"},
        "query": query,
        "scope": scope,
        "release": {"mode": mode, "rho": "0" if mode == "trusted" else "1/20"},
    }


def filled(value: Any) -> Any:
    """Return a value with every reference to fill in replaced by a hash of zeros."""
    if isinstance(value, dict):
        return {name: filled(part) for name, part in value.items()}
    if isinstance(value, list):
        return [filled(part) for part in value]
    return "0" * 64 if value == SHELF else value
