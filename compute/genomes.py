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


def copies_at(person: Genotypes, at: Int64, alt: Int8) -> Int8:
    """Return a person's copies of the ALT coded `alt` at each place, -1 where the file is silent.

    A site the file holds with other ALTs only, or in a reference block, is 0 copies.
    """
    own = place(person.contig, person.pos)
    contig = (at >> 32).astype(np.int8)
    pos = (at & 0xFFFFFFFF).astype(np.int32)
    found = np.where(reference_ploidy(person, contig, pos) > 0, 0, -1).astype(np.int8)
    first = np.searchsorted(own, at, side="left")
    rows = np.searchsorted(own, at, side="right") - first
    single = np.flatnonzero(rows == 1)
    row = first[single]
    called = person.ploidy[row] > 0
    codes = np.array([CODES.get(person.alt[one], 0) for one in row.tolist()], np.int8)
    same = called & (codes == alt[single])
    found[single] = np.where(same, person.dosage[row], np.where(called, 0, -1))
    for one in np.flatnonzero(rows > 1).tolist():
        found[one] = _of_several(person, range(first[one], first[one] + rows[one]), int(alt[one]))
    return found


def _of_several(person: Genotypes, rows: Iterable[int], alt: int) -> int:
    """Return the copies of an ALT at a site that a file splits into several rows."""
    called = [row for row in rows if person.ploidy[row] > 0]
    same = [row for row in called if CODES.get(person.alt[row]) == alt]
    return int(person.dosage[same[0]]) if same else (0 if called else -1)


def _mixed(at: Int64) -> npt.NDArray[np.uint64]:
    """Mix places into a fixed pseudo-random order (the finaliser of splitmix64)."""
    x = at.astype(np.uint64)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@dataclass(slots=True)
class _Panel:
    """The sketches of one build side by side: each distinct (place, ALT) is looked up once."""

    column: dict[tuple[int, int], int] = field(default_factory=dict)
    genomes: list[str] = field(default_factory=list)
    columns: list[npt.NDArray[np.int32]] = field(default_factory=list)
    dosages: list[Int8] = field(default_factory=list)

    def add(self, sketch: Sketch) -> None:
        """Put a sketch beside the others; an empty one can be compared with nobody."""
        if not len(sketch.place):
            return
        sites = zip(sketch.place.tolist(), sketch.alt.tolist(), strict=True)
        known = [self.column.setdefault(site, len(self.column)) for site in sites]
        self.genomes.append(sketch.genome)
        self.columns.append(np.array(known, np.int32))
        self.dosages.append(sketch.dosage)

    def like(self, person: Genotypes) -> str | None:
        """Return the genome of the first sketch that a person's file is a copy of, or None."""
        if not self.genomes or not len(person.pos):
            return None
        sites = np.array(list(self.column), np.int64)
        copies = copies_at(person, sites[:, 0], sites[:, 1].astype(np.int8))
        here = copies[np.concatenate(self.columns)]
        starts = np.cumsum([0, *(len(one) for one in self.columns[:-1])])
        shared = np.add.reduceat((here >= 0).astype(np.int64), starts)
        alike = np.add.reduceat((here == np.concatenate(self.dosages)).astype(np.int64), starts)
        same = np.flatnonzero((shared >= LEAST_SHARED) & (alike >= ALIKE * shared))
        return self.genomes[int(same[0])] if len(same) else None


@dataclass(slots=True)
class Genomes:
    """The sketches a batch of ingest is held against; made for one batch and dropped with it."""

    store: CohortStore
    panels: dict[str, _Panel] = field(default_factory=dict)

    @classmethod
    def of(cls, store: CohortStore, grants: Iterable[str]) -> "Genomes":
        """Open the sketches of these grants."""
        made = cls(store)
        for grant in grants:
            data = store.answer(name_of(grant))
            if data is not None:
                made._add(Sketch.of_bytes(data))
        return made

    def note(self, grant: str, person: Genotypes) -> str:
        """Keep a person's sketch, under the genome it is a copy of or a new one; return which."""
        genome = self.same_as(person) or secrets.token_hex(16)
        sketch = sketch_of(person, genome)
        self.store.keep_answer(name_of(grant), [grant], sketch.to_bytes())
        self._add(sketch)
        return genome

    def same_as(self, person: Genotypes) -> str | None:
        """Return the genome a person's file is a copy of, or None."""
        panel = self.panels.get(str(person.build))
        return None if panel is None else panel.like(person)

    def _add(self, sketch: Sketch) -> None:
        self.panels.setdefault(sketch.build, _Panel()).add(sketch)


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
