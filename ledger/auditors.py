"""Named auditors' tokens for envelopes, each with an end date, in the log's auditors.toml.

Holds hashes, never a token: it is shown once, when it is made. The file is read again when it
changes, so that access is given and ended without a restart.
"""

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ledger.config import read_config, read_key, rewrite_toml
from ledger.errors import FormatError

AUDITORS_NAME = "auditors.toml"
DAY_MS = 24 * 3600 * 1000
DEFAULT_DAYS = 90
MAX_DAYS = 366


@dataclass(frozen=True, slots=True)
class Access:
    """One auditor's access; until: Unix ms."""

    name: str
    token_sha256: str
    until: int


def give_access(
    directory: Path, name: str, days: int = DEFAULT_DAYS, now: int | None = None
) -> str:
    """Give a named auditor access for some days and return the token; an older one of it ends.

    Raises FormatError.
    """
    if not name.isascii() or not name.replace("-", "").isalnum() or len(name) > 40:
        raise FormatError("an auditor's name is 1..40 letters, digits and hyphens")
    if not 0 <= days <= MAX_DAYS:
        raise FormatError(f"an auditor has access for 0..{MAX_DAYS} days at a time")
    token = secrets.token_urlsafe(32)
    until = (now_ms() if now is None else now) + days * DAY_MS
    fresh = Access(name, hashlib.sha256(token.encode()).hexdigest(), until)
    kept = [one for one in read_access(directory / AUDITORS_NAME) if one.name != name]
    rows = [
        {"name": one.name, "token_sha256": one.token_sha256, "until": one.until}
        for one in (*kept, fresh)
    ]
    rewrite_toml(directory / AUDITORS_NAME, {"auditors": rows})
    return token


def read_access(path: Path) -> list[Access]:
    """Read auditors.toml; nobody has access where there is none. Raises FormatError."""
    if not path.exists():
        return []
    rows: list[Any] = read_key(read_config(path), "auditors", list)
    return [
        Access(
            read_key(row, "name", str), read_key(row, "token_sha256", str),
            read_key(row, "until", int),
        )
        for row in rows
    ]  # fmt: skip


def now_ms() -> int:
    """Return the machine's clock in Unix ms."""
    return time.time_ns() // 1_000_000


class Auditors:
    """Who may read envelopes now. clock: Unix ms."""

    def __init__(self, directory: Path, clock: Callable[[], int] = now_ms) -> None:
        self._path = directory / AUDITORS_NAME
        self._clock = clock
        self._seen: tuple[int, int] | None = None
        self._access: list[Access] = []

    def find(self, token: bytes) -> Access | None:
        """Return whose token this is, also when its time is over; None for nobody's."""
        self._reload()
        digest = hashlib.sha256(token).hexdigest()
        found = [one for one in self._access if hmac.compare_digest(one.token_sha256, digest)]
        return found[0] if found else None

    def has_ended(self, access: Access) -> bool:
        """Tell whether an access's time is over."""
        return self._clock() >= access.until

    def _reload(self) -> None:
        try:
            state = self._path.stat()
        except OSError:
            self._access, self._seen = [], None
            return
        if (mark := (state.st_mtime_ns, state.st_size)) != self._seen:
            self._access, self._seen = read_access(self._path), mark
