"""The follower: what it refuses to believe, and that it believes an honest log."""

import json
import os
from types import SimpleNamespace

import httpx
import pytest

from ledger import memory
from ledger.client import Envelope
from ledger.envelope import Signature, entry_bytes
from ledger.errors import (
    ConsistencyError,
    FormatError,
    LedgerError,
    NotFoundError,
    PolicyError,
    StaleError,
    VerificationError,
)
from ledger.follower import Follower
from ledger.freshness import require_fresh
from ledger.leaf import Leaf, format_leaf, parse_leaf
from ledger.memory import load_checkpoint
from ledger.merkle import tree_root
from tests.ledger.ledger_world import Owner, eventually, now_ms


class Between:
    """A client whose answers a test can bend: the network, or a lying log."""

    def __init__(self, client):
        self._client = client
        self.bend = {}

    def __getattr__(self, name):
        real = getattr(self._client, name)
        if name not in self.bend:
            return real
        return lambda *args: self.bend[name](real, *args)


@pytest.fixture
def between(running):
    return Between(running.client(running.tokens.envelopes))


@pytest.fixture
def follower(running, between):
    return Follower(between, running.trust, personal=True)


def fill(running, count=3):
    places = running.log.log.submit([running.keys.note() for _ in range(count)])
    running.log.log.wait_published(places[-1].index + 1, 10)
    return places


def test_an_empty_log(follower):
    found = follower.sync()
    assert (found.size, follower.state.size) == (0, 0)
    assert abs(found.quorum_time - now_ms()) < 10_000
    times = sorted(found.cosignatures.values(), reverse=True)
    assert len(times) >= 2 and times[1] * 1000 == found.quorum_time


def test_follows_in_steps_and_folds_personal_entries(running, follower, between):
    owner = Owner(running.keys)
    grant = owner.grant(b"sealed")
    client = running.client()
    entries = [running.keys.compute_key(), owner.register(), owner.register_dataset(), grant]
    places = client.append(entries, wait=True)
    assert follower.sync().size == 4
    (live,) = follower.state.live_grants()
    assert (live.index, live.owner) == (places[3].index, owner.id)
    (stop,) = client.append([owner.withdraw(grant, places[3].index)])
    assert follower.wait_for(stop.index, now_ms() + 10_000).size == 5
    assert follower.state.live_grants() == []
    assert follower.state.missing == set()
    assert follower.state.violations == []


def test_public_follower_reads_no_envelope_and_decides_no_consent(running, between):
    owner = Owner(running.keys)
    running.client().append([owner.register(), owner.register_dataset()], wait=True)
    between.bend["envelopes"] = lambda real, wanted: [] if not wanted else 1 / 0
    public = Follower(between, running.trust)
    assert public.sync().size == 2
    assert public.state.datasets == {}
    assert public.state.consent_blocked()


def test_many_entries_with_progress_and_records_again(running, between):
    for _ in range(3):
        fill(running, 300)
    seen = []
    follower = Follower(between, running.trust, progress=lambda done, of: seen.append((done, of)))
    follower.sync()
    assert seen[-1] == (900, 900)
    leaves = running.log.store.leaves(0, 900)
    got = list(follower.records(250, 800))
    assert [record.index for record in got] == list(range(250, 800))
    assert [format_leaf(record.leaf) for record in got] == leaves[250:800]
    with pytest.raises(NotFoundError):
        list(follower.records(0, 901))
    forged = list(leaves)
    forged[700] = leaves[701]
    between.bend["entries"] = lambda real, start, end: forged[start:end]
    assert len(list(follower.records(0, 256))) == 256
    with pytest.raises(VerificationError, match=r"other leaves at 512\.\.767"):
        list(follower.records(512, 800))


