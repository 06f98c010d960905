"""The client of owners, researchers, reviewers and auditors: an SDK and the `omic` command.

A program of its own: it talks to the ledger, the marketplace and the attester over HTTP only, and
no server module imports it. Keys and plaintext never leave it.
"""

from marketplace.client.errors import ClientError
from marketplace.client.home import Home
from marketplace.client.market import Market

__all__ = ["ClientError", "Home", "Market"]
