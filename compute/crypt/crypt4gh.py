"""Crypt4GH files: whole-buffer encryption and decryption, and reading a range of one.

The format authenticates each segment but not their number or order, so a file is opened only
after its size and SHA-256 have been compared with what its owner signed (`check_manifest`).
Plaintext stays in memory. The crypt4gh package writes the header; segments are done here, because
its range reader answers wrongly beyond the first segment and it copies each segment several times.
Spec: samtools/hts-specs crypt4gh.tex, sections 2.3 (data blocks) and 4.3 (decryption).
"""

import hashlib
import mmap
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from compute.crypt.header import (
    KEY_BYTES,
    MAX_HEADER_BYTES,
    SINGLE_HEADER_BYTES,
    check_key,
    generate_keypair,
    make_header_packet,
    packet_count,
    public_of,
    read_header,
    reencrypt_header,
    session_key,
    session_keys,
)
from compute.errors import CryptError

__all__ = [
    "KEY_BYTES",
    "MAX_HEADER_BYTES",
    "SEGMENT_BYTES",
    "SINGLE_HEADER_BYTES",
    "Manifest",
    "check_manifest",
    "decrypt_all",
    "decrypt_file",
    "decrypt_range",
    "encrypt_file",
    "encrypt_segments",
    "generate_keypair",
    "make_header_packet",
    "manifest_of",
    "packet_count",
    "plaintext_size",
    "public_of",
    "read_header",
    "reencrypt_header",
    "seal_to",
    "session_key",
    "session_keys",
]

SEGMENT_BYTES = 65_536
NONCE_BYTES = 12
OVERHEAD = 28  # nonce and MAC of one segment
_LARGE = 4 << 20  # bytes from which a mapping of its own pays
CIPHER_SEGMENT_BYTES = SEGMENT_BYTES + OVERHEAD

Reader = Callable[[int, int], bytes]
"""(offset, length) -> exactly those bytes of the encrypted file, its header included."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an owner signs of an encrypted file: hex SHA-256, size and header size in bytes."""

    sha256: str
    size: int
    header_size: int


def manifest_of(file: bytes) -> Manifest:
    """Return the manifest of a Crypt4GH file. Raises CryptError when it is not one."""
    return Manifest(hashlib.sha256(file).hexdigest(), len(file), len(read_header(file)))


def check_manifest(file: bytes, manifest: Manifest) -> None:
    """Refuse a file that is not the one signed, before anything of it is opened.

    Raises CryptError naming whether size, content or header differ.
    """
    if len(file) != manifest.size:
        raise CryptError(
            f"the file has {len(file)} bytes, its owner signed {manifest.size}", code="size"
        )
    if hashlib.sha256(file).hexdigest() != manifest.sha256:
        raise CryptError("the file's SHA-256 is not the one its owner signed", code="sha256")
    if len(read_header(file)) != manifest.header_size:
        raise CryptError("the file's header has another length than signed", code="header_size")


def encrypt_file(data: bytes | BinaryIO, *recipients: bytes) -> bytes:
    """Encrypt to X25519 public keys under a fresh data key; return a whole Crypt4GH file.

    Raises CryptError.
    """
    plain = data if isinstance(data, bytes) else data.read()
    key = os.urandom(KEY_BYTES)
    return make_header_packet(key, *recipients) + encrypt_segments(plain, key)


def encrypt_segments(plain: bytes, key: bytes) -> bytes:
    """Encrypt data blocks: 65,536-byte segments, each with its own random nonce."""
    check_key(key)
    cipher, view = ChaCha20Poly1305(key), memoryview(plain)
    parts: list[bytes] = []
    for start in range(0, len(view), SEGMENT_BYTES):
        nonce = os.urandom(NONCE_BYTES)
        parts += (nonce, cipher.encrypt(nonce, view[start : start + SEGMENT_BYTES], None))
    return b"".join(parts)


