"""The marketplace's worker API over HTTP: leases, heartbeats, ciphertext, objects, outcomes.

The worker believes none of it: ciphertext is checked against the signed manifest, a job against
the ledger, and a stop against its signature. Never sends an answer in clear or an error's text.
"""

import hashlib
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import httpx

from compute.errors import ComputeError
from compute.messages import JobMessage, Outcome
from compute.progress import Progress
from compute.terms import parse_value
from compute.worker_outcomes import LeaseLostError, TryAgainError
from compute.worker_ports import Beat
from ledger import LedgerError, Submission, submission_from_json

CONFLICT = 409
NOT_FOUND = 404
MAX_FILE = 4 << 30


class MissingFileError(ComputeError):
    """The marketplace does not have the ciphertext of a dataset."""

    default_code = "ciphertext_missing"


class JobsClient:
    """Calls {marketplace}/worker/v1 with the worker's own token."""

    def __init__(
        self, base_url: str, token: Callable[[], str], worker: str, http: httpx.Client | None = None
    ) -> None:
        self._base = base_url.rstrip("/") + "/worker/v1"
        self._token, self._worker = token, worker
        self._http = http or httpx.Client(timeout=httpx.Timeout(30, read=120))

    def lease(self, job_id: str) -> JobMessage | None:
        """Take a job; None when it is taken, finished or unknown."""
        answer = self._call("POST", f"/jobs/{job_id}/lease", json={"worker": self._worker})
        if answer.status_code in (CONFLICT, NOT_FOUND):
            return None
        return parse_value(JobMessage, self._json(answer))

    def heartbeat(self, job: JobMessage, progress: Progress) -> Beat:
        """Keep the lease, say how far the work is; learn of stops and cancellation.

        Raises LeaseLostError.
        """
        body = {"lease": job.lease, "progress": asdict(progress)}
        answer = self._call("POST", f"/jobs/{job.job_id}/heartbeat", json=body)
        value = self._json(answer)
        stops = [_stop(item) for item in value.get("stops", [])]
        return Beat(tuple(s for s in stops if s is not None), bool(value.get("cancel")))

    def dataset_file(self, dataset: str) -> bytes:
        """Fetch a dataset's whole Crypt4GH file. Raises MissingFileError."""
        answer = self._call("GET", f"/datasets/{dataset}/file")
        if answer.status_code == NOT_FOUND:
            raise MissingFileError("the ciphertext of a dataset is not there")
        self._check(answer)
        if len(answer.content) > MAX_FILE:
            raise MissingFileError("the ciphertext is larger than a file may be")
        return answer.content

    def put_object(self, job: JobMessage, name: str, data: bytes) -> None:
        """Upload an encrypted object of a job; repeating the same bytes is harmless."""
        headers = {"X-Content-SHA256": hashlib.sha256(data).hexdigest()}
        path = f"/jobs/{job.job_id}/objects/{name}"
        answer = self._call("PUT", path, params={"lease": job.lease}, content=data, headers=headers)
        self._check(answer)

    def outcome(self, job: JobMessage, outcome: Outcome) -> None:
        """Report how a job ended. Raises LeaseLostError."""
        body = {"lease": job.lease, "outcome": outcome.to_dict()}
        self._check(self._call("POST", f"/jobs/{job.job_id}/outcome", json=body))

    def _call(self, method: str, path: str, **more: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self._token()}", **more.pop("headers", {})}
        try:
            return self._http.request(method, self._base + path, headers=headers, **more)
        except httpx.HTTPError:
            raise TryAgainError("the marketplace does not answer") from None

    def _json(self, answer: httpx.Response) -> dict[str, Any]:
        self._check(answer)
        try:
            value = answer.json()
        except ValueError:
            raise TryAgainError("the marketplace answered something that is not JSON") from None
        if not isinstance(value, dict):
            raise TryAgainError("the marketplace answered something that is not an object")
        return value

    @staticmethod
    def _check(answer: httpx.Response) -> None:
        if answer.status_code == CONFLICT:
            raise LeaseLostError("the lease of this job is lost")
        if answer.status_code >= 400:
            raise TryAgainError(f"the marketplace answered {answer.status_code}")


def _stop(value: Any) -> Submission | None:
    """Parse a stop; a malformed one is nobody's signed word and is passed over."""
    try:
        return submission_from_json(value)
    except LedgerError:
        return None
