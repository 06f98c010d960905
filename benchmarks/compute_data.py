"""Genotypes for the compute benchmarks: msprime's coalescent, thinned, with random missing calls.

Made in parts (one chromosome a part) and cached: a part that lies in the folder is not made again.
Every part is a plink .bed body (variant-major, two bits a genotype), so that plink2 reads the very
bytes ours are made from. SNPs only; nobody's data.
"""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.harness import say

SEED = 20261
_BASES = "ACGT"
# bed code of a dosage: 00 two copies of A1 (our ALT), 10 one, 11 none, 01 missing (bit order LE)
_BED_OF = np.array([3, 2, 0, 1], np.uint8)
_DOSAGE_OF = np.array([2, -1, 1, 0], np.int8)


@dataclass(frozen=True)
class Cohort:
    """A made cohort: `prefix`.bed/.bim/.fam and .pgen/.pvar/.psam, people x variants."""

    prefix: Path
    people: int
    variants: int
    parts: int

    @property
    def width(self) -> int:
        """Bytes of one variant in the .bed."""
        return (self.people + 3) // 4

    def dosages(self, start: int, end: int) -> np.ndarray:
        """Return int8 (end - start, people): copies of ALT, -1 missing."""
        body = np.memmap(self.prefix.with_suffix(".bed"), np.uint8, "r", 3)
        rows = body.reshape(self.variants, self.width)[start:end]
        table = _DOSAGE_OF[(np.arange(256)[:, None] >> np.array([0, 2, 4, 6])) & 3]
        return table[rows].reshape(len(rows), -1)[:, : self.people]

    def bits(self, start: int, end: int) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
        """Yield (people, lo, hi): bool (people, rows), as `compute.kernels.planes` has them."""
        body = np.memmap(self.prefix.with_suffix(".bed"), np.uint8, "r", 3)
        octets = np.ascontiguousarray(body.reshape(self.variants, self.width)[start:end].T)
        for quarter in range(4):
            code = (octets >> (2 * quarter)) & 3
            low, high = (code == 1) | (code == 2), code <= 1
            people = slice(quarter, self.people, 4)
            count = len(range(self.people)[people])
            yield people, low[:count], high[:count]

    def sites(self) -> tuple[np.ndarray, np.ndarray]:
        """Return (chromosome 1..parts, position) of each variant."""
        found = np.load(self.prefix.with_suffix(".sites.npy"))
        return found[0], found[1]


def alleles(position: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return indexes into "ACGT" of REF and ALT: a rule, so that no file need hold them."""
    ref = position % 4
    return ref, (ref + 1 + position // 4 % 3) % 4


def cohort(folder: Path, people: int, variants: int, parts: int = 10) -> Cohort:
    """Return the cohort of this size, made now unless it is in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    made = Cohort(folder / f"c{people}x{variants}", people, variants, parts)
    if not made.prefix.with_suffix(".pgen").exists():
        _make(folder, made)
    return made


def _make(folder: Path, made: Cohort) -> None:
    each = made.variants // made.parts
    if each * made.parts != made.variants:
        raise ValueError("the variants must divide evenly over the parts")
    files = [_part(folder, made.people, each, number) for number in range(1, made.parts + 1)]
    with made.prefix.with_suffix(".bed").open("wb") as bed:
        bed.write(b"\x6c\x1b\x01")
        for file in files:
            bed.write(file.read_bytes())
    chrom = np.repeat(np.arange(1, made.parts + 1), each)
    pos = np.concatenate([np.load(file.with_suffix(".pos.npy")) for file in files])
    np.save(made.prefix.with_suffix(".sites.npy"), np.stack([chrom, pos]))
    _text_files(made, chrom, pos)
    command = ["plink2", "--bfile", str(made.prefix), "--make-pgen", "--out", str(made.prefix)]
    subprocess.run([*command, "--threads", "2"], check=True, stdout=subprocess.DEVNULL)


def _text_files(made: Cohort, chrom: np.ndarray, pos: np.ndarray) -> None:
    ref, alt = alleles(pos)
    rows = zip(chrom.tolist(), pos.tolist(), ref.tolist(), alt.tolist(), strict=True)
    with made.prefix.with_suffix(".bim").open("w") as bim:
        for number, (c, p, r, a) in enumerate(rows):
            bim.write(f"{c}\tv{number}\t0\t{p}\t{_BASES[a]}\t{_BASES[r]}\n")
    with made.prefix.with_suffix(".fam").open("w") as fam:
        for number in range(made.people):
            fam.write(f"0\tp{number}\t0\t0\t0\t-9\n")


def _part(folder: Path, people: int, variants: int, number: int) -> Path:
    """Make one chromosome's .bed body: MAF >= 1 %, 0.3 % missing."""
    file = folder / f"part-{people}x{variants}-{number}.bed"
    if file.exists():
        return file
    say(f"compute data: chromosome {number}, {people} people x {variants} variants ...")
    import msprime

    length = 300 * max(variants, 1000)
    ancestry = msprime.sim_ancestry(
        people, sequence_length=length, recombination_rate=1e-8, population_size=10_000,
        random_seed=SEED + number,
    )  # fmt: skip
    model = msprime.BinaryMutationModel()
    mutated = msprime.sim_mutations(ancestry, rate=3e-8, model=model, random_seed=SEED + number)
    random = np.random.default_rng(SEED + number)
    low, high = 0.01 * 2 * people, 0.99 * 2 * people
    common = [
        int(tree_site.id) for tree, tree_site in _site_trees(mutated)
        if low <= tree.num_samples(tree_site.mutations[0].node) <= high
        and len(tree_site.mutations) == 1
    ]  # fmt: skip
    if len(common) < variants:
        raise ValueError(f"chromosome {number} has {len(common)} common variants, not {variants}")
    kept = np.sort(random.choice(np.array(common), variants, replace=False))
    _write_part(file, mutated, kept, people, random)
    return file


def _site_trees(mutated):
    for tree in mutated.trees():
        for site in tree.sites():
            yield tree, site


def _write_part(file: Path, mutated, kept, people, random) -> None:
    positions = np.empty(len(kept), np.int64)
    wanted = np.zeros(mutated.num_sites, bool)
    wanted[kept] = True
    unmade, at = file.with_suffix(".part"), 0
    pad = -people % 4
    with unmade.open("wb") as out:
        for variant in mutated.delete_sites(np.flatnonzero(~wanted)).variants():
            dosage = variant.genotypes.reshape(-1, 2).sum(axis=1)
            dosage[random.random(people) < 0.003] = 3
            codes = np.concatenate([_BED_OF[dosage], np.zeros(pad, np.uint8)]).reshape(-1, 4)
            shifts = np.array([0, 2, 4, 6], np.uint8)
            out.write((codes << shifts).sum(axis=1, dtype=np.uint8).tobytes())
            positions[at] = int(variant.site.position) + 1
            at += 1
    np.save(file.with_suffix(".pos.npy"), positions)
    unmade.rename(file)


def describe(made: Cohort) -> str:
    """Return one line for the report."""
    return json.dumps({"people": made.people, "variants": made.variants, "seed": SEED})
