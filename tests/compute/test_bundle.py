"""Bundles verify offline, and one thing changed anywhere is found and named."""

import copy
import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute import (
    BundleError,
    answer_bytes,
    check_opening,
    commitment_of,
    committed_bytes,
    make_opening,
    parse_bundle,
    preset,
    result_commitment,
    verify_bundle,
)
from compute.result import ResultDocument, padded
from ledger import public_key
from tests.compute.bundle_world import ANSWER, NOW, Log, Story, new_id


def failed(story, data=None, **more):
    report = verify_bundle(data or story.researcher_bundle(), story.trust, NOW + 1000, **more)
    assert not report.ok
    assert report.verdict.startswith("Not verified: ")
    return {check.name for check in report.checks if check.ok is False}


@pytest.mark.parametrize("mode", ["trusted", "private"])
def test_a_researchers_bundle_verifies_whole(mode):
    story = Story(mode=mode)
    report = verify_bundle(story.researcher_bundle(), story.trust, NOW + 1000)
    assert report.complete, report.verdict
    assert report.verdict.startswith("Verified: ")
    assert len(report.checks) == 10


def test_a_researchers_bundle_opens_nobody():
    story = Story()
    text = story.researcher_bundle().decode()
    for member in story.members:
        assert member["owner"] not in text
        assert member["dataset"] not in text


def test_an_auditors_bundle_verifies_with_the_logs_leaves_and_says_what_it_lacks_without():
    story = Story()
    data = story.auditor_bundle()
    with_leaves = verify_bundle(data, story.trust, NOW + 1000, leaves=story.leaves)
    assert with_leaves.complete, with_leaves.verdict
    without = verify_bundle(data, story.trust, NOW + 1000)
    assert without.ok
    assert not without.complete
    assert without.verdict.endswith("not checked: consents in force")


@pytest.mark.parametrize(
    ("check", "changes"),
    [
        ("order signature", {"order_seed": os.urandom(32)}),
        ("order signature", {"cosigner": os.urandom(32)}),
        ("order signature", {"registered_key": public_key(os.urandom(32))}),
        ("log", {"forged": "order.placed"}),
        ("log", {"forged": "payment.received"}),
        ("log", {"forged": "party.registered"}),
        ("log", {"forged": "result.published"}),
        ("buyer", {"attester": os.urandom(32)}),
        ("buyer", {"claims": {"sector": "academic"}}),
        ("payment", {"paid": 699}),
        ("payment", {"currency": "usd"}),
        ("payment", {"payer": os.urandom(32)}),
        ("payment", {"pay_late": True}),
        ("compute identity", {"computer": os.urandom(32)}),
        ("compute identity", {"publisher": os.urandom(32)}),
        ("query and code", {"code": "99" * 32}),
        ("release", {"release": {"mode": "private", "rho": "0"}}),
        ("access before result", {"judged_size": 0}),
        ("access before result", {"judged_size": 10**6}),
        ("review", {"reviews": 1}),
        ("review", {"reviews": 0}),
        ("review", {"decisions": ("approve", "reject")}),
        ("review", {"draft": "77" * 32}),
        ("review", {"reviewer": {"sector": "academic"}}),
    ],
)
def test_one_thing_wrong_in_the_log_fails_the_check_of_that_thing(check, changes):
    assert check in failed(Story(**changes))


def test_a_dispute_fails_the_payment():
    story = Story()
    fields = {
        "order": story.order, "amount": 700, "currency": "gbp", "provider": "stripe-test",
        "reference_commitment": "55" * 32,
    }  # fmt: skip
    story.public.append(story.append("payment.disputed", fields, story.seeds["marketplace"]))
    assert failed(story) == {"payment"}


@pytest.mark.parametrize("missing", ["order.placed", "access.recorded", "result.published"])
def test_a_missing_entry_fails_the_log(missing):
    story = Story()
    assert failed(story, story.researcher_bundle(without={missing})) == {"log"}


@pytest.mark.parametrize(
    ("check", "change"),
    [
        ("result commitment", {"answer": {**ANSWER, "counts": [2.5, 0.1, 3]}}),
        ("result commitment", {"answer": None}),
        ("result commitment", {"order": new_id()}),
        ("result commitment", {"n": {"bucket": "1000-1999"}}),
        ("result commitment", {"suppressed": [{"rows": 1}]}),
        ("query and code", {"query": {"v": 1}}),
        ("query and code", {"code_digest": "99" * 32}),
        ("release", {"release": {"mode": "private", "rho": "0"}}),
    ],
)
def test_a_changed_result_is_found(check, change):
    story = Story()
    assert check in failed(story, story.researcher_bundle({**story.result, **change}))


