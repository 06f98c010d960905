"""Many messages opened at once: as `cryptography` opens each, on libcrypto and without it."""

import os

import numpy as np
import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from compute import gcm
from compute.gcm import SealedMessages
from compute.kernels import CodeCounter, pack_dosages
from compute.kernels.engine import engine
from tests.conftest import in_ci

# McGrew and Viega, "The Galois/Counter Mode of Operation", test case 16 (AES-256, 60 bytes).
KEY = bytes.fromhex("feffe9928665731c6d6a8f9467308308" * 2)
NONCE = bytes.fromhex("cafebabefacedbaddecaf888")
PLAIN = bytes.fromhex(
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
    "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
)
BOUND = bytes.fromhex("feedfacedeadbeeffeedfacedeadbeefabaddad2")
SEALED = bytes.fromhex(
    "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
    "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
    "76fc6ece0f4e1768cddf8853bb2d551b"
)


@pytest.fixture(params=["libcrypto", "cryptography"])
def way(request, monkeypatch):
    """Open in the compiled loop, or one after another."""
    if request.param == "cryptography":
        monkeypatch.setattr(gcm, "_library", lambda: None)
    else:
        engine()  # loads numba, so that the little work of a test takes the compiled way
        if gcm._library() is None:
            absent = pytest.fail if in_ci() else pytest.skip
            absent("this interpreter's hashlib is linked to no libcrypto of its own")
    return request.param


def opened(keys, messages, size, contexts):
    out = np.full((len(messages), size), 7, np.uint8)
    SealedMessages.joined(keys, messages, size, contexts).open(0, len(messages), out)
    return [row.tobytes() for row in out]


def test_the_published_vector_opens(way):
    assert opened([KEY], [NONCE + SEALED], 60, [BOUND]) == [PLAIN]


@given(st.integers(1, 6), st.integers(0, 300), st.data())
@settings(deadline=None, max_examples=30)
def test_each_message_opens_under_its_own_key_and_context(count, size, data):
    keys = [os.urandom(32) for _ in range(count)]
    plain = [os.urandom(size) for _ in range(count)]
    bound = [data.draw(st.binary(max_size=90)) for _ in range(count)]
    nonces = [os.urandom(12) for _ in range(count)]
    sealed = [
        nonce + AESGCM(key).encrypt(nonce, text, context)
        for key, nonce, text, context in zip(keys, nonces, plain, bound, strict=True)
    ]
    engine()
    assert opened(keys, sealed, size, bound) == plain
    first = data.draw(st.integers(0, count - 1))
    rows = np.array(data.draw(st.permutations(range(count)))[: count - first], np.int64)
    out = np.zeros((count, size), np.uint8)
    SealedMessages.joined(keys, sealed, size, bound).open(first, count, out, rows)
    for number, row in enumerate(rows.tolist(), first):
        assert out[row].tobytes() == plain[number]


@pytest.mark.parametrize("at", [0, 5, 11, 12, 40, 71, 72, 87])
def test_a_changed_byte_opens_nothing(way, at):
    message = bytearray(NONCE + SEALED)
    message[at] ^= 1
    out = np.full((2, 60), 7, np.uint8)
    messages = SealedMessages.joined([KEY] * 2, [bytes(message), NONCE + SEALED], 60, [BOUND] * 2)
    with pytest.raises(InvalidTag):
        messages.open(0, 2, out)
    assert PLAIN[:8] not in out.tobytes()  # not even the bytes before the changed one
    with pytest.raises(InvalidTag):
        opened([KEY], [NONCE + SEALED], 60, [BOUND + b"x"])
    with pytest.raises(InvalidTag):
        opened([bytes(32)], [NONCE + SEALED], 60, [BOUND])


def test_no_byte_beside_its_own_is_written(way):
    out = np.full((3, 60), 7, np.uint8)
    messages = SealedMessages.joined([KEY], [NONCE + SEALED], 60, [BOUND])
    messages.open(0, 1, out, np.array([1]))
    assert out[1].tobytes() == PLAIN
    assert (out[[0, 2]] == 7).all()
    messages.open(0, 0, out)


def test_what_does_not_fit_together_is_refused():
    good = ([KEY], [NONCE + SEALED], 60, [BOUND])
    for wrong in (
        ([KEY[:16]], *good[1:]),
        ([KEY, KEY], *good[1:]),
        (*good[:2], 61, good[3]),
        (*good[:3], []),
    ):
        with pytest.raises(ValueError, match=r"message|key"):
            SealedMessages.joined(*wrong)
    messages = SealedMessages.joined(*good)
    out = np.zeros((2, 60), np.uint8)
    for arguments in (
        (0, 2, out),
        (0, 1, out[:, :59]),
        (0, 1, np.zeros((2, 61), np.uint8)),
        (0, 1, np.zeros((2, 60), np.int8)),
        (0, 1, out, np.array([2])),
        (0, 1, out, np.array([-1])),
        (-1, 0, out),
    ):
        with pytest.raises(ValueError, match="row"):
            messages.open(*arguments)


def test_a_libcrypto_that_does_not_prove_itself_is_not_used(monkeypatch):
    class Careless:
        def open(self, keys, sources, contexts, ends, out, at):
            out[:] = 0  # opens whatever it is given

    monkeypatch.setattr(gcm, "_Library", Careless)
    assert gcm._library.__wrapped__() is None
    monkeypatch.setattr(gcm, "_Library", lambda: getattr(object(), "EVP_aes_256_gcm"))
    assert gcm._library.__wrapped__() is None


@pytest.mark.parametrize("count", [1, 16, 37])
def test_counting_is_opening_and_counting(way, count):
    random, rows = np.random.default_rng(count), 700
    planes = pack_dosages(random.integers(-1, 3, (count, rows)).astype(np.int8))
    keys, nonce = [os.urandom(32) for _ in range(count)], bytes(12)
    sealed = [
        nonce + AESGCM(key).encrypt(nonce, own.tobytes(), b"c")
        for key, own in zip(keys, planes, strict=True)
    ]
    messages = SealedMessages.joined(keys, sealed, planes[0].nbytes, [b"c"] * count)
    mine, plain = CodeCounter(rows), CodeCounter(rows)
    messages.count(mine)
    plain.add(planes)
    assert mine.people == count
    assert np.array_equal(mine.counts(), plain.counts())
    with pytest.raises(ValueError, match="rows"):
        messages.count(CodeCounter(rows + 512))
    sealed[-1] = sealed[-1][:-1] + bytes([sealed[-1][-1] ^ 1])
    messages = SealedMessages.joined(keys, sealed, planes[0].nbytes, [b"c"] * count)
    with pytest.raises(InvalidTag):
        messages.count(CodeCounter(rows))
