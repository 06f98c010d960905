"""Bundles: what lets a researcher, and more fully an auditor, check a result offline.

Both are encrypted before they leave the worker: the researcher's to the order's result key (it
holds the answer), the auditor's to every pinned auditor (it holds personal openings). The
researcher's holds roots and counts only. Spec: contracts section 7; DESIGN 3.1 "Two audits".
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from compute.bundle import bundle_entry, make_auditor_bundle, make_researcher_bundle
from compute.crypt import encrypt_file, seal_to
from compute.result import answer_bytes, padded
from compute.worker_ports import Workshop
from compute.worker_result import kept_file
from compute.worker_state import Run
from ledger import (
    LogProof,
    Record,
    b64,
    entry_bytes,
    format_leaf,
    format_proof,
    leaf_hash,
    node_hash,
    unb64,
)


def bundle_files(run: Run) -> dict[str, bytes]:
    """Return the encrypted bundles by object name; the auditor's only where one is pinned.

    "bundle" opens with the order's result key, "auditor_bundle" with any pinned auditor's.
    """
    auditors = [auditor.encrypt for auditor in run.shop.trust.pins.auditors]
    public = public_indexes(run)
    wanted = run.held.members if auditors else ()
    about = {grant: found for grant in wanted if (found := member_indexes(run, grant))}
    proven = _prove(run.shop, [*public, *(i for indexes in about.values() for i in indexes)])
    entries = [proven[index] for index in public]
    order, access, result = run.held.order, str(run.held.access), _result(run)
    result_key = run.shop.follower.state.orders[order].payload["result_key"]
    bundle = make_researcher_bundle(order, access, entries, result)
    files = {"bundle": seal_to(unb64(result_key), padded(bundle))}
    if auditors:
        members = _members(run, about, proven)
        full = make_auditor_bundle(order, access, entries, result, members)
        files["auditor_bundle"] = encrypt_file(padded(full), *auditors)
    return files


def _members(
    run: Run, about: Mapping[str, Sequence[int]], proven: Mapping[int, dict[str, Any]]
) -> list[dict[str, Any]]:
    keys = json.loads(kept_file(run.shop, run.held, "openings"))
    return [
        {
            "grant": grant,
            "index": run.shop.follower.state.grants[grant].index,
            "activity_key": keys[grant],
            "entries": [proven[index] for index in indexes],
        }
        for grant, indexes in about.items()
    ]


def _result(run: Run) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(kept_file(run.shop, run.held, "result"))
    return found


def public_indexes(run: Run) -> list[int]:
    """Return the public leaves an order's story is told by, in log order."""
    state, held = run.shop.follower.state, run.held
    order = state.orders[held.order]
    found = {order.index, int(held.access_index or 0), int(held.result_index or 0)}
    found |= {one.index for one in order.payments}
    reviews = [one for one in order.reviews if one.draft_commitment == held.commitment]
    found |= {one.index for one in reviews}
    for name in {str(order.payload["researcher"]), *(one.reviewer for one in reviews)}:
        party = state.parties[name]
        found |= {party.registered_index, *(one.index for one in party.attestations)}
    return sorted(found)


def member_indexes(run: Run, grant_id: str) -> list[int]:
    """Return the leaves that open one member: grant, dataset, registration, attestations.

    Empty for a member whose entries were erased after the result: nobody can open those again.
    """
    state = run.shop.follower.state
    grant = state.grants[grant_id]
    owner = state.parties.get(grant.owner)
    if owner is None or grant.index in state.erased:
        return []
    found = {grant.index, state.datasets[grant.dataset].index, owner.registered_index}
    return sorted(found | {one.index for one in owner.attestations})


def _prove(shop: Workshop, indexes: Iterable[int]) -> dict[int, dict[str, Any]]:
    """Return each wanted leaf with its opening, where personal, and an offline receipt.

    One pass over the log: every receipt is under the checkpoint the follower stands at.
    """
    checkpoint, wanted = shop.follower.checkpoint, set(indexes)
    hashes: list[bytes] = []
    kept: dict[int, Record] = {}
    for record in shop.follower.records(0, checkpoint.size):
        hashes.append(leaf_hash(format_leaf(record.leaf)))
        if record.index in wanted:
            kept[record.index] = record
    levels = _levels(hashes)
    note = checkpoint.note.encode()
    found = {}
    for index, record in kept.items():
        path = _path(levels, index)
        receipt = format_proof(LogProof(index, path, note)).decode()
        leaf = record.leaf
        opening = None
        if leaf.entry is None and record.entry is not None and record.salt is not None:
            opening = (entry_bytes(record.entry), record.salt)
        found[index] = bundle_entry(index, leaf.type, format_leaf(leaf), receipt, opening)
    return found


def _levels(hashes: list[bytes]) -> list[list[bytes]]:
    """Return the tree's levels, leaves first; an odd last node moves up as it is (RFC 6962)."""
    levels = [hashes]
    while len(level := levels[-1]) > 1:
        pairs = zip(level[0::2], level[1::2], strict=False)
        above = [node_hash(left, right) for left, right in pairs]
        levels.append(above + ([level[-1]] if len(level) % 2 else []))
    return levels


def _path(levels: Sequence[Sequence[bytes]], index: int) -> tuple[bytes, ...]:
    """Return a leaf's inclusion path, its sibling first."""
    path = []
    for level in levels[:-1]:
        if index ^ 1 < len(level):
            path.append(level[index ^ 1])
        index >>= 1
    return tuple(path)


def openings(keys: Iterable[tuple[str, bytes]]) -> bytes:
    """Write the activity keys of a cohort as they are kept (encrypted) until delivery."""
    return answer_bytes({grant: b64(key) for grant, key in keys})
