"""The Celery application, on any broker a URL names: `omic.run(job_id)` for workers, and
`omic.part(order, attempt, number)` for those who help them.

The broker carries opaque ids and numbers and nothing else: JSON only, arguments masked in every log
and header, no result backend. Jobs live in the marketplace's table; a message lost by a broker is
sent again by its sweeper, and a partition nobody heard of is summed by its lead. Never imported by
pure code.
"""

import os
from pathlib import Path
from typing import Any

from celery import Celery, Task
from kombu.entity import Queue

QUEUE = "compute"
TASK = "omic.run"
PART_TASK = "omic.part"
POLL_S = 0.05
# A connection kept from an earlier order may have ended; a broker that is away is not waited for.
AGAIN = {"max_retries": 2, "interval_start": 0, "interval_step": 0.1, "interval_max": 0.1}
VISIBILITY_S = 6 * 3600
FOLDER_MODE = 0o700
FILESYSTEM = "filesystem://"


def queue_of(region: str) -> str:
    """Return the queue of a region; the embedded one keeps the plain name."""
    return QUEUE if region == "local" else f"{QUEUE}.{region}"


def part_queue_of(region: str) -> str:
    """Return the queue a region's helpers read; the name of no region's queue ends in it."""
    return f"parts-{region}"


class QuietTask(Task):  # type: ignore[misc]
    """A task whose arguments and result appear in no log and no header."""

    abstract = True
    resultrepr_maxsize = 0
    ignore_result = True

    def apply_async(self, *args: Any, **options: Any) -> Any:
        """Send the task with its arguments masked."""
        options.update(argsrepr="(...)", kwargsrepr="{...}")
        return super().apply_async(*args, **options)


def make_app(
    broker_url: str, directory: Path, region: str = "local", queue: str | None = None
) -> Celery:
    """Make the application for a broker URL; folders of a filesystem broker get mode 0700.

    It reads one queue alone, that of its region's jobs unless it is told another: other regions'
    messages never come here.
    """
    queue = queue or queue_of(region)
    app = Celery("omic", task_cls=QuietTask, set_as_current=False)
    url, options = _transport(broker_url, directory)
    app.conf.update(
        broker_url=url,
        broker_transport_options=options,
        broker_connection_retry_on_startup=True,
        # A job holds the only thread longer than RabbitMQ waits for a beat; TCP tells of a death.
        broker_heartbeat=0,
        task_default_queue=queue,
        task_queues=(Queue(queue),),  # type: ignore[no-untyped-call]
        task_serializer="json",
        result_serializer="json",
        accept_content=["json"],
        result_backend=None,
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        worker_enable_remote_control=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_send_task_events=False,
    )
    return app


def _transport(broker_url: str, directory: Path) -> tuple[str, dict[str, Any]]:
    if broker_url.startswith(FILESYSTEM):
        root = (directory / broker_url.removeprefix(FILESYSTEM)).resolve()
        return f"{FILESYSTEM}localhost", filesystem_options(root)
    if broker_url.startswith(("redis://", "rediss://")):
        return broker_url, {
            "visibility_timeout": VISIBILITY_S,
            "unacked_restore_interval": 2,
            "unacked_restore_throttle": 1,
        }
    return broker_url, {}


class PartSender:
    """Tells a region's helpers of partitions to be summed."""

    def __init__(self, broker_url: str, directory: Path, region: str) -> None:
        self._queue = part_queue_of(region)
        self._app = make_app(broker_url, directory, region, self._queue)
        self._folders: tuple[Path, Path] | None = None
        if broker_url.startswith(FILESYSTEM):
            options = self._app.conf.broker_transport_options
            queue = Path(options["data_folder_out"])
            out = queue.parent / f"out-parts-{os.getpid()}"
            out.mkdir(mode=FOLDER_MODE, exist_ok=True)
            self._app.conf.broker_transport_options = {**options, "data_folder_out": str(out)}
            self._folders = out, queue

    def send(self, order: str, attempt: int, number: int) -> None:
        """Tell of one partition. Raises whatever the transport does."""
        self._app.send_task(
            PART_TASK,
            args=[order, attempt, number],
            queue=self._queue,
            ignore_result=True,
            argsrepr="(...)",
            kwargsrepr="{...}",
            retry=True,
            retry_policy=AGAIN,
        )
        if self._folders is not None:
            # The transport writes in place: whoever reads must not see half a message.
            out, queue = self._folders
            for path in out.iterdir():
                path.replace(queue / path.name)


def filesystem_options(root: Path) -> dict[str, Any]:
    """Make the broker's folders and return the transport options both sides use."""
    folders = {name: root / name for name in ("queue", "control", "processed")}
    for folder in folders.values():
        folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        os.chmod(folder, FOLDER_MODE)  # noqa: PTH101  (an older folder may be wider)
    return {
        "data_folder_in": str(folders["queue"]),
        "data_folder_out": str(folders["queue"]),
        "control_folder": str(folders["control"]),
        "processed_folder": str(folders["processed"]),
        "store_processed": True,
        "polling_interval": POLL_S,
    }
