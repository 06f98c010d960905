"""Vaults: a person's own keys and records, kept here as ciphertext that only they open.

So that a lost phone is not a lost identity. Who asks for a vault names a locator of 128 bits that
its way in (a passkey's secret, a printed code) derives; nothing here tells what is inside.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from sqlmodel import Session, col, delete, select

from marketplace.errors import ChangedError, ConflictError, InputError, NotFoundError, TooLargeError
from marketplace.services import Services
from marketplace.tables import VaultCopy, VaultLocator

_LOCATOR = re.compile(r"[0-9a-f]{32}")
MAX_WAYS = 32


def keep(services: Services, party: str, body: Mapping[str, Any], expected: str | None) -> str:
    """Keep a party's vault in place of the last; return its etag.

    expected: the etag the writer last saw; another one means that a second device wrote meanwhile.
    Raises ChangedError, InputError, TooLargeError, ConflictError.
    """
    text = json.dumps(body, separators=(",", ":"), sort_keys=True)
    if len(text) > services.config.limits.vault_bytes:
        raise TooLargeError(f"a vault has at most {services.config.limits.vault_bytes} bytes")
    locators = _locators(body)
    etag = hashlib.sha256(text.encode()).hexdigest()[:32]
    with services.db.write() as session:
        row = session.get(VaultCopy, party)
        if row is not None and expected is not None and expected != row.etag:
            raise ChangedError(
                "another device of yours saved your vault meanwhile; unlock it again, then repeat"
            )
        row = row or VaultCopy(party=party, body="", etag="", updated_at=0)
        row.body, row.etag, row.updated_at = text, etag, services.clock()
        session.add(row)
        session.flush()
        _point(session, party, locators)
    return etag


def _locators(body: Mapping[str, Any]) -> set[str]:
    ways = body.get("wraps")
    if not isinstance(ways, list) or not 1 <= len(ways) <= MAX_WAYS:
        raise InputError(f"a vault has 1 to {MAX_WAYS} ways in")
    found = {way["locator"] for way in ways if isinstance(way, dict) and "locator" in way}
    if not all(isinstance(one, str) and _LOCATOR.fullmatch(one) for one in found):
        raise InputError("a locator has 32 lower-case hex digits")
    return found


def _point(session: Session, party: str, locators: set[str]) -> None:
    taken = select(VaultLocator.party).where(
        col(VaultLocator.locator).in_(locators), col(VaultLocator.party) != party
    )
    if session.exec(taken).first() is not None:
        raise ConflictError("another vault is found by this way in; make a new code or passkey")
    session.exec(delete(VaultLocator).where(col(VaultLocator.party) == party))
    session.add_all([VaultLocator(locator=one, party=party) for one in sorted(locators)])


def own(services: Services, party: str) -> tuple[dict[str, Any], str]:
    """Return a party's vault and its etag. Raises NotFoundError."""
    with services.db.read() as session:
        row = session.get(VaultCopy, party)
    if row is None:
        raise NotFoundError("no vault of yours is kept here; PUT one first")
    return json.loads(row.body), row.etag


def find(services: Services, locator: str) -> tuple[dict[str, Any], str]:
    """Return a vault and its etag by a locator. Raises NotFoundError."""
    with services.db.read() as session:
        at = session.get(VaultLocator, locator)
        row = session.get(VaultCopy, at.party) if at is not None else None
    if row is None:
        raise NotFoundError(
            "no vault is found by this passkey or code; use another way in, or your export"
        )
    return json.loads(row.body), row.etag
