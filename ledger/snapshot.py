"""The fold, kept in a file between runs, so that a follower goes on instead of starting over.

A snapshot is only a shortcut: it stands at a checkpoint its witnesses cosigned, it is read back
only by the very program and pins that wrote it, and only under a secret of its owner (HMAC-SHA256,
checked before a byte of it is interpreted), because whoever could write it could invent a consent.
Anything else about it, and it is left aside and the log is folded from the first entry.

What was erased is not in it: an erased dataset and its grants keep their ids and leaf indexes, as
the leaves do, and nothing more.
"""

import hashlib
import hmac
import io
import os
import pickle
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

from ledger import fold_model, leaf
from ledger.envelope import canonical_parsed
from ledger.fold_model import Dataset, Grant, Offer, Tables
from ledger.merkle import Frontier
from ledger.state import State
from ledger.trust import Pins

MAGIC = b"omic fold snapshot 1\n"
MAC_BYTES = 32
KEY_BYTES = 32
EVERY = 20_000
SHARE = 20
_LEFT_OUT = frozenset({"pins", "journal", "shared", "participants"})
_NAMES = tuple(field.name for field in fields(Tables) if field.name not in _LEFT_OUT)
_RECORDS = {
    (module.__name__, name)
    for module, names in (
        (
            fold_model,
            "Access Attestation ComputeKey Dataset Done Grant Key Mandate Offer OrderState Party "
            "Payment Recovery Review Share",
        ),
        (leaf, "Leaf"),
    )
    for name in names.split()
}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A fold and where it stands: the tree so far, and the cosigned checkpoint of that size."""

    state: State
    frontier: Frontier
    tile_roots: list[bytes]
    tail: list[bytes]
    note: str


class Snapshots:
    """One snapshot file. key: at least 32 secret bytes that only the file's owner has."""

    def __init__(self, path: Path, key: bytes, clock: Callable[[], float] = time.monotonic) -> None:
        if len(key) < KEY_BYTES:
            raise ValueError("a snapshot needs a key of 32 secret bytes")
        self.path = path
        self._key = hmac.digest(key, b"omic/fold-snapshot/v1", "sha256")
        self._clock = clock
        self._size = 0
        self._not_before = 0.0

    def load(self, pins: Pins, personal: bool) -> Snapshot | None:
        """Return what was kept, if it is whole, ours, and of this program, pins and kind."""
        try:
            data = self.path.read_bytes()
        except OSError:
            return None
        mac, body = data[len(MAGIC) :][:MAC_BYTES], data[len(MAGIC) + MAC_BYTES :]
        if not data.startswith(MAGIC) or not hmac.compare_digest(
            mac, self._mac(pins, personal, body)
        ):
            return None
        try:
            values, place = _Unpickler(io.BytesIO(body)).load()
        except (pickle.UnpicklingError, ValueError, TypeError, AttributeError, EOFError):
            return None
        state = _state(pins, values)
        self._size = state.size
        return Snapshot(state, Frontier.from_bytes(place[0]), *place[1:])

    def due(self, size: int) -> bool:
        """Tell whether enough was folded since the last one, and time enough has passed."""
        return size - self._size >= max(EVERY, self._size // SHARE) and (
            self._clock() >= self._not_before
        )

    def save(self, snapshot: Snapshot) -> None:
        """Replace the file in one step. Raises OSError; the one before then still stands."""
        start = self._clock()
        state = snapshot.state
        frontier = snapshot.frontier.to_bytes()
        place = (frontier, snapshot.tile_roots, snapshot.tail, snapshot.note)
        buffer = io.BytesIO()
        _Pickler(buffer, state).dump((_values(state), place))
        body = buffer.getvalue()
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = self.path.with_name(self.path.name + ".new")
        with os.fdopen(os.open(fresh, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb") as file:
            file.write(MAGIC + self._mac(state.pins, state.personal, body))
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.path)
        self._size = state.size
        # At most a twentieth of the time goes into keeping it.
        self._not_before = self._clock() + SHARE * (self._clock() - start)

    def forget(self) -> None:
        """Delete the file: something in it was erased."""
        self.path.unlink(missing_ok=True)
        self.path.with_name(self.path.name + ".new").unlink(missing_ok=True)
        self._size = 0

    def _mac(self, pins: Pins, personal: bool, body: bytes) -> bytes:
        mac = hmac.new(self._key, b"", "sha256")
        for part in (program_digest(), repr(pins).encode(), b"%d" % personal):
            mac.update(len(part).to_bytes(8, "big") + part)
        mac.update(body)
        return mac.digest()


@cache
def program_digest() -> bytes:
    """Return the SHA-256 of this package's code: another program may fold otherwise."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.digest()


class _Unpickler(pickle.Unpickler):
    """Makes the records of the fold and nothing else, although the bytes are authentic."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _RECORDS:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"a snapshot holds no {module}.{name}")


class _Pickler(pickle.Pickler):
    """Writes the fold without what was erased."""

    def __init__(self, file: io.BytesIO, state: State) -> None:
        super().__init__(file, protocol=5)
        self._erased = {name for name, item in state.datasets.items() if item.erased}

    def reducer_override(self, item: Any) -> Any:
        if isinstance(item, Dataset) and item.erased:
            return _reduced(item, participant="", ciphertext_sha256="", signing_key="", format={})
        if isinstance(item, Grant) and item.dataset in self._erased:
            return _reduced(
                item,
                terms={},
                facets={},
                recipient={},
                terms_sha256="",
                sealed_grant_sha256="",
                activity_commitment="",
            )
        if isinstance(item, Offer) and self._erased.issuperset(item.datasets):
            return _reduced(item, terms={}, facets={})
        return NotImplemented


def _reduced(item: Any, **without: Any) -> tuple[Any, tuple[Any, ...]]:
    bare = replace(item, **without)
    return type(item), tuple(getattr(bare, field.name) for field in fields(bare))


def _values(state: State) -> dict[str, Any]:
    values = {name: getattr(state, name) for name in _NAMES}
    # A key belongs to its party for ever, also once removed; a closed account is forgotten.
    kept = {key: party for key, party in state.key_owner.items() if party in state.parties}
    return {**values, "key_owner": kept}


def _state(pins: Pins, values: dict[str, Any]) -> State:
    """Put the tables back and make the look-ups again that follow from them."""
    state = State(pins, personal=values["personal"])
    for name in _NAMES:
        setattr(state, name, values[name])
    for dataset in state.datasets.values():
        if not dataset.erased:
            state.participants[dataset.participant] = dataset.owner
    for grant in state.grants.values():
        if grant.terms_sha256:
            state.shared.setdefault(grant.terms_sha256.encode(), grant.terms)
    for value in _shared(state):
        state.shared.setdefault(canonical_parsed(value), value)
    return state


def _shared(state: State) -> Iterator[Any]:
    """Yield each value that grants, offers and datasets share, once."""
    seen: set[int] = set()
    grants = ((g.facets, g.recipient) for g in state.grants.values())
    offers = ((o.terms, o.facets) for o in state.offers.values())
    formats = ((d.format,) for d in state.datasets.values())
    for values in (*grants, *offers, *formats):
        for value in values:
            if id(value) not in seen:
                seen.add(id(value))
                yield value
