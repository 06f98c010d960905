"""What the server's parts share: one value made by `marketplace.app` and passed around."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from ledger import TrustPolicy
from marketplace.broker import JobSender
from marketplace.config import MarketConfig
from marketplace.entries import EntrySigner
from marketplace.event_store import EventStore
from marketplace.objects import ObjectStore
from marketplace.outbox import Appender
from marketplace.payments import Payments
from marketplace.share_tree import ShareTrees
from marketplace.store import Database
from marketplace.view import LedgerView


@dataclass(slots=True)
class ChargesSeen:
    """The youngest of the provider's charges that was fetched in a page, so that none is twice."""

    youngest: str | None = None


@dataclass(frozen=True, slots=True)
class Services:
    """Every adapter of the server; clock gives Unix milliseconds.

    `nudge` wakes the background work: set it after writing something it should act on.
    `news` wakes the follower: set it when the ledger took an entry that somebody waits to see.
    """

    config: MarketConfig
    db: Database
    objects: ObjectStore
    ledger: Appender
    view: LedgerView
    payments: Payments
    signer: EntrySigner
    sender: JobSender
    trust: TrustPolicy
    worker_token: str
    challenge_key: bytes
    clock: Callable[[], int]
    nudge: threading.Event = field(default_factory=threading.Event)
    news: threading.Event = field(default_factory=threading.Event)
    share_trees: ShareTrees = field(default_factory=ShareTrees)
    events: EventStore = field(default_factory=EventStore)
    charges_seen: ChargesSeen = field(default_factory=ChargesSeen)
