"""The ledger's HTTP client: sends submissions, fetches what a verifier needs.

Bounded and typed, and nothing more: it verifies no signature, hash or proof. `follower` and
`verify_receipt` do. httpx is loaded when the first client is made.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ledger.envelope import Submission, submission_to_json, unb64
from ledger.errors import FormatError, LedgerError, NotFoundError
from ledger.frames import Envelope, unpack_envelopes
from ledger.problems import error_from
from ledger.tiles import Bundle, Tile, bundle_for_size, decode_bundle

if TYPE_CHECKING:
    import httpx

MAX_TEXT_BYTES = 1 << 20
MAX_BUNDLE_BYTES = 17 << 20  # 256 entries of 65,535 bytes, with their lengths
MAX_JSON_BYTES = 64 << 20
MAX_TREE_BYTES = 16 << 20
TIMEOUT_SECONDS = 30.0
ENVELOPES_PER_CALL = 1000


class UnavailableError(LedgerError):
    """The ledger cannot be reached or did not answer: try again; repeating an append is safe."""


@dataclass(frozen=True, slots=True)
class Appended:
    """Where a submission stands; leaf_bytes and receipt prove it. time: Unix ms of the leaf."""

    index: int
    leaf_bytes: bytes
    time: int
    receipt: str | None = None


class LedgerClient:
    """Talks to one ledger over HTTP, on kept-alive connections; safe to share among threads."""

    def __init__(
        self, url: str, token: str | None = None, http: "httpx.Client | None" = None
    ) -> None:
        import httpx

        self._url = url.rstrip("/")
        # A follower waits for its processor, not for bytes: it does not ask for packed bundles.
        self._headers = {"Accept-Encoding": "identity"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._own = http is None
        self._http = http or httpx.Client(timeout=TIMEOUT_SECONDS)
        self._transport_error = httpx.TransportError

    def close(self) -> None:
        """Close the connections this client opened."""
        if self._own:
            self._http.close()

    def __enter__(self) -> "LedgerClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def append(self, submissions: Sequence[Submission], wait: bool = False) -> list[Appended]:
        """Append all or none; repeating the same call returns the same places.

        wait: return only when a witnessed checkpoint covers them, with receipts. Raises
        RefusedError, VerificationError, FormatError, UnavailableError, ...
        """
        body = {"entries": [submission_to_json(one) for one in submissions]}
        value = self._post("/entries?wait=1" if wait else "/entries", body)
        places = [_appended(item) for item in _list(value, "entries")]
        if len(places) != len(submissions):
            raise FormatError("the ledger did not answer for each entry")
        return places

    def checkpoint(self) -> str:
        """Fetch the newest published checkpoint, a signed note."""
        return _text(self._get("/checkpoint", MAX_TEXT_BYTES))

    def tile(self, tile: Tile) -> bytes:
        """Fetch a hash tile; where the partial one is gone, the full one cut to its width."""
        return self._resource(tile, tile.full())[: tile.width * 32]

    def bundle(self, bundle: Bundle) -> list[bytes]:
        """Fetch the entries of one bundle."""
        try:
            return decode_bundle(self._get("/" + bundle.path, MAX_BUNDLE_BYTES), bundle.width)
        except NotFoundError:
            full = decode_bundle(self._get("/" + bundle.full().path, MAX_BUNDLE_BYTES), 256)
            return full[: bundle.width]

    def entries(self, start: int, end: int) -> list[bytes]:
        """Fetch the leaves [start, end); end must not lie beyond a published checkpoint."""
        leaves: list[bytes] = []
        for index in range(start // 256, -(-end // 256)):
            part = self.bundle(bundle_for_size(index, end))
            leaves += part[max(0, start - index * 256) :]
        return leaves

    def receipt(self, index: int) -> str:
        """Fetch the proof of one entry (tlog-proof). Raises NotFoundError until it is published."""
        return _text(self._get(f"/receipt/{int(index)}", MAX_TEXT_BYTES))

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """Fetch the inclusion proof of an entry at a tree size."""
        return self._hashes(f"/proof/inclusion?index={int(index)}&size={int(size)}")

    def consistency(self, old: int, new: int) -> list[bytes]:
        """Fetch the consistency proof between two tree sizes."""
        return self._hashes(f"/proof/consistency?old={int(old)}&new={int(new)}")

    def envelopes(self, indexes: Sequence[int] | range) -> list[Envelope]:
        """Fetch envelopes of personal entries (token scope "envelopes"), in the order asked."""
        found: list[Envelope] = []
        for at in range(0, len(indexes), ENVELOPES_PER_CALL):
            part = indexes[at : at + ENVELOPES_PER_CALL]
            if isinstance(part, range) and part.step == 1:
                body: dict[str, Any] = {"start": part.start, "end": part.stop}
            else:
                body = {"indexes": list(part)}
            found += unpack_envelopes(self._post_for_bytes("/envelopes", body))
        return found

    def grants(self, indexes: Sequence[int]) -> dict[int, bytes]:
        """Fetch sealed grants (token scope "grants"); a missing one is absent from the answer."""
        items = _list(self._post("/grants", {"indexes": list(indexes)}), "grants")
        return dict(_grant(item) for item in items if "missing" not in _object(item))

    def access_tree(self, root: bytes) -> list[bytes]:
        """Fetch the sorted leaves of an access tree. The caller checks them against the root."""
        value = _json(self._get(f"/access-trees/{root.hex()}", 4 * MAX_TREE_BYTES))
        return [_hex(item) for item in _list(value, "leaves")]

    def _resource(self, wanted: Tile, full: Tile) -> bytes:
        try:
            return self._get("/" + wanted.path, MAX_TEXT_BYTES)
        except NotFoundError:
            if wanted == full:
                raise
            return self._get("/" + full.path, MAX_TEXT_BYTES)

    def _hashes(self, path: str) -> list[bytes]:
        return [_hex(item) for item in _list(_json(self._get(path, MAX_TEXT_BYTES)), "hashes")]

    def _get(self, path: str, limit: int) -> bytes:
        return self._request("GET", path, None, limit)

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        return _json(self._post_for_bytes(path, body))

    def _post_for_bytes(self, path: str, body: dict[str, Any]) -> bytes:
        content = json.dumps(body, separators=(",", ":")).encode()
        return self._request("POST", path, content, MAX_JSON_BYTES)

    def _request(self, method: str, path: str, content: bytes | None, limit: int) -> bytes:
        headers = dict(self._headers)
        if content is not None:
            headers["Content-Type"] = "application/json"
        try:
            with self._http.stream(
                method, self._url + path, content=content, headers=headers
            ) as response:
                data = _read_bounded(response, limit)
        except self._transport_error as error:
            reason = f"{type(error).__name__}: {error}"
            raise UnavailableError(
                f"the ledger at {self._url} does not answer ({reason})"
            ) from None
        if response.status_code >= 400:
            raise error_from(_maybe_json(data), response.status_code)
        if response.status_code != 200:
            raise FormatError(f"the ledger answered {response.status_code} to {path}")
        return data


def _read_bounded(response: "httpx.Response", limit: int) -> bytes:
    data = bytearray()
    for chunk in response.iter_bytes():
        data += chunk
        if len(data) > limit:
            raise FormatError(f"the ledger's answer is longer than {limit} bytes")
    return bytes(data)


def _appended(item: Any) -> Appended:
    try:
        index, time, receipt = item["index"], item["time"], item.get("receipt")
        leaf = unb64(item["leaf"])
    except (KeyError, TypeError, AttributeError):
        raise FormatError("the ledger's answer lacks index, leaf or time") from None
    if not isinstance(index, int) or not isinstance(time, int) or index < 0:
        raise FormatError("the ledger's answer has an index or time that is no number")
    return Appended(index, leaf, time, None if receipt is None else str(receipt))


def _object(item: Any) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise FormatError("an item of the ledger's answer is no object")
    return item


def _grant(item: Any) -> tuple[int, bytes]:
    try:
        return int(item["index"]), unb64(item["sealed_grant"])
    except (KeyError, TypeError, ValueError):
        raise FormatError("a sealed grant in the ledger's answer lacks a field") from None


def _list(value: Any, name: str) -> list[Any]:
    items = value.get(name) if isinstance(value, dict) else None
    if not isinstance(items, list):
        raise FormatError(f"the ledger's answer has no list {name!r}")
    return items


def _hex(item: Any) -> bytes:
    try:
        return bytes.fromhex(item)
    except (TypeError, ValueError):
        raise FormatError("a hash in the ledger's answer is not hex") from None


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise FormatError("the ledger's answer is not JSON") from None


def _maybe_json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise FormatError("the ledger's answer is not UTF-8") from None


__all__ = ["Appended", "Envelope", "LedgerClient", "UnavailableError"]
