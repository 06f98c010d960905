"""Everybody's calls of a study, two bits each, gathered by site and given back by person.

Rows arrive in blocks (sites x people), are packed four to a byte, and are turned once at the end.
Memory is bounded: where the budget would be passed, the last half of the people is let go of, and
the caller reads the file again for them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from compute.ingest.calls import refuse_duplicate
from compute.ingest.packed import NO_CALL_CODE, OTHER, Sites, pack_sites

Octets: TypeAlias = npt.NDArray[np.uint8]
Int64: TypeAlias = npt.NDArray[np.int64]
HAPLOID: Final = 4  # added to a code
BUDGET: Final = 384 << 20  # bytes of packed calls held
_TURN: Final = 64  # people turned at once
_QUADS: Final = 1 << 14


class Table:
    """Sites and codes of some people: `first` is their place in the file, `people` how many."""

    def __init__(self, first: int, people: int) -> None:
        self.first, self.people = first, people
        self._held = 0
        self._sites: list[tuple[Int64, Int64, Int64, Octets]] = []  # contig, pos, line, pair code
        self._others: dict[int, tuple[str, str]] = {}  # row -> pair
        self._quads: list[Octets] = []
        self._single: list[Octets | None] = []  # four bits a quad: called on one copy
        self._rest = np.empty((0, people), np.uint8)
        self.rows = 0
        self.fixed = 0  # rows that are no call of everybody
        self.no_calls: dict[str, Int64] = {}
        self.apart: Int64 = np.zeros(people, np.int64)  # no-call rows counted in no_calls already

    def add(
        self, sites: tuple[Int64, Int64, Int64, Octets], others: dict[int, tuple[str, str]],
        codes: Octets,
    ) -> None:  # fmt: skip
        """Add rows of codes (rows, all the file's people); others: pairs by row of this block."""
        self._sites.append(sites)
        self._others |= {self.rows + row: pair for row, pair in others.items()}
        self.rows += len(codes)
        mine = codes[:, self.first : self.first + self.people]
        rows = np.concatenate([self._rest, mine]) if len(self._rest) else mine
        whole = len(rows) // 4 * 4
        if whole:
            self._keep(rows[:whole])
        self._rest = rows[whole:].copy()

    def count(self, reason: str, people: Int64) -> None:
        """Count records that are no call for a reason; people: (all the file's people)."""
        mine = people[self.first : self.first + self.people]
        known = self.no_calls.get(reason)
        self.no_calls[reason] = mine.copy() if known is None else known + mine

    def count_apart(self, people: Int64) -> None:
        """Count no-call rows whose reason was counted already; people as in `count`."""
        self.apart += people[self.first : self.first + self.people]

    def _keep(self, rows: Octets) -> None:
        single = None
        if int(rows.max()) >= HAPLOID:
            single = _quads((rows >> 2).astype(np.uint8, copy=False), 1)
            rows = (rows & NO_CALL_CODE).astype(np.uint8, copy=False)
        quads = _quads(rows, 2)
        self._quads.append(quads)
        self._single.append(single)
        self._held += quads.nbytes * (1 if single is None else 2)
        while self._held > BUDGET and self.people > 1:
            self._let_go(self.people // 2)

    def _let_go(self, people: int) -> None:
        self.people = people
        for at, (quads, single) in enumerate(zip(self._quads, self._single, strict=True)):
            self._quads[at] = quads[:, :people].copy()
            self._single[at] = None if single is None else single[:, :people].copy()
        self._rest = self._rest[:, :people].copy()
        self.apart = self.apart[:people].copy()
        self.no_calls = {why: counts[:people].copy() for why, counts in self.no_calls.items()}
        self._held = sum(q.nbytes for q in self._quads)
        self._held += sum(s.nbytes for s in self._single if s is not None)

    def finish(self) -> Sites:
        """Sort the rows, refuse a variant written twice, and return the table of sites."""
        if len(self._rest):
            pad = np.zeros((-len(self._rest) % 4, self.people), np.uint8)
            self._keep(np.concatenate([self._rest, pad]))
        columns = [np.concatenate([part[at] for part in self._sites] or [np.empty(0, np.int64)])
                   for at in range(4)]  # fmt: skip
        self._sites = []
        contig, pos, line, code = columns
        order = self._order((contig << 32) | pos, line, code)
        others = sorted(self._others)
        if order is not None:
            contig, pos, code = contig[order], pos[order], code[order]
            others = order[code == OTHER].tolist()
            self._reorder(order)
        return pack_sites(contig.astype(np.int8), pos.astype(np.int32), code.astype(np.uint8),
                          [self._others[row] for row in others])  # fmt: skip

    def _order(self, place: Int64, line: Int64, code: Int64) -> Int64 | None:
        """Return the order of contig, position, REF, ALT; None where rows have it already."""
        order = np.arange(len(place))
        if (np.diff(place) < 0).any():
            order = np.argsort(place, kind="stable")
        sorted_place = place[order]
        tied = np.flatnonzero(np.diff(sorted_place) == 0)
        for group in np.split(tied, np.flatnonzero(np.diff(tied) > 1) + 1) if len(tied) else []:
            span = slice(int(group[0]), int(group[-1]) + 2)
            keyed = sorted((self._pair(int(row), int(code[row])), int(line[row]), int(row))
                           for row in order[span].tolist())  # fmt: skip
            for one, other in pairwise(keyed):
                if one[0] == other[0]:
                    refuse_duplicate("line", one[1], other[1])
            order[span] = [row for *_, row in keyed]
        return None if np.array_equal(order, np.arange(len(place))) else order

    def _pair(self, row: int, code: int) -> tuple[str, str]:
        return self._others[row] if code == OTHER else ("ACGT"[code // 4], "ACGT"[code % 4])

    def _reorder(self, order: Int64) -> None:
        quads = np.concatenate(self._quads)
        single = None
        if any(one is not None for one in self._single):
            pairs = zip(self._quads, self._single, strict=True)
            single = np.concatenate([np.zeros_like(q) if s is None else s for q, s in pairs])
        self._quads, self._single = [], []
        for at in range(0, len(order), _QUADS * 4):
            rows = order[at : at + _QUADS * 4]
            self._quads.append(_quads(_padded(_rows(quads, rows, 2)), 2))
            self._single.append(None if single is None else
                                _quads(_padded(_rows(single, rows, 1)), 1))  # fmt: skip

    def people_calls(self) -> Iterator[tuple[bytes, npt.NDArray[np.bool_] | None, dict[str, int]]]:
        """Yield each person's packed calls, rows called on one copy, and no calls by reason."""
        width = sum(len(q) for q in self._quads)
        room = np.empty((min(_TURN, self.people), width), np.uint8)
        for first in range(0, self.people, _TURN):
            span = slice(first, min(first + _TURN, self.people))
            at = 0
            for quads in self._quads:
                room[: span.stop - first, at : at + len(quads)] = quads[:, span].T
                at += len(quads)
            for person, calls in enumerate(room[: span.stop - first], first):
                single = self._single_of(person)
                yield calls.tobytes(), single, self._reasons(person, calls)

    def _single_of(self, person: int) -> npt.NDArray[np.bool_] | None:
        if all(one is None for one in self._single):
            return None
        found = [np.zeros(len(q), np.uint8) if s is None else s[:, person]
                 for q, s in zip(self._quads, self._single, strict=True)]  # fmt: skip
        bits = (np.concatenate(found)[:, None] >> np.arange(4, dtype=np.uint8)) & 1
        return bits.reshape(-1)[: self.rows].astype(np.bool_)

    def _reasons(self, person: int, calls: Octets) -> dict[str, int]:
        counts = Counter({why: int(counts[person]) for why, counts in self.no_calls.items()})
        both = calls & (calls >> 1) & 0x55
        absent = int(np.bitwise_count(both).sum())
        counts["missing"] += absent - self.fixed - int(self.apart[person])
        return {why: count for why, count in sorted(counts.items()) if count}


def _quads(rows: Octets, bits: int) -> Octets:
    """Pack rows (4 n, people) four to a byte, the first lowest: (n, people)."""
    packed = rows[0::4].copy()
    for at in (1, 2, 3):
        packed |= rows[at::4] << (bits * at)
    return packed


def _rows(quads: Octets, rows: Int64, bits: int) -> Octets:
    shifts = (rows % 4 * bits).astype(np.uint8)[:, None]
    found = (quads[rows // 4] >> shifts) & np.uint8((1 << bits) - 1)
    return found.astype(np.uint8, copy=False)


def _padded(rows: Octets) -> Octets:
    return np.concatenate([rows, np.zeros((-len(rows) % 4, rows.shape[1]), np.uint8)])
