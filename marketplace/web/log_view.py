"""View-models of the ledger explorer: rows, one entry, and an inclusion proof step by step.

Pure. Only leaves are shown, which anybody can fetch: of a personal entry the commitment, never
its envelope.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ledger import (
    Leaf,
    LedgerError,
    LogProof,
    VerificationError,
    fingerprint,
    leaf_hash,
    node_hash,
    parse_leaf,
)
from marketplace.texts import say
from marketplace.web.words import entry_words


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the log; time: Unix ms; about: the order it belongs to, where it is public."""

    index: int
    type: str
    words: str
    time: int
    personal: bool
    about: str | None


@dataclass(frozen=True, slots=True)
class Step:
    """One hash on the way up: the sibling, on which side it stands, and what both give."""

    level: int
    side: str
    sibling: str
    result: str


@dataclass(frozen=True, slots=True)
class EntryView:
    """One entry in full. payload: pretty JSON of a public entry; signers: key fingerprints."""

    row: Row
    version: int
    leaf_hash: str
    size: int
    commitment: str | None
    payload: str | None
    signers: tuple[str, ...]
    lists: tuple[tuple[str, tuple[int, ...]], ...]


def row(index: int, leaf: Leaf) -> Row:
    """Return the line of a leaf."""
    order = None if leaf.entry is None else leaf.entry.payload.get("order")
    personal = leaf.entry is None
    about = order if isinstance(order, str) else None
    return Row(index, leaf.type, entry_words(leaf.type), leaf.time, personal, about)


def rows(start: int, leaves: Sequence[bytes], type_: str = "") -> list[Row]:
    """Return lines for leaves from index `start`, newest first; type_: only these."""
    found = []
    # Canonical leaves write the type like this, so most of a scan needs no parsing.
    mark = f'"type":{json.dumps(type_)},'.encode() if type_ else b""
    for index, data in enumerate(leaves, start):
        if mark in data:
            found.append(_row_of(index, data))
    found.reverse()
    return [item for item in found if not type_ or item.type == type_]


def _row_of(index: int, data: bytes) -> Row:
    try:
        return row(index, parse_leaf(data))
    except LedgerError:
        return Row(index, "unknown", say("An entry this page cannot read"), 0, True, None)


def entry_view(index: int, data: bytes) -> EntryView:
    """Return everything about one leaf. Raises LedgerError where it cannot be read."""
    leaf = parse_leaf(data)
    lists = [
        (say("ends the consents at"), leaf.stops),
        (say("resumes the pauses at"), leaf.resumes),
        (say("erases the private content of"), leaf.erases),
    ]
    return EntryView(
        row(index, leaf),
        leaf.version,
        leaf_hash(data).hex(),
        len(data),
        None if leaf.commitment is None else leaf.commitment.hex(),
        None if leaf.entry is None else pretty(leaf.entry.payload),
        ()
        if leaf.entry is None
        else tuple(fingerprint(s.public_key) for s in leaf.entry.signatures),
        tuple((name, items) for name, items in lists if items),
    )


def pretty(value: Any) -> str:
    """Format JSON for reading."""
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)


def climb(leaf: bytes, proof: LogProof, size: int, root: bytes) -> tuple[Step, ...]:
    """Follow an inclusion proof from leaf bytes up to the root of a tree of `size` entries.

    Spec: RFC 9162 section 2.1.3.2. Raises VerificationError when it does not end at the root.
    """
    here, fn, sn = leaf_hash(leaf), proof.index, size - 1
    steps = []
    for level, sibling in enumerate(proof.path, 1):
        if fn % 2 or fn == sn:
            here, side = node_hash(sibling, here), "left"
            while not fn % 2 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            here, side = node_hash(here, sibling), "right"
        steps.append(Step(level, side, sibling.hex(), here.hex()))
        fn, sn = fn >> 1, sn >> 1
    if sn != 0 or here != root:
        raise VerificationError("the proof does not lead to the checkpoint's root")
    return tuple(steps)
