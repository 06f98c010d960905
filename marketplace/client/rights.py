"""More of what an owner may do: resume, object to everything, replace a wrong file, take data home.

Withdrawing and erasing are in `owner`. Nothing here needs a reason, and nothing needs the
marketplace to agree.
"""

from collections.abc import Sequence
from typing import Any

from compute import parse_terms
from ledger import Submission
from marketplace.client.errors import ClientError
from marketplace.client.hand import signed
from marketplace.client.handed import Stopped, stop
from marketplace.client.owner import Owner, Prepared
from marketplace.client.session import Session
from marketplace.client.statements import append

OBJECTION = "objection.json"


def resume(session: Session, grant: str) -> int:
    """Let a paused consent count again; return the ledger index. Raises ClientError."""
    home = session.home
    document = home.read(f"grants/{grant}.json")
    if document is None or document["state"] != "paused" or document.get("stop") is None:
        raise ClientError(f"consent {grant} is not paused; `omic consent list` shows yours")
    fields = {
        "grant": grant,
        "dataset": document["dataset"],
        "owner": home.party,
        "resumes": [int(document["stop"])],
    }
    statement = signed(home, "consent.resumed", fields, dataset=str(document["dataset"]))
    (done,) = append(session.ledger, home, [statement])
    home.write(f"grants/{grant}.json", {**document, "state": "live", "stop": None})
    return done.index


def object_to_all(session: Session) -> Stopped:
    """Object to every use: one switch that ends all consents and that no consent overrides."""
    home = session.home
    live = [d for d in home.documents("grants") if d["state"] in ("live", "paused")]
    fields = {"owner": home.party, "stops": sorted(int(d["index"]) for d in live)}
    done = stop(session, signed(home, "objection.raised", fields))
    for document in live:
        ended = {**document, "state": "withdrawn", "stop": done.index}
        home.write(f"grants/{document['grant']}.json", ended)
    home.write(OBJECTION, {"raised": True, "index": done.index})
    return done


def objects(session: Session) -> bool:
    """Tell whether this home's owner objects to every use, as far as the home knows."""
    known = session.home.read(OBJECTION)
    return bool(known and known["raised"])


def lift_objection(session: Session) -> int:
    """Lift the objection; consents it ended stay ended, and are given anew or not at all."""
    home = session.home
    statement = signed(home, "objection.lifted", {"owner": home.party})
    (done,) = append(session.ledger, home, [statement])
    home.write(OBJECTION, {"raised": False, "index": done.index})
    return done.index


def replace(session: Session, dataset: str, prepared: Prepared) -> dict[str, Any]:
    """Put a corrected file in the place of a wrong one, under the same consents.

    The wrong one is out of use with the same batch of entries that brings the new one. Returns
    {"dataset", "replaces", "index", "grants"}. Raises ClientError.
    """
    home, owner = session.home, Owner(session)
    record = home.read(f"datasets/{dataset}.json")
    if record is None or record["erased"] or record.get("replaced_by"):
        raise ClientError(f"dataset {dataset} is not registered here, or is not in use any more")
    if record["modality"] != prepared.modality:
        raise ClientError(f"dataset {dataset} holds {record['modality']}, not {prepared.modality}")
    held = _live_grants(session, dataset)
    fields = {
        "dataset": dataset,
        "owner": home.party,
        "stops": sorted(int(d["index"]) for d in held),
        "erases": [],
        "replaced_by": prepared.dataset,
    }
    session.view.sync()
    grants = [_same_consent(owner, prepared, d) for d in held]
    batch = [signed(home, "dataset.replaced", fields), *grants]
    appended = owner.send([prepared], after=batch)
    home.write(f"datasets/{dataset}.json", {**record, "replaced_by": prepared.dataset})
    for document in held:
        home.write(f"grants/{document['grant']}.json", {**document, "state": "replaced"})
    return {
        "dataset": prepared.dataset,
        "replaces": dataset,
        "index": appended[1].index,
        "grants": [str(one.entry.payload["grant"]) for one in grants],
    }


def _live_grants(session: Session, dataset: str) -> Sequence[dict[str, Any]]:
    return [
        document
        for document in session.home.documents("grants")
        if document["dataset"] == dataset and document["state"] in ("live", "paused")
    ]


def _same_consent(owner: Owner, prepared: Prepared, document: dict[str, Any]) -> Submission:
    return owner.grant(
        prepared.record,
        document["offer"],
        parse_terms(document["terms"]),
        document.get("facets", {}),
        order=document.get("order"),
        region=document.get("region", "local"),
    )
