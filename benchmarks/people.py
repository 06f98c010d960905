"""Real and simulated people for the attacks: phased genotypes of the 1000 Genomes Project, and
msprime's for sizes no open cohort small enough to ship has.

Copies are int8 arrays (people x variants). See data/ORIGIN.md.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

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
def common_real() -> Copies:
    """Return their copies at the variants of frequency 0.05 to 0.95."""
    return np.ascontiguousarray(real()[1][:, often()])


def often() -> npt.NDArray[np.bool_]:
    """Tell of each real variant whether its frequency is 0.05 to 0.95."""
    share = real()[1].mean(axis=0) / 2
    return (share > 0.05) & (share < 0.95)


@dataclass(frozen=True, slots=True, eq=False)
class Simulated:
    """Simulated people: copies at common variants (dense) and at rare ones (sparse)."""

    common: Copies
    rare: Any


STRETCH = 1_000_000  # base pairs; stretches are independent of one another
COMMON_EACH = 250  # common variants kept of a stretch, of about 1,500
RAREST = 0.005  # kept as rare, of the first RARE_STRETCHES
RARE_STRETCHES = 20
MADE_UP = 101  # the first position of a simulated variant; on contig 1, 97 apart


def simulated(
    people: int, stretches: int, seed: int = 7, rare_stretches: int = RARE_STRETCHES
) -> Simulated:
    """Return msprime's people: 10,000 effective, human mutation and recombination rates."""
    jobs = [(people, seed + at, at < rare_stretches) for at in range(stretches)]
    # Forked: nothing here holds a thread or a key, and a new interpreter each would cost more.
    with multiprocessing.get_context("fork").Pool(len(os.sched_getaffinity(0))) as pool:
        found = pool.starmap(_stretch, jobs, chunksize=2)
    common = np.concatenate([part for part, _ in found], axis=1)
    return Simulated(common, sparse.hstack([part for _, part in found], format="csc"))


def _stretch(people: int, seed: int, with_rare: bool) -> tuple[Copies, Any]:
    import msprime

    trees = msprime.sim_ancestry(
        samples=people, population_size=10_000, sequence_length=STRETCH,
        recombination_rate=1e-8, random_seed=seed,
    )  # fmt: skip
    trees = msprime.sim_mutations(trees, rate=1.25e-8, random_seed=seed, model="binary")
    share = np.array(
        [
            tree.num_samples(site.mutations[0].node)
            for tree in trees.trees()
            for site in tree.sites()
        ]
    ) / (2 * people)
    rng = np.random.default_rng(seed)
    often = rng.choice(np.flatnonzero((share > 0.05) & (share < 0.95)), COMMON_EACH, replace=False)
    rarely = np.flatnonzero(share <= RAREST) if with_rare else np.zeros(0, np.int64)
    return _copies(trees, np.sort(often)), sparse.csc_matrix(_copies(trees, rarely))


def _copies(trees: Any, sites: npt.NDArray[np.int64]) -> Copies:
    """Return people's copies of the derived allele at some sites."""
    drop = np.setdiff1d(np.arange(trees.num_sites), sites)
    haplotypes = trees.delete_sites(drop).genotype_matrix().clip(0, 1).astype(np.int8)
    return np.ascontiguousarray((haplotypes[:, 0::2] + haplotypes[:, 1::2]).T)


@dataclass(frozen=True, slots=True, eq=False)
class Genomes:
    """Common variants of many people: names in the order of a file, and copies of ALT."""

    names: tuple[str, ...]
    copies: Copies


def genomes(people: int, variants: int) -> Genomes:
    """Return so many people at so many common variants, or a few more.

    Real people as far as there are enough; the variants the shipped cohort lacks are msprime's,
    independent of the real ones. More people than that are msprime's altogether.
    """
    names: list[str] = []
    parts: list[Copies] = []
    if people <= PEOPLE:
        people = PEOPLE
        names, parts = np.array(real()[0])[often()].tolist(), [common_real()]
    stretches = -(-(variants - len(names)) // COMMON_EACH)
    if stretches > 0:
        parts.append(simulated(people, stretches, rare_stretches=0).common)
        names += [f"1-{MADE_UP + 97 * at}-A-G" for at in range(parts[-1].shape[1])]
    order = sorted(range(len(names)), key=lambda at: _place(names[at]))
    copies = np.concatenate(parts, axis=1)[:, order]
    return Genomes(tuple(names[at] for at in order), np.ascontiguousarray(copies))


def _place(name: str) -> tuple[int, int]:
    contig, pos = name.split("-")[:2]
    return int(contig), int(pos)


def vcf(person: int, sample: str) -> bytes:
    """Return one real person's genotypes as a single-sample VCF text."""
    names, copies = real()
    return vcf_of(names, copies[person], sample)


def vcf_of(names: Sequence[str], copies: Copies, sample: str = "S") -> bytes:
    """Return copies of ALT at named variants (GRCh38) as a single-sample VCF text."""
    calls = ("0/0\n", "0/1\n", "1/1\n")
    rows = zip(_rows(tuple(names)), copies.tolist(), strict=True)
    return (_head() + sample + "\n" + "".join(row + calls[own] for row, own in rows)).encode()


@cache
def _head() -> str:
    from compute.builds import contig_lengths

    contigs = contig_lengths("GRCh38").items()
    head = [
        "##fileformat=VCFv4.2",
        "##omic_callability=all-sites",
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">',
        *(f"##contig=<ID={name},length={size},assembly=GRCh38>" for name, size in contigs),
        "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t",
    ]
    return "\n".join(head)


@lru_cache(maxsize=4)
def _rows(names: tuple[str, ...]) -> list[str]:
    """Return what stands before a call in each variant's row: the same in everybody's file."""
    parts = [name.split("-") for name in names]
    return [f"{chrom}\t{pos}\t.\t{ref}\t{alt}\t.\tPASS\t.\tGT\t" for chrom, pos, ref, alt in parts]
