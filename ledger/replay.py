"""Reading a whole store again, in order: leaves checked for form, envelopes put beside them."""

from collections.abc import Iterator

from ledger.envelope import commitment, parse_entry_bytes
from ledger.errors import LedgerError, StoreError
from ledger.fold_model import Record
from ledger.leaf import Leaf, parse_leaf
from ledger.store import Store

STEP = 1024


def replay(store: Store, size: int, start: int = 0) -> Iterator[tuple[list[bytes], list[Record]]]:
    """Yield leaves and records in steps. Raises StoreError naming a damaged leaf."""
    for at in range(start, size, STEP):
        leaves = store.leaves(at, min(at + STEP, size))
        parsed = [_parse(index, data) for index, data in enumerate(leaves, at)]
        personal = [i for i, leaf in enumerate(parsed, at) if leaf.commitment is not None]
        envelopes = store.envelopes(personal)
        yield (
            leaves,
            [_record(index, leaf, envelopes.get(index)) for index, leaf in enumerate(parsed, at)],
        )


def _parse(index: int, data: bytes) -> Leaf:
    try:
        return parse_leaf(data)
    except LedgerError as error:
        raise StoreError(f"leaf {index} is damaged in the store: {error}") from None


def _record(index: int, leaf: Leaf, envelope: tuple[bytes, bytes] | None) -> Record:
    if leaf.entry is not None or envelope is None:
        return Record(index, leaf, leaf.entry, None)
    try:
        entry = parse_entry_bytes(envelope[0])
        good = commitment(envelope[1], entry) == leaf.commitment
    except LedgerError as error:
        raise StoreError(f"the envelope of leaf {index} is damaged: {error}") from None
    if not good:
        raise StoreError(f"the envelope of leaf {index} is not what the leaf commits to")
    return Record(index, leaf, entry, envelope[1])
