"""The parsers under a coverage-guided fuzzer, for a bounded number of inputs (see fuzz_parsers)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from compute.ingest import MODALITIES, parse, write_packed
from tests.compute.ingest.real import HOME
from tests.compute.ingest.vcf_text import bgzf, gz, vcf

RUNS = 1500
SMALL = 4096
KINDS = {
    "expression": (".tsv", ".gct"), "methylation": ("methylation.csv",), "proteomics": ("olink_wide.csv",),
    "microbiome": (".biom", "biom_sparse.json"), "clinical": ("phenopacket.json", "fhir_glucose.json"),
    "genotypes": ("23andme.txt", "ancestry.txt", "ftdna.csv", "myheritage.csv"),
}  # fmt: skip


def seeds(tmp_path):
    """Yield small real files, each with the two bytes that choose how it is read."""
    for number, modality in enumerate(MODALITIES):
        for file in sorted(HOME.iterdir()):
            if file.name.endswith(KINDS.get(modality, ("none",))):
                yield bytes([number, 1]) + file.read_bytes()[:SMALL]
    one = vcf(("1", 5, "A", "G,T", "1/2"), ("X", 9, "C", "<DEL>", "1"), ("1", 7, "AC", "A", "./."))
    for data in (one, gz(one), bgzf(one, tmp_path), write_packed(parse(one, "genotypes", "x"))):
        yield bytes([MODALITIES.index("genotypes"), 1]) + data
    block = vcf(("1", 1, "A", "<NON_REF>", "0/0"), meta=())
    yield bytes([MODALITIES.index("genotypes"), 1]) + block
    yield (
        bytes([MODALITIES.index("participant"), 1])
        + b'{"schema":"omic.participant/1","participant":"a"}'
    )


def test_no_input_makes_a_parser_fail_in_another_way(tmp_path):
    pytest.importorskip("atheris", reason="atheris has no build for this machine")
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for number, data in enumerate(seeds(tmp_path)):
        (corpus / f"{number:03}").write_bytes(data)
    command = [sys.executable, "-m", "tests.compute.ingest.fuzz_parsers", str(corpus), f"-runs={RUNS}",
               f"-max_len={SMALL}", "-seed=7", f"-artifact_prefix={tmp_path}/"]  # fmt: skip
    root = Path(__file__).parents[3]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"Done {RUNS} runs" in done.stderr
