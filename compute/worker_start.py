"""Starting a worker: put the workshop together, replay the ledger, then open for jobs.

On every start, before anything is opened: the ledger is followed from its beginning, stops are
applied again, and the budget is held against the ledger's own access entries; a database that
does not fit is refused. Publishes the recipient keys and the code digest once. Spec: DESIGN 3.1
"Recovery".
"""

import hashlib
import logging
import queue
import secrets
import time
from collections.abc import Callable, Iterator, Set
from fractions import Fraction
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from compute.accountant import Accountant, Charge, Stated
from compute.config import WorkerConfig, read_token
from compute.copies import SharedVariants
from compute.elsewhere import Use, use_of
from compute.exact import stated_exact
from compute.genomes import genomes_of
from compute.ingest import Parsed, ParserHost
from compute.jobs_client import JobsClient
from compute.keys import (
    Epoch,
    KeyRing,
    load_keys,
    needs_next,
    new_epoch,
    write_epoch,
)
from compute.kms import open_kms
from compute.orderbook import OrderBook
from compute.planner import charge_of
from compute.selection import Member
from compute.shelf import Shelf
from compute.store import CohortStore
from compute.tables import StoreStateError, is_newest, open_engine, upgrade
from compute.vault import INGEST, Vault
from compute.worker_entries import signed
from compute.worker_ingest import PARSERS
from compute.worker_ports import Helpers, Workshop
from compute.worker_stops import destroy_stopped
from compute.worker_tick import sleep_to_tick
from ledger import (
    Access,
    Follower,
    Grant,
    LedgerClient,
    Snapshots,
    StaleError,
    State,
    Submission,
    TrustPolicy,
    UnavailableError,
)

PACKAGES = ("compute", "ledger")
START_WAIT_S = 120.0
POLL_S = 0.25
logger = logging.getLogger("compute.worker")


class ParserPool:
    """Several confined parsers; each file goes to one that is free."""

    def __init__(self, size: int) -> None:
        self._free: queue.Queue[ParserHost] = queue.Queue()
        for _ in range(size):
            self._free.put(ParserHost())

    def parse(
        self, plaintext: bytes | memoryview, modality: Any, name: str, *, callability: Any = None
    ) -> Parsed:
        """Parse one file in a confined child. Raises as ParserHost.parse."""
        host = self._free.get()
        try:
            return host.parse(plaintext, modality, name, callability=callability)
        finally:
            self._free.put(host)


def clock_ms() -> int:
    """Return the machine's clock in Unix milliseconds."""
    return time.time_ns() // 1_000_000


def build_workshop(config: WorkerConfig, helper: str | None = None) -> Workshop:
    """Open databases, store, keys and clients. Raises ConfigError or StoreStateError.

    helper: the name of one that only sums what a worker of the same directory leads: it leaves the
    database and the keys as that worker made them, and keeps no fold.
    """
    keys = load_keys(config.directory)
    if helper is None:
        upgrade(config.database_url)
        keys = _with_epoch(config, keys)
    engine = open_engine(config.database_url)
    trust = TrustPolicy.load(config.trust_file)
    kms = open_kms(config.kms_url, keys.kek, config.directory)
    store = CohortStore(config.store_path, kms)
    return Workshop(
        follower=_follower(config, trust, keys.kek, helper),
        ledger=LedgerClient(config.ledger_url, read_token(config.ledger_token_file, "grants")),
        market=_market(config, keys),
        vault=Vault(keys, store, kms),
        store=store,
        variants=SharedVariants(store),
        accountant=Accountant(engine),
        book=OrderBook(engine),
        keys=keys,
        parser=ParserPool(PARSERS),
        trust=trust,
        region=config.region,
        clock=clock_ms,
        new_id=lambda: secrets.token_hex(16),
        wait_for_tick=lambda: sleep_to_tick(clock_ms(), config.tick_ms),
        tick_ms=config.tick_ms,
        inclusion_wait_ms=config.inclusion_wait_ms,
        references=Shelf(config.reference_dir),
        helpers=Helpers(
            None if helper else _sender(config),
            config.partition_genotypes,
            config.partition_wait_ms,
        ),
    )


def _follower(config: WorkerConfig, trust: TrustPolicy, kek: bytes, helper: str | None) -> Follower:
    """Return what follows the log; a helper has a checkpoint of its own and keeps no fold."""
    client = LedgerClient(config.ledger_url, read_token(config.ledger_token_file, "envelopes"))
    seen = "checkpoint.json" if helper is None else f"{helper}.checkpoint.json"
    return Follower(
        client,
        trust,
        config.directory / seen,
        personal=True,
        clock=clock_ms,
        snapshots=None if helper else Snapshots(config.directory / "fold.snapshot", kek),
    )


def _market(config: WorkerConfig, keys: KeyRing) -> JobsClient:
    """Return the marketplace's worker API; its token is read anew at each request."""
    return JobsClient(
        config.marketplace_url,
        lambda: read_token(config.worker_token_file, "worker"),
        f"worker-{keys.identity_public.hex()[:16]}",
    )


def _sender(config: WorkerConfig) -> Callable[[str, int, int], None] | None:
    """Return what tells helpers of partitions, None where there are no helpers."""
    if not config.helpers:
        return None
    from compute.broker import PartSender  # Celery is loaded where it is used

    return PartSender(config.broker_url, config.directory, config.region).send


def _with_epoch(config: WorkerConfig, keys: KeyRing) -> KeyRing:
    """Draw the next epoch's keys when the newest has fewer than 30 days left."""
    now = clock_ms()
    if not needs_next(keys.epochs, config.region, now):
        return keys
    write_epoch(config.directory / "keys", new_epoch(config.region, now))
    return load_keys(config.directory)


