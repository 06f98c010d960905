"""What an operator decides counts only once it stands on the ledger, signed by that operator.

The request names the index of its operator.acted entry, which is looked up in the one verified fold
and nowhere else; action and details must be the very ones that are asked for, and an entry serves
once.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy.exc import IntegrityError

from marketplace.accounts import Principal
from marketplace.errors import ConflictError, ForbiddenError
from marketplace.services import Services
from marketplace.tables import KeptAnswer

FRESH_MS = 3_600_000


def require(
    services: Services, who: Principal, index: int, action: str, details: Mapping[str, Any]
) -> None:
    """Use up the operator's entry at a ledger index for one deed.

    Raises NotYetError, ForbiddenError (it says something else, or somebody else said it),
    ConflictError (too old, or used before).
    """
    said = services.view.covering(index).state.operator_acts.get(index)
    if said is None or (said.action, _same(said.details), said.actor) != (
        action,
        _same(details),
        who.party,
    ):
        raise ForbiddenError(
            f"entry {index} is not your operator.acted for {action} with these details; "
            "state it on the ledger first (omic operator does)"
        )
    now = services.clock()
    if now - said.time > FRESH_MS:
        raise ConflictError("this entry is older than an hour; state it again")
    used = hashlib.sha256(f"operator.acted {index}".encode()).hexdigest()
    row = KeptAnswer(
        id=used, party=who.party, request=action, status=0, body="", expires_at=now + 2 * FRESH_MS
    )
    try:
        with services.db.write() as session:
            session.add(row)
    except IntegrityError:
        raise ConflictError(f"entry {index} was used already; state a new one") from None


def _same(details: Mapping[str, Any]) -> str:
    return json.dumps(details, sort_keys=True)
