"""The marketplace's HTTP API as Python methods; answers are plain dictionaries, errors ours.

Signs in by a challenge that the party's own key signs: there are no passwords.
"""

import secrets
import time
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

import httpx

from ledger import b64
from marketplace.client.errors import RemoteError
from marketplace.client.keys import SigningKey

TIMEOUT_SECONDS = 60.0
TRIES = 4
WAIT = (409, 429, 503)  # with Retry-After
LONGEST_PAUSE = 5.0  # seconds
SESSION_CONTEXT = b"omic/session/v1\n"


class Market:
    """One signed-in (or anonymous) connection to a marketplace."""

    def __init__(self, url: str, http: httpx.Client | None = None) -> None:
        self.url = url.rstrip("/")
        self._http = http or httpx.Client(timeout=TIMEOUT_SECONDS)
        self._token: str | None = None

    def sign_in(self, party: str, key: SigningKey) -> None:
        """Prove that we hold a signing key the ledger binds to this party."""
        challenge = self.post("/session/challenge", {"party": party})["challenge"]
        message = SESSION_CONTEXT + challenge.encode() + b"\n" + self.url.encode()
        answer = {
            "party": party,
            "challenge": challenge,
            "public_key": b64(key.public),
            "signature": b64(key.private.sign(message)),
        }
        self._token = self.post("/session", answer)["token"]

    def get(self, path: str, **params: Any) -> Any:
        """GET a JSON document of the API."""
        return self._json("GET", path, params=_given(params))

    def listed(self, path: str, name: str) -> list[dict[str, Any]]:
        """Return a whole list of the API, page by page."""
        found: list[dict[str, Any]] = []
        after: str | None = None
        while True:
            page = self.get(path, after=after)
            found += page[name]
            after = page.get("next")
            if not after:
                return found

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """POST a JSON document to the API."""
        return self._json("POST", path, json=dict(body or {}))

    def delete(self, path: str) -> Any:
        """DELETE what the path names."""
        return self._json("DELETE", path)

    def upload(self, dataset: str, data: bytes) -> Any:
        """Send a dataset's whole Crypt4GH file; it counts only once the ledger names it."""
        headers = {"X-Content-SHA256": sha256(data).hexdigest()}
        return self._json("PUT", f"/uploads/{dataset}", content=data, headers=headers)

    def deposit_part(self, share: str, data: bytes, token_sha256: str) -> Any:
        """PUT a part that was cut and encrypted anew, for the holder of a link."""
        headers = {
            "X-Content-SHA256": sha256(data).hexdigest(),
            "X-Token-SHA256": token_sha256,
        }
        return self._json("PUT", f"/passport/{share}", content=data, headers=headers)

    def download(self, path: str, **params: Any) -> bytes:
        """GET the bytes of an object."""
        return self._send("GET", path, params=_given(params)).content

    def public(self, path: str) -> Any:
        """GET a document beside the API, such as the catalogue's own pages."""
        return _checked(self._http.get(self.url + path), self.url).json()

    def _json(self, method: str, path: str, **kwargs: Any) -> Any:
        response = self._send(method, path, **kwargs)
        return response.json() if response.content else {}

    def _send(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        headers = dict(kwargs.pop("headers", {}))
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        if method == "POST" and self._token is not None:
            # Carried out once, however often the network makes us send it.
            headers["Idempotency-Key"] = secrets.token_hex(16)
        url = f"{self.url}/api/v1{path}"
        for _ in range(TRIES - 1):
            response = self._once(method, url, headers, kwargs)
            if response is not None and not _is_busy(response):
                return _checked(response, self.url)
            time.sleep(_pause(response))
        try:
            return _checked(self._http.request(method, url, headers=headers, **kwargs), self.url)
        except httpx.HTTPError as error:
            raise self._silent(error) from None

    def _once(
        self, method: str, url: str, headers: dict[str, str], kwargs: dict[str, Any]
    ) -> httpx.Response | None:
        """Return an answer, or None where it was lost on its way."""
        try:
            return self._http.request(method, url, headers=headers, **kwargs)
        except (httpx.ReadError, httpx.RemoteProtocolError):
            return None
        except httpx.HTTPError as error:
            raise self._silent(error) from None

    def _silent(self, error: httpx.HTTPError) -> RemoteError:
        return RemoteError(
            f"the marketplace at {self.url} does not answer ({type(error).__name__}); "
            "is it running? `omic up` starts one here"
        )


class Attester:
    """The attester's HTTP face: it cosigns an enrolment and states claims about a party."""

    def __init__(self, url: str, http: httpx.Client | None = None) -> None:
        self.url = url.rstrip("/")
        self._http = http or httpx.Client(timeout=TIMEOUT_SECONDS)

    def cosign(self, submission: Mapping[str, Any]) -> dict[str, Any]:
        """Return the attester's signature over a party's registration."""
        return self._post("/cosign", {"submission": dict(submission)})

    def attest(self, party: str, role: str, claims: Mapping[str, Any]) -> int:
        """Ask for claims about a party; return the ledger index of the party.attested entry."""
        body = {"party": party, "role": role, "claims": dict(claims)}
        return int(self._post("/attest", body)["index"])

    def show_visas(self, party: str, visas: Sequence[str]) -> dict[str, Any]:
        """Show GA4GH visas; return what the attester stated of the party, and where."""
        return self._post("/visas", {"party": party, "visas": list(visas)})

    def _post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        try:
            response = self._http.post(self.url + path, json=dict(body))
        except httpx.HTTPError as error:
            raise RemoteError(
                f"the attester at {self.url} does not answer ({type(error).__name__})"
            ) from None
        value: dict[str, Any] = _checked(response, self.url).json()
        return value


def _given(params: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in params.items() if value is not None}


def _is_busy(response: httpx.Response) -> bool:
    """Tell whether the server asks us to wait and send the same again."""
    return response.status_code in WAIT and "Retry-After" in response.headers


def _pause(response: httpx.Response | None) -> float:
    asked = response.headers["Retry-After"] if response is not None else ""
    return min(float(asked), LONGEST_PAUSE) if asked.isdigit() else 0.2


def _checked(response: httpx.Response, url: str) -> httpx.Response:
    if response.is_success:
        return response
    title, detail, code = f"HTTP {response.status_code}", response.text[:300], ""
    if "json" in response.headers.get("content-type", ""):
        problem = response.json()
        title = str(problem.get("title", title))
        detail = str(problem.get("detail", ""))
        code = str(problem.get("type", "")).rsplit("/", 1)[-1]
    raise RemoteError(f"{url} answered: {title}. {detail}".strip(), response.status_code, code)
