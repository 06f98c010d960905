"""Face of the query catalogue: closed families over arrays, exact before release control."""

from compute.builds import Build
from compute.errors import QueryError
from compute.queries.assumed import Assumed, Sampled
from compute.queries.blocks import BlockPartial, GenotypeBlock, Layout, SummedPartial, block_of
from compute.queries.catalogue import (
    Query,
    canonical_query,
    catalogue,
    code_digest,
    family_digest,
    learn,
    learned_frame,
    matched,
    parse_query,
    private_form,
    query_digest,
    query_value,
    reduce,
    run,
    start,
    states_first,
    supports_match,
    unmatched,
)
from compute.queries.data import CohortData, Frame, PersonData, VariantTable, align
from compute.queries.family import (
    Answer,
    Family,
    Needs,
    Partial,
    ReleaseMode,
    Sensitivity,
)
from compute.queries.filter_lines import filters_of_text, text_of_filters
from compute.queries.filters import (
    Filter,
    exclude_each_other,
    filter_needs,
    holds,
    named_variants,
    together,
)
from compute.queries.params import span_of
from compute.queries.private import PrivateForm, Shape, Told
from compute.queries.split import exact_problem

__all__ = [
    "Answer",
    "Assumed",
    "BlockPartial",
    "Build",
    "CohortData",
    "Family",
    "Filter",
    "Frame",
    "GenotypeBlock",
    "Layout",
    "Needs",
    "Partial",
    "PersonData",
    "PrivateForm",
    "Query",
    "QueryError",
    "ReleaseMode",
    "Sampled",
    "Sensitivity",
    "Shape",
    "SummedPartial",
    "Told",
    "VariantTable",
    "align",
    "block_of",
    "canonical_query",
    "catalogue",
    "code_digest",
    "exact_problem",
    "exclude_each_other",
    "family_digest",
    "filter_needs",
    "filters_of_text",
    "holds",
    "learn",
    "learned_frame",
    "matched",
    "named_variants",
    "parse_query",
    "private_form",
    "query_digest",
    "query_value",
    "reduce",
    "run",
    "span_of",
    "start",
    "states_first",
    "supports_match",
    "text_of_filters",
    "together",
    "unmatched",
]
