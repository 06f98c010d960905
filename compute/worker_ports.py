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
    def state(self) -> State: ...

    @property
    def checkpoint(self) -> Any: ...

    def sync(self) -> Any: ...

    def wait_for(self, index: int, deadline: int) -> Any: ...

    def records(self, start: int, end: int) -> Iterable[Record]: ...


class LedgerPort(Protocol):
    """The log's write and read calls a job makes. `append` returns when the entries are durable."""

    def append(
        self, submissions: Sequence[Submission], wait: bool = False
    ) -> Sequence[Appended]: ...

    def grants(self, indexes: Sequence[int]) -> dict[int, bytes]: ...

    def access_tree(self, root: bytes) -> Sequence[bytes]: ...

    def receipt(self, index: int) -> str: ...


@dataclass(frozen=True, slots=True)
class Beat:
    """The answer to a heartbeat: stops the marketplace saw, and whether to give up."""

    stops: tuple[Submission, ...] = ()
    cancel: bool = False


class MarketPort(Protocol):
    """The marketplace's worker API. A lost lease raises LeaseLostError from every call."""

    def lease(self, job_id: str) -> JobMessage | None: ...

    def heartbeat(self, job: JobMessage, progress: Progress) -> Beat: ...

    def dataset_file(self, dataset: str) -> bytes: ...

    def put_object(self, job: JobMessage, name: str, data: bytes) -> None: ...

    def outcome(self, job: JobMessage, outcome: Outcome) -> None: ...


class ParserPort(Protocol):
    """Parses one plaintext in a confined child. Raises IngestError."""

    def parse(
        self, plaintext: bytes | memoryview, modality: Any, name: str, *, callability: Any = None
    ) -> Parsed: ...


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
