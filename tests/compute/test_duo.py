"""Every DUO code round-trips through terms; headings and unknown codes do not enter them."""

import csv
import io

import pytest

from compute import Terms, TermsError, duo_term, load_obographs, modernise, parse_terms
from compute.duo import BY_SHORTHAND, DUO_TERMS, GROUPINGS, LEGACY, Kind, ParameterType
from compute.ontology import TEST_LABELS, TEST_SUBSET

EXAMPLES = {
    ParameterType.TEXTS: ["cohort studies"],
    ParameterType.IDS: ["a", "b"],
    ParameterType.COUNTRIES: ["GB", "FR"],
    ParameterType.DATE: "2030-01-31",
    ParameterType.MONTHS: 12,
}
# id, shorthand: the release file duo.csv of EBISPOT/DUO, commit 81f5c3d9 (CC BY 4.0).
RELEASE = """
DUO:0000001,
DUO:0000004,NRES
DUO:0000006,HMB
DUO:0000007,DS
DUO:0000011,POA
DUO:0000012,RS
DUO:0000015,NMDS
DUO:0000016,GSO
DUO:0000017,
DUO:0000018,NPUNCU
DUO:0000019,PUB
DUO:0000020,COL
DUO:0000021,IRB
DUO:0000022,GS
DUO:0000024,MOR
DUO:0000025,TS
DUO:0000026,US
DUO:0000027,PS
DUO:0000028,IS
DUO:0000029,RTN
DUO:0000042,GRU
DUO:0000043,CC
DUO:0000044,NPOA
DUO:0000045,NPU
DUO:0000046,NCU
"""


def terms_with(code):
    term = DUO_TERMS[code]
    value = {"permissions": ["DUO:0000042"], "prices": {}, "valid_from": 0}
    if term.kind is Kind.PERMISSION:
        value["permissions"] = [code]
        value["diseases"] = ["MONDO:0005148"] if term.parameter else []
    else:
        parameters = {term.parameter[0]: EXAMPLES[term.parameter[1]]} if term.parameter else {}
        value["modifiers"] = [{"id": code, "parameters": parameters}]
    return Terms.model_validate(value)


def test_the_table_is_the_release_file():
    rows = list(csv.reader(io.StringIO(RELEASE.strip())))
    assert {i for i, s in rows if not s} == set(GROUPINGS)
    assert {s: i for i, s in rows if s} == BY_SHORTHAND


@pytest.mark.parametrize("code", sorted(DUO_TERMS))
def test_every_code_round_trips_with_its_parameter(code):
    terms = terms_with(code)
    again = parse_terms(terms.to_dict())
    assert again == terms
    assert code in again.permissions or again.modifier(DUO_TERMS[code].shorthand).id == code


@pytest.mark.parametrize("code", sorted([*GROUPINGS, *LEGACY, "DUO:9999999", "GRU", ""]))
def test_headings_old_and_unknown_codes_cannot_stand_in_terms(code):
    with pytest.raises(TermsError):
        duo_term(code)
    for value in (
        {"permissions": [code]},
        {"permissions": ["DUO:0000042"], "modifiers": [{"id": code}]},
    ):
        with pytest.raises(ValueError):
            Terms.model_validate({**value, "prices": {}, "valid_from": 0})


def test_a_permission_is_no_modifier_and_the_other_way_round():
    with pytest.raises(ValueError, match="is a modifier"):
        Terms.model_validate({"permissions": ["DUO:0000043"], "prices": {}, "valid_from": 0})


def test_codes_of_older_releases_are_mapped_on_import():
    assert modernise(["DUO:0000005"]) == ["DUO:0000042", "DUO:0000043"]
    assert modernise(["DUO:0000018", "DUO:0000005", "DUO:0000042"]) == [
        "DUO:0000018",
        "DUO:0000042",
        "DUO:0000043",
    ]
    for bad in ("DUO:0000014", "DUO:0000001", "nonsense"):
        with pytest.raises(TermsError):
            modernise([bad])


OBOGRAPHS = b"""{"graphs": [{
 "nodes": [
  {"id": "http://purl.obolibrary.org/obo/MONDO_0000001", "type": "CLASS"},
  {"id": "http://purl.obolibrary.org/obo/MONDO_0000002", "type": "CLASS"},
  {"id": "http://purl.obolibrary.org/obo/MONDO_0000003"},
  {"id": "http://purl.obolibrary.org/obo/MONDO_0000004", "type": "CLASS", "meta": {"deprecated": true}},
  {"id": "http://purl.obolibrary.org/obo/HP_0000001", "type": "CLASS"}],
 "edges": [
  {"sub": "http://purl.obolibrary.org/obo/MONDO_0000002", "pred": "is_a", "obj": "http://purl.obolibrary.org/obo/MONDO_0000001"},
  {"sub": "http://purl.obolibrary.org/obo/MONDO_0000003", "pred": "is_a", "obj": "http://purl.obolibrary.org/obo/MONDO_0000002"},
  {"sub": "http://purl.obolibrary.org/obo/MONDO_0000001", "pred": "http://purl.obolibrary.org/obo/RO_0000001", "obj": "http://purl.obolibrary.org/obo/MONDO_0000003"}]}]}"""


def test_an_obographs_file_gives_descent_over_is_a_alone():
    ontology = load_obographs(OBOGRAPHS)
    one, two, three, old = (f"MONDO:000000{n}" for n in (1, 2, 3, 4))
    assert len(ontology) == 3
    assert ontology.is_descendant(three, one) is True
    assert ontology.is_descendant(three, three) is True
    assert ontology.is_descendant(one, three) is False
    assert ontology.is_descendant(two, three) is False
    for unknown in (old, "HP:0000001", "MONDO:1"):
        assert ontology.is_descendant(unknown, one) is None
        assert ontology.is_descendant(one, unknown) is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b'{"graphs": [{}]}',
        b'{"graphs": []}',
        b"\xff",
        b'{"graphs":[{"nodes":[3]}]}',
    ],
)
def test_what_is_no_ontology_is_refused(data):
    with pytest.raises(TermsError):
        load_obographs(data)


def test_a_cycle_does_not_hang():
    from compute.ontology import DictOntology

    ring = DictOntology({"a": ("b",), "b": ("a",), "c": ()})
    assert ring.is_descendant("a", "b") is True
    assert ring.is_descendant("a", "c") is False


def test_the_test_subset_is_labelled_and_closed():
    assert all(term in TEST_SUBSET for term in TEST_LABELS)
    assert len(TEST_SUBSET) == len(TEST_LABELS)
