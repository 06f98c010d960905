"""Counts, HWE, association and scores over the encrypted store, beside plink2 on plaintext."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from benchmarks.compute_cohort import (
    THREADS,
    Stored,
    interleaved,
    phenotype_file,
    plink2,
    states_of,
    stored,
    table,
    traits,
)
from benchmarks.compute_data import Cohort
from benchmarks.harness import Figure
from compute.block_sums import BlockSums
from compute.cohort_reader import CohortReader
from compute.gcm import SealedMessages
from compute.kernels import hwe_exact
from compute.partitions import Alone, Plan, chunks_of
from compute.planes import CHUNK_ROWS
from compute.progress import Pace
from compute.queries import (
    Answer,
    BlockPartial,
    Frame,
    PersonData,
    Query,
    VariantTable,
    learn,
    parse_query,
    reduce,
    start,
)
from compute.queries.polygenic_score import scored
from compute.queries.score_match import Matched, match
from compute.queries.scorefile import Score, Weight, Weights
from compute.segments import Mapped

_REPEAT = 7


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
    states = states_of(ours.reader())
    plink2(made, "--geno-counts", "--out", out)
    theirs = table(Path(f"{out}.gcount"), "HOM_REF_CT", "HET_REF_ALT_CTS", "TWO_ALT_GENO_CTS",
                   "MISSING_CT")  # fmt: skip
    for mine, other in zip((states[2], states[3], states[4], states[1]), theirs, strict=True):
        assert np.array_equal(mine, other), "counts differ from plink2's"
    one = place / "one.txt"
    one.write_text("v0\n")
    mine, single, whole, start = interleaved(
        _REPEAT,
        lambda: states_of(ours.reader()),
        lambda: states_of(ours.reader(), threads=1),
        lambda: plink2(made, "--freq", "--out", out),
        lambda: plink2(made, "--freq", "--extract", str(one), "--out", out),
    )
    bare = interleaved(3, lambda: _bare_cipher(made))[0]
    first = interleaved(3, _cold_start)[0]
    keys = interleaved(3, lambda: ours._open(0, made.people))[0]
    return [
        *_ratio("counts, whole process", mine, whole, 0.7, "2 threads each; counts identical"),
        Figure("counts: ours / plink2 less its start-up and variant table",
               mine / (whole - start), "", 1.0, False, note=f"start-up {start:.3f} s"),
        Figure("counts: limit, AES-256-GCM alone over as many bytes", bare, "s",
               note=f"{THREADS} threads, keys at hand, nothing read from memory or counted"),
        Figure("counts: ours, 1 thread", single, "s"),
        Figure("counts: of it, index and unwrapping of keys", keys, "s"),
        Figure("kernels: a fresh process, imports and cached machine code", first, "s"),
    ]  # fmt: skip


def _bare_cipher(made: Cohort) -> None:
    """Decrypt one person's chunk, in the cache, as often as the cohort has chunks of that size."""
    size, key, nonce = 2 * CHUNK_ROWS // 8, bytes(32), bytes(12)
    message = nonce + AESGCM(key).encrypt(nonce, bytes(size), None)
    count = made.people * made.variants // CHUNK_ROWS // THREADS
    whole, starts = Mapped.joined([message]), np.zeros(count, np.int64)
    messages = SealedMessages([key] * count, whole.taken(starts), starts, size, [b""] * count)
    rows = np.zeros(count, np.int64)
    with ThreadPoolExecutor(THREADS) as pool:
        for _ in range(THREADS):
            pool.submit(messages.open, 0, count, np.zeros((1, size), np.uint8), rows)


def hardy(made: Cohort, place: Path, quick: bool) -> list[Figure]:
    """Counts and exact HWE p of every variant."""
    ours, out = stored(made, place), str(place / "h")

    def mine() -> np.ndarray:
        states = states_of(ours.reader())
        with ThreadPoolExecutor(THREADS) as pool:
            return hwe_exact(states[2], states[3], states[4], pool, THREADS)

    p = mine()
    plink2(made, "--hardy", "--out", out)
    (theirs,) = table(Path(f"{out}.hardy"), "P")
    seen = theirs > 1e-290
    assert np.allclose(p[seen], theirs[seen], rtol=2e-5), "HWE p differs from plink2's six digits"
    taken, peer = interleaved(_REPEAT, mine, lambda: plink2(made, "--hardy", "--out", out))
    return _ratio("hardy", taken, peer, 1.0, "p equal to the six digits plink2 writes")


