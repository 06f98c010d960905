"""What a compute worker sends and gets."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from marketplace.api.models import Count, In


class LeaseIn(In):
    worker: Annotated[str, Field(min_length=1, max_length=200)]


class JobOut(BaseModel):
    job_id: str
    kind: str
    order: str | None
    attempt: int
    lease: int
    lease_ms: int


class ProgressIn(In):
    """How far the work is; done of total planned partitions, 0 of 0 where it does not sum."""

    step: Literal["planned", "opening", "summing", "waiting"]
    done: Annotated[int, Field(ge=0, le=1000)] = 0
    total: Annotated[int, Field(ge=0, le=1000)] = 0


class HeartbeatIn(In):
    lease: Count
    progress: ProgressIn | None = None


class HeartbeatOut(BaseModel):
    stops: list[dict[str, Any]]
    cancel: bool


class OutcomeIn(In):
    lease: Count
    outcome: dict[str, Any]
