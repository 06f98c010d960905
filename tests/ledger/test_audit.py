"""The audit: a sound log passes, and whatever is wrong with it is found and named."""

import json
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger import Envelope, Leaf, entry_bytes, format_leaf, parse_leaf
from ledger import audit as audit_module
from ledger.audit import audit_ledger
from tests.ledger.ledger_scenes import START, STEPS, TRUST, Scene, ident

STORY = (
    "compute key",
    "owner",
    "researcher",
    "claims",
    "dataset",
    "second dataset",
    "grant",
    "second grant",
    "order",
    "paid",
    "access",
    "published",
    "settlement",
    "payout",
    "withdrawn",
    "objection",
)


def story(*more):
    scene = Scene()
    for label in (*STORY, *more):
        scene.put(label)
    return scene


@dataclass
class Source:
    """A log served from memory, honest or not; leaves may differ from what was cosigned."""

    scene: Scene
    leaves: list = None
    signed: list = None
    gone: frozenset = frozenset()
    witnesses: tuple = (0, 1, 2)
    changed: dict = None

    def checkpoint(self):
        return self.scene.checkpoint(self.signed or self.leaves, witnesses=self.witnesses)

    def entries(self, start, end):
        return (self.leaves or self.scene.leaves)[start:end]

    def envelopes(self, indexes):
        opened = {**self.scene.opened, **(self.changed or {})}
        return [
            Envelope(i, *opened[i]) if i in opened and i not in self.gone else Envelope(i)
            for i in indexes
        ]


def audit(source, full=True, trust=TRUST, **more):
    envelopes = source if full else None
    return audit_ledger(
        source, trust, envelopes=envelopes, now=source.scene.now // 1000 * 1000 + 5000, **more
    )


@pytest.mark.parametrize("full", [True, False])
def test_a_sound_log_passes(full):
    scene = story()
    report = audit(Source(scene), full)
    assert (report.ok, report.problems, report.first_bad) == (True, [], None)
    assert (report.size, report.personal) == (len(scene.leaves), len(scene.opened))
    assert report.opened == (len(scene.opened) if full else 0)
    assert report.money["gbp"] == {
        "received": 500,
        "gross": 500,
        "platform_fee": 50,
        "compute_fee": 50,
        "owners_total": 400,
    }
    assert (report.uses, report.stops) == (40, 2)
    assert report.entries["consent.granted/1"] == 2
    assert (report.age_ms, report.fresh) == (5000, True)
    assert "sound" in report.words()


def test_a_leaf_younger_than_its_cosignatures_is_named():
    scene = story()
    scene.now -= 3_600_000
    report = audit(Source(scene))
    assert not report.ok
    assert "younger" in report.problems[0].reason


def test_the_report_is_json():
    value = json.loads(json.dumps(audit(Source(story())).to_json()))
    assert (value["verdict"], value["kind"], value["first_bad"]) == ("pass", "full", None)
    assert value["entries"]["order.placed/1"] == 1


@pytest.mark.parametrize("label", STEPS)
@pytest.mark.parametrize("full", [True, False])
def test_every_admitted_history_passes(label, full):
    scene = Scene()
    scene.put(label)
    assert audit(Source(scene), full).problems == []


