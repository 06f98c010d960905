"""What a job needs of the world: the ledger, the marketplace, a clock. Faces only.

The HTTP clients implement them in production and the simulators in tests. A port that cannot
keep its promise raises; no job guesses.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from compute.accountant import Accountant
from compute.copies import SharedVariants
from compute.ingest import Parsed
from compute.keys import KeyRing
from compute.messages import JobMessage, Outcome
from compute.orderbook import OrderBook
from compute.partitions import GENOTYPES
from compute.progress import Progress
from compute.shelf import Shelf
from compute.store import CohortStore
from compute.vault import Vault
from ledger import Appended, Record, State, Submission, TrustPolicy


class FollowerPort(Protocol):
    """A verified view of the log. `sync` returns only after signature, witnesses and age held."""

    @property
    def state(self) -> State:
        """Return the fold of every entry followed so far."""
        ...

    @property
    def checkpoint(self) -> Any:
        """Return the newest verified checkpoint, with the time of its quorum (ms)."""
        ...

    def sync(self) -> Any:
        """Follow to the newest checkpoint. Raises LedgerError where it cannot be trusted or had."""
        ...

    def wait_for(self, index: int, deadline: int) -> Any:
        """Follow until a leaf is covered. deadline: Unix ms, after it StaleError is raised."""
        ...

    def records(self, start: int, end: int) -> Iterable[Record]:
        """Return the entries [start, end) as they were verified."""
        ...


class LedgerPort(Protocol):
    """The log's write and read calls a job makes. `append` returns when the entries are durable."""

    def append(self, submissions: Sequence[Submission], wait: bool = False) -> Sequence[Appended]:
        """Append entries; wait: until witnesses cosigned a tree with them. Raises LedgerError."""
        ...

    def grants(self, indexes: Sequence[int]) -> dict[int, bytes]:
        """Return the sealed grants of those leaves that have one."""
        ...

    def access_tree(self, root: bytes) -> Sequence[bytes]:
        """Return the sorted leaves of an access tree, by its root."""
        ...

    def receipt(self, index: int) -> str:
        """Return the offline proof of an entry (c2sp.org/tlog-proof)."""
        ...


@dataclass(frozen=True, slots=True)
class Beat:
    """The answer to a heartbeat: stops the marketplace saw, and whether to give up."""

    stops: tuple[Submission, ...] = ()
    cancel: bool = False


class MarketPort(Protocol):
    """The marketplace's worker API. A lost lease raises LeaseLostError from every call."""

    def lease(self, job_id: str) -> JobMessage | None:
        """Take a job; None when it is taken, finished or unknown."""
        ...

    def heartbeat(self, job: JobMessage, progress: Progress) -> Beat:
        """Keep a job, and say how far it is."""
        ...

    def dataset_file(self, dataset: str) -> bytes:
        """Return a dataset's ciphertext: a whole Crypt4GH file."""
        ...

    def put_object(self, job: JobMessage, name: str, data: bytes) -> None:
        """Hand in a job's encrypted file under a name."""
        ...

    def outcome(self, job: JobMessage, outcome: Outcome) -> None:
        """Say how a job ended; it is no longer held."""
        ...


class ParserPort(Protocol):
    """Parses one plaintext in a confined child. Raises IngestError."""

    def parse(
        self, plaintext: bytes | memoryview, modality: Any, name: str, *, callability: Any = None
    ) -> Parsed:
        """Return what a file holds. modality: what it was registered as; name: for messages."""
        ...


@dataclass(frozen=True, slots=True)
class Helpers:
    """Who else sums partitions of a pass, and from what size on.

    send: tells helpers of (order, attempt, partition), None: there are none. genotypes: what a
    partition holds at least. wait_ms: how long the lead waits for one that is not heard of.
    """

    send: Callable[[str, int, int], None] | None = None
    genotypes: int = GENOTYPES
    wait_ms: int = 60_000


@dataclass(frozen=True, slots=True)
class Workshop:
    """Everything one worker works with."""

    follower: FollowerPort
    ledger: LedgerPort
    market: MarketPort
    vault: Vault
    store: CohortStore
    variants: SharedVariants
    accountant: Accountant
    book: OrderBook
    keys: KeyRing
    parser: ParserPort
    trust: TrustPolicy
    region: str
    clock: Callable[[], int]
    new_id: Callable[[], str]
    wait_for_tick: Callable[[], None]
    tick_ms: int = 0  # 0: no ticks
    inclusion_wait_ms: int = 30_000
    references: Shelf = field(default_factory=Shelf)
    helpers: Helpers = field(default_factory=Helpers)
