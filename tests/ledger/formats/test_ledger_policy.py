"""Trust policies: what the loader refuses, and when a checkpoint counts."""

import itertools
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.cosignature import Ed25519Cosigner
from ledger.errors import FormatError, LedgerError, PolicyError, VerificationError
from ledger.note import Ed25519Signer, Note, NoteSignature, format_note, format_vkey
from ledger.policy import (
    Group,
    Policy,
    Witness,
    _require_intersection,
    format_policy,
    parse_policy,
    time_of_quorum,
    verify_checkpoint,
)


def vkey(number):
    return format_vkey(Ed25519Cosigner(f"w{number}.example", bytes([number]) * 32).vkey)


LOG = "log " + format_vkey(Ed25519Signer("log.example", b"\xee" * 32).vkey)
W = [f"witness W{i} {vkey(i)}" for i in range(8)]


def policy(*lines):
    return "".join(f"{line}\n" for line in lines).encode()


def test_a_checkpoint_with_the_quorum_counts(world):
    rules = parse_policy(world.policy_text())
    verified = verify_checkpoint(rules, world.checkpoint(7, {0: 100, 1: 300, 2: 200}))
    assert verified.checkpoint.size == 7
    assert verified.cosignatures == {"w0": 100, "w1": 300, "w2": 200}
    assert verified.quorum_time == verified.time_of_quorum == 200
    assert verify_checkpoint(rules, world.checkpoint(7, {0: 100, 2: 50})).quorum_time == 50
    assert pickle.loads(pickle.dumps(verified)) == verified


def test_fewer_cosignatures_do_not(world):
    rules = parse_policy(world.policy_text())
    for times in ({}, {0: 100}, {1: 5}):
        with pytest.raises(PolicyError):
            verify_checkpoint(rules, world.checkpoint(7, times))


@pytest.mark.parametrize("times", [(100, 900), (900, 100)])
def test_one_witness_twice_is_one_witness_at_its_newest_time(world, times):
    rules = parse_policy(world.policy_text())
    note = world.note(7, {})
    first = [world.witnesses[0].cosign(note.text, time) for time in times]
    twice = Note(note.text, (*note.signatures, *first))
    with pytest.raises(PolicyError):
        verify_checkpoint(rules, format_note(twice))
    other = world.witnesses[1].cosign(note.text, 500)
    verified = verify_checkpoint(rules, format_note(Note(note.text, (*twice.signatures, other))))
    assert verified.cosignatures == {"w0": 900, "w1": 500}
    assert verified.quorum_time == 500


def test_witnesses_cannot_replace_the_log(world):
    rules = parse_policy(world.policy_text())
    note = world.note(7, {0: 100, 1: 100, 2: 100})
    unsigned = Note(note.text, note.signatures[1:])
    with pytest.raises(VerificationError):
        verify_checkpoint(rules, format_note(unsigned))


def test_another_origin_signed_by_the_log_s_key_does_not_count(world):
    rules = parse_policy(world.policy_text())
    note = world.note(7, {0: 1, 1: 1})
    text = note.text.replace("log.example/main", "log.example/fork")
    cosigned = [w.cosign(text, 1) for w in world.witnesses]
    with pytest.raises(VerificationError):
        verify_checkpoint(rules, format_note(Note(text, (world.signer.sign(text), *cosigned))))


def test_a_wrong_line_by_a_known_witness_rejects_the_note(world):
    rules = parse_policy(world.policy_text())
    note = world.note(7, {0: 1, 1: 1})
    key = world.witnesses[2].vkey
    forged = NoteSignature(key.name, key.key_id, bytes(72))
    with pytest.raises(VerificationError):
        verify_checkpoint(rules, format_note(Note(note.text, (*note.signatures, forged))))


def test_an_empty_log_has_one_root(world):
    rules = parse_policy(world.policy_text())
    assert verify_checkpoint(rules, world.checkpoint(0, {0: 1, 1: 1})).checkpoint.size == 0
    with pytest.raises(VerificationError):
        verify_checkpoint(rules, world.checkpoint(0, {0: 1, 1: 1}, root=bytes(32)))


