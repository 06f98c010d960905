"""The vault opens nothing the witnessed log does not name. A refusal's code says the rule."""

import ast
from pathlib import Path

import pytest

import compute
from compute.vault import RecordedAccess, VaultRefusedError, recorded_access
from compute.worker_entries import Use, access_entry, tree_of
from compute.worker_ingest import ingest_all
from compute.worker_stops import follow
from ledger import access_tag
from tests.compute.worker_world import World, new_id


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path, people=3)
    follow(made.shop)
    yield made
    made.shop.store.close()


class NoHeart:
    stopped = frozenset()

    def check(self, members=()):
        return None


def record(world, people, purpose="ingest", keys=None, order=None):
    """Append an access entry naming these people; return its token once included."""
    shop, access = world.shop, new_id()
    grants = [world.log.state.grants[p.data["genotypes"].grant] for p in people]
    if keys is None:
        keys = [bytes.fromhex(grant.activity_commitment) for grant in grants]
    tags = [access_tag(key, access) for key in keys]
    submission = access_entry(shop, access, Use(purpose, len(people), order), tags, {})
    shop.ledger.append([submission])
    follow(shop)
    return recorded_access(shop.follower, access, tree_of(submission))


def refusal(call, *arguments):
    with pytest.raises(VaultRefusedError) as refused:
        call(*arguments)
    return refused.value.code


def opening(world, person):
    grant = world.shop.follower.state.grants[person.data["genotypes"].grant]
    return grant.id, grant.terms, world.log.sealed.get(grant.index, b"")


def test_opens_what_a_recorded_access_names(world):
    person = world.people[0]
    opened = world.shop.vault.open(*opening(world, person), record(world, [person]))
    assert opened.activity_key == person.data["genotypes"].activity
    data = person.data["genotypes"]
    size = world.log.state.datasets[data.id].header_size
    assert world.shop.vault.decrypt(opened, data.file, size) == data.plaintext
    assert data.activity.hex() not in repr(opened)


def test_no_token_without_a_covered_entry(world):
    assert refusal(recorded_access, world.shop.follower, new_id(), []) == "no_access"
    submission = access_entry(world.shop, new_id(), Use("ingest", 1), [b"t" * 32], {})
    world.shop.ledger.append([submission])
    access = submission.entry.payload["access"]
    assert refusal(recorded_access, world.shop.follower, access, [b"t" * 32]) == "no_access"
    follow(world.shop)
    assert recorded_access(world.shop.follower, access, [b"t" * 32]).access == access
    assert refusal(recorded_access, world.shop.follower, access, [b"u" * 32]) == "wrong_tree"


def test_a_token_cannot_be_made_by_hand(world):
    token = record(world, world.people[:1])
    assert refusal(RecordedAccess, object(), world.shop.follower, token.access, token.tags) == (
        "no_access"
    )
    with pytest.raises(AttributeError):
        token.tags = frozenset()


def test_a_person_the_access_does_not_name_stays_shut(world):
    token = record(world, world.people[:1])
    assert refusal(world.shop.vault.open, *opening(world, world.people[1]), token) == "not_recorded"


@pytest.mark.parametrize("type_", ["consent.withdrawn", "consent.paused"])
def test_a_stopped_grant_stays_shut_even_under_an_older_token(world, type_):
    person = world.people[0]
    token, arguments = record(world, [person]), opening(world, person)
    world.withdraw(person, type_=type_)
    follow(world.shop)
    assert refusal(world.shop.vault.open, *arguments, token) == "stopped"


def test_other_terms_another_seal_and_a_lost_epoch_are_refused(world):
    person = world.people[0]
    token = record(world, [person])
    grant, terms, sealed = opening(world, person)
    vault = world.shop.vault
    assert refusal(vault.open, grant, world.terms(price=1), sealed, token) == "wrong_terms"
    assert refusal(vault.open, grant, terms, sealed[:-1] + b"x", token) == "sealed_mismatch"
    object.__setattr__(world.keys, "epochs", ())
    assert refusal(vault.open, grant, terms, sealed, token) == "no_epoch"


def test_a_changed_segment_does_not_decrypt(world):
    person = world.people[0]
    opened = world.shop.vault.open(*opening(world, person), record(world, [person]))
    data = bytearray(person.data["genotypes"].file)
    data[-1] ^= 1
    assert refusal(world.shop.vault.decrypt, opened, bytes(data), 124) == "tampered"


def test_reading_a_copy_needs_an_access_keyed_with_the_activity_key(world):
    ingest_all(world.shop, NoHeart())
    vault, people = world.shop.vault, world.people
    grants = [person.data["genotypes"].grant for person in people]
    token = record(world, people[:2], keys=[p.data["genotypes"].activity for p in people[:2]])
    assert vault.reader(grants[0], token).whole()
    assert refusal(vault.reader, grants[2], token) == "not_recorded"
    old = record(world, people)  # keyed with the commitments: good for ingest only
    assert refusal(vault.reader, grants[0], old) == "not_recorded"
    world.withdraw(people[0])
    follow(world.shop)
    assert refusal(vault.reader, grants[0], token) == "stopped"
    assert vault.reader(grants[1], token).whole()


def test_a_query_access_opens_no_sealed_grant(world):
    person, order = world.people[0], world.order()
    fields = world.log.state.orders[order].payload
    access = new_id()
    commitment = bytes.fromhex(
        world.log.state.grants[person.data["genotypes"].grant].activity_commitment
    )
    use = Use("GRU", 1, order, fields["query_digest"], fields["code_digest"])
    submission = access_entry(world.shop, access, use, [access_tag(commitment, access)], {})
    world.shop.ledger.append([submission])
    follow(world.shop)
    token = recorded_access(world.shop.follower, access, tree_of(submission))
    assert refusal(world.shop.vault.open, *opening(world, person), token) == "not_recorded"


def test_destroyed_copies_are_gone_from_the_file(world, tmp_path):
    ingest_all(world.shop, NoHeart())
    person = world.people[1]
    head = world.shop.store.head(person.data["genotypes"].id)
    world.withdraw(person)
    follow(world.shop)
    raw = b"".join(path.read_bytes() for path in tmp_path.glob("store.sqlite*"))
    assert head.wrapped_data_key not in raw
    assert head.wrapped_activity_key not in raw
    assert len(world.shop.store.heads()) == 2


def test_nobody_else_opens_grants_or_unwraps_keys():
    """Only the vault may name these calls (the stores unwrap keys of their own: those of the
    variant table, of answers, of partial sums)."""
    root = Path(compute.__file__).parent
    calls = {"open_grant", "session_keys", "session_key", "decrypt_all", "decrypt_file"}
    for path in root.glob("*.py"):
        names = {
            node.id if isinstance(node, ast.Name) else node.attr
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Name | ast.Attribute)
        }
        if path.name != "vault.py":
            assert not names & calls, path.name
        if path.name not in ("vault.py", "store.py", "part_store.py", "kms.py"):
            assert "unwrap" not in names, path.name
