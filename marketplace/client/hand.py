"""Whose hand signs for a home's owner: their own, or that of a guardian, deputy or custodian.

A home whose `acting.json` names a holder is represented: the holder's key signs every statement
and the statement says so (`basis`, with the leaf of the mandate), so that the ledger refuses it
once the mandate has ended. Without one the dataset's own key signs what is about a dataset.
Spec: DESIGN section 3 (basis).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ledger import Submission, parse_entry_bytes, unb64
from marketplace.client.errors import ClientError
from marketplace.client.home import Home
from marketplace.client.keys import SigningKey
from marketplace.client.statements import stated

ACTING = "acting.json"


class NotHereError(ClientError):
    """The keys of whoever acts for a home's owner are not on this machine."""


@dataclass(frozen=True, slots=True)
class Acting:
    """Who acts for an owner: kind, leaf of the mandate, its end (Unix ms or None), their home."""

    kind: str
    mandate: int
    valid_until: int | None
    holder: str
    home: Path


def acting_of(home: Home) -> Acting | None:
    """Return who acts for the owner of a home; None for the owner."""
    value = home.read(ACTING)
    if value is None:
        return None
    return Acting(
        str(value["kind"]),
        int(value["mandate"]),
        value["valid_until"],
        str(value["holder"]),
        Path(str(value["home"])),
    )


def signed(
    home: Home,
    type_: str,
    fields: Mapping[str, Any],
    *,
    dataset: str | None = None,
    attachments: Mapping[str, bytes] | None = None,
) -> Submission:
    """Sign a statement of the home's owner; about one dataset, with that dataset's key.

    Raises NotHereError when the holder's home is not there.
    """
    acting = acting_of(home)
    if acting is not None:
        basis = {"kind": acting.kind, "mandate": acting.mandate}
        return stated(type_, {**fields, "basis": basis}, _holders_key(acting, home), attachments)
    key = home.keys.signing() if dataset is None else home.keys.signing(f"datasets/{dataset}")
    return stated(type_, fields, key, attachments)


def hand_of(entry: Mapping[str, Any] | None) -> str | None:
    """Return under what mandate a kept entry was signed (guardian, ...); None by the owner."""
    kind = None if entry is None else str(_basis(entry)["kind"])
    return None if kind == "self" else kind


def mandate_of(entry: Mapping[str, Any] | None) -> int | None:
    """Return the leaf of the mandate a kept entry was signed under; None by the owner."""
    mandate = None if entry is None else _basis(entry).get("mandate")
    return None if mandate is None else int(mandate)


def _basis(entry: Mapping[str, Any]) -> dict[str, Any]:
    basis: dict[str, Any] = parse_entry_bytes(unb64(entry["entry"])).payload["basis"]
    return basis


def _holders_key(acting: Acting, home: Home) -> SigningKey:
    holder = Home(acting.home, home.passphrase)
    if not holder.keys.has("sign"):
        raise NotHereError(
            f"this home is represented by a {acting.kind} whose keys are not at {acting.home}; "
            "say where with `omic mandate use`"
        )
    return holder.keys.signing()