@dataclass(frozen=True)
class Asked:
    """The cohort's people and table as the product's engine has them once records are read."""

    ours: Stored
    frame: Frame
    people: list[PersonData]
    rows: np.ndarray

    def answer(self, query: Query, *, rows: int | None = None) -> Answer:
        """Answer as the engine does: the design, the sums over the store, the fits, the columns."""
        frame = self.frame
        if rows is not None:
            keys = list(frame.table.keys())[:rows]
            frame = replace(frame, table=VariantTable.of("GRCh38", keys))
        frame = replace(frame, learned=learn(query, self.people, frame))
        partial = start(query, frame)
        own = self.rows[:rows]
        self.sum(self.ours.reader(), partial, own)
        return reduce(query, partial)

    def sum(self, reader: CohortReader, partial: BlockPartial, rows: np.ndarray) -> None:
        """Sum everybody over some rows of the store, partition by partition as a worker does."""
        plan = Plan(len(self.rows), len(self.people), chunks_of(rows), threads=THREADS)
        sums = BlockSums(reader, partial, self.people, rows, threads=plan.threads)
        pace = Pace(len(plan.parts()), lambda: None, lambda _done, _total: None)
        Alone().share(plan, sums, pace)


_ASKED: dict[Path, Asked] = {}


def asked(made: Cohort, place: Path) -> Asked:
    """Return the cohort with its traits as records, once a run."""
    if place not in _ASKED:
        ours = stored(made, place)
        trait, case, covariates = traits(made)
        people = [
            PersonData(f"p{n}", covariates={"qt": trait[n], "cc": case[n], **{
                f"c{k + 1}": covariates[n, k] for k in range(3)}})
            for n in range(len(ours.datasets))
        ]  # fmt: skip
        rows = np.arange(made.variants)
        table = VariantTable.of("GRCh38", ours.variants.keys_of(rows))
        _ASKED[place] = Asked(ours, Frame(table), people, rows)
    return _ASKED[place]


def question(family: str, trait: str, **more: Any) -> Query:
    """Return a genome-wide association query with three covariates."""
    named = {"kind": "covariate", "name": trait}
    params = {"variants": {"panel": "all"}, "trait": named, "covariates": ["c1", "c2", "c3"]}
    return parse_query({"v": 1, "family": family, "build": "GRCh38", "params": {**params, **more}})


def _glm(made: Cohort, place: Path, trait: str, *options: str) -> list[str]:
    file = str(phenotype_file(made, place))
    return ["--pheno", file, "--pheno-name", trait, "--covar", file, "--covar-name", "c1,c2,c3",
            "--glm", "omit-ref", "hide-covar", *options]  # fmt: skip


def linear(made: Cohort, place: Path, quick: bool) -> list[Figure]:
    """Linear association, 3 covariates, calls missing per variant: the family's whole answer."""
    ours, out = asked(made, place), str(place / "l")
    query = question("linear_association", "qt")

    def mine() -> Answer:
        return ours.answer(query)

    found = mine().columns
    arguments = [*_glm(made, place, "qt"), "--out", out]
    begun = time.perf_counter()
    plink2(made, *arguments)
    peer = time.perf_counter() - begun
    columns = table(Path(f"{out}.qt.glm.linear"), "OBS_CT", "BETA", "SE", "P")
    assert np.array_equal(found["n"], columns[0])
    for name, theirs in zip(("beta", "se", "p"), columns[1:], strict=True):
        assert np.allclose(found[name], theirs, rtol=2e-5, atol=1e-9, equal_nan=True), name
    taken = interleaved(3, mine)[0]
    return [
        *_ratio("linear, 3 covariates", taken, peer, 1 / 6, "beta, SE, p equal to six digits"),
        Figure("linear: times faster than plink2", peer / taken, "x", 6.0),
    ]


