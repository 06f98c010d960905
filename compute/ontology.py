"""Disease descent: is one condition a kind of another?

Answers None for a term it does not know, so that the matcher can refuse instead of guessing.
Never fetches anything: an operator gives the path of a full MONDO release (obographs JSON or OBO)
and every program of a deployment is started with the same one (`use_ontology`); `TEST_SUBSET` is
enough for tests and the demonstration.
Spec: github.com/geneontology/obographs; OBO 1.4 (owlcollab.github.io/oboformat);
MONDO (mondo.monarchinitiative.org), CC BY 4.0.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from compute.errors import TermsError

_IRI = "http://purl.obolibrary.org/obo/"
_SUBCLASS = frozenset({"is_a", "http://www.w3.org/2000/01/rdf-schema#subClassOf"})


class Ontology(Protocol):
    """What the matcher asks of a disease ontology."""

    def is_descendant(self, term: str, ancestor: str) -> bool | None:
        """Return whether term is ancestor or a kind of it; None when either is unknown."""
        ...

    def label(self, term: str) -> str:
        """Return a term's name, or its id where there is none."""
        ...


class DictOntology:
    """An ontology held as child -> parents; ancestors are remembered once asked for."""

    def __init__(
        self, parents: Mapping[str, tuple[str, ...]], labels: Mapping[str, str] | None = None
    ) -> None:
        self._parents, self._labels = dict(parents), dict(labels or {})
        self._ancestors: dict[str, frozenset[str]] = {}

    def __contains__(self, term: str) -> bool:
        return term in self._parents

    def __len__(self) -> int:
        return len(self._parents)

    def label(self, term: str) -> str:
        """Return a term's name, or its id where we have none."""
        return self._labels.get(term, term)

    def labels(self) -> dict[str, str]:
        """Return every term's label."""
        return {term: self.label(term) for term in self._parents}

    def is_descendant(self, term: str, ancestor: str) -> bool | None:
        """Return whether term is ancestor or a kind of it; None when either is unknown."""
        if term not in self._parents or ancestor not in self._parents:
            return None
        return ancestor in self._ancestors_of(term)

    def _ancestors_of(self, term: str) -> frozenset[str]:
        found = self._ancestors.get(term)
        if found is None:
            seen, waiting = {term}, [term]
            while waiting:
                for parent in self._parents.get(waiting.pop(), ()):
                    if parent not in seen:
                        seen.add(parent)
                        waiting.append(parent)
            found = self._ancestors[term] = frozenset(seen)
        return found


def load_obographs(data: bytes, prefix: str = "MONDO") -> DictOntology:
    """Read the current terms of one prefix from an obographs JSON document.

    Deprecated terms stay unknown: a consent on a retired id must be renewed, not guessed.
    Raises TermsError when the document is not obographs or holds no such term.
    """
    try:
        graphs = json.loads(data)["graphs"]
        nodes = [node for graph in graphs for node in graph["nodes"] if _is_current(node)]
        edges = [edge for graph in graphs for edge in graph.get("edges", ())]
        known: dict[str, list[str]] = {
            curie: [] for node in nodes if (curie := _curie(node["id"])).startswith(prefix + ":")
        }
        for edge in edges:
            child, parent = _curie(edge["sub"]), _curie(edge["obj"])
            if edge["pred"] in _SUBCLASS and child in known and parent in known:
                known[child].append(parent)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise TermsError(
            "the ontology file is not obographs JSON; use the release's .json"
        ) from None
    if not known:
        raise TermsError(f"the ontology file holds no {prefix} term; give the MONDO release file")
    labels = {_curie(node["id"]): str(node["lbl"]) for node in nodes if node.get("lbl")}
    return DictOntology({term: tuple(parents) for term, parents in known.items()}, labels)


