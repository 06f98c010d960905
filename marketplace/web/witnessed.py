"""The newest checkpoint as the pages show it: verified here and now, or said to be missing.

Pure but for the one fetch: the time is an argument. Whoever wants certainty checks with
`omic audit ledger`; this page is the marketplace's own word.
"""

from dataclasses import dataclass

from ledger import LedgerError, TrustPolicy, verify_checkpoint
from marketplace.services import Services
from marketplace.web.ports import LedgerReader


@dataclass(frozen=True, slots=True)
class WitnessLine:
    """One witness of the policy.

    signed_at: Unix ms of its cosignature on the checkpoint, None when it has none there; last_at:
    of the last one this server saw at all, None when it saw none since it started.
    """

    name: str
    signed_at: int | None
    last_at: int | None = None


@dataclass(frozen=True, slots=True)
class Witnessed:
    """A verified checkpoint; quorum_at: Unix ms; fresh: young enough to decide on."""

    size: int
    root: str
    note: str
    quorum_at: int
    fresh: bool
    witnesses: tuple[WitnessLine, ...]

    @property
    def signed(self) -> int:
        """Return how many witnesses signed it."""
        return sum(line.signed_at is not None for line in self.witnesses)


def newest(ledger: LedgerReader, trust: TrustPolicy, now: int) -> Witnessed:
    """Fetch and verify the newest checkpoint. Raises LedgerError."""
    return read_note(ledger.checkpoint(), trust, now)


def newest_or_none(ledger: LedgerReader, trust: TrustPolicy, now: int) -> Witnessed | None:
    """Return the newest checkpoint, or None where none can be had or believed now."""
    try:
        return newest(ledger, trust, now)
    except LedgerError:
        return None


def with_last_seen(services: Services, checkpoint: Witnessed | None) -> tuple[WitnessLine, ...]:
    """Return every witness with its last cosignature, also where no checkpoint can be had."""
    signed = {line.name: line.signed_at for line in checkpoint.witnesses} if checkpoint else {}
    services.view.saw({name: at // 1000 for name, at in signed.items() if at is not None})
    lines = []
    for witness in services.trust.policy.witnesses:
        last = services.view.last_cosigned(witness.name)
        at = None if last is None else last * 1000
        lines.append(WitnessLine(witness.name, signed.get(witness.name), at))
    return tuple(lines)


def read_note(note: str, trust: TrustPolicy, now: int) -> Witnessed:
    """Verify a checkpoint note against the trust policy. Raises LedgerError."""
    verified = verify_checkpoint(trust.policy, note.encode())
    times = verified.cosignatures
    lines = tuple(
        WitnessLine(witness.name, times[witness.name] * 1000 if witness.name in times else None)
        for witness in trust.policy.witnesses
    )
    quorum_at = verified.quorum_time * 1000
    return Witnessed(
        verified.checkpoint.size,
        verified.checkpoint.root.hex(),
        note,
        quorum_at,
        now - quorum_at <= trust.max_checkpoint_age_ms,
        lines,
    )
