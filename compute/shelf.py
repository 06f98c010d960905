"""The operator's shelf: reference files a query names by their SHA-256, never a buyer's upload.

    FOLDER/scores/*.txt[.gz]      PGS Catalog scoring files
    FOLDER/ontologies/*.json      obographs (HPO, MONDO)
    FOLDER/loadings/*.tsv         principal components of a reference panel
    FOLDER/loci/*.tsv             genes and rs-ids (compute.loci)
    FOLDER/chains/*.chain[.gz]    lift-over chains

A query states the hash, so the answer's code and inputs are both named in the signed order, and a
changed file is another query. Files are small beside a cohort and are read when first asked for.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from compute.errors import QueryError
from compute.lift import parse_chain
from compute.loci import parse_loci
from compute.queries.hierarchy import parse_hierarchy
from compute.queries.loadings import parse_loadings
from compute.queries.scorefile import parse_scorefile

MAX_FILE: Final = 512 << 20
KINDS: Final[Mapping[str, Callable[[bytes], Any]]] = {
    "scores": parse_scorefile,
    "ontologies": parse_hierarchy,
    "loadings": parse_loadings,
    "loci": parse_loci,
    "chains": parse_chain,
}


@dataclass(frozen=True, slots=True)
class Item:
    """One reference file: its kind (a folder's name), file name, SHA-256 (hex) and bytes."""

    kind: str
    name: str
    sha256: str
    size: int


@dataclass(slots=True, eq=False)
class Shelf:
    """The reference files of one folder; without a folder an empty one."""

    folder: Path | None = None
    _items: dict[str, tuple[Item, Path]] = field(default_factory=dict)
    _parsed: dict[str, Any] = field(default_factory=dict)

    def items(self) -> list[Item]:
        """List the files by kind and name, after looking at the folder again."""
        self._items = {item.sha256: (item, path) for item, path in self._found()}
        return [item for item, _ in self._items.values()]

    def parsed(self, sha256: str) -> Any:
        """Return a file's parsed content.

        Raises QueryError ``no_reference`` where the shelf lacks it, ``bad_reference`` where it is
        not what its folder says.
        """
        if sha256 not in self._parsed:
            item, path = self._find(sha256)
            self._parsed[sha256] = KINDS[item.kind](plain(path.read_bytes()))
        return self._parsed[sha256]

    def _find(self, sha256: str) -> tuple[Item, Path]:
        if sha256 not in self._items:
            self.items()
        if sha256 not in self._items:
            raise QueryError(
                f"no reference file {sha256[:12]}… is on the operator's shelf; "
                "see `omic references`",
                code="no_reference",
            )
        return self._items[sha256]

    def _found(self) -> list[tuple[Item, Path]]:
        if self.folder is None:
            return []
        paths = [path for kind in KINDS for path in sorted((self.folder / kind).glob("*"))]
        return [(_item(path), path) for path in paths if path.is_file()]


def _item(path: Path) -> Item:
    size = path.stat().st_size
    if size > MAX_FILE:
        raise QueryError(f"the reference file {path.name} is too large", code="bad_reference")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Item(path.parent.name, path.name, digest, size)


def plain(data: bytes) -> bytes:
    """Return inflated bytes of a gzip file, others as they are. Raises QueryError."""
    if not data.startswith(b"\x1f\x8b"):
        return data
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error):
        raise QueryError("a reference file is damaged gzip", code="bad_reference") from None