@given(st.data())
def test_no_flipped_bit_changes_what_is_accepted(world, data):
    rules = parse_policy(world.policy_text("all w0 w1 w2"))
    good = world.checkpoint(7, {0: 1, 1: 2, 2: 3})
    broken = bytearray(good)
    broken[data.draw(st.integers(0, len(good) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        verified = verify_checkpoint(rules, bytes(broken))
    except LedgerError:
        return
    assert verified == verify_checkpoint(rules, good)


def test_the_specification_s_example_is_accepted():
    rules = parse_policy(
        policy(
            LOG,
            "",
            *W[:3],
            "group X-witnesses 2 W0 W1 W2",
            *W[3:6],
            "group Y-witnesses any W3 W4 W5",
            "group X-and-Y all X-witnesses Y-witnesses",
            "quorum X-and-Y",
        )
    )
    assert time_of_quorum(rules, {"W0": 5, "W1": 9, "W4": 7}) == 5
    assert time_of_quorum(rules, {"W0": 5, "W1": 9, "W2": 8, "W4": 7, "W5": 6}) == 7
    assert time_of_quorum(rules, {"W0": 5, "W1": 9, "W2": 8}) is None
    assert parse_policy(format_policy(rules)) == rules


@pytest.mark.parametrize(("k", "n"), [(1, 2), (1, 3), (2, 4), (2, 5), (3, 6)])
def test_a_quorum_of_half_or_less_is_refused_with_the_reason(k, n):
    members = " ".join(f"W{i}" for i in range(n))
    text = policy(LOG, *W[:n], f"group g {k} {members}", "quorum g")
    with pytest.raises(PolicyError, match=f"{k} of {n}.*two histories"):
        parse_policy(text)
    assert parse_policy(text, allow_weak=True).quorum == "g"


@pytest.mark.parametrize(("k", "n"), [(1, 1), (2, 2), (2, 3), (3, 4), (3, 5)])
def test_more_than_half_is_accepted(k, n):
    members = " ".join(f"W{i}" for i in range(n))
    assert parse_policy(policy(LOG, *W[:n], f"group g {k} {members}", "quorum g")).groups


def test_quorum_none_is_refused_unless_asked_for(world):
    text = policy(LOG, "quorum none")
    with pytest.raises(PolicyError):
        parse_policy(text)
    assert time_of_quorum(parse_policy(text, allow_weak=True), {}) == 0


@st.composite
def nested(draw):
    """A random policy tree over up to 7 witnesses."""
    pool = [f"W{i}" for i in range(draw(st.integers(1, 7)))]
    witnesses = tuple(Witness(name, None) for name in pool)  # keys play no part in the rule
    groups = []
    while len(pool) > 1 or not groups:
        count = draw(st.integers(1, min(4, len(pool))))
        members, pool = tuple(pool[:count]), pool[count:]
        groups.append(Group(f"g{len(groups)}", draw(st.integers(1, count)), members))
        pool.append(groups[-1].name)
        if len(groups) > 6:
            break
    return Policy((), witnesses, tuple(groups), groups[-1].name)


@given(nested())
def test_the_loader_refuses_exactly_the_quorums_that_allow_two_histories(rules):
    names = [w.name for w in rules.witnesses]
    meets = {
        chosen
        for size in range(len(names) + 1)
        for chosen in itertools.combinations(names, size)
        if time_of_quorum(rules, dict.fromkeys(chosen, 1)) is not None
    }
    split = any(not set(a) & set(b) for a in meets for b in meets)
    try:
        _require_intersection(rules)
    except PolicyError:
        assert split
    else:
        assert not split


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ((LOG, W[0]), "no quorum"),
        ((LOG, W[0], "quorum W0", "quorum W0"), "exactly one"),
        ((LOG, "quorum W0", W[0]), "line 2.*not defined"),
        ((LOG, "group g 1 W0", W[0], "quorum g"), "line 2.*not defined"),
        ((LOG, "group g 1 g", "quorum g"), "not defined"),
        ((LOG, W[0], "group g 1 none", "quorum g"), "not defined"),
        ((LOG, W[0], W[0].replace("W0", "W9"), "quorum W0"), "line 3.*twice"),
        ((LOG, LOG, W[0], "quorum W0"), "line 2.*twice"),
        ((LOG, W[0], W[1].replace("W1", "W0"), "quorum W0"), "already defined"),
        ((LOG, W[0].replace("W0", "none"), "quorum none"), "already defined"),
        ((LOG, W[0], W[1], "group W0 2 W0 W1", "quorum W0"), "already defined"),
        ((LOG, W[0], "group g 2 W0 W0", "quorum g"), "member twice"),
        ((LOG, W[0], W[1], "group a all W0", "group b all W0 W1", "quorum b"), "member twice"),
        ((LOG, W[0], "group g 0 W0", "quorum g"), "threshold"),
        ((LOG, W[0], "group g 2 W0", "quorum g"), "threshold"),
        ((LOG, W[0], "group g 01 W0", "quorum g"), "threshold"),
        ((LOG, W[0], "group g most W0", "quorum g"), "threshold"),
        ((LOG, W[0], "group g all", "quorum W0"), "not a log"),
        ((LOG, W[0] + " url extra", "quorum W0"), "not a log"),
        ((LOG, W[0], "trust W0", "quorum W0"), "not a log"),
        ((LOG, W[0].replace("witness W0", "log"), "quorum none"), "type 0x04"),
        ((LOG, "witness W0 " + LOG[4:], "quorum W0"), "type 0x01"),
        ((LOG, "witness W0 rubbish", "quorum W0"), "line 2.*verifier key"),
        ((LOG, W[0], "quorum W0\x0b"), "control"),
    ],
)
def test_malformed_policies_are_refused(lines, reason):
    with pytest.raises(PolicyError, match=reason):
        parse_policy(policy(*lines))


def test_a_log_that_witnesses_itself_is_refused():
    own = format_vkey(Ed25519Cosigner("w.example", b"\xee" * 32).vkey)
    with pytest.raises(PolicyError, match="twice"):
        parse_policy(policy(LOG, f"witness W0 {own}", "quorum W0"))


def test_blanks_comments_urls_and_opaque_names():
    kelvin = b"\xe2\x84\xaa"
    text = (
        b"# a comment \xff\n\t \n  # another\n"
        + LOG.encode()
        + b"\thttps://log.example/ \n"
        + b" witness  "
        + kelvin
        + b"\t"
        + vkey(1).encode()
        + b"\n"
        + b"witness \xff "
        + vkey(2).encode()
        + b"\n"
        + b"group K all "
        + kelvin
        + b" \xff\nquorum K\n"
    )
    rules = parse_policy(text)
    assert rules.logs[0].url == "https://log.example/"
    assert kelvin in format_policy(rules)
    assert b"\xff" in format_policy(rules)
    assert parse_policy(format_policy(rules)) == rules


def test_thirty_two_of_each_fit():
    logs = [
        "log " + format_vkey(Ed25519Signer(f"l{i}", bytes([i, 1]) * 16).vkey) for i in range(32)
    ]
    witnesses = [
        f"witness W{i} " + format_vkey(Ed25519Cosigner(f"w{i}", bytes([i, 2]) * 16).vkey)
        for i in range(32)
    ]
    groups = [f"group g{i} all W{i}" for i in range(31)]
    top = "group top 17 " + " ".join(f"g{i}" for i in range(31)) + " W31"
    assert len(parse_policy(policy(*logs, *witnesses, *groups, top, "quorum top")).groups) == 32


WORDS = st.sampled_from(
    [*LOG.split(), *W[0].split(), "group", "quorum", "g", "all", "any", "1", "#", "none", "\n", " "]
)


@given(
    st.binary(max_size=80)
    | st.lists(WORDS, max_size=25).map(lambda w: " ".join(w).encode() + b"\n")
)
def test_any_bytes_are_a_policy_or_a_policy_error(data):
    try:
        rules = parse_policy(data, allow_weak=True)
        assert parse_policy(format_policy(rules), allow_weak=True) == rules
    except PolicyError:
        pass


def test_a_non_note_is_a_format_error(world):
    with pytest.raises(FormatError):
        verify_checkpoint(parse_policy(world.policy_text()), b"\xff")