@pytest.mark.parametrize("change", ["rewrite", "reorder", "drop", "repeat"])
def test_leaves_that_are_not_in_the_signed_tree_are_named(running, follower, between, change):
    fill(running, 6)

    def lie(real, start, end):
        leaves = real(start, end)
        if change == "rewrite":
            leaf = parse_leaf(leaves[3])
            leaves[3] = format_leaf(Leaf(leaf.type, leaf.version, leaf.time + 1, None, leaf.entry))
        elif change == "reorder":
            leaves[3], leaves[4] = leaves[4], leaves[3]
        elif change == "drop":
            del leaves[3]
        else:
            leaves[3] = leaves[2]
        return leaves

    between.bend["entries"] = lie
    with pytest.raises(LedgerError, match=r"leaf 3 |expects|leaves 0"):
        follower.sync()
    assert follower.state.size == 0
    between.bend.clear()
    assert follower.sync().size == 6  # the positive control: honest again, and it goes on


def test_an_envelope_that_is_not_the_committed_one(running, follower, between):
    owner, other = Owner(running.keys), Owner(running.keys).register()
    running.client().append([owner.register(), owner.register_dataset()], wait=True)

    def other_envelope(real, wanted):
        return [Envelope(i, entry_bytes(other.entry), other.salt) for i in wanted]

    between.bend["envelopes"] = other_envelope
    with pytest.raises(VerificationError, match="0"):
        follower.sync()
    assert follower.state.parties == {}


def test_a_withheld_envelope_stops_consent_decisions(running, follower, between):
    owner = Owner(running.keys)
    running.client().append([owner.register(), owner.register_dataset()], wait=True)
    between.bend["envelopes"] = lambda real, wanted: [Envelope(i) for i in wanted]
    follower.sync()
    assert follower.state.missing == {0, 1}
    assert follower.state.consent_blocked()


def test_an_entry_whose_signature_is_wrong_is_not_folded(running, between):
    """The operator itself puts a forged entry into the tree and has it witnessed."""
    note = running.keys.note()
    key = note.entry.signatures[0]
    forged = type(note.entry)(
        note.entry.type, 1, note.entry.payload_bytes,
        (Signature(key.kind, key.public_key, (bytes(64),)),),
    )  # fmt: skip
    import ledger.verifiers

    real = ledger.verifiers.check_claims
    ledger.verifiers.check_claims = lambda claims, passkeys: {}
    try:
        running.log.log.submit([type(note)(forged)])
    finally:
        ledger.verifiers.check_claims = real
    running.log.log.wait_published(1, 10)
    follower = Follower(between, running.trust)
    with pytest.raises(VerificationError):
        follower.sync()
    assert follower.state.size == 0


def test_freshness_rule():
    require_fresh(1_000_000, 1_010_000, 10_000)
    require_fresh(1_000_000, 995_000, 10_000)
    with pytest.raises(StaleError, match="silent"):
        require_fresh(1_000_000, 1_010_001, 10_000)
    with pytest.raises(StaleError, match="ahead"):
        require_fresh(1_000_000, 994_999, 10_000)


def test_a_silent_log_is_refused_and_an_idle_one_is_not(running, follower, between):
    note = follower.sync().note
    eventually(lambda: follower.sync().note != note)  # idle, and cosigned again within 3 s
    assert follower.sync().quorum_time >= now_ms() - 5_000
    between.bend["checkpoint"] = lambda real: note
    later = Follower(between, running.trust, clock=lambda: now_ms() + 20_000)
    with pytest.raises(StaleError, match="silent"):
        later.sync()


def test_no_quorum_no_belief(running, follower, between):
    def one_cosignature(real):
        lines = real().split("\n")
        kept = [line for line in lines if not line.startswith(("— w1", "— w2"))]
        return "\n".join(kept)

    between.bend["checkpoint"] = one_cosignature
    with pytest.raises(PolicyError):
        follower.sync()
    between.bend["checkpoint"] = lambda real: real().replace("ledger.test/log\n", "x.test/log\n", 1)
    with pytest.raises(VerificationError):
        follower.sync()
    between.bend["checkpoint"] = lambda real: "no note"
    with pytest.raises(FormatError):
        follower.sync()


