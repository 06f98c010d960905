"""Named steps of a job: a place to die, for the tests that kill a worker everywhere.

`checkpoint_step(name)` does nothing unless the environment variable OMIC_FAULT_STEP holds that
name; then the process kills itself with SIGKILL, as a power cut would. A documented test hook:
it can stop a worker and do nothing else, so it weakens no rule.
"""

import os
import signal

STEPS = (
    "ingest_before_access",
    "ingest_access_appended",
    "ingest_before_open",
    "ingest_one_stored",
    "query_started",
    "query_judged",
    "query_reserved",
    "query_access_appended",
    "query_access_included",
    "query_before_open",
    "query_half_summed",
    "query_answer_kept",
    "query_draft_uploaded",
    "release_result_signed",
    "release_result_appended",
    "release_before_delivery",
    "release_half_delivered",
    "release_delivered",
    "close_appended",
)
HELPER_STEPS = ("parts_offered", "part_taken")  # of a pass that is shared


def checkpoint_step(name: str) -> None:
    """Pass a named step; die there with SIGKILL when OMIC_FAULT_STEP says so."""
    if os.environ.get("OMIC_FAULT_STEP") == name:
        _die()


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
