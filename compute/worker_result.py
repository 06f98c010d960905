"""What leaves of an answer: its bytes, its salted commitment, and the files encrypted to readers.

The answer bytes are fixed once, kept encrypted in the store, and committed to by salt; reviewers,
researcher and auditor see these very bytes. Never writes an answer in clear anywhere.
"""

import json
import secrets

from compute.claims import claims_of
from compute.crypt import CryptError, encrypt_file, make_header_packet, seal_to
from compute.keys import KEY_BYTES
from compute.orderbook import OrderInHand
from compute.queries import query_value
from compute.release import Released
from compute.result import (
    SALT_BYTES,
    VERSION,
    answer_bytes,
    commitment_of,
    committed_bytes,
    make_opening,
    padded,
)
from compute.scope import bucket
from compute.worker_order import VerifiedOrder
from compute.worker_outcomes import Code, JobRefusedError
from compute.worker_ports import Workshop


def make_result(order: VerifiedOrder, held: OrderInHand, released: Released) -> bytes:
    """Fix the result of one attempt: the contract's document with the opening of its commitment."""
    said = {
        "v": VERSION,
        "order": order.id,
        "access": held.access,
        "query": query_value(order.query),
        "query_digest": order.query_digest,
        "code_digest": order.code_digest,
        "release": dict(order.release),
        "n": _people(order, released),
        "answer": released.answer,
        "suppressed": [dict(note) for note in released.suppressed],
    }
    opening = make_opening(secrets.token_bytes(SALT_BYTES), committed_bytes(said))
    return answer_bytes({**said, "opening": opening})


def _people(order: VerifiedOrder, released: Released) -> dict[str, str]:
    """Return the bucket of the people an answer is about; "of" says whether a match kept them.

    A private answer tells nothing exact of a match: its bucket is the scope's.
    """
    told = {"bucket": bucket(released.people)}
    if not order.query.match:
        return told
    return {**told, "of": "match" if order.mode == "trusted" else "scope"}


def keep_result(
    shop: Workshop, order: VerifiedOrder, held: OrderInHand, released: Released, opened: bytes
) -> str:
    """Keep result, its file for the researcher, the draft and the openings; return the commitment.

    The result is fixed first, once per attempt; a restart takes the one already kept, since its
    salt and its ciphertext's hash go on the ledger. Raises JobRefusedError when an order for
    review has no reviewer to encrypt to.
    """
    shop.store.keep(name_of(held, "result"), make_result(order, held, released))
    result = kept_file(shop, held, "result")
    commitment = commitment_of(json.loads(result))
    shop.store.keep(name_of(held, "openings"), opened)
    shop.store.keep(name_of(held, "file"), seal_to(order.result_key, padded(result)))
    if order.mode == "trusted":
        draft = answer_bytes({**json.loads(result), "draft_commitment": commitment})
        shop.store.keep(name_of(held, "draft"), seal_draft(shop, order, draft))
    return commitment


def name_of(held: OrderInHand, what: str) -> str:
    """Return the name a kept file of one attempt has in the store."""
    return f"{held.order}/{held.attempt}/{what}"


def kept_file(shop: Workshop, held: OrderInHand, what: str) -> bytes:
    """Return a kept file. Raises JobRefusedError when it is gone."""
    data = shop.store.kept(name_of(held, what))
    if data is None:
        raise JobRefusedError(Code.INTERNAL, "a kept file of this order is gone")
    return data


def reviewer_keys(shop: Workshop, order: VerifiedOrder, now_ms: int) -> list[bytes]:
    """Return the X25519 keys of attested output reviewers, the researcher's own party left out.

    A key nothing can be encrypted to (a point of small order) is passed over.
    """
    state = shop.follower.state
    keys = []
    for party in state.parties.values():
        if party.role != "reviewer" or party.id == order.researcher:
            continue
        claims = claims_of(state, shop.trust.pins, party.id, now_ms)
        if claims.value("output_reviewer", now_ms) is True:
            keys += [key.public_key for key in party.keys.values() if key.use == "encrypt"]
    return [key for key in sorted(set(keys)) if _usable(key)]


def _usable(public: bytes) -> bool:
    try:
        make_header_packet(secrets.token_bytes(KEY_BYTES), public)
    except CryptError:
        return False
    return True


def seal_draft(shop: Workshop, order: VerifiedOrder, draft: bytes) -> bytes:
    """Encrypt a draft to every attested reviewer in one Crypt4GH file. Raises JobRefusedError."""
    keys = reviewer_keys(shop, order, shop.follower.checkpoint.quorum_time)
    if not keys:
        raise JobRefusedError(Code.NO_REVIEWER, "no attested reviewer has a usable encryption key")
    return encrypt_file(padded(draft), *keys)
