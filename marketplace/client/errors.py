"""What can go wrong on the client, as the person at the keyboard should read it."""


class ClientError(Exception):
    """Something the user can act on: the message says what is wrong, where, and what to do."""


class HomeError(ClientError):
    """The client's own directory lacks something or holds something it must not."""


class RemoteError(ClientError):
    """A server refused or failed; `status` is its HTTP status, `code` its problem type."""

    def __init__(self, message: str, status: int = 0, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class LedgerChangedError(ClientError):
    """The ledger no longer agrees with a receipt or checkpoint this client kept."""
