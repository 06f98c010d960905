"""What the pages need of the ledger: public bytes only, read without any token."""

from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from flask import current_app

from marketplace.services import Services
from marketplace.web.memo import Memo

EXTENSION = "omic-pages"


class LedgerReader(Protocol):
    """The public part of `ledger.LedgerClient`."""

    def checkpoint(self) -> str: ...

    def entries(self, start: int, end: int) -> list[bytes]: ...

    def receipt(self, index: int) -> str: ...


@dataclass(frozen=True, slots=True)
class Pages:
    """What every page is made from. started_at: Unix ms; assets: files by name, as served."""

    services: Services
    ledger: LedgerReader
    started_at: int
    assets: dict[str, bytes] = field(default_factory=dict)
    memo: Memo[Any] = field(default_factory=Memo)


def pages() -> Pages:
    """Return the pages' parts within a request."""
    return cast("Pages", current_app.extensions[EXTENSION])