def seal_to(recipient: bytes, data: bytes) -> bytes:
    """Encrypt an answer or a bundle to one X25519 public key, as a Crypt4GH file."""
    return encrypt_file(data, recipient)


def decrypt_file(file: bytes, secret: bytes, manifest: Manifest | None = None) -> bytes:
    """Decrypt a whole file for the reader who holds `secret`. Raises CryptError.

    Without the manifest a file cut at a segment edge is not noticed: leave it out only where
    something else covers the whole file.
    """
    if manifest is not None:
        check_manifest(file, manifest)
    header = read_header(file)
    return bytes(decrypt_all(memoryview(file)[len(header) :], session_keys(header, secret)))


def decrypt_all(body: bytes | memoryview, keys: Sequence[bytes]) -> memoryview:
    """Decrypt the data blocks of a file (what follows its header). Raises CryptError."""
    view = memoryview(body)
    size = plaintext_size(len(view), 0)
    return _decrypted(view, keys, size) if size else memoryview(b"")


def plaintext_size(size: int, header_size: int) -> int:
    """Return how many plaintext bytes a file of this size holds. Raises CryptError."""
    full, rest = divmod(size - header_size, CIPHER_SEGMENT_BYTES)
    if size < header_size or 0 < rest <= OVERHEAD:
        raise CryptError("the file ends inside a segment", code="cut")
    return full * SEGMENT_BYTES + (rest - OVERHEAD if rest else 0)


def decrypt_range(
    read: Reader, manifest: Manifest, keys: Sequence[bytes], start: int, end: int
) -> bytes:
    """Decrypt plaintext bytes [start, end), reading only the segments that hold them.

    Each segment is authenticated, the file as a whole is not: `read` must come from storage whose
    content was checked against the manifest. Raises CryptError.
    """
    total = plaintext_size(manifest.size, manifest.header_size)
    if not 0 <= start <= end <= total:
        raise CryptError(
            f"[{start}, {end}) is not a range of {total} plaintext bytes", code="range"
        )
    if start == end:
        return b""
    first, last = start // SEGMENT_BYTES, (end - 1) // SEGMENT_BYTES
    begin = manifest.header_size + first * CIPHER_SEGMENT_BYTES
    stop = min(manifest.size, manifest.header_size + (last + 1) * CIPHER_SEGMENT_BYTES)
    data = read(begin, stop - begin)
    if len(data) != stop - begin:
        raise CryptError("the store returned fewer bytes than it holds", code="cut")
    body = memoryview(data)
    plain = _decrypted(body, keys, plaintext_size(len(body), 0))
    offset = first * SEGMENT_BYTES
    return bytes(plain[start - offset : end - offset])


def _decrypted(view: memoryview, keys: Sequence[bytes], size: int) -> memoryview:
    """Decrypt every segment straight into its place: `size` plaintext bytes, at least one."""
    for key in keys:
        check_key(key)
    ciphers, out = [ChaCha20Poly1305(key) for key in keys], _room(size)
    for number, start in enumerate(range(0, len(view), CIPHER_SEGMENT_BYTES)):
        segment = view[start : start + CIPHER_SEGMENT_BYTES]
        place = number * SEGMENT_BYTES
        _segment(segment, ciphers, out[place : place + len(segment) - OVERHEAD])
    return out.toreadonly()


def _room(size: int) -> memoryview:
    """Return fresh memory, in huge pages where the system has them: faults are what costs here."""
    if size < _LARGE:
        return memoryview(bytearray(size))
    room = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with suppress(OSError, AttributeError):
        room.madvise(mmap.MADV_HUGEPAGE)
    return memoryview(room)


def _segment(segment: memoryview, ciphers: Sequence[ChaCha20Poly1305], out: memoryview) -> None:
    for cipher in ciphers:
        try:
            cipher.decrypt_into(segment[:NONCE_BYTES], segment[NONCE_BYTES:], None, out)
        except InvalidTag:
            continue
        return
    raise CryptError("a segment is damaged, or not encrypted with this key", code="damaged")
