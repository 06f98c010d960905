"""Crypt4GH files: both directions with the reference package, ranges, and every kind of damage."""

import hashlib
import io
import subprocess
import sys
from pathlib import Path

import pytest
from crypt4gh import header as c4gh_header
from crypt4gh import lib as c4gh_lib
from hypothesis import given, settings
from hypothesis import strategies as st

from compute.crypt import crypt4gh
from compute.crypt.crypt4gh import (
    CIPHER_SEGMENT_BYTES,
    SEGMENT_BYTES,
    Manifest,
    check_manifest,
    decrypt_all,
    decrypt_file,
    decrypt_range,
    encrypt_file,
    encrypt_segments,
    generate_keypair,
    make_header_packet,
    manifest_of,
    packet_count,
    plaintext_size,
    read_header,
    reencrypt_header,
    seal_to,
    session_key,
    session_keys,
)
from compute.crypt.keyfiles import write_key_files
from compute.errors import CryptError

VECTORS = Path(__file__).parents[2] / "vectors" / "crypt4gh"
SECRET, PUBLIC = generate_keypair()
OTHER_SECRET, OTHER_PUBLIC = generate_keypair()
EDGES = [0, 1, 65_535, 65_536, 65_537, 131_071, 131_072, 131_073, 200_000]


def pattern(size):
    return (b"".join(i.to_bytes(4, "big") for i in range(size // 4 + 1)))[:size]


def reference_decrypt(file, secret):
    out = io.BytesIO()
    c4gh_lib.decrypt([(0, secret, None)], io.BytesIO(file), out)
    return out.getvalue()


def reference_encrypt(data, *publics):
    writer, _ = generate_keypair()
    out = io.BytesIO()
    c4gh_lib.encrypt([(0, writer, public) for public in publics], io.BytesIO(data), out)
    return out.getvalue()


@pytest.mark.parametrize("size", EDGES)
def test_the_reference_package_opens_ours_and_we_open_theirs(size):
    data = pattern(size)
    assert reference_decrypt(encrypt_file(data, PUBLIC), SECRET) == data
    assert decrypt_file(reference_encrypt(data, PUBLIC), SECRET) == data


def test_a_stream_and_its_bytes_encrypt_to_the_same_plaintext():
    file = encrypt_file(io.BytesIO(b"abc"), PUBLIC)
    assert decrypt_file(file, SECRET, manifest_of(file)) == b"abc"


def test_every_file_has_a_key_and_nonces_of_its_own():
    one, two = encrypt_file(b"same", PUBLIC), encrypt_file(b"same", PUBLIC)
    assert session_key(read_header(one), SECRET) != session_key(read_header(two), SECRET)
    body = encrypt_segments(bytes(3 * SEGMENT_BYTES), bytes(32))
    nonces = {body[i : i + 12] for i in range(0, len(body), CIPHER_SEGMENT_BYTES)}
    assert len(nonces) == 3


def test_published_neic_file_opens_to_its_published_plaintext():
    secret = crypt4gh_key("neic_reader.sec", "password")
    plain = (VECTORS / "sample.txt").read_bytes()
    assert decrypt_file((VECTORS / "sample.txt.enc").read_bytes(), secret) == plain


def test_published_file_for_bob_opens_with_bobs_key_and_not_with_alices():
    file = (VECTORS / "made_alice_to_bob.sample.vcf.gz.c4gh").read_bytes()
    assert decrypt_file(file, crypt4gh_key("bob.sec", "bob"))[:2] == b"\x1f\x8b"
    with pytest.raises(CryptError, match="0 data keys"):
        decrypt_file(file, crypt4gh_key("alice.sec", "alice"))


def crypt4gh_key(name, passphrase):
    from compute.crypt import read_secret_key

    return read_secret_key(VECTORS / name, passphrase)


@pytest.fixture(scope="module")
def file3():
    """A file of three segments, the last one short, with its plaintext, manifest and key."""
    data = pattern(2 * SEGMENT_BYTES + 1000)
    file = encrypt_file(data, PUBLIC)
    return data, file, manifest_of(file), session_keys(read_header(file), SECRET)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_range_is_the_slice_of_the_whole(file3, data):
    plain, file, manifest, keys = file3
    start = data.draw(st.integers(0, len(plain)))
    end = data.draw(st.integers(start, len(plain)))
    reads = []

    def read(offset, length):
        reads.append((offset, length))
        return file[offset : offset + length]

    assert decrypt_range(read, manifest, keys, start, end) == plain[start:end]
    if start < end:
        first, last = start // SEGMENT_BYTES, (end - 1) // SEGMENT_BYTES
        ((_, length),) = reads
        assert length <= (last - first + 1) * CIPHER_SEGMENT_BYTES


@pytest.mark.parametrize("start", [65_535, 65_536, 65_537, 131_072])
def test_ranges_that_cross_segment_edges(file3, start):
    plain, file, manifest, keys = file3

    def read(offset, length):
        return file[offset : offset + length]

    assert decrypt_range(read, manifest, keys, start, start + 900) == plain[start : start + 900]


@pytest.mark.parametrize(("start", "end"), [(-1, 5), (5, 4), (0, 132_073)])
def test_a_range_outside_the_file_is_refused(file3, start, end):
    _plain, file, manifest, keys = file3

    def read(offset, length):
        return file[offset : offset + length]

    with pytest.raises(CryptError, match="not a range"):
        decrypt_range(read, manifest, keys, start, end)


def test_a_range_from_a_store_that_answers_short_is_refused(file3):
    _plain, file, manifest, keys = file3
    with pytest.raises(CryptError, match="fewer bytes"):
        decrypt_range(lambda offset, length: file[offset:][: length - 1], manifest, keys, 0, 10)


def test_every_flipped_byte_of_a_small_file_is_refused():
    file = encrypt_file(b"ACGT" * 10, PUBLIC)
    for at in range(len(file)):
        bad = bytearray(file)
        bad[at] ^= 1
        with pytest.raises(CryptError):
            decrypt_file(bytes(bad), SECRET, manifest_of(file))
        with pytest.raises(CryptError):  # the format alone notices it too
            decrypt_file(bytes(bad), SECRET)


def test_truncation_at_every_segment_edge_is_refused(file3):
    _plain, file, manifest, _keys = file3
    for count in range(3):
        cut = file[: manifest.header_size + count * CIPHER_SEGMENT_BYTES]
        assert len(decrypt_file(cut, SECRET)) == count * SEGMENT_BYTES  # the format cannot tell
        with pytest.raises(CryptError) as refused:
            decrypt_file(cut, SECRET, manifest)
        assert refused.value.code == "size"


@pytest.mark.parametrize("rest", [1, 12, 27, 28])
def test_a_file_that_ends_inside_a_segments_overhead_is_refused(file3, rest):
    _plain, file, manifest, _keys = file3
    with pytest.raises(CryptError, match="ends inside a segment"):
        decrypt_file(file[: manifest.header_size + CIPHER_SEGMENT_BYTES + rest], SECRET)


def test_swapped_and_repeated_segments_and_spliced_files_are_refused(file3):
    _plain, file, manifest, _keys = file3
    head, body = file[: manifest.header_size], file[manifest.header_size :]
    one, two = body[:CIPHER_SEGMENT_BYTES], body[CIPHER_SEGMENT_BYTES : 2 * CIPHER_SEGMENT_BYTES]
    rest = body[2 * CIPHER_SEGMENT_BYTES :]
    for changed in (head + two + one + rest, head + one + one + rest):
        assert len(decrypt_file(changed, SECRET)) == len(_plain)  # the format cannot tell
        with pytest.raises(CryptError) as refused:
            decrypt_file(changed, SECRET, manifest)
        assert refused.value.code == "sha256"
    other = encrypt_file(_plain, PUBLIC)
    spliced = head + other[len(read_header(other)) :]
    for attempt in (
        lambda: decrypt_file(spliced, SECRET),
        lambda: check_manifest(spliced, manifest),
    ):
        with pytest.raises(CryptError):
            attempt()


def test_a_manifest_with_another_header_size_is_refused():
    file = encrypt_file(b"x", PUBLIC)
    good = manifest_of(file)
    assert good == Manifest(hashlib.sha256(file).hexdigest(), len(file), 124)
    with pytest.raises(CryptError) as refused:
        check_manifest(file, Manifest(good.sha256, good.size, 100))
    assert refused.value.code == "header_size"


def test_reencrypting_a_header_leaves_the_data_blocks_and_drops_other_readers():
    file = encrypt_file(b"payload", PUBLIC, OTHER_PUBLIC)
    header = read_header(file)
    assert packet_count(header) == 2
    compute_secret, compute_public = generate_keypair()
    moved = reencrypt_header(header, SECRET, compute_public)
    assert packet_count(moved) == 1
    assert len(moved) == crypt4gh.SINGLE_HEADER_BYTES
    assert decrypt_file(moved + file[len(header) :], compute_secret) == b"payload"
    with pytest.raises(CryptError):
        session_key(moved, SECRET)
    assert reference_decrypt(moved + file[len(header) :], compute_secret) == b"payload"


def edited_header(*contents):
    writer, _ = generate_keypair()
    keys = [(0, writer, PUBLIC)]
    packets = [packet for content in contents for packet in c4gh_header.encrypt(content, keys)]
    return c4gh_header.serialize(packets)


DATA_KEY = c4gh_header.make_packet_data_enc(0, bytes(32))


@pytest.mark.parametrize(
    ("contents", "code"),
    [
        ((DATA_KEY, c4gh_header.make_packet_data_edit_list([3, 5])), "edit_list"),
        ((DATA_KEY, DATA_KEY), "no_key"),
        ((DATA_KEY[:-1],), "no_key"),
        ((c4gh_header.make_packet_data_edit_list([3, 5]),), "edit_list"),
        ((b"\x07\x00\x00\x00rest",), "header"),
        ((c4gh_header.make_packet_data_enc(1, bytes(32)),), "header"),
    ],
)
def test_headers_with_anything_but_one_data_key_are_refused(contents, code):
    assert session_key(edited_header(DATA_KEY), SECRET) == bytes(32)
    with pytest.raises(CryptError) as refused:
        session_key(edited_header(*contents), SECRET)
    assert refused.value.code == code


def test_a_header_cut_anywhere_or_with_a_tail_is_refused():
    header = make_header_packet(bytes(32), PUBLIC)
    for end in range(len(header)):
        with pytest.raises(CryptError):
            read_header(header[:end])
    with pytest.raises(CryptError, match="after the header"):
        session_key(header + b"x", SECRET)


@given(st.binary(max_size=200))
def test_garbage_after_the_magic_is_refused_with_our_error(garbage):
    for data in (garbage, b"crypt4gh\1\0\0\0" + garbage):
        with pytest.raises(CryptError):
            session_key(data, SECRET)


def test_recipient_keys_that_cannot_work_are_refused():
    for bad in (b"", b"short", bytes(31)):
        with pytest.raises(CryptError):
            make_header_packet(bytes(32), bad)
    with pytest.raises(CryptError):
        make_header_packet(bytes(32), bytes(32))  # a low-order point gives no secret
    with pytest.raises(CryptError):
        make_header_packet(bytes(32))


def test_the_wrong_data_key_is_refused(file3):
    _plain, file, manifest, keys = file3
    body = file[manifest.header_size :]
    with pytest.raises(CryptError, match="damaged"):
        decrypt_all(body, [bytes(32)])
    with pytest.raises(CryptError):
        decrypt_all(body, [])
    assert decrypt_all(body, [bytes(32), *keys]) == _plain


def test_seal_to_opens_with_the_reference_package():
    assert reference_decrypt(seal_to(PUBLIC, b"answer"), SECRET) == b"answer"


@given(st.integers(0, 10**7))
def test_plaintext_size_inverts_the_size_of_a_file(size):
    segments = -(-size // SEGMENT_BYTES)
    assert plaintext_size(124 + size + 28 * segments, 124) == size


def test_534_small_files_are_made_and_opened():
    data = pattern(3000)
    files = [encrypt_file(data, PUBLIC) for _ in range(534)]
    for file in files:
        assert decrypt_file(file, SECRET, manifest_of(file)) == data


def test_the_crypt4gh_command_opens_our_file_with_our_key_file_and_we_open_its(tmp_path):
    write_key_files(tmp_path / "k.sec", tmp_path / "k.pub", SECRET)
    command = [sys.executable, "-m", "crypt4gh"]
    ours = encrypt_file(pattern(70_000), PUBLIC)
    opened = subprocess.run(
        [*command, "decrypt", "--sk", tmp_path / "k.sec"],
        input=ours,
        capture_output=True,
        check=True,
    )
    assert opened.stdout == pattern(70_000)
    theirs = subprocess.run(
        [*command, "encrypt", "--sk", tmp_path / "k.sec", "--recipient_pk", tmp_path / "k.pub"],
        input=pattern(70_000),
        capture_output=True,
        check=True,
    )
    assert decrypt_file(theirs.stdout, SECRET, manifest_of(theirs.stdout)) == pattern(70_000)
