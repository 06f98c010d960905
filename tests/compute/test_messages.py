"""Messages between marketplace and worker: frozen, closed, and refused when they make no sense."""

import json

import pytest

from compute import JobMessage, Outcome, TermsError, parse_value

JOB = {
    "job_id": "a" * 32,
    "kind": "query",
    "order": "b" * 32,
    "attempt": 1,
    "lease": 1,
    "lease_ms": 9,
}
DONE = {"state": "released", "access": "c" * 32, "scope": ["d" * 32], "result_sha256": "e" * 64}


@pytest.mark.parametrize(("kind", "value"), [(JobMessage, JOB), (Outcome, DONE)])
def test_messages_survive_json_and_do_not_change(kind, value):
    message = parse_value(kind, value)
    assert parse_value(kind, json.loads(json.dumps(message.to_dict()))) == message
    with pytest.raises(ValueError):
        message.lease = 2


@pytest.mark.parametrize(
    "change",
    [
        {"job_id": "A" * 32},
        {"job_id": "a" * 31},
        {"kind": "shell"},
        {"order": None},
        {"kind": "ingest"},
        {"lease": 0},
        {"lease": "1"},
        {"attempt": True},
        {"command": "x"},
    ],
    ids=str,
)
def test_a_job_that_makes_no_sense_is_refused(change):
    with pytest.raises(TermsError):
        parse_value(JobMessage, {**JOB, **change})


def test_an_ingest_has_no_order():
    assert parse_value(JobMessage, {**JOB, "kind": "ingest", "order": None}).order is None


@pytest.mark.parametrize(
    "change",
    [
        {"state": "done"},
        {"state": "failed"},
        {"state": "failed", "code": "Text with a person's name"},
        {"state": "awaiting_review"},
        {"access": None},
        {"result_sha256": None},
        {"scope": ["d" * 32] * 2},
        {"error": "traceback"},
    ],
    ids=str,
)
def test_an_outcome_that_makes_no_sense_is_refused(change):
    with pytest.raises(TermsError):
        parse_value(Outcome, {**DONE, **change})


@pytest.mark.parametrize(
    "value",
    [
        {"state": "failed", "code": "parser_died"},
        {"state": "awaiting_review", "draft_commitment": "f" * 64, "access": "c" * 32},
        {"state": "ingested", "datasets": {"a" * 32: "ingested", "b" * 32: "tampered"}},
    ],
)
def test_every_way_a_job_ends_can_be_said(value):
    assert parse_value(Outcome, value).state == value["state"]
