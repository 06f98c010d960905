"""Dates that act by themselves: data past its retention, shares and sessions that are over.

At the date the ciphertext is deleted and every consent on it stopped, by a stop the marketplace
signs and marks as its own. Compute destroys keys and copies by the same date, asking nobody. The
owner's entries stay theirs: only they can erase those.
"""

import secrets
from typing import Any

from sqlmodel import Session, col, select

from ledger import Dataset, Submission
from marketplace import outbox, shared, uploads
from marketplace.entries import new_id
from marketplace.services import Services
from marketplace.tables import DatasetFile
from marketplace.view import Snapshot

RETIRED = "retired"


def act(services: Services, snapshot: Snapshot) -> int:
    """Do what is due at this moment; return how many datasets were retired."""
    now, retired = services.clock(), 0
    datasets = snapshot.state.datasets
    with services.db.write() as session:
        query = select(DatasetFile).where(col(DatasetFile.state) == uploads.ACTIVE)
        for row in session.exec(query).all():
            known = datasets.get(row.dataset)
            if known is None or known.retain_until is None or now < known.retain_until:
                continue
            _retire(services, session, row, known)
            retired += 1
    shared.drop_ended(services, snapshot.state)
    return retired


def _retire(services: Services, session: Session, row: DatasetFile, dataset: Dataset) -> None:
    if row.object_key is not None:
        uploads.doom(session, row.object_key)
    row.state, row.object_key = RETIRED, None
    session.add(row)
    for grant in dataset.live():
        stop = _stop(services, grant)
        outbox.enqueue(
            session, stop, dedupe=f"retire:{grant.id}", now=services.clock(), subject=grant.owner
        )


def _stop(services: Services, grant: Any) -> Submission:
    fields = {
        "grant": grant.id,
        "dataset": grant.dataset,
        "owner": grant.owner,
        "stops": [grant.index],
        "basis": {"kind": "operator"},
    }
    signed = services.signer.sign("consent.withdrawn", fields, now=services.clock(), id_=new_id())
    return Submission(signed.entry, secrets.token_bytes(32))
