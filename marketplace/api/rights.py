"""The API of people's rights: what waits for me, what is about me, what I share. /api/v1.

Views only translate. Whoever holds the link and the key of a share needs no account.
"""

import re
from typing import Any

from apiflask import APIBlueprint
from flask import Response, request
from sqlmodel import Session

from compute import parse_terms
from ledger import FormatError, unb64
from marketplace import records, shared, visas, waiting
from marketplace.api import models_rights as models
from marketplace.api.common import (
    bearer,
    body_digest,
    body_stream,
    checked_id,
    principal,
    services,
    whole_number,
)
from marketplace.errors import InputError
from marketplace.keyorigin import would_allow
from marketplace.tables import DatasetFile

rights = APIBlueprint("rights", __name__, url_prefix="/api/v1", tag="owners' rights")
_DIGEST = re.compile(r"\A[0-9a-f]{64}\Z")
HELD, UNKNOWN = "held", "unknown"


@rights.get("/me/approvals")
@rights.output(models.ApprovalsOut)
@rights.doc(security="session")
def approvals() -> Any:
    """List orders that wait for your yes, with their age and the reason; say it with `omic`."""
    return {"approvals": waiting.approvals_of(services(), principal("owner").party)}


@rights.post("/terms/would-allow")
@rights.input(models.TermsIn)
@rights.output(models.WouldAllowOut)
def what_terms_allow(json_data: models.TermsIn) -> Any:
    """See what terms would say to real kinds of requests, before anything is signed."""
    return {"examples": would_allow(parse_terms(json_data.terms))}


@rights.get("/me/notices")
@rights.output(models.NoticesOut)
@rights.doc(security="session")
def notices() -> Any:
    """List what you should know, newest first. Parameter: after (Unix ms)."""
    after = whole_number("after", 0) or 0
    return {"notices": waiting.notices_of(services(), principal("owner").party, after)}


@rights.get("/me/everything")
@rights.output(models.EverythingOut)
@rights.doc(security="session")
def everything() -> Any:
    """Get every row this marketplace holds about you, machine-readable (GDPR Art. 15 and 20)."""
    who, now = principal(), services()
    tables = records.everything_about(now, who.party)
    return {"party": who.party, "at": now.clock(), "tables": tables}


@rights.get("/records")
@rights.output(models.RopaOut)
def record_of_processing() -> Any:
    """Read the record of processing activities (GDPR Art. 30)."""
    return records.ropa(services().view.snapshot().state)


@rights.post("/passport")
@rights.input(models.PassportIn)
@rights.output(models.PassportOut)
@rights.doc(security="session")
def share(json_data: models.PassportIn) -> Any:
    """Leave the header of a share the ledger shows; it opens with the professional's key alone."""
    who = principal("owner")
    try:
        header = unb64(json_data.header)
    except FormatError as error:
        raise InputError(f"header: {error}") from None
    shared.keep(
        services(), who.party, json_data.share,
        _token_digest(json_data.token_sha256), header=header,
    )  # fmt: skip
    return {"share": json_data.share, "url": _address(json_data.share)}


@rights.put("/passport/<share_id>")
@rights.output(models.PassportOut)
@rights.doc(security="session", summary="Leave a part that was cut and encrypted anew")
def share_part(share_id: str) -> Any:
    """Send a part as a whole Crypt4GH file; headers X-Content-SHA256, X-Token-SHA256."""
    who, now = principal("owner"), services()
    token = _token_digest(request.headers.get("X-Token-SHA256", ""))
    body = body_stream(now.config.limits.object_bytes)
    shared.keep(
        now, who.party, checked_id(share_id, "share"), token, part=body, part_sha256=body_digest()
    )
    return {"share": share_id, "url": _address(share_id)}


def _token_digest(value: str) -> str:
    if not _DIGEST.match(value):
        raise InputError("the token's SHA-256 must be 64 lower-case hex digits")
    return value


def _address(share_id: str) -> str:
    return f"{services().config.origin}/api/v1/passport/{share_id}"


@rights.get("/passport/<share_id>")
@rights.doc(summary="Fetch what somebody shared with you")
def fetch_share(share_id: str) -> Response:
    """Return the share as a Crypt4GH file. Authorization: Bearer <the link's secret>."""
    body, size = shared.fetch(services(), checked_id(share_id, "share"), bearer())
    headers = {
        "Content-Length": str(size),
        "Content-Disposition": 'attachment; filename="shared.c4gh"',
    }
    return Response(body, content_type="application/octet-stream", headers=headers)


@rights.get("/me/passport")
@rights.output(models.SharesGivenOut)
@rights.doc(security="session")
def shares_given() -> Any:
    """List what you share, until when, and how often it was fetched."""
    return {"shares": shared.shares_of(services(), principal("owner").party)}


@rights.post("/me/visas")
@rights.input(models.VisaIn)
@rights.output(models.VisaOut)
@rights.doc(security="session")
def visa(json_data: models.VisaIn) -> Any:
    """Get a GA4GH ControlledAccessGrants visa for a consent of yours that is in force."""
    owner = principal("owner").party
    return {"visa": visas.issue(services(), owner, json_data.grant, json_data.holder)}


@rights.get("/jwks.json")
@rights.output(models.JwksOut)
def jwks() -> Any:
    """Get the public keys that sign our visas."""
    return visas.public_keys(services())


@rights.get("/erasures/<dataset>")
@rights.output(models.ErasedOut)
def erasure(dataset: str) -> Any:
    """Ask whether the ciphertext of a dataset is still here; no session needed."""
    with services().db.read() as session:
        return {"dataset": checked_id(dataset, "dataset"), "ciphertext": _held(session, dataset)}


def _held(session: Session, dataset: str) -> str:
    row = session.get(DatasetFile, dataset)
    if row is None:
        return UNKNOWN
    return HELD if row.object_key is not None else row.state
