"""A log as a directory of static files, as any C2SP log can be copied. Spec: C2SP tlog-tiles.

DIR/checkpoint, DIR/tile/<L>/<N>[.p/<W>] and DIR/tile/entries/<N>[.p/<W>], the last perhaps
gzipped. Reads only, and believes nothing: whoever asks verifies.
"""

import gzip
import io
import zlib
from pathlib import Path

from ledger.errors import FormatError, NotFoundError
from ledger.merkle import consistency_proof_from_reader
from ledger.tiles import Bundle, Tile, bundle_for_size, decode_bundle, hash_reader

GZIP_MAGIC = b"\x1f\x8b"
MAX_BUNDLE_BYTES = 17 << 20


class TileDirectory:
    """Reads one log from files."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def checkpoint(self) -> str:
        """Return the checkpoint, a signed note. Raises NotFoundError or FormatError."""
        try:
            return self._read("checkpoint").decode()
        except UnicodeDecodeError:
            raise FormatError(f"{self._directory / 'checkpoint'} is not UTF-8") from None

    def tile(self, tile: Tile) -> bytes:
        """Return a hash tile; where the partial one is gone, the full one cut to its width."""
        return self._either(tile.path, tile.full().path)[: tile.width * 32]

    def entries(self, start: int, end: int) -> list[bytes]:
        """Return the leaves [start, end)."""
        leaves: list[bytes] = []
        for index in range(start // 256, -(-end // 256)):
            part = self._bundle(bundle_for_size(index, end))
            leaves += part[max(0, start - index * 256) :]
        return leaves

    def consistency(self, old: int, new: int) -> list[bytes]:
        """Return the consistency proof between two tree sizes, from the hash tiles."""
        return consistency_proof_from_reader(hash_reader(self.tile, new), old, new)

    def _bundle(self, bundle: Bundle) -> list[bytes]:
        exact = (self._directory / bundle.path).is_file()
        found = bundle if exact else bundle.full()
        return _decode(self._read(found.path), found.width)[: bundle.width]

    def _either(self, path: str, other: str) -> bytes:
        return self._read(path if (self._directory / path).is_file() else other)

    def _read(self, path: str) -> bytes:
        try:
            return (self._directory / path).read_bytes()
        except OSError as error:
            raise NotFoundError(
                f"cannot read {path} in {self._directory}: {error.strerror}"
            ) from None


def _decode(data: bytes, width: int) -> list[bytes]:
    """Decode a bundle as it is, or unpacked: its first two bytes may look like gzip's."""
    try:
        return decode_bundle(data, width)
    except FormatError:
        if not data.startswith(GZIP_MAGIC):
            raise
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            plain = file.read(MAX_BUNDLE_BYTES + 1)
    except (OSError, EOFError, zlib.error):
        raise FormatError("an entry bundle is neither plain nor a gzip file") from None
    return decode_bundle(plain, width)