def test_an_old_checkpoint_shown_again_is_a_changed_past(running, follower, between):
    fill(running, 2)
    old = follower.sync().note
    fill(running, 2)
    follower.sync()
    between.bend["checkpoint"] = lambda real: old
    with pytest.raises(ConsistencyError, match="changed its past"):
        follower.sync()


def test_resumes_and_notices_a_rollback_over_a_restart(running, between, tmp_path):
    path = tmp_path / "seen" / "checkpoint.json"
    fill(running, 2)
    first = Follower(between, running.trust, path)
    old = first.sync().note
    fill(running, 2)
    assert first.sync().size == 4
    again = Follower(between, running.trust, path)
    assert again.sync().size == 4
    third = Follower(between, running.trust, path)
    between.bend["checkpoint"] = lambda real: old
    with pytest.raises(ConsistencyError, match="4 entries before and 2 now"):
        third.sync()
    # The positive control: without its memory it could not know.
    forgetful = Follower(between, running.trust)
    assert forgetful.sync().size == 2


def test_two_that_remember_at_once_in_one_directory_both_do(
    running, between, tmp_path, monkeypatch
):
    path, other = tmp_path / "seen" / "checkpoint.json", []
    first, second = (Follower(between, running.trust, path) for _ in range(2))

    def meanwhile(handle):
        monkeypatch.undo()
        other.append(second.sync())  # writes all of its own while the first one's lies open
        os.fsync(handle)

    fill(running)
    monkeypatch.setattr(memory, "os", SimpleNamespace(fsync=meanwhile))
    assert first.sync().size == other[0].size == load_checkpoint(path, running.trust.origin).size
    assert [one.name for one in path.parent.iterdir()] == ["checkpoint.json"]


def test_a_damaged_memory_is_not_forgotten(running, between, tmp_path):
    path = tmp_path / "checkpoint.json"
    Follower(between, running.trust, path).sync()
    saved = path.read_text()
    path.write_text(saved[:-20])
    with pytest.raises(FormatError, match="damaged"):
        Follower(between, running.trust, path)
    value = json.loads(saved)
    value["note"] = value["note"].replace("ledger.test/log\n", "x.test/log\n", 1)
    path.write_text(json.dumps(value))
    with pytest.raises(FormatError, match="another log"):
        Follower(between, running.trust, path)


def test_wait_for_gives_up(running, follower):
    with pytest.raises(StaleError, match="covered entry 5"):
        follower.wait_for(5, now_ms() + 200)


def test_tree_bookkeeping(running, follower):
    fill(running, 600)
    follower.sync()
    fill(running, 300)
    follower.sync()
    assert len(follower._tile_roots) == 3
    tiles = [running.log.store.tile(0, i) for i in range(3)]
    hashes = [[t[i : i + 32] for i in range(0, 8192, 32)] for t in tiles]
    assert follower._tile_roots == [tree_root(row) for row in hashes]
    assert len(follower._tail) == 900 - 768


def test_erased_entries_are_excused_for_a_new_follower(running, follower):
    owner = Owner(running.keys)
    client = running.client()
    grant = owner.grant(os.urandom(40))
    entries = [running.keys.compute_key(), owner.register(), owner.register_dataset(), grant]
    at = [place.index for place in client.append(entries)]
    client.append([owner.erase([at[3]], at[2:])], wait=True)
    follower.sync()
    assert follower.state.missing == set()
    assert follower.state.consent_blocked() is None
    assert follower.state.live_grants() == []


def test_http_errors_surface_as_ours(running):
    http = httpx.Client(transport=httpx.MockTransport(lambda request: httpx.Response(500)))
    from ledger.client import LedgerClient

    with pytest.raises(LedgerError):
        Follower(LedgerClient("http://x", None, http), running.trust).sync()
