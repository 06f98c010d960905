"""The compute worker's program: `python -m compute.worker init --dir D`, and `… --dir D` to run;
`… help --dir D --name N` for one that only sums partitions of passes another leads.

Works on one job at a time from the broker (Celery, solo pool), opens no port, and between jobs
follows the ledger so that a withdrawal destroys keys at once. What is finished waits for a clock
tick while the next job is worked on. SIGTERM finishes the job in hand, and those that wait.
Never writes a core dump and logs ids and digests only.
"""

import argparse
import gc
import json
import logging
import os
import re
import resource
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compute.config import default_settings, format_toml, load_config
from compute.errors import ComputeError
from compute.keys import create_keys
from compute.ontology import use_ontology_file
from ledger import LedgerError, b64

if TYPE_CHECKING:
    from compute.worker_ports import Workshop

TEND_S = 2.0
USAGE = 2
logger = logging.getLogger("compute.worker")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; return its exit status (0 done, 1 failed, 2 wrong use or configuration)."""
    options = _options(arguments)
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(name)s %(message)s")
    logging.getLogger("compute").setLevel(logging.INFO)  # Celery sets the root's to WARNING
    for noisy in ("httpx", "httpcore", "alembic", "celery.worker.strategy", "celery.app.trace"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        if options.command == "init":
            return init(options.dir, options.region)
        if options.command == "help":
            return run_helper(options.dir, options.name)
        return run(options.dir)
    except ComputeError as error:
        sys.stderr.write(f"compute.worker: {error}\n")
        return USAGE
    except LedgerError as error:
        sys.stderr.write(f"compute.worker: {error}\n")
        return 1


def _options(arguments: Sequence[str] | None) -> Any:
    parser = argparse.ArgumentParser(prog="python -m compute.worker", description=__doc__)
    parser.add_argument("command", nargs="?", choices=["init", "run", "help"], default="run")
    parser.add_argument("--dir", type=Path, required=True, help="the worker's own directory")
    parser.add_argument("--region", default="local", help="the region its keys are for (init)")
    parser.add_argument("--name", default="helper-1", type=_name, help="a helper's own (help)")
    return parser.parse_args(arguments)


def _name(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9-]{1,32}", text):
        raise argparse.ArgumentTypeError("a name has small letters, digits and hyphens")
    return text


def init(directory: Path, region: str) -> int:
    """Create keys and a default configuration; print the public part as one JSON line."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    keys = create_keys(directory, region, time.time_ns() // 1_000_000)
    path = directory / "config.toml"
    if not path.exists():
        path.write_text(format_toml(default_settings(directory, region)))
    public = {
        "compute": b64(keys.identity_public),
        "region": region,
        "keys": [epoch.published() for epoch in keys.epochs],
    }
    sys.stdout.write(json.dumps(public, sort_keys=True) + "\n")
    return 0


def run(directory: Path) -> int:
    """Replay the ledger, then serve jobs until SIGTERM."""
    # Loaded here and not above: `init` only makes keys and should not wait for the engine.
    from compute.worker_held import HeldJobs
    from compute.worker_run import lease_job
    from compute.worker_start import build_workshop, open_for_work, wait_for_ledger

    config = load_config(directory)
    use_ontology_file(os.environ.get("OMIC_ONTOLOGY"))
    shop = build_workshop(config)
    wait_for_ledger(shop)
    open_for_work(shop)
    busy, ended = threading.Lock(), threading.Event()
    held = HeldJobs(shop.wait_for_tick, busy)

    def handle(job_id: str) -> None:
        with busy:
            leased = lease_job(shop, job_id)
            if leased is not None:
                held.work(leased)

    tending = (shop, directory / "keys", busy, ended)
    tender = threading.Thread(target=_tend, args=tending, name="tender", daemon=True)
    tender.start()
    held.start()
    gc.freeze()  # the fold and the variant table stay: collections need not walk them again
    logger.info("ready: region %s", config.region)
    status = serve(config.broker_url, directory, handle, config.region)
    ended.set()
    held.end()
    return status


def run_helper(directory: Path, name: str) -> int:
    """Sum partitions that workers of this directory offer, until SIGTERM."""
    from compute.broker import PART_TASK, part_queue_of
    from compute.kernels import engine
    from compute.messages import PartMessage
    from compute.worker_helper import help_with
    from compute.worker_start import build_workshop, wait_for_database, wait_for_ledger

    config = load_config(directory)
    use_ontology_file(os.environ.get("OMIC_ONTOLOGY"))
    wait_for_database(config)
    shop = build_workshop(config, helper=name)
    wait_for_ledger(shop)
    engine()  # a helper's kernels are those of a lead that shares: the last bits hang on it
    busy, ended = threading.Lock(), threading.Event()

    def handle(order: str, attempt: int, number: int) -> None:
        with busy:
            _safely(
                lambda: help_with(shop, PartMessage(order=order, attempt=attempt, number=number))
            )

    threading.Thread(target=_follow, args=(shop, busy, ended), name="tender", daemon=True).start()
    gc.freeze()
    logger.info("ready to help: region %s", config.region)
    queue = part_queue_of(config.region)
    status = serve(config.broker_url, directory, handle, config.region, PART_TASK, queue)
    ended.set()
    return status


def serve(
    broker_url: str,
    directory: Path,
    handle: Callable[..., None],
    region: str = "local",
    task: str | None = None,
    queue: str | None = None,
) -> int:
    """Give the arguments of every message to `handle`, one at a time, until SIGTERM.

    task, queue: those of jobs, a job id each, unless others are named.
    """
    from compute.broker import TASK, make_app, queue_of

    queue = queue or queue_of(region)
    app = make_app(broker_url, directory, region, queue)

    @app.task(name=task or TASK)  # type: ignore[untyped-decorator]
    def omic_task(*arguments: Any) -> None:
        handle(*arguments)

    worker = app.Worker(
        pool="solo",
        queues=[queue],
        hostname=f"compute@{os.getpid()}",
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        loglevel="WARNING",
        optimization="fair",
    )
    worker.start()
    return int(worker.exitcode or 0)


def _safely(work: Callable[[], object]) -> None:
    """Do one message's work; no error of it may end the process or tell what it met."""
    try:
        work()
    except Exception as error:  # its text could quote a person's data: the type only
        logger.warning("a message was left aside: %s", type(error).__name__)


def _follow(shop: "Workshop", busy: threading.Lock, ended: threading.Event) -> None:
    """Between messages, follow the log, so that what was withdrawn is destroyed at once."""
    from compute.worker_stops import follow

    while not ended.wait(TEND_S):
        if busy.acquire(blocking=False):
            try:
                _safely(lambda: follow(shop))
            finally:
                busy.release()


def _tend(shop: "Workshop", keys: Path, busy: threading.Lock, ended: threading.Event) -> None:
    """Between jobs, follow the log: what was withdrawn is destroyed without waiting for a job.

    Draws the next epoch's keys and destroys ended ones, too. No error ends it: a worker that no
    longer tends would keep what its owners took back.
    """
    from compute.worker_epochs import tend_epochs
    from compute.worker_stops import follow

    while not ended.wait(TEND_S):
        if not busy.acquire(blocking=False):
            continue
        try:
            follow(shop)
            tend_epochs(shop, keys, int(shop.follower.checkpoint.quorum_time))
        except Exception as error:  # its text could quote a person's data: the type only
            logger.warning("following the ledger: %s", type(error).__name__)
        finally:
            busy.release()


if __name__ == "__main__":
    sys.exit(main())
