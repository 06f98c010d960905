"""Health passport: one dataset, or a part of it, for one professional's key, until a date.

The owner's client writes the header for that key (or cuts a part and encrypts it anew); nothing
here can open either. Whether a share counts is the ledger's alone: given by the owner, committed
to this very header, not stopped, not past its date. Stopping ends further downloads; what was
fetched stays readable, and the pages say so before anybody shares.
"""

import hashlib
import hmac
from collections.abc import Iterator
from itertools import chain
from typing import IO, Any

from sqlmodel import Session, col, select

from ledger import State, b64, unb64
from marketplace import uploads
from marketplace.errors import (
    ConflictError,
    ExpiredError,
    ForbiddenError,
    NotFoundError,
    TamperedError,
    TooManyError,
)
from marketplace.services import Services
from marketplace.tables import SharedFile, StoredObject

MAX_SHARES = 200
MAX_HEADER_BYTES = 64 * 1024
UNKNOWN = "there is no share under this address; ask whoever sent it for a new one"


def keep(
    services: Services, owner: str, share: str, token_sha256: str, *,
    header: bytes | None = None, part: IO[bytes] | None = None, part_sha256: str = "",
) -> None:  # fmt: skip
    """Keep what belongs to a share the ledger shows: a header, or a part with its own header.

    Sent again by the same owner for the same link, it is kept as it is: an answer was lost.
    Raises NotFoundError, ForbiddenError, TamperedError, ConflictError, TooManyError.
    """
    given = _given(services, share, owner)
    if _has(services, share, token_sha256):
        return
    stored = None
    if header is not None:
        if len(header) > MAX_HEADER_BYTES or _digest(header) != given.header_sha256:
            raise TamperedError("this header is not the one the ledger entry of the share names")
        uploads.dataset_object(services, given.dataset)
    elif part is not None:
        stored = uploads.put_announced(services, part, part_sha256)
    with services.db.write() as session:
        if session.get(SharedFile, share) is not None:
            raise ConflictError("this share is here already; make a new one")
        _require_room(session, owner)
        if stored is not None:
            uploads.keep(session, stored, uploads.ACTIVE, services.clock())
        session.add(
            SharedFile(
                share=share, owner=owner, dataset=given.dataset, token_sha256=token_sha256,
                header=None if header is None else b64(header),
                object_key=None if stored is None else stored.key,
                created_at=services.clock(),
            )
        )  # fmt: skip


def _has(services: Services, share: str, token_sha256: str) -> bool:
    with services.db.read() as session:
        row = session.get(SharedFile, share)
    return row is not None and hmac.compare_digest(row.token_sha256, token_sha256)


def _require_room(session: Session, owner: str) -> None:
    """Raise TooManyError for an owner of too many shares; those that ended count no more."""
    kept = col(SharedFile.header).is_not(None) | col(SharedFile.object_key).is_not(None)
    held = select(SharedFile.share).where(col(SharedFile.owner) == owner, kept)
    if len(session.exec(held).all()) >= MAX_SHARES:
        raise TooManyError(f"you have {MAX_SHARES} shares, as many as may; stop one first")


def _given(services: Services, share: str, owner: str) -> Any:
    snapshot = services.view.snapshot()
    if share not in snapshot.state.shares:
        snapshot = services.view.refresh()
    found = snapshot.state.shares.get(share)
    if found is None:
        raise NotFoundError("the ledger shows no such share yet; send share.given first")
    if found.owner != owner:
        raise ForbiddenError("this share is another owner's")
    return found


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def fetch(services: Services, share: str, token: str) -> tuple[Iterator[bytes], int]:
    """Return the bytes of a share as one Crypt4GH file, and how many there are.

    Raises NotFoundError (also for a wrong token), ExpiredError when it was stopped or is over.
    """
    with services.db.read() as session:
        row = session.get(SharedFile, share)
    if row is None or not hmac.compare_digest(_digest(token.encode()), row.token_sha256):
        raise NotFoundError(UNKNOWN)
    # Followed to its newest entry for each download: a stop a second ago must count.
    require_open(services.view.refresh().state, share, services.clock())
    body = _body(services, row)
    with services.db.write() as session:
        mine = session.get(SharedFile, share)
        if mine is not None:
            mine.fetches, mine.fetched_at = mine.fetches + 1, services.clock()
            session.add(mine)
    return body


def require_open(state: State, share: str, now: int) -> None:
    """Raise ExpiredError unless the ledger shows the share given, not stopped and in its time."""
    given = state.shares.get(share)
    if given is None:
        raise ExpiredError("the ledger does not show this share any more")
    if given.stopped is not None or given.owner in state.objections:
        raise ExpiredError("the owner has stopped this share")
    if given.valid_until is not None and now >= given.valid_until:
        raise ExpiredError("this share is over; ask its owner for a new one")
    dataset = state.datasets.get(given.dataset)
    if dataset is None or dataset.erased or dataset.replaced:
        raise ExpiredError("the dataset of this share is erased or replaced")
    if dataset.retain_until is not None and now >= dataset.retain_until:
        raise ExpiredError("the dataset of this share is past its retention date")


def _body(services: Services, row: SharedFile) -> tuple[Iterator[bytes], int]:
    if row.header is None:
        with services.db.read() as session:
            stored = session.get(StoredObject, row.object_key)
        if stored is None:
            raise NotFoundError(UNKNOWN)
        return services.objects.read(stored.key), stored.size
    stored = uploads.dataset_object(services, row.dataset)
    start = services.view.snapshot().state.datasets[row.dataset].header_size
    header = unb64(row.header)
    rest = services.objects.read(stored.key, start, stored.size)
    return chain([header], rest), len(header) + stored.size - start


def shares_of(services: Services, owner: str) -> list[dict[str, Any]]:
    """Return an owner's shares, newest first: for what, until when, how often fetched."""
    state, now = services.view.snapshot().state, services.clock()
    with services.db.read() as session:
        query = select(SharedFile).where(col(SharedFile.owner) == owner)
        rows = session.exec(query.order_by(col(SharedFile.created_at).desc())).all()
    return [_view(state, row, now) for row in rows]


def _view(state: State, row: SharedFile, now: int) -> dict[str, Any]:
    given = state.shares.get(row.share)
    try:
        require_open(state, row.share, now)
        status = "open"
    except ExpiredError as error:
        status = str(error)
    return {
        "share": row.share,
        "dataset": row.dataset,
        "part": row.object_key is not None,
        "valid_until": None if given is None else given.valid_until,
        "status": status,
        "fetches": row.fetches,
        "fetched_at": row.fetched_at,
    }


def drop_ended(services: Services, state: State) -> int:
    """Delete what belongs to shares that are over; return how many."""
    now, dropped = services.clock(), 0
    with services.db.write() as session:
        for row in session.exec(select(SharedFile)).all():
            try:
                require_open(state, row.share, now)
            except ExpiredError:
                if row.object_key is not None:
                    uploads.doom(session, row.object_key)
                if row.header is not None or row.object_key is not None:
                    row.header, row.object_key, dropped = None, None, dropped + 1
                    session.add(row)
    return dropped
