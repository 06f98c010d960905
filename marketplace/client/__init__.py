"""The client of owners, researchers, reviewers and auditors: an SDK and the `omic` command.

A program of its own: it talks to the ledger, the marketplace and the attester over HTTP only, and
no server module imports it. Keys and plaintext never leave it. The SDK is loaded when it is asked
for, so that a process which only needs keys does not load a researcher's tools.
"""

from typing import TYPE_CHECKING, Any

from marketplace.client.errors import ClientError
from marketplace.client.home import Home

if TYPE_CHECKING:
    from marketplace.client.sdk import Answer, Catalogue, Market, Order, Rehearsal

__all__ = ["Answer", "Catalogue", "ClientError", "Home", "Market", "Order", "Rehearsal"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from marketplace.client import sdk

    return getattr(sdk, name)
