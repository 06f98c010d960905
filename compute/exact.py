"""How many exact statistics a trusted answer gives: what an owner's cap on them is charged.

Known before anybody is opened, from the query and the table of variants anybody states: rows that
the answer may have, whatever its strata. Restated from the ledger's query when a budget is rebuilt
(the table only grows, so never fewer). How many a match kept is one more. Private answers give
none: rho counts those.
"""

from collections.abc import Mapping
from typing import Any

from compute.copies import SharedVariants
from compute.errors import QueryError
from compute.queries import Query, parse_query
from compute.queries.params import span_of
from compute.worker_engine import candidate_rows


def exact_statistics(query: Query, mode: str, variants: SharedVariants) -> int:
    """Return the count one answer is charged; 0 in private mode."""
    if mode != "trusted":
        return 0
    params, counted = query.params, int(bool(query.match))
    if "genotypes" in query.needs.modalities and (
        hasattr(params, "variants") or span_of(params) is not None
    ):
        variants.refresh()
        return max(1, len(candidate_rows(variants, query))) + counted
    bands = getattr(params, "rows", None)
    if isinstance(bands, int):
        return bands + counted
    listed = [
        len(value)
        for name, value in vars(params).items()
        if isinstance(value, list) and name != "match"
    ]
    return max([1, *listed]) + counted


def stated_exact(order: Mapping[str, Any], variants: SharedVariants) -> int:
    """Return the count of an order's payload on the ledger; 1 for a query no longer understood."""
    mode = str(order["release"]["mode"])
    try:
        return exact_statistics(parse_query(order["query"]), mode, variants)
    except QueryError:
        return 1 if mode == "trusted" else 0
