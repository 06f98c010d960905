"""Recipient epochs of a running worker: draw and publish the next, destroy what has ended.

A sealed grant somebody kept opens as long as its epoch's secret exists; so the secret goes once
the epoch and its overlap are over and no live grant is sealed to it. Judges time by what is passed
in (the witnessed checkpoint's), never by a clock of its own. Spec: DESIGN 1 step 8 and 3.1.
"""

from pathlib import Path

from compute.keys import OVERLAP_MS, Epoch, destroy_epoch, needs_next, new_epoch, write_epoch
from compute.worker_ports import Workshop
from compute.worker_start import announce


def tend_epochs(shop: Workshop, folder: Path, now_ms: int) -> None:
    """Draw and publish the next epoch when it is due, and destroy ended ones.

    folder: where the epochs' files are; now_ms: Unix milliseconds. Raises LedgerError when a new
    key cannot be published: the next call publishes it.
    """
    keys = shop.keys
    if needs_next(keys.epochs, shop.region, now_ms):
        fresh = new_epoch(shop.region, now_ms)
        write_epoch(folder, fresh)
        keys.epochs = (*keys.epochs, fresh)
    _destroy_ended(shop, folder, now_ms)
    published = shop.follower.state.compute_keys
    if any(e.key_id not in published and now_ms < e.not_after for e in keys.epochs):
        announce(shop)


def _destroy_ended(shop: Workshop, folder: Path, now_ms: int) -> None:
    for epoch in ended(shop, now_ms):
        destroy_epoch(folder, epoch)
        shop.keys.epochs = tuple(one for one in shop.keys.epochs if one is not epoch)


def ended(shop: Workshop, now_ms: int) -> list[Epoch]:
    """Return the epochs past their overlap that no grant still alive, paused or not, needs."""
    past = [epoch for epoch in shop.keys.epochs if now_ms >= epoch.not_after + OVERLAP_MS]
    if not past:
        return []
    grants = shop.follower.state.grants.values()
    needed = {str(grant.recipient["key_id"]) for grant in grants if grant.stopped_at is None}
    return [epoch for epoch in past if epoch.key_id not in needed]
