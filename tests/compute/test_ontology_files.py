"""Whole ontology files: OBO and obographs say the same; retired and unknown terms are unknown."""

import json

import pytest

from compute import TEST_SUBSET, TermsError, current_ontology, load_obo, load_ontology, use_ontology
from compute.ontology import use_ontology_file

OBO = b"""format-version: 1.2

[Term]
id: MONDO:0000001
name: disease

[Term]
id: MONDO:0005015
name: diabetes mellitus
is_a: MONDO:0000001 {source="x"} ! disease

[Term]
id: MONDO:0005148
name: type 2 diabetes mellitus
is_a: MONDO:0005015 ! diabetes mellitus
is_a: HP:0000819 ! not ours

[Term]
id: MONDO:0099999
name: an old one
is_a: MONDO:0005015
is_obsolete: true

[Typedef]
id: part_of
is_a: MONDO:0000001
"""


def graph():
    iri = "http://purl.obolibrary.org/obo/MONDO_"
    return json.dumps({"graphs": [{
        "nodes": [
            {"id": iri + "0000001", "lbl": "disease"},
            {"id": iri + "0005015", "lbl": "diabetes mellitus"},
            {"id": iri + "0005148", "lbl": "type 2 diabetes mellitus"},
            {"id": iri + "0099999", "lbl": "an old one", "meta": {"deprecated": True}},
        ],
        "edges": [
            {"sub": iri + "0005015", "pred": "is_a", "obj": iri + "0000001"},
            {"sub": iri + "0005148", "pred": "is_a", "obj": iri + "0005015"},
            {"sub": iri + "0099999", "pred": "is_a", "obj": iri + "0005015"},
        ],
    }]}).encode()  # fmt: skip


@pytest.mark.parametrize("data", [OBO, graph()], ids=["obo", "obographs"])
def test_both_forms_say_the_same(tmp_path, data):
    path = tmp_path / "mondo"
    path.write_bytes(data)
    ontology = load_ontology(path)
    assert len(ontology) == 3
    assert ontology.is_descendant("MONDO:0005148", "MONDO:0000001") is True
    assert ontology.is_descendant("MONDO:0005015", "MONDO:0005148") is False
    assert ontology.is_descendant("MONDO:0099999", "MONDO:0005015") is None
    assert ontology.is_descendant("MONDO:0005148", "HP:0000819") is None
    assert ontology.label("MONDO:0005148") == "type 2 diabetes mellitus"


@pytest.mark.parametrize("data", [b"", b"\xff\xfe", b"{", b"[Term]\nid: HP:1\n", b'{"graphs":1}'])
def test_another_file_is_refused_by_its_name(tmp_path, data):
    path = tmp_path / "mondo"
    path.write_bytes(data)
    with pytest.raises(TermsError, match="mondo"):
        load_ontology(path)
    with pytest.raises(TermsError):
        load_ontology(tmp_path / "absent")
    with pytest.raises(TermsError):
        load_obo(b"")


def test_an_operators_file_is_what_the_program_matches_by(tmp_path):
    path = tmp_path / "mondo.obo"
    path.write_bytes(OBO)
    try:
        use_ontology_file(str(path))
        assert current_ontology().is_descendant("MONDO:0004992", "MONDO:0004992") is None
        use_ontology_file(None)
        assert current_ontology().is_descendant("MONDO:0005148", "MONDO:0005015") is True
    finally:
        use_ontology(TEST_SUBSET)
