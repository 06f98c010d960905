"""One genome registered twice counts and is charged as one person, and nobody is told.

At ingest, in the compute zone, a new person's genotypes are held against a sketch of everybody
stored: 512 of their sites with an ALT, chosen by a fixed hash of the position so that any two files
choose alike. Over the sites both state, two copies of one genome (or identical twins) agree at 98 %
or more, siblings and strangers far less. Sketches lie encrypted, each under a key of its own that
dies with its grant. Compared are files of one genome build that share at least 40 such sites.

Whoever registers a copy of somebody's genome must not learn that it was noticed: a copy stays in
scope, access entry and payout like anybody; it just adds nothing to any sum beside its original,
and both draw on one budget. Never tells a name, and keeps no genotype in memory after a batch.
"""

import io
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from compute.coverage import place, reference_ploidy
from compute.ingest import Genotypes
from compute.selection import Member
from compute.store import CohortStore

SITES = 512
LEAST_SHARED = 40
ALIKE = 0.98
CODES = {"A": 1, "C": 2, "G": 3, "T": 4}

Int64 = npt.NDArray[np.int64]
Int8 = npt.NDArray[np.int8]


@dataclass(frozen=True, slots=True, eq=False)
class Sketch:
    """Sites of one person with an ALT: place (contig << 32 | position), ALT's code, dosage."""

    genome: str
    build: str
    place: Int64
    alt: Int8
    dosage: Int8

    def to_bytes(self) -> bytes:
        """Return the bytes to keep."""
        out = io.BytesIO()
        head = np.frombuffer(f"{self.genome} {self.build}".encode(), np.uint8)
        np.savez(out, head=head, place=self.place, alt=self.alt, dosage=self.dosage)
        return out.getvalue()

    @staticmethod
    def of_bytes(data: bytes) -> "Sketch":
        """Read `to_bytes`."""
        with np.load(io.BytesIO(data), allow_pickle=False) as found:
            genome, build = found["head"].tobytes().decode().split(" ")
            return Sketch(genome, build, found["place"], found["alt"], found["dosage"])


def sketch_of(person: Genotypes, genome: str) -> Sketch:
    """Return a person's sketch: the SNVs with an ALT whose places hash lowest."""
    rows = np.flatnonzero(person.dosage > 0)
    at = place(person.contig[rows], person.pos[rows])
    rows = rows[np.argsort(_mixed(at), kind="stable")[: 4 * SITES]]
    kept = [row for row in rows.tolist() if len(person.ref[row]) == 1 and person.alt[row] in CODES]
    chosen = np.array(sorted(kept[:SITES]), np.intp)
    return Sketch(
        genome,
        str(person.build),
        place(person.contig[chosen], person.pos[chosen]),
        np.array([CODES[person.alt[row]] for row in chosen.tolist()], np.int8),
        person.dosage[chosen].astype(np.int8),
    )


def agreement(sketch: Sketch, person: Genotypes) -> tuple[int, float]:
    """Return over how many of a sketch's sites the person was looked at, and the share alike."""
    if sketch.build != person.build or not len(sketch.place) or not len(person.pos):
        return 0, 0.0
    copies = _copies(sketch, person)
    shared = copies >= 0
    count = int(shared.sum())
    return count, float((copies == sketch.dosage)[shared].mean()) if count else 0.0


def _copies(sketch: Sketch, person: Genotypes) -> Int8:
    """Return a person's copies of each ALT of a sketch, -1 where the file does not say."""
    own = place(person.contig, person.pos)
    contig = (sketch.place >> 32).astype(np.int8)
    pos = (sketch.place & 0xFFFFFFFF).astype(np.int32)
    covered = reference_ploidy(person, contig, pos) > 0
    found = np.where(covered, 0, -1).astype(np.int8)
    first = np.searchsorted(own, sketch.place, side="left")
    last = np.searchsorted(own, sketch.place, side="right")
    for at in np.flatnonzero(last > first).tolist():
        rows = range(int(first[at]), int(last[at]))
        called = [row for row in rows if person.ploidy[row] > 0]
        same = [row for row in called if CODES.get(person.alt[row]) == int(sketch.alt[at])]
        found[at] = int(person.dosage[same[0]]) if same else (0 if called else -1)
    return found


def _mixed(at: Int64) -> npt.NDArray[np.uint64]:
    """Mix places into a fixed pseudo-random order (the finaliser of splitmix64)."""
    x = at.astype(np.uint64)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@dataclass(slots=True)
class Genomes:
    """The sketches a batch of ingest is held against; made for one batch and dropped with it."""

    store: CohortStore
    known: dict[str, Sketch] = field(default_factory=dict)

    @classmethod
    def of(cls, store: CohortStore, grants: Iterable[str]) -> "Genomes":
        """Open the sketches of these grants."""
        found = {}
        for grant in grants:
            data = store.answer(name_of(grant))
            if data is not None:
                found[grant] = Sketch.of_bytes(data)
        return cls(store, found)

    def note(self, grant: str, person: Genotypes) -> str:
        """Keep a person's sketch, under the genome it is a copy of or a new one; return which."""
        genome = self.same_as(person) or secrets.token_hex(16)
        sketch = sketch_of(person, genome)
        self.store.keep_answer(name_of(grant), [grant], sketch.to_bytes())
        self.known[grant] = sketch
        return genome

    def same_as(self, person: Genotypes) -> str | None:
        """Return the genome a person's file is a copy of, or None."""
        for sketch in self.known.values():
            shared, alike = agreement(sketch, person)
            if shared >= LEAST_SHARED and alike >= ALIKE:
                return sketch.genome
        return None


def name_of(grant: str) -> str:
    """Return the name a grant's sketch is kept under; it dies with the grant."""
    return f"genome/{grant}"


def genomes_of(store: CohortStore, members: Iterable[Member]) -> dict[str, str]:
    """Return each member's genome by "owner/participant"; people without genotypes have none."""
    found = {}
    for member in members:
        grant = member.grants.get("genotypes")
        data = None if grant is None else store.answer(name_of(grant.id))
        if data is not None:
            found[f"{member.owner}/{member.participant}"] = Sketch.of_bytes(data).genome
    return found


def one_each(
    members: Sequence[Member], genomes: Mapping[str, str], spent: frozenset[str] = frozenset()
) -> list[Member]:
    """Return the members who are summed: one a genome (the grant registered first), and nobody
    whose genome's budget is spent.
    """
    first: dict[str, Member] = {}
    for member in members:
        person = f"{member.owner}/{member.participant}"
        genome = genomes.get(person, person)
        known = first.get(genome)
        if known is None or _age(member) < _age(known):
            first[genome] = member
    kept = {id(member) for genome, member in first.items() if genome not in spent}
    return [member for member in members if id(member) in kept]


def _age(member: Member) -> int:
    return min(grant.index for grant in member.grants.values())
