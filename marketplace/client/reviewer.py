"""What an output reviewer does: read the draft answers waiting, and decide with a signature.

A draft is encrypted to attested reviewers only; two approvals of the same draft let it go.
"""

import json
from dataclasses import dataclass
from typing import Any

from compute.crypt import decrypt_file
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
        """Fetch and open a draft answer."""
        sealed = self.session.market.download(f"/orders/{order}/objects/draft")
        key = self.session.home.keys.encryption()
        value: dict[str, Any] = json.loads(decrypt_file(sealed, key.secret))
        return value

    def decide(self, order: str, draft_commitment: str, decision: str) -> int:
        """Sign "approve" or "reject" for one draft; return the ledger index."""
        home = self.session.home
        fields = {
            "order": order,
            "draft_commitment": draft_commitment,
            "decision": decision,
            "reviewer": home.party,
        }
        entry = stated("review.decided", fields, home.keys.signing())
        (done,) = append(self.session.ledger, home, [entry])
        return done.index