def test_an_answer_with_an_opening_of_its_own_does_not_open_the_logs_commitment():
    story = Story()
    forged = {**story.result, "answer": {"counts": []}}
    forged["opening"] = make_opening(os.urandom(32), committed_bytes(forged))
    assert failed(story, story.researcher_bundle(forged)) == {"result commitment"}


def test_another_log_or_too_few_witnesses_are_not_believed():
    story, other = Story(), Log()
    data = story.researcher_bundle()
    assert not verify_bundle(data, other.trust, NOW + 1000).ok
    story.witnesses = story.witnesses[:1]
    assert not verify_bundle(story.researcher_bundle(), story.trust, NOW + 1000).ok


def test_a_checkpoint_from_the_future_is_not_believed():
    story = Story()
    assert not verify_bundle(story.researcher_bundle(), story.trust, NOW - 60_000).ok


def change_entry(data, position, **change):
    value = json.loads(data)
    value["entries"][position] |= change
    return value


def test_every_part_of_a_carried_entry_is_checked():
    story = Story()
    data = story.researcher_bundle()
    other = json.loads(data)["entries"][1]
    for change in (
        {"leaf": other["leaf"]},
        {"receipt": other["receipt"]},
        {"index": 99},
        {"type": "order.refused"},
        {"leaf": "!"},
        {"receipt": ""},
    ):
        assert failed(story, change_entry(data, 0, **change)) == {"log"}


@given(st.data())
def test_a_flipped_character_anywhere_in_a_bundle_never_crashes(data):
    text = bytearray(BUNDLE)
    at = data.draw(st.integers(0, len(text) - 1))
    text[at] ^= data.draw(st.integers(1, 127))
    verify_bundle(bytes(text), STORY.trust, NOW + 1000)


STORY = Story(people=2)
BUNDLE = STORY.auditor_bundle()


@pytest.mark.parametrize(
    "value",
    [b"", b"[]", b"{}", b"\xff", b'{"v":NaN}', b"[" * 100_000, b'{"v":1}'],
    ids=lambda value: value[:10],
)
def test_what_is_no_bundle_is_refused(value):
    with pytest.raises(BundleError):
        parse_bundle(value)
    assert verify_bundle(value, STORY.trust, NOW).verdict.startswith("Not verified: log")


def test_members_belong_to_an_auditors_bundle_alone():
    value = json.loads(BUNDLE)
    for change in ({"kind": "researcher"}, {"members": None}):
        with pytest.raises(BundleError):
            parse_bundle({**value, **change})


# -- members


def failed_audit(story, data=None):
    return failed(story, data or story.auditor_bundle(), leaves=story.leaves)


@pytest.mark.parametrize(
    ("check", "changes"),
    [
        ("members", {"grant_seed": os.urandom(32)}),
        ("members", {"dataset_signer": os.urandom(32)}),
        ("members", {"forged": "consent.granted"}),
        ("members", {"forged": "dataset.registered"}),
        ("consents in force", {"after_judging": lambda story: story._grant()}),
        ("members", {"activity": "88" * 32}),
        ("consents match", {"terms": preset("non_profit_research", valid_from=0)}),
        ("consents match", {"terms": preset("non_profit_research", valid_from=NOW * 2)}),
        ("consents match", {"recipient": "elsewhere"}),
        ("consents match", {"grant_order": new_id()}),
        ("consents match", {"claims": {"non_profit": True, "accredited_researcher": True}}),
        ("consents in force", {"judged_root": "00" * 32}),
    ],
)
def test_one_thing_wrong_with_a_consent_fails_the_check_of_that_thing(check, changes):
    assert check in failed_audit(Story(**changes))


@pytest.mark.parametrize("member", [0, 1, 2])
@pytest.mark.parametrize("when", ["before_judging", "after_judging"])
@pytest.mark.parametrize("kind", ["consent.withdrawn", "consent.paused"])
def test_a_stop_before_the_result_is_found_in_the_leaves(member, when, kind):
    story = Story(**{when: lambda s: s.stop(member, kind)})
    assert failed_audit(story) == {"consents in force"}


def test_a_pause_that_was_lifted_and_a_stop_after_the_result_are_no_fault():
    story = Story(before_judging=lambda s: s.resume(0, s.stop(0, "consent.paused")))
    story.stop(1)
    report = verify_bundle(story.auditor_bundle(), story.trust, NOW + 1000, leaves=story.leaves)
    assert report.complete, report.verdict


