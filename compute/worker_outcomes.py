"""Fixed outcome codes of a job: the only words about a failure that leave the worker.

Never carries an exception's text: a text could say whose data a job stumbled on.
"""

from enum import StrEnum

from compute.accountant import BudgetExceededError
from compute.errors import ComputeError
from ledger import LedgerError


class Code(StrEnum):
    """Why an order was refused, withheld or failed; in access.refused and result.withheld too."""

    UNKNOWN_ORDER = "unknown_order"
    NOT_OPEN = "order_not_open"
    NOT_PAID = "not_paid"
    PRICE = "below_asked_price"
    BAD_ORDER = "bad_order"
    WRONG_QUERY = "query_digest_differs"
    WRONG_CODE = "code_digest_differs"
    WRONG_REGION = "wrong_region"
    ATTESTATION = "attestation_missing"
    PICKED = "variants_picked"
    NOT_PRIVATE = "not_private"
    NOISE = "noise_too_large"
    NEAR_COHORT = "near_cohort"
    COHORT_FLOOR = "below_floor"
    BUDGET = "budget_exhausted"
    MEMBER_STOPPED = "member_stopped"
    COHORT_CHANGED = "cohort_changed_twice"
    NOT_RELEASABLE = "nothing_releasable"
    REVIEW_REJECTED = "review_rejected"
    NO_REVIEWER = "no_reviewer"
    UNDECIDABLE = "ledger_undecidable"
    CANCELLED = "cancelled"
    LEDGER = "ledger_unavailable"
    INTERNAL = "internal"


class JobRefusedError(ComputeError):
    """The order may not run; the code is public, the message is for the worker's own log."""

    default_code = Code.INTERNAL.value

    def __init__(self, code: Code, message: str = "the order may not run") -> None:
        super().__init__(message, code=code.value)
        self.outcome = code


class TryAgainError(ComputeError):
    """Nothing is decided: the job goes back to the queue (ledger silent, lease lost, stop)."""

    default_code = "try_again"


class LeaseLostError(TryAgainError):
    """Another worker holds this job now; nothing more may be written under the old lease."""

    default_code = "lease_lost"


class MemberStoppedError(ComputeError):
    """A member of the cohort stopped while its order ran: partial sums are thrown away."""

    default_code = Code.MEMBER_STOPPED.value


def code_of(error: Exception) -> Code:
    """Return the public code of an error; anything unexpected is "internal"."""
    if isinstance(error, JobRefusedError):
        return error.outcome
    if isinstance(error, BudgetExceededError):
        return Code.BUDGET
    if isinstance(error, MemberStoppedError):
        return Code.MEMBER_STOPPED
    if isinstance(error, LedgerError):
        return Code.LEDGER
    return Code.INTERNAL
