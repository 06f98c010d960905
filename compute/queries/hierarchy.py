"""An ontology's is-a hierarchy downwards: a term and everything that is a kind of it.

Read from obographs JSON (HPO, MONDO and others publish it). A term the file does not know has no
descendants but itself, so a count of an unknown code is a count of that very code.
Spec: github.com/geneontology/obographs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from compute.errors import QueryError

_IRI: Final = "http://purl.obolibrary.org/obo/"
_SUBCLASS: Final = frozenset({"is_a", "http://www.w3.org/2000/01/rdf-schema#subClassOf"})


class Hierarchy:
    """Children by term; descendants are remembered once asked for."""

    def __init__(self, children: Mapping[str, list[str]]) -> None:
        self._children = dict(children)
        self._known: dict[str, frozenset[str]] = {}

    def descendants(self, term: str) -> frozenset[str]:
        """Return a term and its descendants. Cycles end."""
        if term not in self._known:
            seen, waiting = {term}, [term]
            while waiting:
                fresh = [c for c in self._children.get(waiting.pop(), ()) if c not in seen]
                seen.update(fresh)
                waiting += fresh
            self._known[term] = frozenset(seen)
        return self._known[term]


def parse_hierarchy(data: bytes) -> Hierarchy:
    """Parse obographs JSON. Raises QueryError ``bad_reference``."""
    try:
        edges = [edge for graph in json.loads(data)["graphs"] for edge in graph.get("edges", ())]
        children: dict[str, list[str]] = {}
        for edge in edges:
            if edge["pred"] in _SUBCLASS:
                children.setdefault(_curie(edge["obj"]), []).append(_curie(edge["sub"]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise QueryError("the ontology is not obographs JSON", code="bad_reference") from None
    if not children:
        raise QueryError("the ontology states no is-a relation", code="bad_reference")
    return Hierarchy(children)


def _curie(iri: Any) -> str:
    return str(iri).removeprefix(_IRI).replace("_", ":", 1)
