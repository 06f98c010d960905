"""Alignment to a reference, and files that need a word beside them: each becomes one that needs none."""

from __future__ import annotations

import random

import numpy as np
import pysam.bcftools
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compute.ingest import (
    Given,
    Hints,
    IngestError,
    ParserHost,
    content_digest,
    parse,
    settle,
)
from compute.ingest.align import aligned
from tests.compute.ingest.real import real
from tests.compute.ingest.test_ingest_consumer import FILES, HINTS
from tests.compute.ingest.vcf_text import gz, vcf

MT = "".join(random.Random(3).choices("ACGT", k=100)) + "CACACACACAGGGGGTTT"
MT += "A" * (16569 - len(MT))
REPEAT = 101  # where CACACACACA starts, 1-based


@pytest.fixture
def fasta(tmp_path):
    path = tmp_path / "ref.fa"
    lines = "\n".join(MT[at : at + 60] for at in range(0, len(MT), 60))
    path.write_text(f">chrM\n{lines.lower()}\n>chrUn_1\nACGT\n")
    return path


def rows(g):
    return list(
        zip(g.pos.tolist(), g.ref, g.alt, g.dosage.tolist(), g.ploidy.tolist(), strict=True)
    )


def settled(data, reference=None, **more):
    return settle(data, "genotypes", "x.vcf", Given(reference=reference, **more))


def test_indels_move_left_and_the_body_says_so(fasta):
    end = REPEAT + 9
    before = MT[REPEAT - 2]
    data = vcf(
        ("MT", end - 2, MT[end - 3 : end], MT[end - 3], "1"),  # CA deleted at the repeat's end
        ("MT", 5, MT[4:7], "T" + MT[5:7] if MT[4] != "T" else "G" + MT[5:7], "1"),  # padded SNV
        ("1", 7, "A", "AT", "0/1"),
    )
    body, summary = settled(data, fasta)
    g = parse(body, "genotypes", "x")
    # Copies of the repeat cannot be told apart: the deletion is of its first, after the base before.
    assert rows(g)[2] == (REPEAT - 1, before + "CA", before, 1, 1)
    assert rows(g)[1][:2] == (5, MT[4]) and rows(g)[0] == (7, "A", "AT", 1, 2)
    assert dict(summary.skipped) == {"left_aligned": 2, "no_reference_sequence": 1}


def test_bcftools_norm_says_the_same(fasta, tmp_path):
    generator = random.Random(5)
    records, used = [], set()
    for pos in range(60, 130, 3):
        size = generator.randrange(1, 5)
        ref = MT[pos - 1 : pos - 1 + size]
        alt = ref[0] + "".join(generator.choices("CA", k=generator.randrange(0, 4)))
        if alt != ref and pos not in used:
            records.append(("MT", pos, ref, alt, "1"))
    data = vcf(*records, contigs={"MT": 16569, "1": 249250621})
    (tmp_path / "in.vcf").write_bytes(data)
    with_mt = tmp_path / "mt.fa"
    with_mt.write_text(fasta.read_text().replace(">chrM", ">MT"))
    out = pysam.bcftools.norm("-f", str(with_mt), str(tmp_path / "in.vcf"))
    theirs = sorted(
        (int(f[1]), f[3].upper(), f[4].upper())
        for f in (line.split("\t") for line in out.splitlines() if line[0] != "#")
    )
    g = parse(settled(data, fasta)[0], "genotypes", "x")
    assert sorted(set(theirs)) == [row[:3] for row in rows(g)]


def test_ref_must_be_what_stands_there(fasta):
    wrong = "A" if MT[49] != "A" else "C"
    other = next(base for base in "ACGT" if base not in (wrong, MT[49]))
    with pytest.raises(IngestError) as caught:
        settled(vcf(("MT", 50, wrong, other, "1")), fasta)
    assert (caught.value.code, caught.value.where, caught.value.name) == (
        "ref_differs", "MT:50", "x.vcf")  # fmt: skip


def test_a_variant_written_in_two_ways_is_no_call_unless_both_agree(fasta):
    end = REPEAT + 9
    one = ("MT", end - 2, MT[end - 3 : end], MT[end - 3])
    other = ("MT", REPEAT - 1, MT[REPEAT - 2 : REPEAT + 1], MT[REPEAT - 2])
    for second, expected in (("1", (1, 1)), ("0", (-1, 0))):
        body, summary = settled(vcf((*one, "1"), (*other, second)), fasta)
        assert [row[3:] for row in rows(parse(body, "genotypes", "x"))] == [expected]
        assert summary.skipped["joined_by_alignment"] == 1


@pytest.mark.parametrize(
    ("text", "code"),
    [(">chr1\nACGT\n", "build_wrong"), (">other\nACGT\n", "bad_reference"), ("", "bad_reference")],
)
def test_a_reference_that_does_not_fit(tmp_path, text, code):
    (tmp_path / "r.fa").write_text(text)
    with pytest.raises(IngestError) as caught:
        settled(vcf(("1", 5, "A", "G", "0/1")), tmp_path / "r.fa")
    assert caught.value.code == code
    with pytest.raises(IngestError) as caught:
        settle(real("phenopacket.json"), "clinical", "x", Given(reference=tmp_path / "r.fa"))
    assert caught.value.code == "not_for_this"


