"""Datasets' ciphertext: staged by its owner, active only once the ledger says the same digest.

Nothing is half-registered: an upload counts for nothing until `dataset.registered` commits to its
SHA-256 and size, and is deleted if that never happens. The owner's key alone opens it.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import IO

from sqlmodel import Session, col, delete, func, select

from ledger import Dataset
from marketplace import jobs
from marketplace.config import Limits
from marketplace.entries import new_id
from marketplace.errors import (
    ConflictError,
    ForbiddenError,
    NotFoundError,
    TamperedError,
    TooLargeError,
    TooManyError,
)
from marketplace.objects import Stored
from marketplace.services import Services
from marketplace.tables import (
    DatasetFile,
    DatasetReport,
    JobObject,
    StoredObject,
    Upload,
    UploadPart,
)

LOG = logging.getLogger(__name__)
STAGED, ACTIVE, DOOMED = "staged", "active", "doomed"
NOT_YET = "ciphertext_missing"  # what compute reports of a file that has not arrived
SWEEP_BATCH = 200
NOT_STAGED = "nothing is staged for this dataset; PUT /uploads/{} first"


def object_key() -> str:
    """Return a fresh object key that says nothing about what it holds."""
    name = new_id()
    return f"{name[:2]}/{name}"


def stage(
    services: Services, owner: str, dataset: str, body: IO[bytes], sha256: str
) -> tuple[Stored, str]:
    """Store an upload; a newer one replaces it. Returns it with its state.

    It is active at once where the ledger is known to register this very file, else staged.
    Raises TooLargeError, TamperedError, ConflictError, ForbiddenError.
    """
    key, room = _reserve(services, owner, dataset)
    stored = _put(services, key, body, sha256, room)
    with services.db.write() as session:
        # Looked at again: other uploads of this owner may have ended meanwhile. What does not fit
        # stays announced only, and the sweep takes it away.
        if stored.size > staging_room(session, services.config.limits, owner, dataset):
            raise TooLargeError(_no_room(services.config.limits))
        keep(session, stored, STAGED, services.clock())
        row = session.get(Upload, dataset)
        if row is not None:
            if row.owner != owner:
                raise ForbiddenError("another owner staged a dataset of this id; take a new id")
            doom(session, row.object_key)
        row = row or Upload(dataset=dataset, owner=owner, object_key=key, created_at=0)
        row.object_key, row.created_at = key, services.clock()
        session.add(row)
        session.flush()
        registered = services.view.snapshot().state.datasets.get(dataset)
        if registered is None or not _is_that_file(registered, owner, stored):
            return stored, STAGED
        _activate(services, session, owner, dataset, registered)
    return stored, ACTIVE


def _is_that_file(registered: Dataset, owner: str, stored: Stored | StoredObject) -> bool:
    want = (registered.owner, registered.ciphertext_sha256, registered.size)
    return (owner, stored.sha256, stored.size) == want


def _put(services: Services, key: str, body: IO[bytes], sha256: str, room: int) -> Stored:
    limits = services.config.limits
    try:
        return services.objects.put(key, body, limit=min(limits.upload_bytes, room), sha256=sha256)
    except TooLargeError:
        if room < limits.upload_bytes:
            raise TooLargeError(_no_room(limits)) from None
        raise


def staging_room(session: Session, limits: Limits, owner: str, dataset: str) -> int:
    """Return how many bytes an owner may still stage beside this dataset. Raises our errors.

    Raises TooManyError when as many other uploads wait as may, TooLargeError when no byte is left.
    """
    query = (
        select(func.count(), func.coalesce(func.sum(StoredObject.size), 0))
        .select_from(Upload)
        .join(StoredObject, col(StoredObject.key) == col(Upload.object_key))
        .where(col(Upload.owner) == owner, col(Upload.dataset) != dataset)
    )
    files, used = session.exec(query).one()
    if files >= limits.staged_files:
        raise TooManyError(
            f"{files} of your uploads wait to be activated, as many as may; register them on the "
            "ledger and POST /datasets, or wait until they are dropped"
        )
    room = limits.staged_bytes - int(used)
    if room <= 0:
        raise TooLargeError(_no_room(limits))
    return room


def _no_room(limits: Limits) -> str:
    return (
        f"with this file your uploads that wait to be activated have more than the "
        f"{limits.staged_bytes} bytes one owner may stage; activate those first"
    )


def _reserve(services: Services, owner: str, dataset: str) -> tuple[str, int]:
    """Announce an upload's object; return its key and how many bytes it may have."""
    with services.db.write() as session:
        may_upload(session, owner, dataset)
        room = staging_room(session, services.config.limits, owner, dataset)
        return announce(session, services.clock()), room


def may_upload(session: Session, owner: str, dataset: str) -> None:
    """Raise ConflictError for an id registered already, ForbiddenError for another's staged one."""
    if session.get(DatasetFile, dataset) is not None:
        raise ConflictError("this dataset is registered already; take a new dataset id")
    staged = session.get(Upload, dataset)
    if staged is not None and staged.owner != owner:
        raise ForbiddenError("another owner staged a dataset of this id; take a new id")


