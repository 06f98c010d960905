"""The ledger's programs, for a command line that may reach the ledger through its face only.

Each is loaded by name when it is called: whoever imports the face pulls in no web server, no
database and no web3 (extra `evm`), and depends on none.
"""

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ledger.errors import LedgerError

if TYPE_CHECKING:
    from ledger.anchors import Anchors

NO_WEB3 = "anchoring needs web3: pip install 'omic-market[evm]'"


def run_witness(argv: Sequence[str]) -> int:
    """Run `omic witness ...`; returns the exit code."""
    return _run("ledger.witness", argv, "omic witness")


def run_mirror(argv: Sequence[str]) -> int:
    """Run `omic mirror ...`; returns the exit code."""
    return _run("ledger.mirror", argv, "omic mirror")


def run_anchor(argv: Sequence[str]) -> int:
    """Run `omic anchor ...`; returns the exit code. Raises LedgerError without web3."""
    return _run("ledger.anchor.__main__", argv, "omic anchor")


def open_anchors(rpc: str, contract: str) -> "Anchors":
    """Return what a contract on the chain behind a JSON-RPC address has anchored.

    Raises LedgerError when web3 is not installed or the chain does not answer.
    """
    web3, ours = _load("web3"), _load("ledger.anchor.contract")
    try:
        anchors: Anchors = ours.AnchorContract(web3.Web3(web3.HTTPProvider(rpc)), contract)
    except (OSError, ValueError) as error:
        raise LedgerError(
            f"cannot reach contract {contract} at {rpc} ({type(error).__name__}: {error})"
        ) from None
    return anchors


def _run(module: str, argv: Sequence[str], prog: str) -> int:
    code: int = _load(module).main(argv, prog)
    return code


def _load(module: str) -> Any:
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name not in ("web3", "eth_account"):
            raise
        raise LedgerError(NO_WEB3) from None
