"""Cut the shipped cohort into what each of its 178 people would hold.

One single-sample VCF (every site, hom-ref and no call written out), one expression file and one
participant record a person, linked by participant id. Deterministic: the same bytes every time.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np

from compute.ingest import contig_lengths
from marketplace.client.demo_data import bgzf, files
from marketplace.client.demo_data.files import Gene, Person

_GT: Final = {-1: "./.\n", 0: "0/0\n", 1: "0/1\n", 2: "1/1\n"}
_EXPRESSION_HEAD: Final = (
    "##namespace=Ensembl\n"
    "##unit=normalised\n"
    "##assay=RNA-seq of lymphoblastoid cell lines (GEUVADIS)\n"
    "feature_id\tvalue\n"
)


@cache
def people() -> tuple[Person, ...]:
    """Return the 178 people, sorted by participant id."""
    return tuple(files.samples()[participant][0] for participant in sorted(files.samples()))


def gene(gene_id: str) -> Gene:
    """Return a gene's place. Raises KeyError for a gene the source does not annotate."""
    return files.genes()[gene_id]


def common_variants(count: int) -> list[str]:
    """Return the first variants with allele frequency 0.3 to 0.7 and full call rate, as names."""
    matrix = np.stack([files.dosages()[person.participant] for person in people()])
    called = (matrix >= 0).all(axis=0)
    frequency = np.where(called, matrix, 0).mean(axis=0) / 2
    rows = np.flatnonzero(called & (frequency >= 0.3) & (frequency <= 0.7))[:count]
    chosen = [files.snps()[row] for row in rows]
    return [f"{snp.chrom}-{snp.pos}-{snp.ref}-{snp.alt}" for snp in chosen]


def vcf(participant: str) -> bytes:
    """Return a person's genotypes as a BGZF-compressed single-sample VCF."""
    calls = map(_GT.__getitem__, files.dosages()[participant].tolist())
    body = "".join(part for pair in zip(_site_columns(), calls, strict=True) for part in pair)
    return bgzf.compress((_vcf_head() + participant + "\n" + body).encode())


def expression(participant: str) -> bytes:
    """Return a person's expression values as feature text."""
    ids, columns = files.expression_columns()
    values = columns[files.samples()[participant][1]]
    rows = (
        f"{name}\t{'NA' if value == 'NaN' else value}\n"
        for name, value in zip(ids, values, strict=True)
    )
    return (_EXPRESSION_HEAD + "".join(rows)).encode()


def record(participant: str) -> bytes:
    """Return a person's participant record (JSON): sex, population, PC1 to PC5."""
    person, run = files.samples()[participant]
    body = {
        "schema": "omic.participant/1",
        "participant": person.participant,
        "sex": person.sex,
        "population": person.population,
        "covariates": {f"PC{n}": value for n, value in enumerate(files.components()[run], 1)},
    }
    return (json.dumps(body, indent=1) + "\n").encode()


def write(directory: Path) -> int:
    """Write all files, one directory a person, and return how many were written."""
    for person in people():
        home = directory / person.participant
        home.mkdir(parents=True, exist_ok=True)
        (home / "genotypes.vcf.gz").write_bytes(vcf(person.participant))
        (home / "expression.tsv").write_bytes(expression(person.participant))
        (home / "participant.json").write_bytes(record(person.participant))
    return 3 * len(people())


@cache
def _vcf_head() -> str:
    contigs = (
        f"##contig=<ID={name},length={length},assembly=GRCh37>"
        for name, length in contig_lengths("GRCh37").items()
    )
    lines = (
        "##fileformat=VCFv4.2",
        "##source=omic-market demo cut of GEUVADIS (limix_qtl test data)",
        '##FILTER=<ID=PASS,Description="All filters passed">',
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">',
        "##omic_callability=all-sites",
        "##omic_ref=unverified: REF is the second allele of the PLINK .bim, not compared with a "
        "reference FASTA",
        *contigs,
        "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t",
    )
    return "\n".join(lines)


@cache
def _site_columns() -> tuple[str, ...]:
    return tuple(
        f"{snp.chrom}\t{snp.pos}\t{snp.id}\t{snp.ref}\t{snp.alt}\t.\tPASS\t.\tGT\t"
        for snp in files.snps()
    )