def load_obo(data: bytes, prefix: str = "MONDO") -> DictOntology:
    """Read the current terms of one prefix from an OBO document.

    As `load_obographs`: obsolete terms stay unknown. Raises TermsError.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise TermsError("the ontology file is not UTF-8 text; use the release's .obo") from None
    known: dict[str, tuple[str, ...]] = {}
    labels: dict[str, str] = {}
    for tags in _obo_terms(text):
        term = tags.get("id", [""])[0]
        if term.startswith(prefix + ":") and tags.get("is_obsolete") != ["true"]:
            known[term] = tuple(tags.get("is_a", ()))
            labels[term] = tags.get("name", [term])[0]
    if not known:
        raise TermsError(f"the ontology file holds no {prefix} term; give the MONDO release file")
    held = {term: tuple(p for p in parents if p in known) for term, parents in known.items()}
    return DictOntology(held, labels)


def _obo_terms(text: str) -> Iterator[dict[str, list[str]]]:
    """Yield the tags of each [Term] stanza, without trailing modifiers and comments."""
    for stanza in text.split("\n["):
        kind, _, body = stanza.partition("]")
        if kind != "Term":
            continue
        tags: dict[str, list[str]] = {}
        for line in body.splitlines():
            name, colon, value = line.partition(": ")
            if colon and name in ("id", "name", "is_a", "is_obsolete"):
                plain = value if name == "name" else value.split(" ", 1)[0]
                tags.setdefault(name, []).append(plain.strip())
        yield tags


def load_ontology(path: Path) -> DictOntology:
    """Read a full MONDO release, obographs JSON or OBO, by what the file holds.

    Raises TermsError naming the path.
    """
    try:
        data = path.read_bytes()
        return load_obographs(data) if data.lstrip()[:1] == b"{" else load_obo(data)
    except OSError as error:
        raise TermsError(f"cannot read the ontology file {path}: {error.strerror}") from None
    except TermsError as error:
        raise TermsError(f"{path}: {error}") from None


def _is_current(node: Mapping[str, Any]) -> bool:
    return node.get("type", "CLASS") == "CLASS" and not node.get("meta", {}).get(
        "deprecated", False
    )


def _curie(iri: str) -> str:
    return iri.removeprefix(_IRI).replace("_", ":", 1) if iri.startswith(_IRI) else iri


# Test subset: MONDO ids written by hand for tests and the demonstration, not a MONDO release.
# Intermediate classes are left out; give a full release file for real use.
TEST_LABELS: dict[str, str] = {
    "MONDO:0000001": "disease",
    "MONDO:0004992": "cancer",
    "MONDO:0005105": "melanoma",
    "MONDO:0008903": "lung cancer",
    "MONDO:0007254": "breast cancer",
    "MONDO:0005015": "diabetes mellitus",
    "MONDO:0005147": "type 1 diabetes mellitus",
    "MONDO:0005148": "type 2 diabetes mellitus",
    "MONDO:0004979": "asthma",
    "MONDO:0004975": "Alzheimer disease",
    "MONDO:0005180": "Parkinson disease",
}
TEST_SUBSET = DictOntology(
    {
        "MONDO:0000001": (),
        "MONDO:0004992": ("MONDO:0000001",),
        "MONDO:0005105": ("MONDO:0004992",),
        "MONDO:0008903": ("MONDO:0004992",),
        "MONDO:0007254": ("MONDO:0004992",),
        "MONDO:0005015": ("MONDO:0000001",),
        "MONDO:0005147": ("MONDO:0005015",),
        "MONDO:0005148": ("MONDO:0005015",),
        "MONDO:0004979": ("MONDO:0000001",),
        "MONDO:0004975": ("MONDO:0000001",),
        "MONDO:0005180": ("MONDO:0000001",),
    },
    TEST_LABELS,
)
_current: list[Ontology] = [TEST_SUBSET]


def use_ontology(ontology: Ontology) -> None:
    """Set the ontology of this program. For entry points, once, before anything is matched."""
    _current[0] = ontology


def use_ontology_file(path: str | None) -> None:
    """Use the full release at a path, where an operator gives one (OMIC_ONTOLOGY).

    Every program of a deployment needs the same file: an unknown disease is forbidden, so one
    that lacks it refuses what another sells. Raises TermsError.
    """
    if path:
        use_ontology(load_ontology(Path(path)))


def current_ontology() -> Ontology:
    """Return the ontology this program was started with."""
    return _current[0]
