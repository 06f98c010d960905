"""Comparing a log with its anchors: every anchored tree must be part of the tree shown now.

Believes neither side: the checkpoint must meet the witness policy, each anchor the contract's
k of n, and the consistency proof decides. Never changes anything.
"""

from dataclasses import dataclass
from typing import Any, Protocol

from ledger.errors import LedgerError
from ledger.merkle import verify_consistency
from ledger.policy import verify_checkpoint
from ledger.trust import TrustPolicy


@dataclass(frozen=True, slots=True)
class Anchored:
    """A checkpoint as the chain holds it; block: where its event stands."""

    size: int
    root: bytes
    block: int
    signers: tuple[str, ...]


class Source(Protocol):
    """A log to read: a LedgerClient is one."""

    def checkpoint(self) -> str:
        """Return the newest checkpoint, a signed note."""
        ...

    def consistency(self, old: int, new: int) -> list[bytes]:
        """Return the proof that the tree of `new` continues that of `old` (RFC 6962, 2.1.2)."""
        ...


class Anchors(Protocol):
    """What a chain holds: an AnchorContract is one."""

    def anchored(self, origin: str, first_block: int = 0) -> list[Anchored]:
        """Return what was anchored of a log, oldest first, from a block on."""
        ...


@dataclass(frozen=True, slots=True)
class AnchorReport:
    """What the comparison found; problems: (anchored size, what is wrong)."""

    origin: str
    size: int
    anchors: int
    newest: int
    problems: tuple[tuple[int, str], ...]

    @property
    def ok(self) -> bool:
        """Tell whether there is an anchor and every anchor is part of the log."""
        return not self.problems and self.anchors > 0

    def to_json(self) -> dict[str, Any]:
        """Return the report as a JSON value."""
        return {
            "origin": self.origin,
            "size": self.size,
            "anchors": self.anchors,
            "newest": self.newest,
            "ok": self.ok,
            "problems": [{"size": size, "reason": reason} for size, reason in self.problems],
        }


def audit_anchors(
    source: Source, trust: TrustPolicy, chain: Anchors, first_block: int = 0
) -> AnchorReport:
    """Check that the log's newest checkpoint continues every anchored one.

    Raises LedgerError when the log shows no checkpoint that counts.
    """
    anchors = chain.anchored(trust.origin, first_block)
    checkpoint = verify_checkpoint(trust.policy, source.checkpoint().encode()).checkpoint
    problems = []
    for one in anchors:
        if reason := _problem(source, one, checkpoint.size, checkpoint.root):
            problems.append((one.size, reason))
    newest = max((one.size for one in anchors), default=0)
    return AnchorReport(trust.origin, checkpoint.size, len(anchors), newest, tuple(problems))


def _problem(source: Source, one: Anchored, size: int, root: bytes) -> str | None:
    if one.size > size:
        return f"the log now shows {size} entries only: it went back behind an anchor"
    try:
        proof = source.consistency(one.size, size) if one.size < size else []
        verify_consistency(one.size, size, proof, one.root, root)
    except LedgerError as error:
        return f"the log changed its past since it was anchored in block {one.block}: {error}"
    return None
