"""What a compute worker sends and gets."""

from typing import Annotated, Any

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


class HeartbeatIn(In):
    lease: Count


class HeartbeatOut(BaseModel):
    stops: list[dict[str, Any]]
    cancel: bool


class OutcomeIn(In):
    lease: Count
    outcome: dict[str, Any]
