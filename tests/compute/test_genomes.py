"""One genome registered twice counts and is charged once; strangers and siblings are not one."""

import numpy as np
import pytest

from compute.genomes import (
    ALIKE,
    LEAST_SHARED,
    Genomes,
    Sketch,
    copies_at,
    one_each,
    sketch_of,
)
from compute.ingest import Genotypes, Intervals
from compute.sealing import LocalKms
from compute.store import CohortStore

SITES = 3000
RNG = np.random.default_rng(11)
FREQUENCY = RNG.uniform(0.02, 0.5, SITES)


def haplotype(rng):
    return (rng.random(SITES) < FREQUENCY).astype(np.int8)


def genotypes(dosage, rows=None, error=0.0, seed=0, **more):
    """A file of some sites of one genome, a share of the calls wrong."""
    rng = np.random.default_rng(seed)
    rows = np.arange(SITES) if rows is None else rows
    found = dosage[rows].copy()
    wrong = rng.random(len(rows)) < error
    found[wrong] = (found[wrong] + 1) % 3
    fields = {
        "sample": "s",
        "build": "GRCh37",
        "callability": "all-sites",
        "contig": np.zeros(len(rows), np.int8),
        "pos": (1000 + 10 * rows).astype(np.int32),
        "ref": ("A",) * len(rows),
        "alt": ("G",) * len(rows),
        "dosage": found,
        "ploidy": np.full(len(rows), 2, np.int8),
        "records": len(rows),
    }
    return Genotypes(**{**fields, **more})


@pytest.fixture
def store(tmp_path):
    found = CohortStore(tmp_path / "store.sqlite", LocalKms(b"k" * 32))
    yield found
    found.close()


def family(seed=1):
    rng = np.random.default_rng(seed)
    mother, father = ([haplotype(rng), haplotype(rng)] for _ in range(2))

    def child():
        # Independent choice at each site: as alike as siblings are on average.
        pick = rng.integers(2, size=(2, SITES))
        one = np.where(pick[0], *mother)
        return (one + np.where(pick[1], *father)).astype(np.int8)

    return child(), child(), (mother[0] + mother[1]).astype(np.int8)


def agreement(sketch, person):
    """Over how many of a sketch's sites a person was looked at, and the share alike: one at a time,
    as the panel must say of many."""
    if sketch.build != person.build or not len(sketch.place) or not len(person.pos):
        return 0, 0.0
    copies = copies_at(person, sketch.place, sketch.alt)
    shared = copies >= 0
    return int(shared.sum()), float((copies == sketch.dosage)[shared].mean()) if any(shared) else 0


def test_a_copy_with_the_errors_of_another_machine_is_noticed():
    person = family()[0]
    sketch = sketch_of(genotypes(person), "g")
    shared, alike = agreement(sketch, genotypes(person, error=0.005, seed=5))
    assert shared > LEAST_SHARED
    assert alike >= ALIKE


def test_another_platform_is_compared_over_what_both_state():
    person = family()[0]
    rows = np.sort(np.random.default_rng(2).choice(SITES, 700, replace=False))
    shared, alike = agreement(sketch_of(genotypes(person), "g"), genotypes(person, rows))
    assert (shared > LEAST_SHARED, alike) == (True, 1.0)


def test_siblings_parents_and_strangers_are_people_of_their_own():
    child, sibling, mother = family()
    stranger = family(9)[0]
    sketch = sketch_of(genotypes(child), "g")
    for other in (sibling, mother, stranger):
        assert agreement(sketch, genotypes(other))[1] < 0.9


def test_what_a_covered_stretch_says_counts_as_no_copy():
    person = family()[0]
    ones = np.ones(1, np.int8)
    everything = Intervals(ones - 1, np.array([1], np.int32), np.array([10**6], np.int32), 2 * ones)
    empty = np.zeros(0, np.int64)
    found = genotypes(person, empty, covered=everything)
    assert agreement(sketch_of(genotypes(person), "g"), found) == (0, 0.0)
    one = genotypes(person, np.array([0]), covered=everything)
    shared, alike = agreement(sketch_of(genotypes(person), "g"), one)
    assert shared == 512
    assert alike < 0.01


