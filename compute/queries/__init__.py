"""Face of the query catalogue: closed families over arrays, exact before release control."""

from compute.errors import QueryError
from compute.queries.catalogue import (
    Query,
    canonical_query,
    catalogue,
    code_digest,
    parse_query,
    query_digest,
    query_value,
    reduce,
    run,
    start,
)
from compute.queries.data import CohortData, Frame, PersonData, VariantTable, align
from compute.queries.family import Answer, Family, Needs, Partial, ReleaseMode, Sensitivity

__all__ = [
    "Answer",
    "CohortData",
    "Family",
    "Frame",
    "Needs",
    "Partial",
    "PersonData",
    "Query",
    "QueryError",
    "ReleaseMode",
    "Sensitivity",
    "VariantTable",
    "align",
    "canonical_query",
    "catalogue",
    "code_digest",
    "parse_query",
    "query_digest",
    "query_value",
    "reduce",
    "run",
    "start",
]
