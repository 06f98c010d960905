"""Stops handed to the marketplace because the ledger did not answer, and what became of them.

The submission stays in the home with its salt: sent to the ledger again later, the ledger answers
the place of the one it has, so that the entry and its receipt are kept as if sent directly.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ledger import (
    LedgerClient,
    RefusedError,
    Submission,
    UnavailableError,
    submission_from_json,
    submission_to_json,
)
from marketplace.client.home import Home
from marketplace.client.market import Market
from marketplace.client.session import Session
from marketplace.client.statements import append

FOLDER = "handed"


@dataclass(frozen=True, slots=True)
class Stopped:
    """A stop that was taken: index is its place on the ledger, or None while it is on its way.

    None means that the ledger did not answer and the marketplace has the stop: it acts already.
    """

    index: int | None


def stop(session: Session, submission: Submission) -> Stopped:
    """Send a stop to the ledger, or hand it to the marketplace when the ledger does not answer.

    Raises RemoteError when neither takes it; the stop stays in the home and is sent again with
    the next receipts.
    """
    try:
        (done,) = append(session.ledger, session.home, [submission])
    except UnavailableError:
        _hand_in(session, submission)
        return Stopped(None)
    return Stopped(done.index)


def _hand_in(session: Session, submission: Submission) -> None:
    home, value = session.home, submission_to_json(submission)
    # Written down first: whatever happens next, the salt and the signed bytes are not lost.
    home.write(_name(submission), {"type": submission.entry.type, "submission": value})
    # Not signed in: the stop's own signature is what counts.
    Market(home.trust.marketplace_url, session.view.http).post("/stops", value)


def send_again(home: Home, ledger: LedgerClient) -> int:
    """Fetch from the ledger the entries of stops handed in; return how many it has now.

    A stop the ledger refuses (something else stopped it first) is kept, marked, and left alone.
    Raises LedgerError.
    """
    found = 0
    for document in list(home.documents(FOLDER)):
        if "index" not in document and "refused" not in document:
            found += _send_one(home, ledger, document)
    return found


def _send_one(home: Home, ledger: LedgerClient, document: Mapping[str, Any]) -> int:
    submission = submission_from_json(document["submission"])
    try:
        (done,) = append(ledger, home, [submission])
    except RefusedError as error:
        home.write(_name(submission), {**document, "refused": str(error)})
        return 0
    home.write(_name(submission), {"type": document["type"], "index": done.index})
    _note_grant(home, submission, done.index)
    return 1


def _note_grant(home: Home, submission: Submission, index: int) -> None:
    name = f"grants/{submission.entry.payload.get('grant')}.json"
    known = home.read(name)
    if known is not None:
        home.write(name, {**known, "stop": index})


def _name(submission: Submission) -> str:
    return f"{FOLDER}/{submission.entry.payload['id']}.json"
