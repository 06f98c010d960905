"""Ways out for a log that is lost or behind, from a mirror's copy, without a fork.

`promote` makes a new log of the copy; `catch_up` brings a restored backup, which a log refuses to
serve, up to the copy. Both refuse while the old log answers, and unless the copy is at least as far
as the witnesses and of the history they saw. Signs nothing, and believes the tree, not the copy.
"""

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from ledger import server
from ledger.access_tree import parse_access_tree
from ledger.client import LedgerClient, UnavailableError
from ledger.config import (
    LOG_KEY_NAME,
    OPERATOR_KEY_NAME,
    load_ledger,
    read_secret,
    write_secret,
)
from ledger.errors import ConsistencyError, FormatError, LedgerError, NotFoundError, RefusedError
from ledger.frames import Envelope
from ledger.merkle import consistency_proof_from_reader, root_from_reader
from ledger.mirror_config import MirrorConfig, load_mirror
from ledger.mirror_copy import Copy, Keeps, personal_among, stored_checkpoint
from ledger.note import Signer, parse_private_key
from ledger.publish import Publisher, reader_for
from ledger.reader import SEALED_GRANT
from ledger.service import SNAPSHOT_NAME
from ledger.store import Head, Store
from ledger.store_sql import SqlStore
from ledger.trust import TrustPolicy

WITNESS_WAIT_SECONDS = 20.0


def promote(
    directory: Path, target: Path, keys: Path, port: int, wait: float = WITNESS_WAIT_SECONDS
) -> dict[str, Any]:
    """Make a log in `target` of the copy in `directory`, ready for `python -m ledger.server`.

    keys: a directory with log.key and operator.key of the lost log, from their backup.
    Entries that were acknowledged but never witnessed are not in any mirror: whoever sent them
    sends them again. Raises RefusedError while the old log answers, ConsistencyError if the copy
    is behind its witnesses or another history, StoreError if too few witnesses answer.
    """
    config = load_mirror(directory)
    trust = TrustPolicy.load(config.trust_file)
    signer = parse_private_key(read_secret(keys / LOG_KEY_NAME))
    _require_key(trust, signer, keys)
    names = (LOG_KEY_NAME, OPERATOR_KEY_NAME)
    secrets = {name: read_secret(keys / name) for name in names}
    database = _sqlite_path(config.database_url)
    _require_silence(config.source)
    head = _require_newest(config, trust, signer, wait)
    server.write_setup(target, trust.origin, port)
    for name, text in secrets.items():
        write_secret(target / name, text + "\n")
    _copy_database(database, target / server.DATABASE_NAME)
    return {"origin": trust.origin, "size": head.size, "root": head.root.hex(), "dir": str(target)}


def _require_newest(config: MirrorConfig, trust: TrustPolicy, signer: Signer, wait: float) -> Head:
    """Return the copy's head. Raises unless it continues what every witness has seen."""
    store = SqlStore(config.database_url, writer=False)
    urls = [witness.url for witness in trust.policy.witnesses if witness.url]
    publisher = Publisher(store, signer, urls, trust.policy)
    try:
        publisher.check_against_witnesses(store.head(), wait)
        return store.head()
    finally:
        publisher.close()
        store.close()


def _require_silence(source: str) -> None:
    """Refuse while the old log answers: two logs with one key would fork."""
    with LedgerClient(source) as client:
        try:
            client.checkpoint()
        except UnavailableError:
            return
        except LedgerError:
            pass  # it answers, if only with an error
    raise RefusedError(
        f"the log at {source} still answers: two logs with one key would fork. Stop it first"
    )


def _sqlite_path(url: str) -> str:
    if not url.startswith("sqlite:///"):
        raise RefusedError(
            "this copy is in PostgreSQL: make a log with `ledger.server init`, put the old keys "
            "in its directory and this database's address in its config.toml, and never start "
            "the mirror on it again; the log compares itself with the witnesses when it starts"
        )
    return url.removeprefix("sqlite:///")


def _copy_database(path: str, target: Path) -> None:
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    with (
        closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as source,
        closing(sqlite3.connect(target)) as copy,
    ):
        source.backup(copy)