def test_a_person_left_out_of_the_bundle_or_put_in_is_found():
    story = Story()
    assert failed_audit(story, story.auditor_bundle(story.members[:2])) == {"cohort root"}
    double = [*story.members, story.members[0]]
    assert failed_audit(story, story.auditor_bundle(double)) == {"members"}
    story._grant()
    assert "cohort root" in failed_audit(story)


def test_leaves_of_another_log_or_too_few_are_not_believed():
    story = Story()
    data = story.auditor_bundle()
    assert failed(story, data, leaves=story.leaves[:-1]) == {"consents in force"}
    changed = [story.leaves[0], *story.leaves[2:], story.leaves[1]]
    assert failed(story, data, leaves=changed) == {"consents in force"}


def test_a_wrong_salt_or_activity_key_is_found():
    value = json.loads(BUNDLE)
    for place, name in (
        (value["members"][0]["entries"][0], "salt"),
        (value["members"][0], "activity_key"),
    ):
        broken = copy.deepcopy(value)
        target = broken["members"][0]["entries"][0] if name == "salt" else broken["members"][0]
        target[name] = "A" * 43 + "="
        assert place[name] != target[name]
        assert failed_audit(STORY, broken) == {"members"}


def test_a_member_under_the_name_of_another_grant_is_found():
    for name in (new_id(), STORY.members[1]["grant"]):
        value = json.loads(BUNDLE)
        value["members"][0]["grant"] = name
        assert failed_audit(STORY, value) == {"members"}


def test_a_member_with_the_dataset_of_another_owner_is_found():
    value = json.loads(BUNDLE)
    value["members"][0]["entries"][1:2] = value["members"][1]["entries"][1:2]
    assert failed_audit(STORY, value) == {"members"}


# -- answers and openings

answers = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(answers)
def test_answer_bytes_are_a_fixed_point_and_read_back_to_the_same_bytes(answer):
    data = answer_bytes(answer)
    assert answer_bytes(json.loads(data)) == data
    assert b"NaN" not in data or "NaN" in str(answer)


def test_answer_bytes_are_exact():
    answer = {"b": 0.1, "a": [1, 2.0, float("nan"), float("-inf")], "é": 1e-300}
    assert answer_bytes(answer) == b'{"a":[1,2.0,null,null],"b":0.1,"\\u00e9":1e-300}'


@pytest.mark.parametrize("bad", [{1: 2}, {"a": {2, 3}}, b"x", {"a": object()}])
def test_answers_json_cannot_hold_are_refused(bad):
    with pytest.raises(BundleError):
        answer_bytes(bad)


def test_the_commitment_is_the_published_construction():
    import hashlib
    import hmac

    salt, committed = bytes(range(32)), b'{"a":1}'
    inner = hashlib.sha256(committed).digest()
    want = hmac.new(salt, b"omic/result/v2" + inner, "sha256").hexdigest()
    assert result_commitment(salt, committed) == want
    with pytest.raises(BundleError):
        result_commitment(salt[:-1], committed)


def test_all_a_result_says_is_committed_to_and_nothing_added_to_it_counts():
    said = {name: value for name, value in STORY.result.items() if name != "opening"}
    assert json.loads(committed_bytes(STORY.result)) == said
    assert commitment_of({**STORY.result, "draft_commitment": "0" * 64}) == commitment_of(
        STORY.result
    )
    for name in said:
        with pytest.raises(BundleError, match=rf"lacks {name}|opening"):
            commitment_of({key: value for key, value in STORY.result.items() if key != name})
    for broken in ({}, {"salt": "x", "result_sha256": "0" * 64}, "text"):
        with pytest.raises(BundleError, match="opening"):
            commitment_of({**STORY.result, "opening": broken})


def test_an_opening_opens_its_own_commitment_alone():
    document = ResultDocument.model_validate(STORY.result)
    published = STORY.records[STORY.public[-1]][1].payload["commitment"]
    check_opening(document, published)
    with pytest.raises(BundleError):
        check_opening(document, "0" * 64)
    with pytest.raises(BundleError):
        check_opening(document.model_copy(update={"answer": 1}), published)


def test_a_padded_document_reads_the_same_and_tells_its_size_in_few_steps():
    sizes = {len(padded(b"1" * length)) for length in (1, 100, 4096)}
    assert sizes == {4096}
    assert [len(padded(b"1" * length)) for length in (4097, 1 << 20, (1 << 20) + 1)] == [
        8192, 1 << 20, 2 << 20
    ]  # fmt: skip
    assert json.loads(padded(b'{"a":1}')) == {"a": 1}
