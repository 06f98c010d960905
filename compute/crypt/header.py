"""Crypt4GH headers: reading, opening and writing the packets that carry a file's data key.

A header here holds exactly one data key and no edit list: an edit list would hide parts of a file
from us but not from anybody else, and two keys would let one file show two contents.
Packets are the crypt4gh package's; limits, errors and the one-key rule are ours.
Spec: samtools/hts-specs crypt4gh.tex, sections 2.2 (header) and 3.2 (packets).
"""

import io
import os
import struct

import compute.crypt.quiet  # noqa: F401  # isort: skip  (first: the package logs keys)
from crypt4gh import header as c4gh
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from compute.errors import CryptError

MAGIC = b"crypt4gh" + struct.pack("<I", 1)
KEY_BYTES = 32
MAX_PACKETS = 64
MAX_HEADER_BYTES = 64 * 1024
# One data-key packet for one reader: 16 (preamble) + 4 + 4 + 32 + 12 + (4 + 4 + 32) + 16.
SINGLE_HEADER_BYTES = 124
_METHOD = 0  # X25519_chacha20_ietf_poly1305, the only one of version 1


def generate_keypair() -> tuple[bytes, bytes]:
    """Draw an X25519 key pair: (secret, public), 32 bytes each."""
    secret = os.urandom(KEY_BYTES)
    return secret, public_of(secret)


def public_of(secret: bytes) -> bytes:
    """Return the 32-byte X25519 public key of a secret key. Raises CryptError."""
    check_key(secret)
    return X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()


def check_key(key: bytes) -> None:
    """Refuse a key that is not 32 bytes. Raises CryptError."""
    if len(key) != KEY_BYTES:
        raise CryptError(f"a key here is 32 bytes, not {len(key)}", code="key")


def read_header(data: bytes | memoryview) -> bytes:
    """Return the header that a Crypt4GH file (or its first 64 KiB) begins with.

    Its length is the file's header_size. Raises CryptError.
    """
    if bytes(data[:12]) != MAGIC:
        raise CryptError("this is not a Crypt4GH version 1 file", code="not_crypt4gh")
    if len(data) < 16:
        raise CryptError("the file ends inside its header", code="cut")
    (count,) = struct.unpack_from("<I", data, 12)
    if not 1 <= count <= MAX_PACKETS:
        raise CryptError(f"a header holds 1 to {MAX_PACKETS} packets", code="header")
    end = 16
    for _ in range(count):
        length = struct.unpack_from("<I", data, end)[0] if end + 4 <= len(data) else 0
        end += length
        if length < 4 or end > min(len(data), MAX_HEADER_BYTES):
            raise CryptError("the header is cut, or a packet length in it is wrong", code="cut")
    return bytes(data[:end])


def packet_count(header: bytes) -> int:
    """Return how many packets a header holds. Raises CryptError when it is not one header."""
    if len(read_header(header)) != len(header):
        raise CryptError("there are bytes after the header", code="header")
    return int(struct.unpack_from("<I", header, 12)[0])


def session_key(header: bytes, secret: bytes) -> bytes:
    """Return the 32-byte data key in a header for the reader who holds `secret`.

    Packets for other readers are skipped, as the specification asks. Raises CryptError when there
    is no key for this reader, more than one, an edit list, or an unknown packet.
    """
    check_key(secret)
    packet_count(header)
    try:
        packets, _others = c4gh.decrypt(c4gh.parse(io.BytesIO(header)), [(_METHOD, secret, None)])
        keys, edits = c4gh.partition_packets([bytes(packet) for packet in packets])
        found = [bytes(c4gh.parse_enc_packet(packet)) for packet in keys]
    except ValueError:
        raise CryptError("the header holds a packet we do not accept", code="header") from None
    if edits is not None:
        raise CryptError("the header holds an edit list, which we refuse", code="edit_list")
    if len(found) != 1 or len(found[0]) != KEY_BYTES:
        raise CryptError(
            f"the header has {len(found)} data keys for this key, not 1", code="no_key"
        )
    return found[0]


def session_keys(header: bytes, secret: bytes) -> tuple[bytes, ...]:
    """Return the data keys of a header for one reader: always exactly one. Raises CryptError."""
    return (session_key(header, secret),)


def make_header_packet(session_key: bytes, *recipients: bytes) -> bytes:
    """Return a complete header giving each recipient (32-byte X25519 public key) the data key.

    The writer's key is drawn for this header and forgotten. Raises CryptError.
    """
    check_key(session_key)
    if not 1 <= len(recipients) <= MAX_PACKETS:
        raise CryptError(f"a header is for 1 to {MAX_PACKETS} readers", code="header")
    writer = os.urandom(KEY_BYTES)
    for public in recipients:
        check_key(public)
    content = c4gh.make_packet_data_enc(0, session_key)
    try:
        keys = [(_METHOD, writer, public) for public in recipients]
        return bytes(c4gh.serialize(c4gh.encrypt(content, keys)))
    except Exception as error:  # the C extension raises bare exceptions of several kinds
        raise CryptError("a recipient's public key is not usable", code="key") from error


def reencrypt_header(header: bytes, owner_secret: bytes, recipient: bytes) -> bytes:
    """Return a header with one packet: the data key of `header`, for `recipient` alone.

    The file's data blocks stay as they are. Raises CryptError.
    """
    return make_header_packet(session_key(header, owner_secret), recipient)
