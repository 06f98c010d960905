"""A certificate of erasure: what was erased, proved on the log, and checkable by anybody.

It holds the public leaf of `dataset.erased`, which names in the clear every leaf whose envelope
and salt had to go and every consent it ended, with its proof under the witnesses' keys. Whoever
checks it needs the trust file alone, and may also ask ledger and marketplace what they still hold.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ledger import LedgerError, TrustPolicy, b64, parse_entry_bytes, parse_leaf, unb64, verify_proof
from marketplace.client.errors import ClientError
from marketplace.client.session import Session
from marketplace.client.statements import now_ms

ERASED = "dataset.erased"
MEANING = (
    "Erased: the ciphertext, the sealed consents with their keys, derived copies, and the "
    "envelopes and salts of every statement about this data. What stays on the log are "
    "commitments that can no longer be opened or compared with anything."
)


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check of a certificate found; ciphertext: what the marketplace answers, if asked."""

    index: int
    time: int
    erases: tuple[int, ...]
    stops: tuple[int, ...]
    ciphertext: str | None

    @property
    def ok(self) -> bool:
        return self.ciphertext in (None, "erased", "unknown")


def make_certificate(session: Session, dataset: str) -> dict[str, Any]:
    """Return the certificate of an erasure this home made. Raises ClientError."""
    session.keep_receipts()
    for document in session.home.documents("entries"):
        if document["type"] != ERASED:
            continue
        if _dataset_of(document) == dataset:
            return _certificate(session, dataset, document)
    raise ClientError(f"no erasure of dataset {dataset} in {session.home.path}")


def _dataset_of(document: Mapping[str, Any]) -> str:
    return str(parse_entry_bytes(unb64(str(document["entry"]))).payload["dataset"])


def _certificate(session: Session, dataset: str, document: Mapping[str, Any]) -> dict[str, Any]:
    index = int(document["index"])
    path = session.home.path / f"receipts/{index:012d}.tlog-proof"
    if not path.exists():
        raise ClientError("the ledger's proof is not there yet; run `omic receipts`, then again")
    return {
        "v": 1,
        "kind": "omic.erasure",
        "meaning": MEANING,
        "dataset": dataset,
        "index": index,
        "leaf": document["leaf"],
        "proof": b64(path.read_bytes()),
        "made_at": now_ms(),
    }


def check_certificate(
    value: Mapping[str, Any],
    trust: TrustPolicy,
    ask: Callable[[str], str] | None = None,
) -> Checked:
    """Check a certificate, trusting only the pinned log and witness keys.

    ask: dataset id -> what the marketplace says of its ciphertext; None asks nobody. Raises
    ClientError saying what does not hold.
    """
    try:
        leaf_bytes, proof = unb64(str(value["leaf"])), unb64(str(value["proof"]))
        verify_proof(leaf_bytes, trust.policy, proof)
        leaf = parse_leaf(leaf_bytes)
    except (LedgerError, KeyError) as error:
        raise ClientError(f"this is no certificate of this ledger: {error}") from None
    if leaf.type != ERASED or not leaf.erases:
        raise ClientError("the certificate's leaf erases nothing")
    told = None if ask is None else ask(str(value["dataset"]))
    return Checked(int(value["index"]), leaf.time, tuple(leaf.erases), tuple(leaf.stops), told)


def read_certificate(path: Path) -> dict[str, Any]:
    """Read a certificate file. Raises ClientError."""
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ClientError(f"cannot read {path} ({type(error).__name__})") from None
    if not isinstance(value, dict) or value.get("kind") != "omic.erasure":
        raise ClientError(f"{path} is no certificate of erasure")
    return value
