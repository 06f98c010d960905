"""A study's files cut short at every 1 KiB: the splitter refuses, or says how much it read.

Only the plain text of a VCF cannot know its end: cut at a line's end it is a shorter study, and
every part states how many records it was made from. The split runs on the custodian's machine, in
the custodian's own process, so it does here.
"""

from __future__ import annotations

import numpy as np
import pgenlib
import pytest

from compute.ingest import IngestError, split_pgen, split_plink, split_vcf
from tests.compute.ingest.real import shipped
from tests.compute.ingest.test_ingest_truncated import BLOCK, line_end, steps
from tests.compute.ingest.test_split import ODD, study
from tests.compute.ingest.vcf_text import bcf, bgzf, gz

PEOPLE, VARIANTS = 200, 600
STUDY = study(700, 20, 1, ODD[:6]).replace(b"<DEL>", b"T").replace(b"<INS>", b"TT")
PSAM = ("#IID\tSEX\n" + "".join(f"s{n}\t{1 + n % 2}\n" for n in range(PEOPLE))).encode()
PVAR = (
    "##contig=<ID=1,length=249250621>\n#CHROM\tPOS\tID\tREF\tALT\n"
    + "".join(f"1\t{10 + n}\t.\tA\tG\n" for n in range(VARIANTS))
).encode()


def refusal(split, *files):
    with pytest.raises(IngestError) as caught:
        list(split(*files))
    return caught.value.code


def test_a_plain_vcf_is_refused_within_a_line_and_counts_its_records_at_a_lines_end():
    header = STUDY.index(b"#CHROM")
    for cut in steps(STUDY):
        end = line_end(STUDY, cut)
        if cut != end:
            assert refusal(split_vcf, STUDY[:cut]) in {"truncated", "not_vcf"}
        if end <= header:
            assert refusal(split_vcf, STUDY[:end])
            continue
        lines = STUDY[:end].count(b"\n") - STUDY[:end].count(b"\n#") - 1
        assert {part.records for part in split_vcf(STUDY[:end])} == {lines}


def test_a_packed_vcf_and_a_bcf_are_refused_wherever_they_are_cut(tmp_path):
    for form in (gz(STUDY), bgzf(STUDY, tmp_path), bcf(STUDY, tmp_path)):
        assert len(list(split_vcf(form))) == 20
        for cut in (*steps(form), len(form) - 28):  # the last one: no end-of-file block
            assert refusal(split_vcf, form[:cut]) in {"truncated", "damaged"}


def plink(variants=500):
    """The demo's PLINK set, its first variants."""
    bed, bim, fam = map(shipped, ("bed", "bim", "fam"))
    width = (fam.count(b"\n") + 3) // 4
    lines = bim.splitlines(keepends=True)[:variants]
    return [bed[: 3 + variants * width], b"".join(lines), fam]


@pytest.mark.parametrize("cut_one", [0, 1, 2])
def test_a_bed_a_bim_or_a_fam_is_refused_wherever_it_is_cut(cut_one):
    whole = plink()
    assert len(list(split_plink(*whole, "GRCh37"))) == 178
    for cut in steps(whole[cut_one]):
        for end in {cut, line_end(whole[cut_one], cut)}:
            files = [*whole]
            files[cut_one] = files[cut_one][:end]
            assert refusal(split_plink, *files, "GRCh37") in {"bad_plink", "no_sample", "bad_utf8"}


def pgen(path):
    random = np.random.default_rng(1)
    with pgenlib.PgenWriter(
        str(path).encode(), PEOPLE, variant_ct=VARIANTS, nonref_flags=False
    ) as out:
        for _ in range(VARIANTS):
            calls = random.choice([0, 1, 2, -9], PEOPLE, p=[0.7, 0.2, 0.08, 0.02])
            out.append_biallelic(calls.astype(np.int8))
    return path


def test_a_pgen_is_refused_wherever_it_is_cut(tmp_path):
    path = pgen(tmp_path / "s.pgen")
    assert len(list(split_pgen(path, PVAR, PSAM))) == PEOPLE
    whole, cut_short = path.read_bytes(), tmp_path / "cut.pgen"
    assert len(whole) > 20 * BLOCK
    for cut in (*steps(whole), len(whole) - 1):
        cut_short.write_bytes(whole[:cut])
        assert refusal(split_pgen, cut_short, PVAR, PSAM) == "bad_plink"


def test_a_pgen_cut_within_variants_nobody_keeps_is_refused_too(tmp_path):
    path = pgen(tmp_path / "s.pgen")
    path.write_bytes(path.read_bytes()[:-2000])
    nowhere = PVAR.splitlines(keepends=True)
    nowhere[-300:] = [line.replace(b"1\t", b"GL7\t", 1) for line in nowhere[-300:]]
    assert refusal(split_pgen, path, b"".join(nowhere), PSAM) == "bad_plink"


@pytest.mark.parametrize("cut_one", [1, 2])
def test_a_pvar_or_a_psam_is_refused_wherever_it_is_cut(tmp_path, cut_one):
    whole = [pgen(tmp_path / "s.pgen"), PVAR, PSAM]
    for cut in steps(whole[cut_one]):
        for end in {cut, line_end(whole[cut_one], cut)}:
            files = [*whole]
            files[cut_one] = files[cut_one][:end]
            assert refusal(split_pgen, *files) in {"bad_plink", "no_sample", "build_unclear"}
