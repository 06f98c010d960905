"""Stripe's error answers as one exception.

`kept` says whether Stripe would store the answer under the Idempotency-Key: yes once the endpoint
began to execute (a declined card), no when the parameters failed validation.
Spec: https://docs.stripe.com/api/errors.
"""

from typing import Any


class StripeFault(Exception):
    """An error answer: HTTP status and the `error` object of Stripe's JSON."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        kept: bool = False,
        **extra: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kept = kept
        fields = {"type": kind, "message": message, "code": code, "param": param, **extra}
        self.error = {name: value for name, value in fields.items() if value is not None}


def missing(param: str) -> StripeFault:
    """Refuse a request that lacks a required parameter."""
    return StripeFault(f"Missing required param: {param}.", code="parameter_missing", param=param)


def invalid(param: str, why: str, code: str = "parameter_invalid") -> StripeFault:
    """Refuse a parameter whose value cannot be used."""
    return StripeFault(f"Invalid {param}: {why}", code=code, param=param)


def unknown_param(param: str) -> StripeFault:
    """Refuse a parameter this endpoint does not take."""
    return StripeFault(
        f"Received unknown parameter: {param}", code="parameter_unknown", param=param
    )


def no_such(kind: str, object_id: str, param: str = "id") -> StripeFault:
    """Refuse an id that names nothing (404 as Stripe answers)."""
    return StripeFault(
        f"No such {kind}: '{object_id}'", status=404, code="resource_missing", param=param
    )


def wrong_state(message: str, code: str, **extra: Any) -> StripeFault:
    """Refuse a change the object's state does not allow; the answer is kept."""
    return StripeFault(message, code=code, kept=True, **extra)


def idempotency_reuse(key: str) -> StripeFault:
    """Refuse a key that was first used with another request."""
    return StripeFault(
        "Keys for idempotent requests can only be used with the same parameters they were first "
        f"used with. Use another key than '{key}' if you meant to run a different request.",
        kind="idempotency_error",
    )
