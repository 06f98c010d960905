"""Anchoring a log's checkpoints on a consortium's chain (extra `evm`): sizes and roots, no entries.

The members of a consortium each verify a checkpoint and sign it; anybody may bring k signatures
to the contract, which only moves forward. `audit_anchors` compares a log with what was anchored.
Spec of the signature: EIP-712; of the contract: checkpoint_anchor.vy beside this file.
"""

from ledger.anchor.contract import AnchorContract, AnchorError, deploy
from ledger.anchor.signing import Domain, MemberSignature, sign_checkpoint, signer_of
from ledger.anchors import Anchored, AnchorReport, audit_anchors

__all__ = [
    "AnchorContract",
    "AnchorError",
    "AnchorReport",
    "Anchored",
    "Domain",
    "MemberSignature",
    "audit_anchors",
    "deploy",
    "sign_checkpoint",
    "signer_of",
]
