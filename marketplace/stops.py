"""Stops handed to the marketplace because the ledger could not be reached.

A stop is honoured from any path: its signature counts, no session is needed. It waits in the
outbox, workers learn of it at their next heartbeat, and the ledger gets it when it answers.
Only what the fold would admit is taken, so nobody can fill the outbox with strangers' stops.
Spec: DESIGN section 2.1.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, func, select

from ledger import (
    FormatError,
    LedgerError,
    RefusedError,
    State,
    Submission,
    entry_bytes,
    make_leaf,
    submission_from_json,
    validate_payload,
    verify_signatures,
)
from marketplace import outbox
from marketplace.errors import (
    ConflictError,
    InputError,
    TamperedError,
    TooManyError,
    UnavailableError,
)
from marketplace.services import Services
from marketplace.tables import OutboxRow

STOPS = (
    "consent.withdrawn",
    "consent.paused",
    "objection.raised",
    "dataset.erased",
    "dataset.replaced",
)


@dataclass(frozen=True, slots=True)
class Taken:
    """A stop we have: state pending, posted or refused (by the ledger); index once posted."""

    entry: str
    state: str
    index: int | None


def accept(services: Services, value: Mapping[str, Any]) -> Taken:
    """Take a signed stop; the same one again answers how it stands.

    Raises InputError, TamperedError, ConflictError, TooManyError, UnavailableError.
    """
    submission = _parsed(value)
    dedupe = "stop:" + hashlib.sha256(entry_bytes(submission.entry)).hexdigest()
    if (known := _known(services, dedupe)) is not None:
        return known
    _verify(services, submission)
    try:
        with services.db.write() as session:
            _enqueue(services, session, submission, dedupe)
    except IntegrityError:
        # Another request with the same entry was faster, or its id was used before.
        pass
    taken = _known(services, dedupe)
    if taken is None:
        raise ConflictError("an entry of this id is here already; sign the stop with a fresh id")
    return taken


def _parsed(value: Mapping[str, Any]) -> Submission:
    """Check the shape alone. Raises InputError."""
    try:
        submission = submission_from_json(value)
        if submission.entry.type not in STOPS:
            raise InputError(f"a stop is one of {', '.join(STOPS)}; send the rest to the ledger")
        validate_payload(submission.entry)
        make_leaf(submission.entry, submission.salt, 0)
    except LedgerError as error:
        raise InputError(f"this is not a stop the ledger would read: {error}") from None
    if submission.attachments:
        raise InputError("a stop has no attachments")
    return submission


def _verify(services: Services, submission: Submission) -> None:
    """Check the signature and, in the fold, that its signer may stop this."""
    try:
        verify_signatures(submission.entry, services.trust.passkeys)
    except LedgerError as error:
        raise TamperedError(f"the stop's signature does not hold: {error}") from None
    now = services.clock()
    try:
        _admissible(services.view.snapshot().state, submission, now)
    except RefusedError:
        _look_again(services, submission, now)


def _look_again(services: Services, submission: Submission, now: int) -> None:
    """Judge by the newest ledger we can get: what is stopped may have been given just now."""
    try:
        state = services.view.refresh().state
    except UnavailableError:
        state = services.view.snapshot().state
    try:
        _admissible(state, submission, now)
    except RefusedError as error:
        raise ConflictError(f"the ledger would refuse this stop: {error}") from None


def _admissible(state: State, submission: Submission, now: int) -> None:
    entry = submission.entry
    if entry.payload["owner"] not in state.parties:
        raise RefusedError(f"{entry.type}: its owner is not registered")
    try:
        state.check(entry, make_leaf(entry, submission.salt, now))
    except FormatError as error:
        raise InputError(f"this is not a stop the ledger would read: {error}") from None


def _enqueue(services: Services, session: Session, submission: Submission, dedupe: str) -> None:
    owner = str(submission.entry.payload["owner"])
    query = select(func.count()).where(
        col(OutboxRow.subject) == owner, col(OutboxRow.state) != "posted"
    )
    if session.exec(query).one() >= services.config.limits.pending_stops:
        raise TooManyError("too many stops of this owner wait for the ledger; send it there later")
    outbox.enqueue(session, submission, dedupe=dedupe, now=services.clock(), subject=owner)


def _known(services: Services, dedupe: str) -> Taken | None:
    with services.db.read() as session:
        row = session.exec(select(OutboxRow).where(col(OutboxRow.dedupe) == dedupe)).first()
    return None if row is None else Taken(row.entry_id, row.state, row.posted_index)


def waiting(session: Session) -> list[dict[str, Any]]:
    """Return signed stops the ledger has not taken yet, as workers get them."""
    query = select(OutboxRow.submission).where(
        col(OutboxRow.state) != "posted", col(OutboxRow.type).in_(STOPS)
    )
    return [dict(row) for row in session.exec(query).all()]