@pytest.mark.parametrize("chunk", [1, 3, 1024])
def test_progress_and_chunks(chunk, monkeypatch):
    monkeypatch.setattr(audit_module, "CHUNK", chunk)
    seen = []
    scene = story()
    report = audit(Source(scene), progress=lambda done, total: seen.append((done, total)))
    assert report.ok
    assert seen[-1] == (len(scene.leaves), len(scene.leaves))
    assert len(seen) == -(-len(scene.leaves) // chunk)


def tampered(kind):
    """Return a source with one thing wrong, and the first bad leaf (None: the log as a whole)."""
    scene = story()
    leaves = list(scene.leaves)
    at = scene.at
    if kind == "leaf rewritten after it was signed":
        leaves[at["paid"]] = format_leaf(replace(parse_leaf(leaves[at["paid"]]), time=START))
        return Source(scene, leaves, signed=scene.leaves), None
    if kind == "two leaves swapped after they were signed":
        leaves[0], leaves[1] = leaves[1], leaves[0]
        return Source(scene, leaves, signed=scene.leaves), None
    if kind == "leaf dropped after it was signed":
        return Source(scene, leaves[:-1], signed=scene.leaves), 0
    if kind == "signature replaced, tree rebuilt":
        leaf = parse_leaf(leaves[at["paid"]])
        broken = replace(leaf.entry.signatures[0], parts=(b"\x01" * 64,))
        leaves[at["paid"]] = format_leaf(
            replace(leaf, entry=replace(leaf.entry, signatures=(broken,)))
        )
        return Source(scene, leaves), at["paid"]
    if kind == "payment by a key that is not pinned":
        forged = scene.example("paid", ["thief"], reference_commitment="ab" * 32)
        leaves.append(format_leaf(scene.leaf(forged)[0]))
        return Source(scene, leaves), len(leaves) - 1
    if kind == "payment replayed":
        leaves.append(leaves[at["paid"]])
        return Source(scene, leaves), len(leaves) - 1
    if kind == "bytes that are no leaf":
        leaves[at["order"]] = b"{}"
        return Source(scene, leaves), at["order"]
    if kind == "too few witnesses":
        return Source(scene, witnesses=(1,)), None
    raise AssertionError(kind)


KINDS = (
    "leaf rewritten after it was signed",
    "two leaves swapped after they were signed",
    "leaf dropped after it was signed",
    "signature replaced, tree rebuilt",
    "payment by a key that is not pinned",
    "payment replayed",
    "bytes that are no leaf",
    "too few witnesses",
)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("full", [True, False])
def test_tampering_is_found(kind, full):
    source, first = tampered(kind)
    report = audit(source, full)
    assert report.verdict == "fail"
    if first is None:
        assert None in [problem.index for problem in report.problems]
    else:
        assert report.first_bad == first
    assert "Do not trust" in report.words()


def test_another_log_key_is_refused():
    scene = story()
    source = Source(scene)
    source.checkpoint = lambda: scene.checkpoint().replace(TRUST.origin, "log.example/evil")
    assert audit(source).verdict == "fail"


def test_the_full_audit_sees_what_the_public_one_cannot():
    """Envelopes swapped, forged or missing: public passes, full names the leaf."""
    scene = story()
    grant, owner = scene.at["grant"], scene.at["owner"]
    data, salt = scene.opened[grant]
    forged = scene.example("withdrawn", ["thief"])
    cases = [
        ({"changed": {grant: scene.opened[scene.at["second grant"]]}}, grant),
        ({"changed": {grant: (data, b"0" * 32)}}, grant),
        ({"changed": {grant: (data[:-1], salt)}}, grant),
        ({"changed": {grant: (entry_bytes(forged), salt)}}, grant),
        ({"gone": frozenset([owner])}, owner),
    ]
    for changes, bad in cases:
        source = Source(scene, **changes)
        assert audit(source, full=False).ok
        assert bad in [problem.index for problem in audit(source).problems]


def test_a_forged_personal_entry_is_found_only_with_its_envelope():
    scene = Scene().need("grant")
    forged = scene.example("withdrawn", ["thief"])
    leaf, salt = scene.leaf(forged)
    scene.leaves.append(format_leaf(leaf))
    scene.opened[len(scene.leaves) - 1] = (entry_bytes(forged), salt)
    assert audit(Source(scene), full=False).ok
    assert audit(Source(scene)).first_bad == len(scene.leaves) - 1


def test_an_erased_entry_passes_and_is_counted():
    scene = Scene().need("second grant", "grant")
    scene.put("erased")
    gone = frozenset(scene.state.erases_of_dataset(ident("dataset")))
    report = audit(Source(scene, gone=gone))
    assert (report.ok, report.erased, report.unreadable) == (True, len(gone), 0)
    control = audit(Source(scene, gone=gone | {scene.at["second grant"]}))
    assert (control.verdict, control.unreadable) == ("fail", 1)


def test_an_unknown_version_is_undecided_not_wrong():
    scene = story()
    leaves = [
        *scene.leaves,
        format_leaf(Leaf("consent.granted", 2, scene.now, b"c" * 32, about=b"a" * 16)),
    ]
    for full in (True, False):
        report = audit(Source(scene, leaves), full)
        assert (report.verdict, report.ok, report.problems) == ("undecided", False, [])
        assert "version 2" in report.words()


def test_a_stop_of_a_leaf_to_come_is_noted():
    scene = story()
    leaves = [
        *scene.leaves,
        format_leaf(
            Leaf("consent.withdrawn", 1, scene.now, b"c" * 32, None, (99,), about=b"a" * 16)
        ),
    ]
    assert audit(Source(scene, leaves), full=False).first_bad == len(leaves) - 1


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_changed_byte_goes_unnoticed(data):
    scene = _SCENE
    index = data.draw(st.integers(0, len(scene.leaves) - 1))
    leaf = bytearray(scene.leaves[index])
    at = data.draw(st.integers(0, len(leaf) - 1))
    leaf[at] ^= data.draw(st.integers(1, 255))
    leaves = [*scene.leaves]
    leaves[index] = bytes(leaf)
    assert audit(Source(scene, leaves, signed=scene.leaves)).verdict == "fail"


_SCENE = story()
