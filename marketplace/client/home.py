"""The client's directory: trust file, identity, keys, what was registered, and every receipt.

All that an owner needs to prove what they signed years later. Nothing here is fetched on trust.
"""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from ledger import Submission, TrustPolicy, b64, entry_bytes
from marketplace.client.errors import HomeError, LedgerChangedError
from marketplace.client.keys import KeyStore

_parsed = lru_cache(maxsize=16)(TrustPolicy.parse)  # read at every verb, and never changed


@dataclass(frozen=True, slots=True)
class Home:
    """One person's client directory (`--home`, default ~/.omic)."""

    path: Path
    passphrase: str | None = None

    @property
    def keys(self) -> KeyStore:
        return KeyStore(self.path / "keys", self.passphrase)

    def create_from(
        self, trust_file: bytes, role: str, party: str, *, new_keys: bool = True
    ) -> None:
        """Pin a trust file and make this person's identity and keys (or leave keys to a restore).

        Raises HomeError where there is an identity already: one home is one party.
        """
        if (self.path / "identity.json").exists():
            raise HomeError(f"{self.path} already holds an identity; choose another --home")
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        trust = TrustPolicy.parse(trust_file)
        self._write("trust.json", trust_file)
        for name in ("sign", "encrypt"):
            if new_keys and not self.keys.has(name):
                self.keys.create(name, name)
        self.write("identity.json", {"party": party, "role": role, "origin": trust.origin})

    @property
    def identity(self) -> dict[str, str]:
        """Return {"party", "role", "origin"}."""
        value = self.read("identity.json")
        if value is None:
            raise HomeError(f"no identity in {self.path}; run `omic keygen` first")
        return value

    @property
    def party(self) -> str:
        return self.identity["party"]

    @property
    def trust(self) -> TrustPolicy:
        """Return the trust policy pinned when this home was made."""
        path = self.path / "trust.json"
        if not path.exists():
            raise HomeError(f"no trust file in {self.path}; run `omic keygen --trust FILE` first")
        return _parsed(path.read_bytes())

    @property
    def attester_url(self) -> str:
        """Return where parties are attested, as the trust file names it."""
        url = (self.read("trust.json") or {}).get("attester_url")
        if not isinstance(url, str):
            raise HomeError("your trust file names no attester; ask the market for one that does")
        return url

    def read(self, name: str) -> dict[str, Any] | None:
        """Return a stored JSON document, or None."""
        path = self.path / name
        if not path.exists():
            return None
        value: dict[str, Any] = json.loads(path.read_text())
        return value

    def write(self, name: str, value: Mapping[str, Any]) -> None:
        """Store a JSON document atomically (mode 0600)."""
        self._write(name, _dump(value))

    def documents(self, folder: str) -> Iterator[dict[str, Any]]:
        """Yield every document of a folder, oldest name first."""
        for path in sorted((self.path / folder).glob("*.json")):
            yield json.loads(path.read_text())

    def keep_entry(self, submission: Submission, index: int, leaf: bytes, time: int) -> None:
        """Keep what was signed, its salt, its leaf and index: the opening of a commitment."""
        salt = submission.salt
        document = {
            "index": index,
            "type": submission.entry.type,
            "time": time,
            "leaf": b64(leaf),
            "entry": b64(entry_bytes(submission.entry)),
            "salt": None if salt is None else b64(salt),
        }
        known = self.read(f"entries/{index:012d}.json")
        if known is not None and known["leaf"] != document["leaf"]:
            raise LedgerChangedError(f"the ledger shows another leaf at index {index} than before")
        self.write(f"entries/{index:012d}.json", document)

    def keep_receipt(self, index: int, proof: str) -> None:
        """Keep the offline proof (c2sp.org/tlog-proof) of an entry of ours."""
        self._write(f"receipts/{index:012d}.tlog-proof", proof.encode())

    def has_receipt(self, index: int) -> bool:
        return (self.path / f"receipts/{index:012d}.tlog-proof").exists()

    def _write(self, name: str, data: bytes) -> None:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = path.with_name(path.name + ".new")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        temporary.replace(path)


def _dump(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=True) + "\n").encode()
