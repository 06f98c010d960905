"""Access trees: how an owner finds, asking nobody, whether a use touched its data.

Every member of a cohort has one tag, HMAC-SHA256(activity key, "omic/access/v1" || access id);
only owner and compute know the activity key, so two tags of one person look unrelated. The tags
of one use, sorted, are the leaves of an RFC 6962 tree whose root stands in `access.recorded`.
"""

import hashlib
import hmac
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import pairwise

from ledger.errors import FormatError, NotFoundError
from ledger.merkle import inclusion_proof, leaf_hash, tree_root, verify_inclusion

ACCESS_CONTEXT = b"omic/access/v1"
TAG_SIZE = 32


def access_tag(activity_key: bytes, access: str) -> bytes:
    """Return the 32-byte tag of one grant in one access (its id: 32 hex digits)."""
    if len(activity_key) != 32:
        raise FormatError(f"an activity key is 32 bytes, not {len(activity_key)}")
    try:
        identity = bytes.fromhex(access)
    except ValueError:
        raise FormatError("an access id is 32 hex digits") from None
    if len(identity) != 16:
        raise FormatError("an access id is 32 hex digits")
    return hmac.new(activity_key, ACCESS_CONTEXT + identity, hashlib.sha256).digest()


def activity_commitment(activity_key: bytes) -> str:
    """Return what a grant commits to its activity key with: SHA-256 in hex."""
    return hashlib.sha256(activity_key).hexdigest()


def format_access_tree(tags: Iterable[bytes]) -> bytes:
    """Return the attachment: the tags sorted and joined. Raises FormatError on a repeated tag."""
    data = b"".join(sorted(tags))
    parse_access_tree(data)
    return data


def parse_access_tree(data: bytes) -> list[bytes]:
    """Split an attachment into its tags; they must be 32 bytes each, strictly rising."""
    if len(data) % TAG_SIZE:
        raise FormatError(f"an access tree is 32 bytes a member; {len(data)} is no multiple")
    tags = [data[at : at + TAG_SIZE] for at in range(0, len(data), TAG_SIZE)]
    if any(a >= b for a, b in pairwise(tags)):
        raise FormatError("the tags of an access tree must be sorted, each of them once")
    return tags


def tree_root_of(tags: Sequence[bytes]) -> bytes:
    """Return the RFC 6962 root over sorted tags (of none: SHA-256 of nothing)."""
    return tree_root(map(leaf_hash, tags))


def access_index(tags: Sequence[bytes], activity_key: bytes, access: str) -> int | None:
    """Return where a grant stands in an access tree, or None: it was not used."""
    tag = access_tag(activity_key, access)
    at = bisect_left(tags, tag)
    return at if at < len(tags) and tags[at] == tag else None


def access_proof(tags: Sequence[bytes], tag: bytes) -> tuple[int, list[bytes]]:
    """Return index and inclusion proof of a tag. Raises NotFoundError."""
    at = bisect_left(tags, tag)
    if at == len(tags) or tags[at] != tag:
        raise NotFoundError("this tag is not in the access tree")
    return at, inclusion_proof(at, [leaf_hash(item) for item in tags])


def verify_access(
    tag: bytes, index: int, cohort_size: int, proof: Sequence[bytes], cohort_root: bytes
) -> None:
    """Check that a tag is in the access tree of an `access.recorded`. Raises VerificationError."""
    verify_inclusion(index, cohort_size, leaf_hash(tag), proof, cohort_root)
