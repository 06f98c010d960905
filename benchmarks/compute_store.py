"""The store itself: a hundred thousand people in bounded memory, erasure, Crypt4GH."""

import os
import resource
import statistics
import time
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from benchmarks.compute_cohort import Stored, empty, sealed, states_of, stored, table_of
from benchmarks.compute_data import Cohort
from benchmarks.harness import Figure, rate
from compute.crypt import decrypt_all
from compute.crypt.crypt4gh import encrypt_segments
from compute.kernels import words_of
from compute.planes import pack_record
from compute.variants import Sites


def crypt4gh(made: Cohort, place: Path, quick: bool) -> list[Figure]:
    """Decrypt a Crypt4GH body beside bare ChaCha20-Poly1305 on 64 KiB segments."""
    size = (64 if quick else 256) << 20
    plain, key = os.urandom(size), os.urandom(32)
    body = encrypt_segments(plain, key)
    cipher, nonce = ChaCha20Poly1305(key), bytes(12)
    segment = cipher.encrypt(nonce, plain[:65_536], None)
    count = size // 65_536
    assert decrypt_all(body, [key]) == plain

    def bare() -> None:
        for _ in range(count):
            cipher.decrypt(nonce, segment, None)

    ours, limit = rate(size, lambda: decrypt_all(body, [key])), rate(size, bare)
    return [
        Figure("crypt4gh decrypt", ours / 1e6, "MB/s", 0.7 * limit / 1e6, True, limit / 1e6,
               "bare ChaCha20-Poly1305")
    ]  # fmt: skip


def erasure(made: Cohort, place: Path, quick: bool) -> list[Figure]:
    """Destroy one person's keys and bytes, durably, in the full store."""
    ours = stored(made, place)
    taken = []
    last = ours.datasets[-20:]
    for dataset in last:
        start = time.perf_counter()
        assert ours.store.destroy_grants([f"g-{dataset}"]) == 1
        taken.append((time.perf_counter() - start) * 1000)
    del ours.datasets[-20:]
    worst = max(taken)
    return [
        Figure("erasure of one person, median", statistics.median(taken), "ms", 50, False),
        Figure("erasure of one person, worst of 20", worst, "ms", 50, False),
    ]


def people(made: Cohort, place: Path, quick: bool) -> list[Figure]:
    """100,000 people x 50,000 variants, made straight into the store; a quarter for linearity."""
    count, rows = (2_000, 5_000) if quick else (100_000, 50_000)
    store, variants, kms = empty(place, "many")
    number = np.arange(rows)
    zeros = np.zeros(rows, np.int32)
    pair = variants.sites_of("GRCh38", zeros[:1], zeros[:1], ["A"], ["G"]).pair[0]
    contig, pos = (number // 5_000).astype(np.int8), (number % 5_000 * 100 + 1).astype(np.int32)
    sites = Sites(zeros.astype(np.int8), contig, pos, np.full(rows, pair, np.int32))
    variants.rows_of(sites, append=True)
    record = pack_record({"build": "GRCh38", "callability": "all-sites", "rows": rows})
    pool = _pool(rows)
    datasets, wanted = [], np.zeros((2, rows), np.int64)
    random = np.random.default_rng(5)
    chosen = random.integers(0, len(pool), count)
    for start in range(0, count, 500):
        copies = []
        for person in range(start, min(start + 500, count)):
            messages = [record, pool[chosen[person]][0].tobytes(), b""]
            copies.append(sealed(kms, f"m{person:06}", rows, messages))
            datasets.append(f"m{person:06}")
        store.put_all(copies)
    for which, times in zip(*np.unique(chosen, return_counts=True), strict=True):
        wanted += times * pool[which][1]

    def counted(part: list[str]) -> tuple[float, np.ndarray]:
        start = time.perf_counter()
        reader = Stored(store, variants, part, kms).reader()
        found = states_of(reader)
        return time.perf_counter() - start, found

    counted(datasets[:1000])
    quarter, _ = counted(datasets[: count // 4])
    whole, found = counted(datasets)
    assert np.array_equal(found[3:5], wanted), "counts differ from those stored"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    store.close()
    return [
        Figure(f"{count:,} people x {rows:,} variants: counts", whole, "s", note="exact"),
        Figure("the same: time for four times the people / 4", whole / quarter / 4, "", 1.2, False),
        Figure("the same: peak memory of the whole benchmark process", peak, "MiB", 2048, False,
               note="run with --only people"),
    ]  # fmt: skip


def _pool(rows: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return a few hundred made genomes: planes, and (het, hom alt) of each."""
    random, found = np.random.default_rng(4), []
    frequency = random.uniform(0.01, 0.5, rows)
    from compute.kernels import pack_dosages

    for _ in range(200):
        dosage = random.binomial(2, frequency).astype(np.int8)
        planes = pack_dosages(dosage[None])[0]
        assert planes.shape == (2, words_of(rows))
        found.append((planes, np.stack([dosage == 1, dosage == 2]).astype(np.int64)))
    return found


__all__ = ["crypt4gh", "erasure", "people", "table_of"]