def put_announced(services: Services, body: IO[bytes], sha256: str) -> Stored:
    """Store a worker's object, written down before its bytes. Raises as `ObjectStore.put`."""
    limit = services.config.limits.object_bytes
    with services.db.write() as session:
        key = announce(session, services.clock())
    return services.objects.put(key, body, limit=limit, sha256=sha256)


def announce(session: Session, now: int) -> str:
    """Write the object's key down before its bytes, so that a crash leaves nothing unswept."""
    key = object_key()
    session.add(StoredObject(key=key, sha256="", size=0, state=STAGED, created_at=now))
    return key


def keep(session: Session, stored: Stored, state: str, now: int) -> None:
    """Note an object that is in the store, in this state."""
    row = session.get(StoredObject, stored.key)
    if row is None:
        row = StoredObject(key=stored.key, sha256="", size=0, state=state, created_at=now)
    row.sha256, row.size, row.state = stored.sha256, stored.size, state
    session.add(row)
    session.flush()


def doom(session: Session, key: str) -> None:
    """Mark an object to be deleted."""
    row = session.get(StoredObject, key)
    if row is not None:
        row.state = DOOMED
        session.add(row)


def activate(services: Services, owner: str, dataset: str) -> DatasetFile:
    """Make a staged upload count, once the ledger registers the dataset with the same digest.

    Raises NotFoundError, ForbiddenError, TamperedError, UnavailableError.
    """
    with services.db.read() as session:
        known, staged = session.get(DatasetFile, dataset), session.get(Upload, dataset)
    if known is not None and known.owner == owner:
        return known
    if staged is None and dataset not in services.view.snapshot().state.datasets:
        raise NotFoundError(NOT_STAGED.format(dataset))  # nothing the ledger says would help
    state = services.view.until(lambda snapshot: dataset in snapshot.state.datasets).state
    registered = state.datasets[dataset]
    if registered.owner != owner:
        raise ForbiddenError("the ledger says that this dataset belongs to another party")
    with services.db.write() as session:
        return _activate(services, session, owner, dataset, registered)


def _activate(
    services: Services, session: Session, owner: str, dataset: str, registered: Dataset
) -> DatasetFile:
    known = session.get(DatasetFile, dataset)
    if known is not None:
        return known
    upload = session.get(Upload, dataset)
    if upload is None or upload.owner != owner:
        raise NotFoundError(NOT_STAGED.format(dataset))
    stored = session.get(StoredObject, upload.object_key)
    if stored is None or not _is_that_file(registered, owner, stored):
        raise TamperedError(
            "the uploaded file is not the one the ledger registers (SHA-256 or length differ); "
            "upload the registered file again"
        )
    stored.state = ACTIVE
    _take_in_again(services, session, registered)
    row = DatasetFile(
        dataset=dataset,
        owner=owner,
        object_key=stored.key,
        registered_index=registered.index,
        activated_at=services.clock(),
    )
    session.add_all([stored, row])
    session.delete(upload)
    return row


def _take_in_again(services: Services, session: Session, registered: Dataset) -> None:
    """Have compute take in a file it looked for, consent in hand, before it had arrived."""
    report = session.get(DatasetReport, registered.id)
    if report is None or report.code != NOT_YET:
        return
    for region in {str(grant.recipient["region"]) for grant in registered.live()}:
        jobs.create(session, new_id(), jobs.INGEST, services.clock(), region=region)


def dataset_object(services: Services, dataset: str) -> StoredObject:
    """Return the object of an active dataset. Raises NotFoundError, UnavailableError.

    A database put back from a backup may still name what was erased since: the ledger is asked,
    and until it was followed once since the start nothing is served.
    """
    erased = services.view.snapshot().state.erased_datasets
    with services.db.read() as session:
        row = session.get(DatasetFile, dataset)
        stored = session.get(StoredObject, row.object_key) if row and row.object_key else None
    if stored is None or (row is not None and erased.get(dataset) == row.owner):
        raise NotFoundError("there is no ciphertext of this dataset here: unknown or erased")
    return stored


def keep_job_object(
    services: Services, session: Session, job_id: str, order_id: str, fencing: int, name: str,
    stored: Stored,
) -> None:  # fmt: skip
    """Note what a worker delivered; a later attempt's object takes the place of an earlier one."""
    keep(session, stored, STAGED, services.clock())
    query = select(JobObject).where(
        col(JobObject.order_id) == order_id, col(JobObject.name) == name
    )
    row = session.exec(query.with_for_update()).first()
    if row is None:
        row = JobObject(
            order_id=order_id, job_id=job_id, fencing=fencing, name=name, object_key=stored.key
        )
    elif row.object_key != stored.key:
        doom(session, row.object_key)
    row.job_id, row.fencing, row.object_key = job_id, fencing, stored.key
    session.add(row)


