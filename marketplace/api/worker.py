"""The API of compute workers: leases, heartbeats, ciphertext, encrypted objects, outcomes.

One token, which opens nothing else. A worker learns a job's ids and nothing about anybody; what
it delivers is encrypted before it arrives.
"""

from dataclasses import asdict
from typing import Any

from apiflask import APIBlueprint
from flask import Response, request
from sqlmodel import Session

from compute import Outcome, TermsError, parse_value
from marketplace import decisions, jobs, owners, stops, uploads
from marketplace.api import models, models_worker
from marketplace.api.common import (
    body_digest,
    body_stream,
    nudge,
    require_worker,
    send_object,
    services,
    whole_number,
)
from marketplace.errors import InputError

worker = APIBlueprint("worker", __name__, url_prefix="/worker/v1", tag="workers")
NAMES = ("result", "bundle", "auditor_bundle", "draft")
OUTCOME_BYTES = 32 << 20  # names every grant of a cohort: 35 bytes each


@worker.before_request
def check_token() -> None:
    """Refuse whoever is not a worker; from one that is take the outcome of a large cohort."""
    require_worker()
    if request.endpoint == f"{worker.name}.{outcome.__name__}":
        request.max_content_length = OUTCOME_BYTES


@worker.post("/jobs/<job_id>/lease")
@worker.input(models_worker.LeaseIn)
@worker.output(models_worker.JobOut)
@worker.doc(security="worker")
def lease(job_id: str, json_data: models_worker.LeaseIn) -> Any:
    """Take a job; 409 when it is taken or finished."""
    now = services()
    with now.db.write() as session:
        message = jobs.lease(session, job_id, json_data.worker, now.clock(), now.config.limits)
        job = jobs.locked(session, job_id)
        decisions.started(session, job, now.clock())
        decisions.leased_ingest(job, now.view.snapshot())
        session.add(job)
    return asdict(message)


@worker.post("/jobs/<job_id>/heartbeat")
@worker.input(models_worker.HeartbeatIn)
@worker.output(models_worker.HeartbeatOut)
@worker.doc(security="worker")
def heartbeat(job_id: str, json_data: models_worker.HeartbeatIn) -> Any:
    """Keep a lease, say how far the work is; learn of stops the ledger has not taken yet."""
    now = services()
    with now.db.write() as session:
        job = jobs.heartbeat(session, job_id, json_data.lease, now.clock(), now.config.limits)
        if json_data.progress is not None:
            job.progress = json_data.progress.model_dump()
        return {"stops": stops.waiting(session), "cancel": False}


@worker.get("/datasets/<dataset>/file")
@worker.doc(security="worker", summary="Fetch ciphertext")
def dataset_file(dataset: str) -> Response:
    """Return a dataset's ciphertext; ranges are supported."""
    return send_object(services().objects, uploads.dataset_object(services(), dataset))


@worker.put("/jobs/<job_id>/objects/<name>")
@worker.output(models.UploadOut)
@worker.doc(security="worker", summary="Deliver an encrypted object")
def deliver(job_id: str, name: str) -> Any:
    """Store an encrypted object of an order under the newest lease only."""
    now = services()
    if name not in NAMES:
        raise InputError(f"an object is one of {', '.join(NAMES)}")
    fencing = whole_number("lease", None)
    if fencing is None:
        raise InputError("the parameter lease must say which lease the worker holds")
    with now.db.write() as session:
        order_id = _order_of(session, job_id, fencing)
    body = body_stream(now.config.limits.object_bytes)
    stored = uploads.put_announced(now, body, body_digest())
    with now.db.write() as session:
        # Looked at again: the lease may have been lost while the body was on its way.
        _order_of(session, job_id, fencing)
        uploads.keep_job_object(now, session, job_id, order_id, fencing, name, stored)
    return {"dataset": order_id, "sha256": stored.sha256, "size": stored.size, "state": "staged"}


def _order_of(session: Session, job_id: str, fencing: int) -> str:
    job = jobs.held(session, job_id, fencing)
    if job.order_id is None:
        raise InputError("an ingest delivers no objects")
    return job.order_id


@worker.post("/jobs/<job_id>/outcome")
@worker.input(models_worker.OutcomeIn)
@worker.output(models.DoneOut)
@worker.doc(security="worker")
def outcome(job_id: str, json_data: models_worker.OutcomeIn) -> Any:
    """Store how a job ended; the same outcome again is accepted and changes nothing."""
    now = services()
    try:
        value = parse_value(Outcome, json_data.outcome).to_dict()
    except TermsError as error:
        raise InputError(str(error)) from None
    people = owners.note(now, job_id, value)
    with now.db.write() as session:
        job = jobs.finish(session, job_id, json_data.lease, value)
        if job is not None:
            owners.keep(job, people)
            decisions.finished(now, session, job)
    nudge()
    return {"stored": job is not None}
