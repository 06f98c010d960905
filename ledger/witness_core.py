"""The decision of a witness about one add-checkpoint request. Spec: C2SP tlog-witness.

Pure: the caller looks up what was last cosigned for the origin, asks `decide`, and on 200 must
store the new size and root by compare-and-swap, durably, BEFORE it cosigns and answers. Otherwise
two requests could roll the witness back.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ledger.checkpoint import Checkpoint, parse_checkpoint
from ledger.errors import FormatError, VerificationError
from ledger.merkle import EMPTY_ROOT, verify_consistency
from ledger.note import Note, format_note, parse_note, verify_note
from ledger.vkey import VerifierKey, decode_hash, decode_text, parse_decimal

MAX_PROOF_LINES = 63
MAX_REQUEST_BYTES = 1024 * 1024
SIZE_CONTENT_TYPE = "text/x.tlog.size"
TEXT_CONTENT_TYPE = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class AddCheckpoint:
    """An add-checkpoint request: the size it grows from, the proof, and the signed checkpoint."""

    old_size: int
    proof: tuple[bytes, ...]
    note: Note
    checkpoint: Checkpoint

    @property
    def origin(self) -> str:
        """The origin under which the witness keeps its record."""
        return self.checkpoint.origin


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer to a request. On 200 `store` and `cosign` are set, and the body is still to be
    written: the signature lines over `cosign`, the checkpoint's text.
    """

    status: int
    body: bytes = b""
    content_type: str = TEXT_CONTENT_TYPE
    store: tuple[int, bytes] | None = None
    cosign: str | None = None


def parse_add_checkpoint(data: bytes) -> AddCheckpoint:
    """Parse the body of a request, verifying nothing. Section "add-checkpoint".

    Raises FormatError (the witness answers 400).
    """
    text = decode_text(data, "the request", MAX_REQUEST_BYTES)
    head, separator, note_text = text.partition("\n\n")
    first, *lines = head.split("\n")
    if not separator or not first.startswith("old "):
        raise FormatError("a request must be an old size line, proof lines, a blank line, a note")
    if len(lines) > MAX_PROOF_LINES:
        raise FormatError(f"a request may carry at most {MAX_PROOF_LINES} proof lines")
    old_size = parse_decimal(first.removeprefix("old "), "the old size")
    proof = tuple(decode_hash(line, "a proof line") for line in lines)
    note = parse_note(note_text.encode())
    return AddCheckpoint(old_size, proof, note, parse_checkpoint(note.text))


def format_add_checkpoint(old_size: int, proof: Sequence[bytes], note: Note) -> bytes:
    """Write a request body: old size, consistency proof from it, signed checkpoint."""
    lines = [f"old {old_size}", *(base64.b64encode(one).decode() for one in proof)]
    return "\n".join(lines).encode() + b"\n\n" + format_note(note)


def decide(
    request: bytes | AddCheckpoint,
    trusted: Mapping[str, Sequence[VerifierKey]],
    stored: tuple[int, bytes] | None,
) -> Outcome:
    """Decide a request by the checks and statuses of section "add-checkpoint", in their order.

    `trusted` maps each known origin to its log keys; `stored` is the (size, root) last cosigned
    for the request's origin (`AddCheckpoint.origin`), None where there is none. Raises nothing:
    a malformed request is a 400.
    """
    try:
        parsed = parse_add_checkpoint(request) if isinstance(request, bytes) else request
    except FormatError as error:
        return _refuse(400, str(error))
    keys = trusted.get(parsed.origin)
    if keys is None:
        return _refuse(404, "unknown log origin")
    try:
        verify_note(parsed.note, keys)
    except VerificationError as error:
        return _refuse(403, f"invalid signature: {error}")
    return _decide_growth(parsed, stored or (0, EMPTY_ROOT))


def _decide_growth(request: AddCheckpoint, stored: tuple[int, bytes]) -> Outcome:
    """Decide an authentic request against what was last cosigned."""
    checkpoint = request.checkpoint
    size, root = stored
    if request.old_size > checkpoint.size:
        return _refuse(400, "the old size is larger than the checkpoint")
    if request.old_size != size:
        return Outcome(409, b"%d\n" % size, SIZE_CONTENT_TYPE)
    if checkpoint.size == 0 and checkpoint.root != EMPTY_ROOT:
        return _refuse(422, "an empty log has another root")
    try:
        _verify_growth(request, root)
    except VerificationError as error:
        return _refuse(422, f"consistency proof: {error}")
    return Outcome(200, store=(checkpoint.size, checkpoint.root), cosign=request.note.text)


def _verify_growth(request: AddCheckpoint, root: bytes) -> None:
    """Check the proof against the witness's own root, never one the request brings."""
    checkpoint = request.checkpoint
    if request.old_size == 0:
        # Every tree continues the empty one, so there is nothing to prove.
        if request.proof:
            raise VerificationError("the proof from size 0 must be empty")
        return
    verify_consistency(request.old_size, checkpoint.size, request.proof, root, checkpoint.root)


def _refuse(status: int, reason: str) -> Outcome:
    return Outcome(status, f"{reason}\n".encode("utf-8", "replace"))
