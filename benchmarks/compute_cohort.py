"""A made cohort in our store, as a warm worker has it, and plink2 on the same genotypes."""

import gc
import os
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.compute_data import Cohort, alleles
from benchmarks.harness import say
from compute.cohort_reader import CohortReader
from compute.copy_reader import OpenedBatch, activity_keys
from compute.genome_counts import StateSums
from compute.heads import copy_context, fresh_head, seal_messages
from compute.kernels import pack_bits, words_of
from compute.planes import CHUNK_ROWS, chunks, pack_record
from compute.sealing import LocalKms
from compute.store import CohortStore
from compute.variants import SharedVariants, Sites

THREADS = 2
KEK = bytes(range(32))
_BASES = "ACGT"


def plink2(made: Cohort, *arguments: str, threads: int = THREADS) -> float:
    """Run plink2 on the cohort's .pgen; return the whole process's seconds."""
    command = ["plink2", "--pfile", str(made.prefix), *arguments, "--threads", str(threads)]
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def interleaved(repeat: int, *works: Callable[[], object]) -> list[float]:
    """Return the median seconds of each piece of work, run in turns."""
    seconds: list[list[float]] = [[] for _ in works]
    for _ in range(repeat):
        for taken, work in zip(seconds, works, strict=True):
            start = time.perf_counter()
            work()
            taken.append(time.perf_counter() - start)
    return [statistics.median(taken) for taken in seconds]


def states_of(reader: CohortReader, threads: int = THREADS) -> np.ndarray:
    """Count everybody's states at every row: int64 (7, rows), as a worker's first pass does."""
    sums = StateSums(reader, np.zeros(len(reader), int), 1, threads=threads)
    sums.add(reader.chunks())
    return sums.found.counts[0]


@dataclass(frozen=True)
class Stored:
    """The cohort in our store: a key of its own for each person."""

    store: CohortStore
    variants: SharedVariants
    datasets: list[str]
    kms: LocalKms

    def reader(self) -> CohortReader:
        """Look people up and unwrap their keys as their batch comes, as the vault does."""
        return CohortReader(len(self.datasets), self._open, self.variants)

    def _open(self, first: int, last: int) -> OpenedBatch:
        copies = self.store.columns(self.datasets[first:last])
        # The vault unwraps the activity keys as well, to hold the access tree against them.
        activity_keys(self.kms, copies)
        return OpenedBatch(self.store, self.kms, copies)


_STORED: dict[Path, Stored] = {}


def stored(made: Cohort, place: Path) -> Stored:
    """Put the cohort into a store, once a run."""
    if place not in _STORED:
        say("compute: storing the cohort ...")
        _STORED[place] = _store(made, place)
        gc.freeze()  # as the worker does once it has started
    return _STORED[place]


def empty(place: Path, name: str = "store") -> tuple[CohortStore, SharedVariants, LocalKms]:
    kms = LocalKms(KEK)
    store = CohortStore(place / f"{name}.sqlite", kms)
    return store, SharedVariants(store), kms


def table_of(variants: SharedVariants, made: Cohort) -> None:
    """Give the shared table the cohort's rows, in the cohort's order."""
    chrom, pos = made.sites()
    ref, alt = alleles(pos)
    pairs = [(_BASES[r], _BASES[a]) for r, a in zip(ref.tolist(), alt.tolist(), strict=True)]
    sites: Sites = variants.sites_of(
        "GRCh38", (chrom - 1).astype(np.int8), pos.astype(np.int32), *zip(*pairs, strict=True)
    )
    rows = variants.rows_of(sites, append=True)
    assert np.array_equal(rows, np.arange(made.variants))


def _store(made: Cohort, place: Path) -> Stored:
    store, variants, kms = empty(place)
    table_of(variants, made)
    planes = _planes(made)
    record = pack_record({"build": "GRCh38", "callability": "all-sites", "rows": made.variants})
    datasets = []
    for start in range(0, made.people, 100):
        copies = []
        for person in range(start, min(start + 100, made.people)):
            messages = [record]
            for part in planes:
                messages += [part[person].tobytes(), b""]
            copies.append(sealed(kms, f"d{person:06}", made.variants, messages))
            datasets.append(f"d{person:06}")
        store.put_all(copies)
    return Stored(store, variants, datasets, kms)


def sealed(kms: LocalKms, dataset: str, version: int, messages: list[bytes]):
    """Return (head, sealed messages) of one person under a fresh key."""
    key = os.urandom(32)
    head = fresh_head(dataset, f"g-{dataset}", "genotypes", version)
    context = copy_context(head.dataset, head.grant)
    head = head._replace(
        wrapped_data_key=kms.wrap(key, b"data" + context),
        wrapped_activity_key=kms.wrap(key, b"activity" + context),
    )
    return head, seal_messages(head, key, messages)


def _planes(made: Cohort) -> list[np.ndarray]:
    """Return the planes of each chunk, uint64 (people, 2, words), from the variant-major .bed."""
    found = []
    for _, start, end in chunks(made.variants):
        planes = np.zeros((made.people, 2, words_of(end - start)), np.uint64)
        step = CHUNK_ROWS // 7  # whole vectors: 511 is 7 times 73
        for at in range(start, end, step):
            last = min(at + step, end)
            words = slice((at - start) // 64, (at - start) // 64 + words_of(last - at))
            for people, *pair in made.bits(at, last):
                for which, bits in enumerate(pair):
                    planes[people, which, words] = pack_bits(bits, words_of(last - at))
        found.append(planes)
    return found


def traits(made: Cohort) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a quantitative trait, a case/control trait and three covariates."""
    random = np.random.default_rng(7)
    covariates = random.normal(size=(made.people, 3))
    causal = np.linspace(0, made.variants - 1, 20).astype(int)
    dosage = np.concatenate([made.dosages(v, v + 1) for v in causal]).clip(0).T.astype(float)
    liability = dosage @ random.normal(size=20) * 0.1 + covariates @ [0.3, -0.2, 0.1]
    trait = liability + random.normal(size=made.people)
    chance = 1 / (1 + np.exp(-(liability - liability.mean() - 0.5)))
    return trait, (random.random(made.people) < chance).astype(float), covariates


def phenotype_file(made: Cohort, place: Path) -> Path:
    """Write the traits as plink2 reads them (case 2, control 1)."""
    trait, case, covariates = traits(made)
    path = place / "traits.txt"
    with path.open("w") as out:
        out.write("#FID\tIID\tqt\tcc\tc1\tc2\tc3\n")
        for n in range(made.people):
            c = "\t".join(repr(float(v)) for v in covariates[n])
            out.write(f"0\tp{n}\t{trait[n]!r}\t{int(case[n]) + 1}\t{c}\n".replace("np.float64(", "")
                      .replace(")", ""))  # fmt: skip
    return path


def table(path: Path, *names: str) -> list[np.ndarray]:
    """Read columns of a plink2 report as float64 (NA: NaN)."""
    with path.open() as file:
        header = file.readline().lstrip("#").rstrip("\n").split("\t")
        at = [header.index(name) for name in names]
        rows = [line.rstrip("\n").split("\t") for line in file]
    return [
        np.array([float("nan") if row[i] in ("NA", ".") else float(row[i]) for row in rows])
        for i in at
    ]
