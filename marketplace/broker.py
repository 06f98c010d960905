"""Sends job ids to the workers through Celery, by the task's name only.

The message holds one opaque id. The filesystem transport needs no server; Redis and RabbitMQ are
chosen by URL. A lost message is no loss: the sweeper sends the id again.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from celery import Celery

from marketplace.errors import UnavailableError

APP_NAME, TASK, QUEUE = "omic", "omic.run", "compute"
FILESYSTEM = "filesystem://"


class JobSender(Protocol):
    """Where job ids go."""

    def send(self, job_id: str, region: str) -> None:
        """Hand one job id to the workers of a region. Raises UnavailableError."""


def queue_of(region: str) -> str:
    """Return the queue of a region; the embedded one keeps the plain name."""
    return QUEUE if region == "local" else f"{QUEUE}.{region}"


class CelerySender:
    """Sends through Celery. instance: a name no other sender on this broker uses at once."""

    def __init__(self, broker_url: str, directory: Path, instance: str = "0") -> None:
        self._folders: _Folders | None = None
        settings: dict[str, Any] = {"broker": broker_url}
        if broker_url.startswith(FILESYSTEM):
            root = directory / broker_url.removeprefix(FILESYSTEM)
            self._folders = _Folders(root / "queue", root / f"out-{instance}")
            settings = _filesystem(root, self._folders)
        self._app = Celery(APP_NAME, task_ignore_result=True, **settings)

    def send(self, job_id: str, region: str = "local") -> None:
        """Hand one job id to the workers of a region. Raises UnavailableError."""
        try:
            self._app.send_task(
                TASK,
                args=[job_id],
                queue=queue_of(region),
                ignore_result=True,
                argsrepr="(...)",
                kwargsrepr="{}",
                retry=False,
            )
            if self._folders is not None:
                self._folders.hand_over()
        except Exception as error:
            # Every transport raises errors of its own; the job stays queued in the table.
            raise UnavailableError(
                f"the job broker took no message ({type(error).__name__})"
            ) from error


@dataclass(frozen=True, slots=True)
class _Folders:
    """Messages are written in `out` and renamed into `queue` when they are whole.

    The transport itself writes in place: a reader can see a half-written message, and dies of it.
    """

    queue: Path
    out: Path

    def hand_over(self) -> None:
        for path in self.out.iterdir():
            path.replace(self.queue / path.name)


def _filesystem(root: Path, folders: _Folders) -> dict[str, Any]:
    control, processed = root / "control", root / "processed"
    for path in (root, folders.queue, folders.out, control, processed):
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    for left_over in folders.out.iterdir():
        left_over.unlink()  # of a crash, perhaps cut short; the sweeper sends the job again
    options = {
        "data_folder_in": str(folders.queue),
        "data_folder_out": str(folders.out),
        "processed_folder": str(processed),
        "control_folder": str(control),
        "polling_interval": 0.05,
        "store_processed": True,
    }
    return {"broker": f"{FILESYSTEM}localhost", "broker_transport_options": options}