def wait_for_database(config: WorkerConfig, wait_s: float = START_WAIT_S) -> None:
    """Wait until the worker of this directory has made its database. Raises StoreStateError."""
    deadline = time.monotonic() + wait_s
    while not is_newest(config.database_url):
        if time.monotonic() >= deadline:
            raise StoreStateError("the worker's database is not there, or not of this program")
        time.sleep(POLL_S)


def wait_for_ledger(shop: Workshop, wait_s: float = START_WAIT_S) -> None:
    """Follow the log to its head, waiting for a ledger that is still starting."""
    deadline, said = time.monotonic() + wait_s, False
    while True:
        try:
            shop.follower.sync()
            return
        except (UnavailableError, StaleError) as error:
            if time.monotonic() >= deadline:
                raise
            if not said:
                logger.warning("nothing is opened until the ledger can be followed: %s", error)
            said = True
            time.sleep(POLL_S)


def open_for_work(shop: Workshop) -> None:
    """Apply stops again, compact the store, hold the budget against the ledger, publish keys and
    code digest.
    """
    destroy_stopped(shop)
    shop.store.compact()
    reconcile(shop)
    announce(shop)


def reconcile(shop: Workshop) -> int:
    """Make the budget agree with this region's access entries; return how many were rebuilt.

    Another region's are its own worker's: only that holds the keys they are attributed by.
    Raises LedgerMismatchError.
    """
    state = shop.follower.state
    recorded = {
        access.id: access
        for access in state.accesses.values()
        if access.payload["purpose"] != INGEST and access.payload["region"] == shop.region
    }
    missing = shop.accountant.unknown(recorded)
    open_now = shop.accountant.released(recorded)
    stated = [_stated(shop, recorded[access]) for access in sorted(missing | open_now)]
    ended = sum(1 for grant in state.grants.values() if grant.stopped_at is not None)
    return shop.accountant.reconcile(stated, set(recorded), ended)


def _stated(shop: Workshop, access: Access) -> Stated:
    """Read who an access charged: the grants whose tag is in its tree."""
    root = bytes.fromhex(str(access.payload["cohort_root"]))
    leaves = set(shop.ledger.access_tree(root))
    state = shop.follower.state
    people: dict[tuple[str, str], dict[str, Grant]] = {}
    found, known = 0, set[str]()
    for head in shop.store.heads():
        grant = state.grants.get(head.grant)
        if grant is None:
            continue
        known.add(grant.activity_commitment)
        if shop.vault.tag(grant, access.id) not in leaves:
            continue
        dataset = state.datasets[grant.dataset]
        people.setdefault((grant.owner, dataset.participant), {})[dataset.modality] = grant
        found += 1
    use, strangers = use_of(state, access), len(leaves) - found
    exactly = [_charge(shop, who, grants) for who, grants in sorted(people.items())]
    return Stated(
        access=access.id,
        order=str(access.payload["order"]),
        rho=use.rho,
        charges=(*exactly, *(_ended(state, use, known) if strangers else ())),
        strangers=strangers,
        exact=stated_exact(use.order, shop.variants),
    )


def _ended(state: State, use: Use, known: Set[str]) -> Iterator[Charge]:
    """Yield a charge for everybody whose consent has ended since and may have been the stranger.

    Its activity key is destroyed, so nobody can tell any more; a fresh consent of the same person
    must not begin a fresh budget. known: the activity keys still held (a rekeyed consent keeps
    its own), by their commitments: of those it is known.
    """
    for grant in state.grant_at.values():
        if grant.stopped_at is None or grant.activity_commitment in known:
            continue
        if use.may_hold(state, grant):
            dataset = state.datasets[grant.dataset]
            person = f"{dataset.owner}/{dataset.participant}"
            yield Charge(person, (dataset.id,), limit=Fraction(0))  # a limit is not asked here


def _charge(shop: Workshop, who: tuple[str, str], grants: dict[str, Grant]) -> Charge:
    member = Member(who[0], who[1], grants, 0)
    return charge_of(member, genomes_of(shop.store, [member]).get("/".join(who)))


def announce(shop: Workshop) -> list[str]:
    """Publish recipient keys and the code digest where the ledger lacks them; return the types."""
    state = shop.follower.state
    entries: list[Submission] = [
        signed(shop, "compute.key_published", epoch.published())
        for epoch in shop.keys.epochs
        if epoch.key_id not in state.compute_keys and _in_time(epoch, shop.clock())
    ]
    released = {"version": program_version(), "code_digest": package_digest()}
    if not _is_released(state, released):
        entries.append(signed(shop, "compute.released", released))
    if entries:
        appended = shop.ledger.append(entries, wait=True)
        shop.follower.wait_for(appended[-1].index, shop.clock() + shop.inclusion_wait_ms)
    return [entry.entry.type for entry in entries]


def _in_time(epoch: Epoch, now: int) -> bool:
    return now < epoch.not_after


def _is_released(state: State, released: dict[str, str]) -> bool:
    """Tell whether the newest release on the ledger is this code."""
    newest = state.compute_releases[-1:]
    return any(
        all(done.payload[name] == value for name, value in released.items()) for done in newest
    )


def package_digest() -> str:
    """Return the SHA-256 over every source file of the compute and ledger packages."""
    root = Path(__file__).resolve().parent.parent
    files = sorted(path for name in PACKAGES for path in (root / name).rglob("*.py"))
    total = hashlib.sha256(b"omic/packages/v1")
    for path in files:
        data = path.read_bytes()
        total.update(f"\n{path.relative_to(root).as_posix()} {len(data)}\n".encode())
        total.update(data)
    return total.hexdigest()


def program_version() -> str:
    """Return the installed version of the distribution."""
    try:
        return version("omic-market")
    except PackageNotFoundError:
        return "0"
