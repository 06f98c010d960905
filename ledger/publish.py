"""From a sequenced head to a published checkpoint: sign, have it cosigned, publish at quorum.

Also the check at start: a log whose store is behind or beside what its witnesses saw must not
serve. Never moves the head, and never publishes what the policy's quorum has not cosigned.
Spec: C2SP tlog-checkpoint, tlog-witness, tlog-policy.
"""

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from hashlib import sha256
from itertools import combinations

import httpx

from ledger.checkpoint import Checkpoint, format_checkpoint, parse_checkpoint
from ledger.errors import ConsistencyError, LedgerError, PolicyError, StoreError
from ledger.merkle import HashReader, consistency_proof_from_reader, root_from_reader
from ledger.note import (
    Note,
    NoteSignature,
    Signer,
    format_note,
    parse_note,
    parse_signatures,
    sign_note,
    verify_note,
    verify_signature,
)
from ledger.policy import NO_QUORUM, Policy, time_of_quorum, verify_checkpoint
from ledger.store import Head, Store
from ledger.tiles import Tile, hash_reader
from ledger.witness_core import SIZE_CONTENT_TYPE, format_add_checkpoint

WITNESS_SECONDS = 2.0
GRACE_SECONDS = 0.03
MAX_ANSWER_BYTES = 1 << 20
logger = logging.getLogger("ledger.publish")


def read_tile(store: Store, tile: Tile) -> bytes:
    """Return a tile at its width. Raises StoreError where the store lacks it."""
    data = store.tile(tile.level, tile.index)
    if data is None or len(data) < tile.width * 32:
        raise StoreError(f"{tile.path} is missing or short in the store; restore a backup")
    return data[: tile.width * 32]


def reader_for(store: Store, size: int) -> HashReader:
    """Return a hash reader over the store's tiles for a tree of `size` leaves."""
    return hash_reader(lambda tile: read_tile(store, tile), size)


class WitnessClient:
    """Speaks tlog-witness to one witness, remembering how far that witness is."""

    def __init__(self, url: str, http: httpx.Client) -> None:
        self.url = url.rstrip("/")
        self._http = http
        self._size = 0
        self.pending: Future[tuple[NoteSignature, ...]] | None = None

    def add_checkpoint(
        self, note: Note, proof_from: Callable[[int], list[bytes]]
    ) -> tuple[NoteSignature, ...]:
        """Ask for cosignatures; on a conflict catch up from the size the witness names.

        Raises LedgerError.
        """
        size = parse_checkpoint(note.text).size
        for _ in range(2):
            if self._size > size:
                raise ConsistencyError(f"witness {self.url} has seen {self._size} entries")
            body = format_add_checkpoint(self._size, proof_from(self._size), note)
            response = self._post(body)
            if response.status_code == 200:
                signatures = parse_signatures(response.content)
                self._size = size
                return signatures
            if response.status_code != 409:
                reason = response.text[:200].strip()
                raise LedgerError(f"witness {self.url} says {response.status_code}: {reason}")
            self._size = _conflict_size(response)
        raise LedgerError(f"witness {self.url} keeps changing its size")

    def latest(self, origin: str) -> bytes | None:
        """Fetch the newest checkpoint it cosigned; None if it never did. Raises LedgerError."""
        try:
            name = sha256(origin.encode()).hexdigest()
            response = self._http.get(f"{self.url}/{name}/checkpoint")
        except httpx.TransportError as error:
            raise LedgerError(f"witness {self.url}: {type(error).__name__}") from None
        if response.status_code == 404:
            return None
        if response.status_code != 200 or len(response.content) > MAX_ANSWER_BYTES:
            raise LedgerError(f"witness {self.url} says {response.status_code}")
        return response.content

    def _post(self, body: bytes) -> httpx.Response:
        try:
            return self._http.post(f"{self.url}/add-checkpoint", content=body)
        except httpx.TransportError as error:
            raise LedgerError(f"witness {self.url}: {type(error).__name__}") from None


def _conflict_size(response: httpx.Response) -> int:
    text = response.text.strip()
    if response.headers.get("content-type") != SIZE_CONTENT_TYPE or not text.isdigit():
        raise LedgerError("a witness answered a conflict without its size")
    return int(text[:19])


