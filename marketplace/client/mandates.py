"""Mandates: a guardian for a child, a deputy by power of attorney, a custodian of many people.

Each stands on the ledger with its end, is signed by whoever may give it, and everything done under
it says so. A guardian's needs an attester's word that they are one.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from compute.crypt import decrypt_file
from ledger import Submission, submission_for
from marketplace.client import account, rights
from marketplace.client.errors import ClientError
from marketplace.client.hand import ACTING, mandate_of
from marketplace.client.home import Home
from marketplace.client.owner import Owner, cosigned
from marketplace.client.session import Session
from marketplace.client.statements import append, drafted, new_id, stated
from marketplace.client.vault import VAULT

KINDS = ("guardian", "deputy", "custodian")


def give(session: Session, kind: str, holder: Home, until: int | None) -> dict[str, Any]:
    """Put a mandate for this home's owner on the ledger and let the holder act for it from now.

    until: Unix ms, exclusive; None until it is ended. Raises ClientError; LedgerError.
    """
    if kind not in KINDS:
        raise ClientError(f"a mandate is for a {', a '.join(KINDS)}, not {kind!r}")
    home = session.home
    fields = {
        "mandate": new_id(),
        "owner": home.party,
        "holder": holder.party,
        "kind": kind,
        "valid_until": until,
    }
    (done,) = append(session.ledger, home, [_statement(session, kind, holder, fields)])
    document = {**fields, "index": done.index, "ended": None}
    home.write(f"mandates/{fields['mandate']}.json", document)
    use(home, document, holder)
    return document


def _statement(session: Session, kind: str, holder: Home, fields: dict[str, Any]) -> Submission:
    if kind != "guardian":
        return stated("mandate.given", fields, session.home.keys.signing())
    made = cosigned(session, drafted("mandate.given", fields, holder.keys.signing()))
    return submission_for(made.entry, secrets.token_bytes(32))


def use(home: Home, mandate: dict[str, Any], holder: Home) -> None:
    """Let a holder's keys sign for a home from now on; the ledger decides whether they may."""
    home.write(
        ACTING,
        {
            "kind": mandate["kind"],
            "mandate": mandate["index"],
            "valid_until": mandate["valid_until"],
            "holder": mandate["holder"],
            "home": str(holder.path.resolve()),
        },
    )


@dataclass(frozen=True, slots=True)
class Ended:
    """Where a mandate's end stands, and the consents given under it, which end with it."""

    index: int
    grants: tuple[str, ...]


def end(session: Session, mandate: str) -> Ended:
    """End a mandate, with the owner's own key, and every consent given under it.

    The default is no use: who is of age, or trusts a deputy no more, consents anew or not at all.
    Raises ClientError.
    """
    home, name = session.home, f"mandates/{mandate}.json"
    document = _mandate(home, mandate)
    given = _given_under(home, int(document["index"]))
    stops = sorted(int(one["index"]) for one in given)
    fields = {"mandate": mandate, "owner": home.party, "stops": stops}
    (done,) = append(session.ledger, home, [stated("mandate.ended", fields, home.keys.signing())])
    home.write(name, {**document, "ended": done.index})
    for one in given:
        home.write(f"grants/{one['grant']}.json", {**one, "state": "withdrawn", "stop": done.index})
    (home.path / ACTING).unlink(missing_ok=True)
    return Ended(done.index, tuple(str(one["grant"]) for one in given))


@dataclass(frozen=True, slots=True)
class TakenOver:
    """What a person took over: the mandate's end, their new key's entry, old dataset -> new one."""

    ended: int
    key: int
    datasets: dict[str, str]


def take_over(session: Session, mandate: str) -> TakenOver:
    """End a custodian's mandate, and let no key the custodian made count any more.

    Each dataset registered under it is registered anew by the person alone, under a key of its own,
    with its consents; then the mandate ends and the person's signing key is replaced. A run that
    was stopped goes on when asked again. The encryption key stays: what it opens, they have had.
    Raises ClientError.
    """
    document = _mandate(session.home, mandate)
    made = {}
    for record in _registered_under(session.home, int(document["index"])):
        made[str(record["dataset"])] = _own(session, record)
    ended = document["ended"] if document["ended"] is not None else end(session, mandate).index
    session.home.keys.delete(VAULT)  # the custodian may have it: the next identity file has its own
    return TakenOver(ended, account.rotate(session).index, made)


def _registered_under(home: Home, mandate: int) -> list[dict[str, Any]]:
    return [
        record
        for record in home.documents("datasets")
        if not record["erased"]
        and not record.get("replaced_by")
        and mandate_of(home.read(f"entries/{record['index'] or 0:012d}.json")) == mandate
    ]


def _own(session: Session, record: dict[str, Any]) -> str:
    """Put the same file in a dataset's place, under a key made here; return the new dataset."""
    dataset = str(record["dataset"])
    secret = session.home.keys.encryption().secret
    data = decrypt_file(session.market.download(f"/datasets/{dataset}/file"), secret)
    prepared = Owner(session).prepare(
        data, record["modality"], name=str(record["name"]), replacing=dataset
    )
    return str(rights.replace(session, dataset, prepared)["dataset"])


def _mandate(home: Home, mandate: str) -> dict[str, Any]:
    document = home.read(f"mandates/{mandate}.json")
    if document is None:
        raise ClientError(f"no mandate {mandate} in {home.path}; see `omic mandate list`")
    return document


def _given_under(home: Home, mandate: int) -> list[dict[str, Any]]:
    """Return the documents of the consents in force that somebody gave under a mandate."""
    return [
        document
        for document in home.documents("grants")
        if document["state"] in ("live", "paused")
        and mandate_of(home.read(f"entries/{document['index'] or 0:012d}.json")) == mandate
    ]


def enrol(session: Session, before: Sequence[Submission] = ()) -> int:
    """Enrol an owner who has nothing registered, such as a guardian; return the ledger index."""
    done = append(session.ledger, session.home, [*before, Owner(session).enrol()])
    return done[-1].index
