"""What an output reviewer does: read the draft answers waiting, and decide with a signature.

A draft is encrypted to attested reviewers only; two approvals of the same draft let it go. What is
signed is worked out from the draft that was opened, never taken from the marketplace's list.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from compute import BundleError, commitment_of
from compute.crypt import decrypt_file
from marketplace.client.errors import ClientError
from marketplace.client.session import Session
from marketplace.client.statements import append, stated


@dataclass(frozen=True, slots=True)
class Reviewer:
    """The verbs of one output reviewer, on one session."""

    session: Session

    def waiting(self) -> list[dict[str, Any]]:
        """Return the orders whose drafts wait for this reviewer."""
        answer: list[dict[str, Any]] = self.session.market.get("/reviews")["reviews"]
        return answer

    def draft(self, order: str) -> dict[str, Any]:
        """Fetch and open a draft answer. Raises ClientError for one of another order."""
        sealed = self.session.market.download(f"/orders/{order}/objects/draft")
        key = self.session.home.keys.encryption()
        value: dict[str, Any] = json.loads(decrypt_file(sealed, key.secret))
        if value.get("order") != order:
            raise ClientError(f"the file that waits for review is no draft of order {order}")
        return value

    def decide(self, draft: Mapping[str, Any], decision: str) -> int:
        """Sign "approve" or "reject" for an opened draft; return the ledger index.

        Raises ClientError for a draft whose own commitment it is not.
        """
        home = self.session.home
        try:
            commitment = commitment_of(draft)
        except BundleError as error:
            raise ClientError(f"this draft is not whole, sign nothing: {error}") from None
        if commitment != draft.get("draft_commitment"):
            raise ClientError(
                "this draft is not the one that waits: sign nothing, and open it again"
            )
        fields = {
            "order": str(draft["order"]),
            "draft_commitment": commitment,
            "decision": decision,
            "reviewer": home.party,
        }
        entry = stated("review.decided", fields, home.keys.signing())
        (done,) = append(self.session.ledger, home, [entry])
        return done.index
