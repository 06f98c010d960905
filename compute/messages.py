"""What the marketplace and the worker say to each other, frozen: a job to do, and its outcome.

The worker believes nothing in a job: it names work, and permission comes from the ledger. An
outcome carries ids, digests and closed codes, never an answer, an error text or a person's data.
Spec: DESIGN section 2.1 (who talks to whom).
"""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StrictInt, StrictStr, model_validator

from compute.values import Value, unique

Id = Annotated[StrictStr, Field(pattern=r"^[0-9a-f]{32}$")]
Digest = Annotated[StrictStr, Field(pattern=r"^[0-9a-f]{64}$")]
Code = Annotated[StrictStr, Field(pattern=r"^[a-z][a-z0-9_.]{0,63}$")]
JobKind = Literal["query", "ingest", "release"]
State = Literal["released", "awaiting_review", "refused", "withheld", "failed", "ingested"]


class JobMessage(Value):
    """One leased job. lease is a fencing number: only the newest lease may write."""

    job_id: Id
    kind: JobKind
    order: Id | None = None
    attempt: Annotated[StrictInt, Field(ge=1, le=1000)]
    lease: Annotated[StrictInt, Field(ge=1)]
    lease_ms: Annotated[StrictInt, Field(ge=1)]

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.order is None) != (self.kind == "ingest"):
            raise ValueError("an ingest has no order, every other job has one")
        return self


class PartMessage(Value):
    """A partition of an order's pass that a helper may sum; a hint, and nothing else."""

    order: Id
    attempt: Annotated[StrictInt, Field(ge=1, le=1000)]
    number: Annotated[StrictInt, Field(ge=0, le=1_000_000)]


class Outcome(Value):
    """How a job ended. code says why it did not end well; scope holds grant ids that are paid.

    datasets: dataset id -> code, for an ingest ("ingested" or why not).
    """

    state: State
    code: Code | None = None
    access: Id | None = None
    scope: Annotated[tuple[Id, ...], AfterValidator(unique)] = ()
    result_sha256: Digest | None = None
    draft_commitment: Digest | None = None
    datasets: dict[Id, Code] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.state in ("refused", "withheld", "failed") and self.code is None:
            raise ValueError(f"an outcome of state {self.state} says why in its code")
        if self.state == "released" and (self.access is None or self.result_sha256 is None):
            raise ValueError("a release names its access entry and its result")
        if self.state == "awaiting_review" and self.draft_commitment is None:
            raise ValueError("a draft for review names its commitment")
        return self
