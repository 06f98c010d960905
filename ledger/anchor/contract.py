"""The anchor contract, reached through web3 on any EVM JSON-RPC endpoint.

The contract was compiled once by the pinned compiler; its bytes are in checkpoint_anchor.json.
Sends sizes, roots and signatures, and nothing else.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from eth_account import Account
from eth_account.signers.local import LocalAccount
from web3 import Web3
from web3.exceptions import Web3Exception

from ledger.anchor.signing import Domain, MemberSignature, origin_hash, signer_of
from ledger.anchors import Anchored
from ledger.checkpoint import Checkpoint
from ledger.errors import LedgerError

ARTEFACT = Path(__file__).with_name("checkpoint_anchor.json")
RECEIPT_SECONDS = 60.0
GAS_PERCENT = 130
BLOCKS_PER_CALL = 5_000


class AnchorError(LedgerError):
    """The chain refused, or cannot be reached: nothing was anchored."""


def deploy(web3: Web3, key: str, members: Sequence[str], k: int) -> "AnchorContract":
    """Put the contract on a chain: k of these members must sign. Raises AnchorError."""
    artefact = json.loads(ARTEFACT.read_text())
    factory = web3.eth.contract(abi=artefact["abi"], bytecode=artefact["bytecode"])
    ordered = sorted(members, key=lambda address: int(address, 16))
    receipt = _send(web3, key, factory.constructor(ordered, k))
    return AnchorContract(web3, str(receipt["contractAddress"]))


class AnchorContract:
    """One deployed contract."""

    def __init__(self, web3: Web3, address: str) -> None:
        self._web3 = web3
        self._contract: Any = web3.eth.contract(
            address=Web3.to_checksum_address(address), abi=json.loads(ARTEFACT.read_text())["abi"]
        )
        self.domain = Domain(web3.eth.chain_id, str(self._contract.address))

    def members(self) -> tuple[str, ...]:
        """Return the members' addresses, in rising order."""
        return tuple(map(str, self._contract.functions.members().call()))

    def threshold(self) -> int:
        """Return how many members must sign."""
        return int(self._contract.functions.threshold().call())

    def head(self, origin: str) -> tuple[int, bytes]:
        """Return the newest anchored size and root of a log; size 0 if there is none."""
        size, root, _ = self._contract.functions.heads(origin_hash(origin)).call()
        return int(size), bytes(root)

    def anchor(
        self, key: str, checkpoint: Checkpoint, signatures: Sequence[MemberSignature]
    ) -> Anchored:
        """Bring a checkpoint with its members' signatures; key: who pays for the transaction.

        Raises AnchorError, with the contract's own reason, and FormatError.
        """
        by_signer = {signer_of(one, checkpoint, self.domain): one for one in signatures}
        ordered = sorted(by_signer, key=lambda address: int(address, 16))
        call = self._contract.functions.anchor(
            origin_hash(checkpoint.origin),
            checkpoint.size,
            checkpoint.root,
            [(by_signer[who].v, by_signer[who].r, by_signer[who].s) for who in ordered],
        )
        receipt = _send(self._web3, key, call)
        return Anchored(
            checkpoint.size, checkpoint.root, int(receipt["blockNumber"]), tuple(ordered)
        )

    def anchored(self, origin: str, first_block: int = 0) -> list[Anchored]:
        """Return everything anchored of a log since a block, in the chain's order."""
        found: list[Anchored] = []
        last = self._web3.eth.block_number
        for start in range(first_block, last + 1, BLOCKS_PER_CALL):
            events = self._contract.events.Anchored().get_logs(
                from_block=start,
                to_block=min(start + BLOCKS_PER_CALL - 1, last),
                argument_filters={"origin": origin_hash(origin)},
            )
            found += [_anchored(event) for event in events]
        return found


def _anchored(event: Any) -> Anchored:
    args = event["args"]
    return Anchored(
        int(args["size"]), bytes(args["root"]), int(event["blockNumber"]), tuple(args["signers"])
    )


def _send(web3: Web3, key: str, call: Any) -> dict[str, Any]:
    account = cast(LocalAccount, Account.from_key(key))
    try:
        transaction = call.build_transaction(
            {
                "from": account.address,
                "nonce": web3.eth.get_transaction_count(account.address, "pending"),
            }
        )
        # The estimate is for this second: a block of a later one may write a slot more.
        transaction["gas"] = transaction["gas"] * GAS_PERCENT // 100
        signed = account.sign_transaction(transaction)
        name = web3.eth.send_raw_transaction(signed.raw_transaction)
        receipt = web3.eth.wait_for_transaction_receipt(name, timeout=RECEIPT_SECONDS)
    except (Web3Exception, OSError, ValueError) as error:
        raise AnchorError(f"the chain did not take it: {_reason(error)}") from None
    except Exception as error:
        # py-evm's in-process provider raises its own errors, which have no base in web3.
        if type(error).__module__.split(".")[0] not in ("eth_tester", "eth_utils", "eth"):
            raise
        raise AnchorError(f"the chain did not take it: {_reason(error)}") from None
    if receipt["status"] != 1:
        raise AnchorError("the chain took the transaction, but the contract refused it")
    return cast("dict[str, Any]", receipt)


def _reason(error: Exception) -> str:
    return str(error).replace("\n", " ")[:200]
