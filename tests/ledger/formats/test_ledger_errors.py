"""Errors cross process boundaries and have one base."""

import pickle

import pytest

from ledger import errors

KINDS = [
    value
    for value in vars(errors).values()
    if isinstance(value, type) and issubclass(value, errors.LedgerError)
]


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_survives_pickling(kind):
    error = pickle.loads(pickle.dumps(kind("what is wrong")))
    assert type(error) is kind
    assert str(error) == "what is wrong"


def test_a_consistency_error_is_a_verification_error():
    assert issubclass(errors.ConsistencyError, errors.VerificationError)
