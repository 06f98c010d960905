"""Recipient epochs of a running worker: the next is drawn in time, an ended one destroyed."""

import pytest

from compute.keys import (
    EPOCH_MS,
    OVERLAP_MS,
    create_keys,
    destroy_epoch,
    load_keys,
    new_epoch,
    write_epoch,
)
from compute.worker_epochs import ended, tend_epochs
from ledger import UnavailableError
from tests.compute.worker_world import World


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path, people=2)
    folder = tmp_path / "keys"
    folder.mkdir()
    write_epoch(folder, made.epoch)
    yield made
    made.shop.store.close()


def files(world):
    return {path.name for path in (world.folder / "keys").iterdir()}


def name_of(epoch):
    return f"epoch-{epoch.key_id}.json"


def test_the_next_epoch_is_drawn_and_published_while_running(world):
    keys, folder = world.shop.keys, world.folder / "keys"
    tend_epochs(world.shop, folder, world.epoch.not_after - OVERLAP_MS)
    assert [e.key_id for e in keys.epochs] == [world.epoch.key_id]
    now = world.epoch.not_after - OVERLAP_MS + 1
    tend_epochs(world.shop, folder, now)
    fresh = keys.epochs[-1]
    assert fresh.key_id != world.epoch.key_id
    assert (fresh.not_before, fresh.not_after) == (now, now + EPOCH_MS)
    assert files(world) == {name_of(world.epoch), name_of(fresh)}
    assert fresh.key_id in world.log.state.compute_keys
    tend_epochs(world.shop, folder, now + 1)
    assert len(keys.epochs) == 2


def test_an_epoch_drawn_and_not_yet_published_is_published_later(world):
    keys, folder = world.shop.keys, world.folder / "keys"
    world.log.down = True
    with pytest.raises(UnavailableError):
        tend_epochs(world.shop, folder, world.epoch.not_after - 1)
    world.log.down = False
    tend_epochs(world.shop, folder, world.epoch.not_after - 1)
    assert len(keys.epochs) == 2
    assert keys.epochs[-1].key_id in world.log.state.compute_keys


def test_an_ended_epoch_is_destroyed_once_no_live_grant_is_sealed_to_it(world):
    keys, folder = world.shop.keys, world.folder / "keys"
    end = world.epoch.not_after + OVERLAP_MS
    world.withdraw(world.people[0])
    world.withdraw(world.people[1], type_="consent.paused")
    world.shop.follower.sync()
    assert ended(world.shop, end) == []
    world.withdraw(world.people[1])
    world.shop.follower.sync()
    tend_epochs(world.shop, folder, end - 1)
    assert name_of(world.epoch) in files(world)
    tend_epochs(world.shop, folder, end)
    assert name_of(world.epoch) not in files(world)
    assert keys.epoch(world.epoch.key_id) is None
    assert len(files(world)) == 1


def test_a_ring_read_again_has_no_destroyed_epoch(tmp_path):
    keys = create_keys(tmp_path, "local", 1)
    write_epoch(tmp_path / "keys", new_epoch("local", 2))
    destroy_epoch(tmp_path / "keys", keys.epochs[0])
    destroy_epoch(tmp_path / "keys", keys.epochs[0])
    assert [epoch.not_before for epoch in load_keys(tmp_path).epochs] == [2]