def arrived_since(session: Session, codes: Mapping[str, str], start: int) -> bool:
    """Tell whether a file that compute reports as missing arrived since `start`."""
    missing = [session.get(DatasetFile, name) for name, code in codes.items() if code == NOT_YET]
    return any(file is not None and file.activated_at > start for file in missing)


def note_reports(session: Session, codes: Mapping[str, str], now: int) -> None:
    """Note what compute reported as it took datasets in: "ingested", or why not."""
    for dataset, code in codes.items():
        row = session.get(DatasetReport, dataset) or DatasetReport(dataset=dataset, code="", at=0)
        row.code, row.at = code, now
        session.add(row)


def show_objects(session: Session, order_id: str, names: tuple[str, ...]) -> None:
    """Let delivered objects be fetched: called when the outcome that backs them is stored."""
    query = select(JobObject).where(
        col(JobObject.order_id) == order_id, col(JobObject.name).in_(names)
    )
    for row in session.exec(query).all():
        row.visible = True
        stored = session.get(StoredObject, row.object_key)
        if stored is not None:
            stored.state = ACTIVE
            session.add(stored)
        session.add(row)


def drop_objects(session: Session, order_id: str) -> None:
    """Delete what was delivered for an order that failed: no answer stays behind."""
    for row in session.exec(select(JobObject).where(col(JobObject.order_id) == order_id)).all():
        doom(session, row.object_key)
        session.delete(row)


def visible_objects(session: Session, order_id: str) -> list[str]:
    """Return the names of an order's objects that may be fetched."""
    query = select(JobObject.name).where(
        col(JobObject.order_id) == order_id, col(JobObject.visible)
    )
    return sorted(session.exec(query).all())


def job_object(services: Services, order_id: str, name: str) -> StoredObject:
    """Return a delivered object that may be fetched. Raises NotFoundError."""
    with services.db.read() as session:
        query = select(JobObject).where(
            col(JobObject.order_id) == order_id,
            col(JobObject.name) == name,
            col(JobObject.visible),
        )
        row = session.exec(query).first()
        stored = session.get(StoredObject, row.object_key) if row else None
    if stored is None:
        raise NotFoundError(f"the order has no {name} yet; look at its state with GET /orders/<id>")
    return stored


def sweep(services: Services) -> int:
    """Delete uploads nobody activated in time, and objects that are doomed; return how many."""
    before = services.clock() - services.config.limits.staged_ms
    with services.db.write() as session:
        for upload in session.exec(select(Upload).where(col(Upload.created_at) < before)).all():
            doom(session, upload.object_key)
            session.delete(upload)
        for part in session.exec(
            select(UploadPart).where(col(UploadPart.created_at) < before)
        ).all():
            doom(session, part.object_key)
            session.delete(part)
        # Bytes announced or delivered whose transaction never came.
        used = select(JobObject.object_key).union(
            select(Upload.object_key), select(UploadPart.object_key)
        )
        lost = select(StoredObject).where(
            col(StoredObject.state) == STAGED,
            col(StoredObject.created_at) < before,
            col(StoredObject.key).not_in(used),
        )
        for row in session.exec(lost).all():
            row.state = DOOMED
            session.add(row)
    return _delete_doomed(services)


def _delete_doomed(services: Services) -> int:
    with services.db.read() as session:
        query = select(StoredObject.key).where(col(StoredObject.state) == DOOMED)
        keys = session.exec(query.limit(SWEEP_BATCH)).all()
    for key in keys:
        services.objects.delete(key)
        with services.db.write() as session:
            row = session.get(StoredObject, key)
            if row is not None and row.state == DOOMED:
                session.delete(row)
    return len(keys)


def erase_gone(services: Services, erased: Mapping[str, str]) -> int:
    """Delete the ciphertext of datasets the ledger says are erased; return how many.

    erased: who erased each dataset. Judged by that: after a restart the fold no longer knows an
    erased dataset, since its envelope is gone, and an erasure somebody else signed must not delete
    an owner's file.
    """
    names = sorted(erased)
    gone = 0
    for start in range(0, len(names), SWEEP_BATCH):
        with services.db.write() as session:
            gone += _erase(session, names[start : start + SWEEP_BATCH], erased)
    if gone:
        _delete_doomed(services)
    return gone


def _erase(session: Session, names: Sequence[str], erased: Mapping[str, str]) -> int:
    query = select(DatasetFile).where(
        col(DatasetFile.dataset).in_(names), col(DatasetFile.state) == ACTIVE
    )
    files = [row for row in session.exec(query).all() if erased[row.dataset] == row.owner]
    for row in files:
        if row.object_key is not None:
            doom(session, row.object_key)
        row.state, row.object_key = "erased", None
        session.exec(delete(DatasetReport).where(col(DatasetReport.dataset) == row.dataset))
        session.add(row)
    return len(files)
