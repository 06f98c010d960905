"""The ledger's face: a witnessed transparency log, what its entries mean, and how to check it.

Importing it starts nothing and pulls in no server or database; those are reached by
`python -m ledger.server` and `python -m ledger.witness`.
"""

from ledger import lean_http as lean_http
from ledger.access_tree import (
    access_index,
    access_proof,
    access_tag,
    activity_commitment,
    format_access_tree,
    parse_access_tree,
    tree_root_of,
    verify_access,
)
from ledger.anchors import (
    AnchorReport,
    audit_anchors,
)
from ledger.audit import (
    audit_ledger,
)
from ledger.audit_report import (
    AuditReport,
    Problem,
)
from ledger.checkpoint import (
    Checkpoint,
    parse_checkpoint,
)
from ledger.client import (
    Appended,
    Envelope,
    LedgerClient,
    UnavailableError,
)
from ledger.collector import (
    settle as settle_collector,
)
from ledger.commands import (
    open_anchors,
    run_anchor,
    run_mirror,
    run_witness,
)
from ledger.entries import (
    PasskeyPolicy,
    Signer,
    check_attachments,
    complete_payload,
    cosign,
    is_personal,
    make_entry,
    make_leaf,
    make_submission,
    public_key,
    sign_ed25519,
    sign_entry,
    submission_for,
    unsigned_entry,
    validate_payload,
    verify_signatures,
)
from ledger.entry_types import (
    RULES,
    Rule,
    UnknownEntry,
    rule_for,
)
from ledger.envelope import (
    Entry,
    Signature,
    Submission,
    about_tag,
    b64,
    canonical,
    commitment,
    entry_bytes,
    fingerprint,
    pae,
    parse_entry_bytes,
    parse_json,
    submission_from_json,
    submission_to_json,
    unb64,
)
from ledger.errors import (
    ConsistencyError,
    FormatError,
    LedgerError,
    NotFoundError,
    PolicyError,
    RefusedError,
    StaleError,
    StoreError,
    VerificationError,
)
from ledger.fold_model import (
    WINDOW,
    Access,
    Attestation,
    ComputeKey,
    CustodianSplit,
    Dataset,
    Done,
    Grant,
    Key,
    Mandate,
    Offer,
    OrderState,
    Party,
    Payment,
    Record,
    Recovery,
    Review,
    Share,
    UnknownReference,
    split_terms,
)
from ledger.fold_operators import (
    BANK,
    operators_for,
)
from ledger.fold_parties import RECOVERY_WAIT_MS
from ledger.follower import Follower
from ledger.freshness import FollowedCheckpoint
from ledger.kinds import (
    PARTY_ROLES,
)
from ledger.leaf import (
    Leaf,
    format_leaf,
    parse_leaf,
)
from ledger.merkle import (
    EMPTY_ROOT,
    Frontier,
    consistency_proof,
    consistency_proof_from_reader,
    inclusion_proof,
    inclusion_proof_from_reader,
    leaf_hash,
    leaves_reader,
    node_hash,
    tree_root,
    verify_consistency,
    verify_inclusion,
)
from ledger.policy import (
    Policy,
    VerifiedCheckpoint,
    parse_policy,
    verify_checkpoint,
)
from ledger.proof import (
    LogProof,
    format_proof,
    parse_proof,
    verify_proof,
)
from ledger.records import (
    verify_record,
    verify_records,
)
from ledger.signatures import (
    verify_ed25519,
    verify_passkey,
)
from ledger.snapshot import (
    Snapshots,
)
from ledger.state import (
    State,
)
from ledger.tile_directory import (
    TileDirectory,
)
from ledger.trust import (
    CLAIMS,
    Auditor,
    Pins,
    TrustPolicy,
    verify_receipt,
)

__all__ = [
    "BANK",
    "CLAIMS",
    "EMPTY_ROOT",
    "PARTY_ROLES",
    "RECOVERY_WAIT_MS",
    "RULES",
    "WINDOW",
    "Access",
    "AnchorReport",
    "Appended",
    "Attestation",
    "AuditReport",
    "Auditor",
    "Checkpoint",
    "ComputeKey",
    "ConsistencyError",
    "CustodianSplit",
    "Dataset",
    "Done",
    "Entry",
    "Envelope",
    "FollowedCheckpoint",
    "Follower",
    "FormatError",
    "Frontier",
    "Grant",
    "Key",
    "Leaf",
    "LedgerClient",
    "LedgerError",
    "LogProof",
    "Mandate",
    "NotFoundError",
    "Offer",
    "OrderState",
    "Party",
    "PasskeyPolicy",
    "Payment",
    "Pins",
    "Policy",
    "PolicyError",
    "Problem",
    "Record",
    "Recovery",
    "RefusedError",
    "Review",
    "Rule",
    "Share",
    "Signature",
    "Signer",
    "Snapshots",
    "StaleError",
    "State",
    "StoreError",
    "Submission",
    "TileDirectory",
    "TrustPolicy",
    "UnavailableError",
    "UnknownEntry",
    "UnknownReference",
    "VerificationError",
    "VerifiedCheckpoint",
    "about_tag",
    "access_index",
    "access_proof",
    "access_tag",
    "activity_commitment",
    "audit_anchors",
    "audit_ledger",
    "b64",
    "canonical",
    "check_attachments",
    "commitment",
    "complete_payload",
    "consistency_proof",
    "consistency_proof_from_reader",
    "cosign",
    "entry_bytes",
    "fingerprint",
    "format_access_tree",
    "format_leaf",
    "format_proof",
    "inclusion_proof",
    "inclusion_proof_from_reader",
    "is_personal",
    "leaf_hash",
    "leaves_reader",
    "make_entry",
    "make_leaf",
    "make_submission",
    "node_hash",
    "open_anchors",
    "operators_for",
    "pae",
    "parse_access_tree",
    "parse_checkpoint",
    "parse_entry_bytes",
    "parse_json",
    "parse_leaf",
    "parse_policy",
    "parse_proof",
    "public_key",
    "rule_for",
    "run_anchor",
    "run_mirror",
    "run_witness",
    "settle_collector",
    "sign_ed25519",
    "sign_entry",
    "split_terms",
    "submission_for",
    "submission_from_json",
    "submission_to_json",
    "tree_root",
    "tree_root_of",
    "unb64",
    "unsigned_entry",
    "validate_payload",
    "verify_access",
    "verify_checkpoint",
    "verify_consistency",
    "verify_ed25519",
    "verify_inclusion",
    "verify_passkey",
    "verify_proof",
    "verify_receipt",
    "verify_record",
    "verify_records",
    "verify_signatures",
]