def test_a_few_sites_or_another_build_say_nothing(store):
    person = family()[0]
    genomes = Genomes.of(store, [])
    genomes.note("a", genotypes(person))
    assert genomes.same_as(genotypes(person, np.arange(20))) is None
    assert genomes.same_as(genotypes(person, build="GRCh38")) is None
    assert genomes.same_as(genotypes(person)) is not None


def test_a_sketch_is_kept_sealed_and_dies_with_its_grant(store, tmp_path):
    person = family()[0]
    genome = Genomes.of(store, []).note("grant-a", genotypes(person))
    again = Genomes.of(store, ["grant-a"])
    assert again.note("grant-b", genotypes(person)) == genome
    raw = b"".join(path.read_bytes() for path in tmp_path.glob("store.sqlite*"))
    kept = sketch_of(genotypes(person), genome)
    assert kept.place.tobytes()[:64] not in raw
    assert genome.encode() not in raw
    store.destroy_grants(["grant-a", "grant-b"])
    assert Genomes.of(store, ["grant-a", "grant-b"]).panels == {}


def test_side_by_side_sketches_say_what_each_says_alone(store):
    """Multi-allelic sites, few sites, errors: the panel's answer is the first sketch's that fits."""
    rng = np.random.default_rng(3)
    people = [p for seed in range(4) for p in family(seed)]
    split = {"pos": (1000 + 10 * (np.arange(SITES) // 2)).astype(np.int32)}
    files = [genotypes(p, error=0.004 * (i % 3), seed=i) for i, p in enumerate(people)]
    files += [genotypes(p, np.sort(rng.choice(SITES, 600, replace=False))) for p in people[:4]]
    files += [genotypes(p, alt=("G", "T") * (SITES // 2), **split) for p in people[:3]]
    known, alone = Genomes.of(store, []), []
    for number, file in enumerate(files):
        fits = (
            sketch.genome
            for sketch in alone
            for shared, alike in [agreement(sketch, file)]
            if shared >= LEAST_SHARED and alike >= ALIKE
        )
        expected = next(fits, None)
        assert known.same_as(file) == expected
        alone.append(sketch_of(file, known.note(str(number), file)))
    assert len({sketch.genome for sketch in alone}) < len(files)


def test_a_sketch_reads_back_as_written():
    sketch = sketch_of(genotypes(family()[0]), "ab" * 16)
    back = Sketch.of_bytes(sketch.to_bytes())
    assert (back.genome, back.build) == (sketch.genome, sketch.build)
    assert np.array_equal(back.place, sketch.place)
    assert np.array_equal(back.dosage, sketch.dosage)


class Registered:
    """A member as far as `one_each` looks."""

    def __init__(self, name, index):
        self.owner, self.participant = name, "p"
        self.grants = {"genotypes": type("Grant", (), {"index": index})()}


def test_one_a_genome_is_summed_the_first_registered_and_none_whose_budget_is_spent():
    a, b, c, d = (Registered(name, at) for name, at in (("a", 5), ("b", 3), ("c", 9), ("d", 1)))
    genomes = {"a/p": "g", "b/p": "g", "c/p": "h"}
    assert one_each([a, b, c, d], genomes) == [b, c, d]
    assert one_each([a, b, c, d], genomes, frozenset({"h"})) == [b, d]


def test_no_two_of_the_real_people_are_taken_for_one():
    """3,202 people of the 1000 Genomes Project, trios among them: the most alike share 63 %."""
    from benchmarks.people import real

    _, copies = real()
    for one in np.random.default_rng(1).choice(len(copies), 40, replace=False):
        sites = np.flatnonzero(copies[one] > 0)
        alike = (copies[:, sites] == copies[one, sites]).mean(axis=1)
        alike[one] = 0
        assert alike.max() < 0.8 < ALIKE
