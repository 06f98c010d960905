"""Errors of the ledger package: one base, and one class for each thing a caller does about it.

Every message says what is wrong, where, and what to do next, and never quotes entry contents.
"""


class LedgerError(Exception):
    """The base of every error this package raises on purpose."""


class FormatError(LedgerError):
    """Bytes or text do not follow the format they claim: refuse them, nothing else can help."""


class VerificationError(LedgerError):
    """A signature, hash or proof is well formed and wrong: do not use what it covers."""


class ConsistencyError(VerificationError):
    """Two views of one log do not fit together: the log changed its past, or showed two."""


class PolicyError(LedgerError):
    """A trust policy is unsafe, or a checkpoint does not meet it: treat as unwitnessed."""


class StaleError(LedgerError):
    """The newest proof at hand is too old to act on: fetch again, and refuse until then."""


class RefusedError(LedgerError):
    """A submission breaks a rule of the log: correct it before sending it again."""


class NotFoundError(LedgerError):
    """What was asked for is not in this log or store."""


class StoreError(LedgerError):
    """The store cannot do what was asked durably: nothing may be acknowledged."""