class Publisher:
    """Turns heads into published checkpoints. policy None: no witnesses are asked for.

    clock: Unix ms, for the time beside the stored checkpoint only.
    """

    def __init__(
        self,
        store: Store,
        signer: Signer,
        witnesses: Sequence[str] = (),
        policy: Policy | None = None,
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._store = store
        self._signer = signer
        self._policy = policy
        self._clock = clock
        self._http = httpx.Client(timeout=WITNESS_SECONDS, follow_redirects=False)
        self._witnesses = [WitnessClient(url, self._http) for url in witnesses]
        self._pool = ThreadPoolExecutor(max(1, len(witnesses)), "witness")

    @property
    def origin(self) -> str:
        """Return the log's name, the first line of its checkpoints."""
        return self._signer.vkey.name

    def close(self) -> None:
        """Stop asking witnesses."""
        self._pool.shutdown(cancel_futures=True)
        self._http.close()

    def publish(self, head: Head) -> bytes:
        """Sign a head, collect cosignatures, keep and return the published note.

        Raises PolicyError if the quorum is not met: what was published before stays.
        """
        text = format_checkpoint(Checkpoint(self.origin, head.size, head.root))
        signed = sign_note(text, [self._signer])
        cosignatures = self._collect(signed, head)
        data = format_note(Note(text, (*signed.signatures, *cosignatures)))
        if self._policy is not None:
            verify_checkpoint(self._policy, data)
        self._store.publish(head.size, head.root, data, self._clock())
        return data

    def _collect(self, signed: Note, head: Head) -> list[NoteSignature]:
        """Ask all witnesses at once; return once the quorum is met and the rest had a moment."""
        asked = {self._ask(witness, signed, head) for witness in self._witnesses}
        waiting = {future for future in asked if future is not None}
        got: list[NoteSignature] = []
        deadline = time.monotonic() + 2 * WITNESS_SECONDS
        while waiting and (left := deadline - time.monotonic()) > 0:
            done, waiting = wait(waiting, left, FIRST_COMPLETED)
            for future in done:
                got += self._accepted(future, signed.text)
            if self._meets(signed, got):
                deadline = min(deadline, time.monotonic() + GRACE_SECONDS)
        return got

    def _ask(
        self, witness: WitnessClient, signed: Note, head: Head
    ) -> "Future[tuple[NoteSignature, ...]] | None":
        if witness.pending is not None and not witness.pending.done():
            return None  # still busy with an older checkpoint: one request at a time

        def proof_from(size: int) -> list[bytes]:
            if size in (0, head.size):
                return []
            return consistency_proof_from_reader(
                reader_for(self._store, head.size), size, head.size
            )

        witness.pending = self._pool.submit(witness.add_checkpoint, signed, proof_from)
        return witness.pending

    def _accepted(
        self, future: "Future[tuple[NoteSignature, ...]]", text: str
    ) -> list[NoteSignature]:
        """Keep only cosignatures of the policy that verify: one bad witness must not spoil all."""
        try:
            signatures = future.result()
        except LedgerError as error:
            logger.warning("no cosignature: %s", error)
            return []
        return [one for one in signatures if self._is_good(one, text)]

    def _is_good(self, signature: NoteSignature, text: str) -> bool:
        for witness in self._policy.witnesses if self._policy else ():
            key = witness.vkey
            if (key.name, key.key_id) == (signature.name, signature.key_id):
                try:
                    verify_signature(key, text, signature.signature)
                except LedgerError as error:
                    logger.warning("cosignature of %s is wrong: %s", key.name, error)
                    return False
                return True
        return False

    def _meets(self, signed: Note, got: Sequence[NoteSignature]) -> bool:
        if self._policy is None:
            return True
        try:
            verify_checkpoint(
                self._policy, format_note(Note(signed.text, (*signed.signatures, *got)))
            )
        except PolicyError:
            return False
        return True

    def check_against_witnesses(self, head: Head, wait_seconds: float) -> None:
        """Refuse to go on if any witness has seen a tree this store does not continue.

        Waits until so many witnesses answered that the others alone could not make a quorum.
        Raises ConsistencyError (behind, forked) or StoreError (too few answers), with the way out.
        """
        if self._policy is None or self._policy.quorum == NO_QUORUM:
            return
        deadline = time.monotonic() + wait_seconds
        silent = list(self._witnesses)
        while True:
            silent = [witness for witness in silent if not self._fits(witness, head)]
            if self._others_are_too_few(silent):
                return
            if time.monotonic() > deadline:
                names = ", ".join(witness.url for witness in silent)
                raise StoreError(
                    f"too few witnesses answered to know that this store is the newest: {names}. "
                    "Start them, or correct their addresses, and start the log again"
                )
            time.sleep(0.1)

    def _others_are_too_few(self, silent: Sequence[WitnessClient]) -> bool:
        if self._policy is None or not silent:
            return True
        # Witnesses are known by address here and by key in the policy: assume the worst, that
        # any of the policy's witnesses could be the silent ones.
        policy = self._policy
        names = [witness.name for witness in policy.witnesses]
        unknown = len(silent) + max(0, len(names) - len(self._witnesses))
        return all(
            time_of_quorum(policy, dict.fromkeys(some, 1)) is None
            for some in combinations(names, min(unknown, len(names)))
        )

    def _fits(self, witness: WitnessClient, head: Head) -> bool:
        """Tell whether a witness answered. Raises ConsistencyError if it saw another log."""
        try:
            data = witness.latest(self.origin)
            if data is None:
                return True
            note = parse_note(data)
            # Only what this log itself signed counts: a witness cannot stop it by inventing.
            verify_note(note, [self._signer.vkey])
            seen = parse_checkpoint(note.text)
        except LedgerError as error:
            logger.warning("witness not consulted: %s", error)
            return False
        if seen.size > head.size:
            raise ConsistencyError(_behind(witness.url, seen.size, head.size))
        if root_from_reader(reader_for(self._store, seen.size), seen.size) != seen.root:
            raise ConsistencyError(_forked(witness.url, seen.size))
        return True


def _behind(url: str, seen: int, have: int) -> str:
    return (
        f"this store is behind: witness {url} has cosigned {seen} entries, the store holds {have}. "
        "It is probably a restored backup; serving it would fork the log. Way out: put back the "
        "newest copy of the database, or bring this one up to a mirror that holds at least "
        f"{seen} entries: `omic mirror catch-up --dir MIRROR --to DIR`, DIR being this log's "
        "directory. If neither exists, the entries are lost: begin a new log under a new origin"
    )


def _forked(url: str, size: int) -> str:
    return (
        f"this store is another history: at {size} entries witness {url} has cosigned another "
        "root. Way out: stop every other writer, find the copy of the database whose root the "
        "witnesses know, or make a log of a mirror: `omic mirror promote`; never delete a "
        "witness's record to get past this"
    )