def logistic(made: Cohort, place: Path, quick: bool) -> list[Figure]:
    """The score test over every variant, and the full fit of 50,000: the family's whole answers."""
    ours, out = asked(made, place), str(place / "g")
    part = min(made.variants, 20_000 if quick else 50_000)
    chosen = place / "part.txt"
    chosen.write_text("".join(f"v{n}\n" for n in range(part)))
    arguments = [*_glm(made, place, "cc", "no-firth"), "--out", out, "--extract", str(chosen)]
    score, full = (
        question("logistic_association", "cc", test=test, firth="never")
        for test in ("score", "wald")
    )

    def score_test() -> Answer:
        return ours.answer(score)

    def full_fit() -> Answer:
        return ours.answer(full, rows=part)

    fitted, tested = full_fit().columns, score_test().columns
    begun = time.perf_counter()
    plink2(made, *arguments)
    peer = time.perf_counter() - begun
    ratio, se = table(Path(f"{out}.cc.glm.logistic"), "OR", "LOG(OR)_SE")
    seen = np.isfinite(ratio) & (fitted["na"] == "")
    assert seen.mean() > 0.99
    assert np.allclose(np.exp(fitted["beta"][seen]), ratio[seen], rtol=1e-4)
    # This plink2 fits in single precision: half its SEs are within 2e-6 of ours, some 1 % off.
    assert np.median(np.abs(fitted["se"][seen] / se[seen] - 1)) < 1e-4
    near = seen & (np.abs(fitted["z"]) < 2)
    apart = float(np.abs(tested["z"][:part][near] - fitted["z"][near]).max())
    fit_s, score_s = interleaved(2, full_fit, score_test)
    whole = peer * made.variants / part
    return [
        Figure("logistic score test: times faster than plink2's Wald", whole / score_s, "x", 10.0,
               note=f"another test; plink2 on {part} variants, scaled; |z| apart by {apart:.3f}"),
        Figure("logistic score test: ours", score_s, "s", None, False, whole, "plink2, scaled"),
        Figure("logistic full fit: times faster than plink2", peer / fit_s, "x", 1.5),
        Figure("logistic full fit: ours", fit_s, "s", None, False, peer, "plink2"),
    ]  # fmt: skip


def score(made: Cohort, place: Path, quick: bool) -> list[Figure]:
    """One polygenic score of weights on every variant, the mean dosage given where no call is."""
    ours, out = asked(made, place), str(place / "s")
    weights = np.random.default_rng(3).normal(size=made.variants).round(6).tolist()
    keys = list(ours.frame.table.keys())
    file = place / "weights.txt"
    with file.open("w") as text:
        text.writelines(f"v{n}\t{keys[n][3]}\t{w!r}\n" for n, w in enumerate(weights))
    rows = [Weight(*keys[n][:2], keys[n][3], keys[n][2], w) for n, w in enumerate(weights)]
    panel = Score("PGS000000", "GRCh38", Weights.of(rows), len(rows), {})
    query = parse_query({"v": 1, "family": "polygenic_score", "build": "GRCh38",
                         "params": {"score": "a" * 64, "palindromic": "as_written"}})  # fmt: skip
    frame = replace(ours.frame, references={"a" * 64: panel})

    def matching() -> Matched:
        return match(panel, frame.table, palindromic="as_written")

    matched = matching()

    def mine() -> np.ndarray:
        reader = ours.ours.reader()
        states = states_of(reader)
        partial = scored(query.params, replace(frame, states=states), panel, matched)
        ours.sum(reader, partial, ours.rows)
        return np.array(partial.summaries().values["all"]["score"])

    total = mine()
    arguments = ["--score", str(file), "1", "2", "3", "cols=scoresums", "--out", out]
    plink2(made, *arguments)
    (theirs,) = table(Path(f"{out}.sscore"), "SCORE1_SUM")
    assert np.allclose(total, theirs, rtol=1e-4, atol=1e-3 * np.abs(theirs).max()), "scores differ"
    taken, peer, found = interleaved(5, mine, lambda: plink2(made, *arguments), matching)
    return [
        Figure("score: times faster than plink2", peer / taken, "x", 4.0),
        Figure("score: ours", taken, "s", None, False, peer, "plink2", "with its own AF pass"),
        Figure("score: the same with matching the file to the table", peer / (taken + found),
               "x", note=f"matching {found:.2f} s, done again for each order"),
    ]  # fmt: skip
