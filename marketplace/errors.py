"""Errors of the marketplace package: one base, and one class for each thing a caller does about it.

Every message says what is wrong, where, and what to do next; it never holds a name, a secret or a
sensitive attribute. `status` and `slug` are how the HTTP face answers (RFC 9457, problem details).
"""

from typing import ClassVar

AFTER_UNKNOWN = "after is not in this list; begin again without it"


class MarketError(Exception):
    """The base of every error this package raises on purpose."""

    status: ClassVar[int] = 500
    slug: ClassVar[str] = "internal"
    title: ClassVar[str] = "The marketplace could not do this"


class ConfigError(MarketError):
    """The configuration or the process's directory is wrong: correct it and start again."""

    slug = "configuration"


class InputError(MarketError):
    """The request is malformed: correct what the message names."""

    status, slug, title = 400, "bad-input", "The request is not valid"


class UnauthenticatedError(MarketError):
    """Nobody is signed in, or the session ended: sign in again."""

    status, slug, title = 401, "sign-in-needed", "Sign in first"


class ForbiddenError(MarketError):
    """The party who is signed in may not do this."""

    status, slug, title = 403, "forbidden", "This account may not do that"


class NotFoundError(MarketError):
    """What was asked for does not exist, or is not the caller's to see."""

    status, slug, title = 404, "not-found", "Not found"


class ConflictError(MarketError):
    """What was asked for does not fit the present state: look again, then decide."""

    status, slug, title = 409, "conflict", "This does not fit the present state"


class ChangedError(MarketError):
    """Somebody changed the thing meanwhile: read it again, then send your change again."""

    status, slug, title = 412, "changed-meanwhile", "It was changed meanwhile"


class IllegalTransitionError(ConflictError):
    """An order in this state cannot take this event."""

    slug, title = "illegal-transition", "The order cannot do that now"


class LostLeaseError(ConflictError):
    """Another worker holds this job now: stop working on it."""

    slug, title = "lost-lease", "The lease on this job is lost"


class ExpiredError(MarketError):
    """A quote, challenge or link is past its time: ask for a new one."""

    status, slug, title = 410, "expired", "Past its time"


class TooLargeError(MarketError):
    """The body is larger than this server accepts."""

    status, slug, title = 413, "too-large", "The body is too large"


class TooManyError(MarketError):
    """The caller has too much waiting here already: let it be done or tidy up, then go on."""

    status, slug, title = 429, "too-many", "Too much is waiting already"


class TamperedError(MarketError):
    """Bytes or fields differ from what was signed or promised: nothing was kept."""

    status, slug, title = 422, "tampered", "What arrived is not what was signed"


class UnavailableError(MarketError):
    """A service this one depends on does not answer: try again later."""

    status, slug, title = 503, "unavailable", "A service we need does not answer"


class NotYetError(UnavailableError):
    """The ledger does not show the entry that was named, or not yet: look again in some seconds."""

    status, slug, title = 409, "not-yet", "The ledger does not show that yet"


class PaymentRefusedError(MarketError):
    """Stripe understood and refused (a declined card, nothing left to refund): do not repeat it."""

    status, slug, title = 402, "payment-refused", "The payment was refused"


class PaymentUnavailableError(UnavailableError):
    """Stripe did not answer or was not sure: repeat the call with the same idempotency key."""

    slug, title = "payment-unavailable", "The payment service does not answer"


class WebhookRefusedError(MarketError):
    """A webhook's signature is forged, broken or too old: nothing in it was believed."""

    status, slug, title = 400, "webhook-refused", "The webhook's signature does not hold"
