"""Names resolved before paying, and variants lifted with a chain: strand, alleles, failures."""

from __future__ import annotations

import gzip
import hashlib

import pytest

from compute.errors import QueryError
from compute.lift import lift_variants, parse_chain
from compute.loci import pairs_by_place, parse_loci, resolve_names
from compute.shelf import Shelf

LOCI = b"""##build=GRCh37
name	kind	chrom	start	end	ref	alt
GNB1	gene	chr1	1716725	1822526	.	.
ENSG00000078369	gene	1	1716725	1822526	.	.
TWICE	gene	1	5	9	.	.
TWICE	gene	X	5	9	.	.
rs7	rsid	1	100	100	A	G
rs7	rsid	1	100	100	A	T
rs8	rsid	1	100	100	A	G
rs8	rsid	2	100	100	A	G
"""
# chr1:100-200 (0-based) to chr1:1000, then a gap of 10 in the source, 50 more bases; chr2 reversed.
CHAIN = b"""chain 1000 chr1 249250621 + 100 260 chr1 248956422 + 1000 1150 1
100	10	0
50

chain 900 chr2 243199373 + 0 100 chr3 1000 - 0 100 2
100

chain 800 chr4 191154276 + 0 100 chrUn_1 1000 + 0 100 3
100

chain 700 chr5 180915260 + 0 50 chr5 1000 + 0 50 4
50

chain 600 chr5 180915260 + 0 50 chr6 1000 + 0 50 5
50
"""


@pytest.mark.parametrize(
    ("name", "kind", "variants", "region", "problem"),
    [
        ("chr1:55-a-t", "variant", ("1-55-A-T",), None, ""),
        ("X-9-A-AT", "variant", ("X-9-A-AT",), None, ""),
        ("gnb1", "gene", (), "1:1716725-1822526", ""),
        ("ENSG00000078369", "gene", (), "1:1716725-1822526", ""),
        ("rs7", "rsid", ("1-100-A-G", "1-100-A-T"), None, ""),
        ("rs8", "rsid", (), None, "several places"),
        ("rs9", "rsid", (), None, "no loaded table"),
        ("TWICE", "gene", (), None, "several places"),
        ("nothing; DROP TABLE", "gene", (), None, "no loaded table"),
        ("25-1-A-T", "variant", (), None, "no such chromosome"),
    ],
)
def test_names(name, kind, variants, region, problem):
    (found,) = resolve_names([name], "GRCh37", [parse_loci(LOCI)])
    assert (found.kind, found.variants, found.region) == (kind, variants, region)
    assert problem in found.problem and bool(found.problem) == bool(problem)


def test_a_table_of_another_build_answers_nothing():
    (found,) = resolve_names(["rs7"], "GRCh38", [parse_loci(LOCI)])
    assert found.variants == () and found.problem


@pytest.mark.parametrize(
    "text",
    [b"", b"\xff", LOCI.replace(b"GRCh37", b"hg19"), LOCI.replace(b"\trsid\t", b"\tsnp\t"),
     LOCI.replace(b"\tA\tG", b"\tA\t<DEL>"), LOCI.replace(b"1716725", b"x")],
)  # fmt: skip
def test_a_bad_table_is_refused(text):
    with pytest.raises(QueryError) as refused:
        parse_loci(text)
    assert refused.value.code == "bad_reference"


@pytest.mark.parametrize(
    ("name", "variant", "strand", "problem"),
    [
        ("1-101-A-G", "1-1001-A-G", "+", ""),
        ("1-150-AC-G", "1-1050-AC-G", "+", ""),
        ("1-215-A-G", "1-1105-A-G", "+", ""),  # after the gap of ten
        ("1-205-A-G", None, "+", "no chain"),
        ("1-200-AC-G", None, "+", "no chain"),
        ("2-1-A-G", "3-1000-T-C", "-", ""),  # reversed: the first base is the last of a thousand
        ("2-3-AC-GG", "3-997-GT-CC", "-", ""),
        ("2-1-A-T", None, "-", "palindromic"),
        ("2-3-AC-A", None, "-", "insertion or deletion"),
        ("4-5-A-G", None, "+", "no primary chromosome"),
        ("5-5-A-G", None, "+", "several places"),
        ("X-5-A-G", None, "+", "no chain"),
    ],
)
def test_lift(name, variant, strand, problem):
    (found,) = lift_variants([name], parse_chain(CHAIN))
    assert (found.variant, found.strand) == (variant, strand)
    assert problem in found.problem and bool(found.problem) == bool(problem)


OTHER = b"""##build=GRCh38
name	kind	chrom	start	end	ref	alt
rs1	rsid	1	1001	1001	A	G
rs1	rsid	1	1001	1001	A	T
rs2	rsid	1	1051	1051	G	A
rs3	rsid	1	1061	1061	C	T
rs4	rsid	1	1071	1071	AT	A
rs5	rsid	3	1000	1000	T	C
"""


@pytest.mark.parametrize(
    ("name", "variant", "checked", "problem"),
    [
        ("1-101-A-G", "1-1001-A-G", True, ""),
        ("1-101-A-C", "1-1001-A-C", True, ""),  # an ALT no table lists, at the REF one does
        ("1-102-A-G", "1-1002-A-G", False, ""),  # no table lists the place
        ("1-151-A-G", None, False, "swapped"),
        ("1-161-A-G", None, False, "another REF"),
        ("1-171-A-G", "1-1071-A-G", True, ""),  # a deletion's REF begins with the same base
        ("1-171-T-G", None, False, "another REF"),
        ("2-1-A-G", "3-1000-T-C", True, ""),  # complemented first, then compared
        ("2-1-A-T", None, False, "palindromic"),
    ],
)
def test_what_was_lifted_is_held_against_the_new_builds_tables(name, variant, checked, problem):
    known = pairs_by_place("GRCh38", [parse_loci(LOCI), parse_loci(OTHER)])
    (found,) = lift_variants([name], parse_chain(CHAIN), known)
    assert (found.variant, found.checked) == (variant, checked)
    assert problem in found.problem and bool(found.problem) == bool(problem)


@pytest.mark.parametrize("data", [b"", b"chain x\n", b"\x00\xff" * 50, b"chain 1 chr1 5 + 0\n"])
def test_a_bad_chain_is_refused(data):
    with pytest.raises(QueryError):
        parse_chain(data)


def test_the_shelf_names_files_by_hash_and_reads_gzip(tmp_path):
    (tmp_path / "loci").mkdir()
    packed = gzip.compress(LOCI)
    (tmp_path / "loci" / "genes.tsv.gz").write_bytes(packed)
    shelf = Shelf(tmp_path)
    (item,) = shelf.items()
    assert (item.kind, item.sha256) == ("loci", hashlib.sha256(packed).hexdigest())
    assert shelf.parsed(item.sha256).build == "GRCh37"
    with pytest.raises(QueryError) as refused:
        shelf.parsed("0" * 64)
    assert refused.value.code == "no_reference"
    (tmp_path / "loci" / "genes.tsv.gz").write_bytes(packed[:30])
    (changed,) = shelf.items()
    with pytest.raises(QueryError):
        shelf.parsed(changed.sha256)


def test_an_empty_shelf_has_nothing():
    assert Shelf().items() == []
