"""The ledger's programs, for a command line that may reach the ledger through its face only.

Each is loaded when it is called: a witness needs no database server, and nothing but the anchor
needs web3 (extra `evm`).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ledger.errors import LedgerError

if TYPE_CHECKING:
    from ledger.anchors import Anchors

NO_WEB3 = "anchoring needs web3: pip install 'omic-market[evm]'"


def run_witness(argv: Sequence[str]) -> int:
    """Run `omic witness ...`; returns the exit code."""
    from ledger import witness

    return witness.main(argv, "omic witness")


def run_mirror(argv: Sequence[str]) -> int:
    """Run `omic mirror ...`; returns the exit code."""
    from ledger import mirror

    return mirror.main(argv, "omic mirror")


def run_anchor(argv: Sequence[str]) -> int:
    """Run `omic anchor ...`; returns the exit code. Raises LedgerError without web3."""
    try:
        from ledger.anchor import __main__ as anchor
    except ModuleNotFoundError:
        raise LedgerError(NO_WEB3) from None
    return anchor.main(argv, "omic anchor")


def open_anchors(rpc: str, contract: str) -> "Anchors":
    """Return what a contract on the chain behind a JSON-RPC address has anchored.

    Raises LedgerError when web3 is not installed or the chain does not answer.
    """
    try:
        from web3 import HTTPProvider, Web3

        from ledger.anchor.contract import AnchorContract
    except ModuleNotFoundError:
        raise LedgerError(NO_WEB3) from None
    try:
        return AnchorContract(Web3(HTTPProvider(rpc)), contract)
    except (OSError, ValueError) as error:
        raise LedgerError(
            f"cannot reach contract {contract} at {rpc} ({type(error).__name__}: {error})"
        ) from None