def catch_up(directory: Path, target: Path, wait: float = WITNESS_WAIT_SECONDS) -> dict[str, Any]:
    """Bring the log in `target`, put back from an old copy, up to the mirror in `directory`.

    Its keys, tokens and address stay; what it lacks is added, and what was erased or withdrawn
    since its copy was made goes. Entries that were acknowledged but never witnessed are in no
    mirror: whoever sent them sends them again. Raises RefusedError while the log answers or when
    the mirror lacks what consent decisions need, ConsistencyError if the mirror is behind its
    witnesses or the store of another history, StoreError if too few witnesses answer or the log
    still runs.
    """
    mirror, log = load_mirror(directory), load_ledger(target)
    if mirror.database_url == log.database_url:
        raise FormatError("mirror and log are configured with one database; each has its own")
    trust = TrustPolicy.load(mirror.trust_file)
    signer = parse_private_key(read_secret(target / LOG_KEY_NAME))
    _require_key(trust, signer, target)
    _require_silence(mirror.source)
    newest = _require_newest(mirror, trust, signer, wait)
    held, store = SqlStore(mirror.database_url, writer=False), SqlStore(log.database_url)
    try:
        old = store.head()
        _require_prefix(held, newest, old)
        _require_whole(held, newest, old, mirror.keeps)
        # The kept fold of the old copy may hold what was erased since.
        (target / SNAPSHOT_NAME).unlink(missing_ok=True)
        Copy(_FromStore(held), store, Keeps.GRANTS).extend(newest.size, newest.root)
        # An older one would look to followers like a changed past until the log signs anew.
        if (shown := stored_checkpoint(held)) is not None:
            store.publish(shown.size, shown.root, shown.note, newest.time)
        store.scrub()
    finally:
        store.close()
        held.close()
    return {"origin": trust.origin, "from": old.size, "size": newest.size, "dir": str(target)}


class _FromStore:
    """What a mirror's store holds, asked for as a log is asked over HTTP."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def entries(self, start: int, end: int) -> list[bytes]:
        return self._store.leaves(start, end)

    def consistency(self, old: int, new: int) -> list[bytes]:
        return consistency_proof_from_reader(reader_for(self._store, new), old, new)

    def envelopes(self, indexes: Sequence[int]) -> list[Envelope]:
        found = self._store.envelopes(indexes)
        return [Envelope(index, *found.get(index, ())) for index in indexes]

    def grants(self, indexes: Sequence[int]) -> dict[int, bytes]:
        return self._store.attachments(indexes, SEALED_GRANT)

    def access_tree(self, root: bytes) -> list[bytes]:
        data = self._store.access_tree(root)
        if data is None:
            raise NotFoundError("no access tree has this root")
        return parse_access_tree(data)


def _require_prefix(held: Store, newest: Head, old: Head) -> None:
    """Refuse a store that is not an older part of the mirror's copy."""
    if old.size >= newest.size:
        raise RefusedError(
            f"the log holds {old.size} entries and the mirror {newest.size}: there is nothing to "
            "catch up with; start the log"
        )
    if old.size and root_from_reader(reader_for(held, newest.size), old.size) != old.root:
        raise ConsistencyError(
            f"this store is another history: its {old.size} entries are not the first of the "
            "mirror's. Put it aside and make a log of the mirror with `omic mirror promote`"
        )


def _require_whole(held: Store, newest: Head, old: Head, keeps: Keeps) -> None:
    """Refuse a mirror without envelopes: nobody could decide on the entries it would add."""
    if keeps is Keeps.GRANTS:
        return
    count = personal_among(held, old.size, newest.size)
    if count:
        raise RefusedError(
            f"this mirror keeps {keeps.value} only, and {count} of the {newest.size - old.size} "
            "entries the log lacks are personal: consent decisions would stop for ever. Catch up "
            "from a mirror made with --keeps grants, or put back a newer copy of the database"
        )


def _require_key(trust: TrustPolicy, signer: Signer, keys: Path) -> None:
    if signer.vkey not in [log.vkey for log in trust.policy.logs]:
        raise FormatError(f"{keys / LOG_KEY_NAME} is not the key of the log {trust.origin}")