@settings(max_examples=300)
@given(st.integers(2, 40), st.integers(0, 6), st.text("ACGT", max_size=4), st.integers(0, 12))
def test_alignment_keeps_the_haplotype(pos, size, inserted, seed):
    """Ours is the same change of the sequence, trimmed, and no form of it lies further left."""
    sequence = "".join(random.Random(seed).choices("CA", k=60))
    ref = sequence[pos - 2 : pos - 1 + size]
    alt = ref[0] + inserted
    if ref == alt:
        return
    to, new_ref, new_alt = aligned(pos - 1, ref, alt, lambda at: sequence[at - 1])

    def changed(at, a, b):
        assert sequence[at - 1 : at - 1 + len(a)] == a
        return sequence[: at - 1] + b + sequence[at - 1 + len(a) :]

    haplotype = changed(pos - 1, ref, alt)
    assert changed(to, new_ref, new_alt) == haplotype and to <= pos - 1 + len(ref)
    assert new_ref != new_alt
    if len(new_ref) != len(new_alt) and min(len(new_ref), len(new_alt)) == 1 and to > 1:
        longest = max(len(new_ref), len(new_alt))
        for at in range(1, to):
            a = sequence[at - 1 : at - 1 + len(new_ref)]
            b = haplotype[at - 1 : at - 1 + len(new_alt)]
            assert sequence[: at - 1] + b + sequence[at - 1 + len(a) :] != haplotype or longest == 1


NEED_A_WORD = {
    "l1000_v12.gct": (
        "expression",
        "LJP005_A375_24H_X1_B19:A04",
        Hints(namespace="Probe", unit="b"),
    ),
    "olink_wide.csv": ("proteomics", "GSM1009661", Hints(namespace="UniProt", unit="NPX")),
    "proteinGroups.txt": ("proteomics", "AC384", Hints()),
    "MTBLS263.mztab": ("metabolomics", "3samples_sampl1_POS", Hints()),
    "biom_sparse.json": ("microbiome", "Sample1", Hints()),
    "lcms_cut.biom": ("metabolomics", "10863.107.1.b", Hints(namespace="HMDB", unit="b")),
    "methylation.csv": ("methylation", "GSM3074480", Hints()),
    **dict.fromkeys(FILES, ("genotypes", None, HINTS)),
}


@pytest.mark.parametrize("name", NEED_A_WORD)
def test_what_is_encrypted_needs_no_word_beside_it(name):
    """The worker gets the body alone, in its confined child, and reads what the owner saw."""
    modality, sample, hints = NEED_A_WORD[name]
    data = real(name)
    body, summary = settle(data, modality, name, Given(sample=sample, hints=hints))
    assert body != data
    with ParserHost() as host:
        there = host.parse(body, modality, "x")
    assert content_digest(there).hex() == summary.content_digest
    assert content_digest(there) == content_digest(
        parse(data, modality, name, sample=sample, hints=hints)
    )


def test_of_several_samples_only_ones_own_part_is_encrypted():
    data = vcf(("1", 5, "A", "G", "0/1", "1/1"), samples=("ann", "bob"))
    body, summary = settled(gz(data), sample="bob")
    g = parse(body, "genotypes", "x")
    assert g.dosage.tolist() == [2] and b"ann" not in body and summary.sample == "bob"
    with pytest.raises(IngestError) as caught:
        settled(data)
    assert caught.value.code == "several_samples"


def test_a_file_that_says_all_is_encrypted_as_it_is():
    data = vcf(("1", 5, "A", "G", "0/1"))
    assert settled(data)[0] is data
    bare = vcf(("1", 5, "A", "G", "0/1"), meta=())
    body, summary = settled(bare, callability="all-sites")
    assert body is bare and summary.callability == "all-sites"


def test_a_large_file_is_encrypted_in_the_compact_form(monkeypatch):
    monkeypatch.setattr("compute.ingest.settled.LARGE", 1)
    data = vcf(("1", 5, "A", "G", "0/1"), ("1", 6, "A", "G", "0/1"))
    body, summary = settled(data)
    assert body.startswith(b"OMICGT1") and len(parse(body, "genotypes", "x")) == 2
    assert summary.content_digest == content_digest(parse(data, "genotypes", "x")).hex()


def test_callable_regions_go_into_the_body():
    bare = vcf(("1", 5, "A", "G", "0/1"), meta=())
    body, summary = settled(bare, hints=Hints(regions=b"1\t0\t100\n"))
    g = parse(body, "genotypes", "x")
    assert (g.covered.bases(), g.callability, summary.covered_bases) == (100, "variant-only", 100)
    assert np.array_equal(g.covered.end, [100])
