"""Moving consents to compute's newest recipient key, unasked: the terms do not change.

Compute publishes a new key every sixty days and destroys an old one's secret once no live consent
needs it. An owner whose client never runs lets a consent lapse; that is meant.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from compute.crypt import grant_info, reencrypt_header, seal_grant
from ledger import ComputeKey, RefusedError, Submission, parse_entry_bytes, unb64
from marketplace.client.errors import ClientError
from marketplace.client.hand import NotHereError, acting_of, signed
from marketplace.client.session import Session
from marketplace.client.statements import append, now_ms

_KEPT = (
    "grant",
    "owner",
    "dataset",
    "offer",
    "terms",
    "terms_sha256",
    "facets",
    "activity_commitment",
    "order",
)
RENEWED = ("live", "paused")


def renew(session: Session) -> list[str]:
    """Seal each consent in force to the newest key of its region; return the consents moved.

    Whoever acts for the owner signs, as they did the consent, and it says so again. The ledger
    view must be synced. What the ledger refuses (the owner objects, its order is closed, a mandate
    has ended), or nobody here can sign, stays as it is, and ends with its key.
    """
    moved = []
    for document in list(session.home.documents("grants")):
        if document["state"] not in RENEWED or document.get("index") is None:
            continue
        try:
            submission = _renewal(session, document)
            if submission is None:
                continue
            (done,) = append(session.ledger, session.home, [submission])
        except (RefusedError, NotHereError):
            continue
        name = f"grants/{document['grant']}.json"
        session.home.write(name, {**document, "index": done.index})
        moved.append(str(document["grant"]))
    return moved


def _renewal(session: Session, document: Mapping[str, Any]) -> Submission | None:
    """Return the entry that moves a consent, or None where it is sealed to the newest key."""
    home = session.home
    entry = home.read(f"entries/{int(document['index']):012d}.json")
    record = home.read(f"datasets/{document['dataset']}.json")
    if entry is None or record is None or record["erased"]:
        return None
    given = parse_entry_bytes(unb64(entry["entry"])).payload
    if given["basis"]["kind"] != "self" and acting_of(home) is None:
        return None  # what was given for somebody is not moved on unasked once nobody acts for them
    try:
        newest = session.view.recipient(given["recipient"]["region"], now_ms())
    except ClientError:
        return None
    if newest.key_id == given["recipient"]["key_id"]:
        return None
    return _sealed_anew(session, document, given, record, newest)


def _sealed_anew(
    session: Session,
    document: Mapping[str, Any],
    given: Mapping[str, Any],
    record: Mapping[str, Any],
    newest: ComputeKey,
) -> Submission:
    home = session.home
    secret = home.keys.encryption().secret
    packet = reencrypt_header(unb64(record["header"]), secret, unb64(newest.crypt4gh_public))
    info = grant_info(home.party, given["dataset"], given["grant"], given["terms"])
    activity_key = unb64(document["activity_key"])
    sealed = seal_grant(packet, activity_key, unb64(newest.hpke_public), info)
    fields = {
        **{name: given[name] for name in _KEPT},
        "recipient": {"key_id": newest.key_id, "region": newest.region},
        "sealed_grant_sha256": hashlib.sha256(sealed).hexdigest(),
        "replaces": int(document["index"]),
    }
    return signed(
        home,
        "consent.rekeyed",
        fields,
        dataset=str(given["dataset"]),
        attachments={"sealed_grant": sealed},
    )
