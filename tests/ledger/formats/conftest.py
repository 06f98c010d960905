"""A small log, its witnesses and a policy, made from fixed seeds."""

from dataclasses import dataclass

import pytest

from ledger.checkpoint import Checkpoint, format_checkpoint
from ledger.cosignature import Ed25519Cosigner
from ledger.merkle import leaf_hash, tree_root
from ledger.note import Ed25519Signer, Note, format_note, format_vkey, sign_note

ORIGIN = "log.example/main"


@dataclass(frozen=True)
class World:
    """One log and three witnesses; checkpoints of it are made on demand."""

    signer: Ed25519Signer
    witnesses: tuple[Ed25519Cosigner, ...]
    leaves: tuple[bytes, ...]

    def policy_text(self, group="2 w0 w1 w2"):
        lines = [f"log {format_vkey(self.signer.vkey)} https://log.example/"]
        lines += [f"witness w{i} {format_vkey(w.vkey)}" for i, w in enumerate(self.witnesses)]
        return "\n".join([*lines, f"group g {group}", "quorum g", ""]).encode()

    def note(self, size, times, root=None):
        """Sign the tree of `size` entries; `times` maps witness number to cosignature time."""
        root = root or tree_root([leaf_hash(leaf) for leaf in self.leaves[:size]])
        note = sign_note(format_checkpoint(Checkpoint(ORIGIN, size, root)), [self.signer])
        cosigned = (self.witnesses[i].cosign(note.text, time) for i, time in times.items())
        return Note(note.text, (*note.signatures, *cosigned))

    def checkpoint(self, size, times, root=None):
        return format_note(self.note(size, times, root))


@pytest.fixture(scope="session")
def world():
    witnesses = tuple(Ed25519Cosigner(f"w{i}.example", bytes([i + 1]) * 32) for i in range(3))
    leaves = tuple(b"entry %d" % i for i in range(40))
    return World(Ed25519Signer(ORIGIN, bytes(32)), witnesses, leaves)
