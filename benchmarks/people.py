"""Real and simulated people for the attacks: phased genotypes of the 1000 Genomes Project, and
msprime's for sizes no open cohort small enough to ship has.

Copies are int8 arrays (people x variants). See data/ORIGIN.md.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

Copies = npt.NDArray[np.int8]
FILE = Path(__file__).parent / "data" / "tiny1000g.npz"
PEOPLE = 3202


@cache
def real() -> tuple[tuple[str, ...], Copies]:
    """Return variant names (GRCh38) and copies of ALT of 3,202 people at 968 variants."""
    with np.load(FILE, allow_pickle=False) as found:
        names = tuple(found["names"].tolist())
        bits = np.unpackbits(found["haplotypes"], axis=1, count=2 * PEOPLE)
    copies = bits.reshape(len(names), PEOPLE, 2).sum(axis=2).T
    return names, np.ascontiguousarray(copies.astype(np.int8))


@cache
def simulated(people: int, seed: int = 7) -> Copies:
    """Return copies of the derived allele at the variants of two 1 Mb stretches (human rates)."""
    import msprime

    parts = []
    for stretch in range(2):
        trees = msprime.sim_ancestry(
            samples=people, population_size=10_000, sequence_length=1e6,
            recombination_rate=1e-8, random_seed=seed + stretch,
        )  # fmt: skip
        trees = msprime.sim_mutations(trees, rate=1e-9, random_seed=seed + stretch)
        haplotypes = trees.genotype_matrix().clip(0, 1).astype(np.int8)
        parts.append((haplotypes[:, 0::2] + haplotypes[:, 1::2]).T)
    return np.ascontiguousarray(np.concatenate(parts, axis=1))


def vcf(person: int, sample: str) -> bytes:
    """Return one real person's genotypes as a single-sample VCF text."""
    from compute.builds import contig_lengths

    names, copies = real()
    contigs = contig_lengths("GRCh38").items()
    head = [
        "##fileformat=VCFv4.2",
        "##omic_callability=all-sites",
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">',
        *(f"##contig=<ID={name},length={size},assembly=GRCh38>" for name, size in contigs),
        f"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t{sample}",
    ]
    calls = ("0/0", "0/1", "1/1")
    rows = []
    for name, dosage in zip(names, copies[person].tolist(), strict=True):
        contig, pos, ref, alt = name.split("-")
        rows.append(f"{contig}\t{pos}\t.\t{ref}\t{alt}\t.\tPASS\t.\tGT\t{calls[dosage]}")
    return ("\n".join([*head, *rows]) + "\n").encode()
