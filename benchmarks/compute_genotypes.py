"""Counts, HWE, association and scores over the encrypted store, beside plink2 on plaintext."""

import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.compute_cohort import (
    THREADS,
    Stored,
    interleaved,
    phenotype_file,
    plink2,
    stored,
    table,
    traits,
)
from benchmarks.compute_data import Cohort
from benchmarks.harness import Figure
from compute.cohort_reader import Block, CohortReader
from compute.genome_counts import count_states
from compute.kernels import (
    CodeCounter,
    LinearAssociation,
    LogisticFit,
    LogisticScore,
    NullModel,
    PolygenicScores,
    hwe_exact,
)
from compute.planes import CHUNK_ROWS

_REPEAT = 7


def _count(ours: Stored) -> np.ndarray:
    reader = ours.reader()
    return count_states(reader, np.zeros(len(reader), int), 1, threads=THREADS).counts[0]


def _ratio(name: str, mine: float, peer: float, target: float, note: str) -> list[Figure]:
    """Return our time, and its share of the peer's (at most `target`)."""
    return [
        Figure(f"{name}: ours", mine, "s", None, False, peer, "plink2", note),
        Figure(f"{name}: ours / plink2", mine / peer, "", target, False),
    ]


def _cold_start() -> None:
    code = (
        "import numpy as np; from compute.kernels import CodeCounter, pack_dosages as p\n"
        "c = CodeCounter(9); c.add(p(np.ones((3, 9), np.int8))); c.counts()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def counts(made: Cohort, place: Path, quick: bool) -> list[Figure]:
    """Genotype counts from a warm worker: index, unwrapping keys, reading, decrypting, counting."""
    ours, out = stored(made, place), str(place / "f")
    states = _count(ours)
    plink2(made, "--geno-counts", "--out", out)
    theirs = table(Path(f"{out}.gcount"), "HOM_REF_CT", "HET_REF_ALT_CTS", "TWO_ALT_GENO_CTS",
                   "MISSING_CT")  # fmt: skip
    for mine, other in zip((states[2], states[3], states[4], states[1]), theirs, strict=True):
        assert np.array_equal(mine, other), "counts differ from plink2's"
    one = place / "one.txt"
    one.write_text("v0\n")
    mine, single, whole, start = interleaved(
        _REPEAT,
        lambda: _count(ours),
        lambda: count_states(r := ours.reader(), np.zeros(len(r), int), 1, threads=1),
        lambda: plink2(made, "--freq", "--out", out),
        lambda: plink2(made, "--freq", "--extract", str(one), "--out", out),
    )
    first = interleaved(3, _cold_start)[0]
    keys = interleaved(3, lambda: ours._open(0, made.people))[0]
    return [
        *_ratio("counts, whole process", mine, whole, 0.7, "2 threads each; counts identical"),
        Figure("counts: ours / plink2 less its start-up and variant table",
               mine / (whole - start), "", 1.0, False, note=f"start-up {start:.3f} s"),
        Figure("counts: ours, 1 thread", single, "s"),
        Figure("counts: of it, index and unwrapping of keys", keys, "s"),
        Figure("kernels: a fresh process, imports and cached machine code", first, "s"),
    ]  # fmt: skip


def hardy(made: Cohort, place: Path, quick: bool) -> list[Figure]:
    """Counts and exact HWE p of every variant."""
    ours, out = stored(made, place), str(place / "h")

    def mine() -> np.ndarray:
        states = _count(ours)
        with ThreadPoolExecutor(THREADS) as pool:
            return hwe_exact(states[2], states[3], states[4], pool, THREADS)

    p = mine()
    plink2(made, "--hardy", "--out", out)
    (theirs,) = table(Path(f"{out}.hardy"), "P")
    seen = theirs > 1e-290
    assert np.allclose(p[seen], theirs[seen], rtol=2e-5), "HWE p differs from plink2's six digits"
    taken, peer = interleaved(_REPEAT, mine, lambda: plink2(made, "--hardy", "--out", out))
    return _ratio("hardy", taken, peer, 1.0, "p equal to the six digits plink2 writes")


def summed(reader: CohortReader, make: Callable[[int], Any]) -> list[Any]:
    """Run a kernel over the whole table, chunk by chunk; return each chunk's result."""
    found = []
    for chunk in reader.chunks():
        sums = [make(reader.rows(chunk)) for _ in range(THREADS)]

        def work(thread: int, block: Block, sums: list[Any] = sums) -> None:
            sums[thread].add(block.first, block.planes)

        reader.each(chunk, work, threads=THREADS)
        for other in sums[1:]:
            sums[0].merge(other)
        found.append(sums[0].result())
    return found


def _glm(made: Cohort, place: Path, trait: str, *options: str) -> list[str]:
    file = str(phenotype_file(made, place))
    return ["--pheno", file, "--pheno-name", trait, "--covar", file, "--covar-name", "c1,c2,c3",
            "--glm", "omit-ref", "hide-covar", *options]  # fmt: skip


def _joined(found: list[Any], name: str) -> np.ndarray:
    return np.concatenate([getattr(part, name) for part in found])


def linear(made: Cohort, place: Path, quick: bool) -> list[Figure]:
    """Linear association, 3 covariates, calls missing per variant."""
    ours, out = stored(made, place), str(place / "l")
    trait, _, covariates = traits(made)

    def mine() -> list[Any]:
        return summed(ours.reader(), lambda rows: LinearAssociation(trait, covariates, rows))

    found = mine()
    arguments = [*_glm(made, place, "qt"), "--out", out]
    start = time.perf_counter()
    plink2(made, *arguments)
    peer = time.perf_counter() - start
    columns = table(Path(f"{out}.qt.glm.linear"), "OBS_CT", "BETA", "SE", "P")
    assert np.array_equal(_joined(found, "n"), columns[0])
    for name, theirs in zip(("beta", "se", "p"), columns[1:], strict=True):
        values = _joined(found, name)
        assert np.allclose(values, theirs, rtol=2e-5, atol=1e-9, equal_nan=True), name
    taken = interleaved(3, mine)[0]
    return [
        *_ratio("linear, 3 covariates", taken, peer, 1 / 6, "beta, SE, p equal to six digits"),
        Figure("linear: times faster than plink2", peer / taken, "x", 6.0),
    ]


def logistic(made: Cohort, place: Path, quick: bool) -> list[Figure]:
    """The score test over every variant, and the full fit of 50,000."""
    ours, out = stored(made, place), str(place / "g")
    _, case, covariates = traits(made)
    null = NullModel(case, covariates)

    def score_test() -> list[Any]:
        return summed(ours.reader(), lambda rows: LogisticScore(null, rows))

    part = min(made.variants, 20_000 if quick else 50_000)
    chosen = place / "part.txt"
    chosen.write_text("".join(f"v{n}\n" for n in range(part)))
    arguments = [*_glm(made, place, "cc", "no-firth"), "--out", out, "--extract", str(chosen)]

    def full_fit() -> Any:
        planes = _slab(ours.reader(), part)
        with ThreadPoolExecutor(THREADS) as pool:
            return LogisticFit(null).fit(planes, part, pool=pool, parts=THREADS)

    fitted, tested = full_fit(), score_test()
    start = time.perf_counter()
    plink2(made, *arguments)
    peer = time.perf_counter() - start
    ratio, se = table(Path(f"{out}.cc.glm.logistic"), "OR", "LOG(OR)_SE")
    seen = np.isfinite(ratio) & (fitted.reason == "")
    assert seen.mean() > 0.99
    assert np.allclose(np.exp(fitted.beta[seen]), ratio[seen], rtol=1e-4)
    # This plink2 fits in single precision: half its SEs are within 2e-6 of ours, some 1 % off.
    assert np.median(np.abs(fitted.se[seen] / se[seen] - 1)) < 1e-4
    z = _joined(tested, "stat")[:part]
    near = seen & (np.abs(fitted.stat) < 2)
    apart = float(np.abs(z[near] - fitted.stat[near]).max())
    fit_s, score_s = interleaved(3, full_fit, score_test)
    whole = peer * made.variants / part
    return [
        Figure("logistic score test: times faster than plink2's Wald", whole / score_s, "x", 10.0,
               note=f"another test; plink2 on {part} variants, scaled; |z| apart by {apart:.3f}"),
        Figure("logistic score test: ours", score_s, "s", None, False, whole, "plink2, scaled"),
        Figure("logistic full fit: times faster than plink2", peer / fit_s, "x", 1.5),
        Figure("logistic full fit: ours", fit_s, "s", None, False, peer, "plink2"),
    ]  # fmt: skip


def _slab(reader: CohortReader, rows: int) -> np.ndarray:
    """Return everybody's planes of the first rows, which fit one chunk."""
    assert rows <= CHUNK_ROWS
    words = -(-rows // 512) * 8
    slab = np.empty((len(reader), 2, words), np.uint64)

    def work(_thread: int, block: Block) -> None:
        slab[block.first : block.first + len(block.planes)] = block.planes[:, :, :words]

    reader.each(0, work, threads=THREADS)
    return slab


def score(made: Cohort, place: Path, quick: bool) -> list[Figure]:
    """One polygenic score of weights on every variant, the mean dosage given where no call is."""
    ours, out = stored(made, place), str(place / "s")
    weights = np.random.default_rng(3).normal(size=made.variants).round(6)
    _, pos = made.sites()
    from benchmarks.compute_data import alleles

    alt = alleles(pos)[1].tolist()
    file = place / "weights.txt"
    with file.open("w") as text:
        for n, w in enumerate(weights.tolist()):
            text.write(f"v{n}\t{'ACGT'[alt[n]]}\t{w!r}\n")

    def mine() -> np.ndarray:
        reader, found = ours.reader(), np.zeros((made.people, 1))
        for chunk in reader.chunks():
            rows, start = reader.rows(chunk), chunk * CHUNK_ROWS
            counters = [CodeCounter(rows) for _ in range(THREADS)]
            reader.each(chunk, lambda t, b, c=counters: c[t].add(b.planes), threads=THREADS)
            for other in counters[1:]:
                counters[0].merge(other)
            one, two, absent = counters[0].counts()
            mean = (one + 2 * two) / np.maximum(len(reader) - absent, 1)
            scores = PolygenicScores(weights[None, start : start + rows], mean)

            def work(_thread: int, block: Block, scores: PolygenicScores = scores) -> None:
                scores.add(block.planes, found[block.first : block.first + len(block.planes)])

            reader.each(chunk, work, threads=THREADS)
        return found[:, 0]

    total = mine()
    arguments = ["--score", str(file), "1", "2", "3", "cols=scoresums", "--out", out]
    plink2(made, *arguments)
    (theirs,) = table(Path(f"{out}.sscore"), "SCORE1_SUM")
    assert np.allclose(total, theirs, rtol=1e-4, atol=1e-3 * np.abs(theirs).max()), "scores differ"
    taken, peer = interleaved(3, mine, lambda: plink2(made, *arguments))
    return [
        Figure("score: times faster than plink2", peer / taken, "x", 4.0),
        Figure("score: ours", taken, "s", None, False, peer, "plink2", "with its own AF pass"),
    ]
