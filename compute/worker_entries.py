"""The entries a worker signs: accesses, refusals, results, its keys and its release.

Every entry is signed by the identity key and packed as the ledger will check it. Holds ids,
digests and counts only: an access names nobody, its tree is of keyed tags.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from compute.worker_outcomes import Code
from compute.worker_ports import Workshop
from ledger import (
    Submission,
    format_access_tree,
    parse_access_tree,
    sign_entry,
    submission_from_json,
    submission_to_json,
    tree_root_of,
)


@dataclass(frozen=True, slots=True)
class Use:
    """What an access entry states beside its tree: people, order, query, code and attempt."""

    purpose: str
    people: int
    order: str | None = None
    query_digest: str | None = None
    code_digest: str | None = None
    release: Mapping[str, Any] | None = None
    attempt: int = 1


def access_entry(
    shop: Workshop, access: str, use: Use, tags: Iterable[bytes], excluded: Mapping[str, int]
) -> Submission:
    """Sign access.recorded over the tags of a cohort, judged at the follower's checkpoint."""
    tree = format_access_tree(tags)
    leaves = parse_access_tree(tree)
    judged = shop.follower.checkpoint
    fields = {
        "access": access,
        "order": use.order,
        "purpose": use.purpose,
        "query_digest": use.query_digest,
        "code_digest": use.code_digest,
        "judged_size": judged.size,
        "judged_root": judged.root.hex(),
        "cohort_size": use.people,
        "opened": len(leaves),
        "cohort_root": tree_root_of(leaves).hex(),
        "excluded": dict(excluded),
        "release": None if use.release is None else dict(use.release),
        "region": shop.region,
        "attempt": use.attempt,
    }
    return signed(shop, "access.recorded", fields, {"access_tree": tree})


def refused_entry(
    shop: Workshop, order: str, code: Code, excluded: Mapping[str, int]
) -> Submission:
    """Sign access.refused: nothing was opened for this order."""
    fields = {"order": order, "reason": code.value, "excluded": dict(excluded)}
    return signed(shop, "access.refused", fields)


def published_entry(
    shop: Workshop, order: str, access: str, commitment: str, ciphertext: tuple[str, int]
) -> Submission:
    """Sign result.published: a salted commitment, and the ciphertext's SHA-256 and size."""
    fields = {
        "order": order,
        "access": access,
        "commitment": commitment,
        "ciphertext_sha256": ciphertext[0],
        "ciphertext_size": ciphertext[1],
    }
    return signed(shop, "result.published", fields)


def withheld_entry(shop: Workshop, order: str, access: str, code: Code) -> Submission:
    """Sign result.withheld: data were opened and no answer leaves."""
    fields = {"order": order, "access": access, "reason": code.value}
    return signed(shop, "result.withheld", fields)


def signed(
    shop: Workshop, type_: str, fields: Mapping[str, Any], attachments: Any = None
) -> Submission:
    """Sign fields with the identity key, with a fresh id and the worker's clock (ms)."""
    common = {"id": shop.new_id(), "time": shop.clock(), "subject": None}
    entry = sign_entry(shop.keys.identity_seed, type_, {**common, **fields})
    return Submission(entry, None, dict(attachments or {}))


def to_text(submission: Submission) -> str:
    """Write a signed submission as the text a restart reads it back from."""
    return json.dumps(submission_to_json(submission), sort_keys=True, separators=(",", ":"))


def from_text(text: str | None) -> Submission:
    """Read a submission kept by `to_text`."""
    return submission_from_json(json.loads(text or "null"))


def tree_of(submission: Submission) -> list[bytes]:
    """Return the tags of an access submission's own tree."""
    return parse_access_tree(submission.attachments["access_tree"])
