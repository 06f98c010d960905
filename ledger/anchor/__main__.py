"""The anchor's command line (extra `evm`).

    python -m ledger.anchor deploy --rpc URL --key FILE --member ADDRESS ... --k K
    python -m ledger.anchor sign   --rpc URL --contract A --trust FILE --member-key FILE
    python -m ledger.anchor post   --rpc URL --contract A --trust FILE --key FILE
                                   [--member-key FILE ...] [--signature HEX ...] [--every MINUTES]
    python -m ledger.anchor audit  --rpc URL --contract A --trust FILE

A member runs `sign` where its key is, on a checkpoint that it verified itself; whoever has
collected k signatures runs `post`. With k member keys at hand (a test network) `post` signs too.
"""

import argparse
import json
import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from web3 import HTTPProvider, Web3

from ledger.anchor.contract import AnchorContract, deploy
from ledger.anchor.signing import MemberSignature, sign_checkpoint
from ledger.anchors import audit_anchors
from ledger.checkpoint import Checkpoint
from ledger.client import LedgerClient
from ledger.config import read_secret
from ledger.errors import FormatError, LedgerError
from ledger.freshness import now_ms, require_fresh
from ledger.policy import verify_checkpoint
from ledger.trust import TrustPolicy

logger = logging.getLogger("ledger.anchor")


def newest(trust: TrustPolicy, note: bytes | None, now: int) -> Checkpoint:
    """Return a checkpoint to sign: the log's newest, or this note's; verified. now: Unix ms."""
    if note is None:
        with LedgerClient(trust.ledger_url) as client:
            note = client.checkpoint().encode()
        require_fresh(
            verify_checkpoint(trust.policy, note).quorum_time * 1000,
            now,
            trust.max_checkpoint_age_ms,
        )
    return verify_checkpoint(trust.policy, note).checkpoint


def post(contract: AnchorContract, options: argparse.Namespace) -> dict[str, Any]:
    """Anchor one checkpoint, unless the chain is that far already. Raises LedgerError."""
    checkpoint = newest(TrustPolicy.load(options.trust), _note(options), now_ms())
    size, _ = contract.head(checkpoint.origin)
    if size >= checkpoint.size:
        return {"size": size, "anchored": False}
    signatures = [MemberSignature.from_hex(text) for text in options.signature]
    keys = [read_secret(path) for path in options.member_key]
    signatures += [sign_checkpoint(key, checkpoint, contract.domain) for key in keys]
    done = contract.anchor(read_secret(_needed(options, "key")), checkpoint, signatures)
    return {"size": done.size, "root": done.root.hex(), "block": done.block, "anchored": True}


def _note(options: argparse.Namespace) -> bytes | None:
    path: Path | None = options.note
    return None if path is None else path.read_bytes()


def _needed(options: argparse.Namespace, name: str) -> Any:
    value = getattr(options, name)
    if value is None:
        raise FormatError(f"give --{name.replace('_', '-')}")
    return value


def _sign(contract: AnchorContract, options: argparse.Namespace) -> dict[str, Any]:
    checkpoint = newest(TrustPolicy.load(options.trust), _note(options), now_ms())
    if len(options.member_key) != 1:
        raise FormatError("give one --member-key")
    key = read_secret(options.member_key[0])
    signature = sign_checkpoint(key, checkpoint, contract.domain)
    return {"size": checkpoint.size, "root": checkpoint.root.hex(), "signature": signature.to_hex()}


def _audit(contract: AnchorContract, options: argparse.Namespace) -> dict[str, Any]:
    trust = TrustPolicy.load(options.trust)
    with LedgerClient(trust.ledger_url) as client:
        return audit_anchors(client, trust, contract, options.first_block).to_json()


def _run(options: argparse.Namespace) -> dict[str, Any]:
    web3 = Web3(HTTPProvider(options.rpc))
    if options.command == "deploy":
        made = deploy(web3, read_secret(_needed(options, "key")), options.member, options.k)
        return {"contract": made.domain.contract, "chain_id": made.domain.chain_id}
    contract = AnchorContract(web3, _needed(options, "contract"))
    if options.command == "sign":
        return _sign(contract, options)
    if options.command == "audit":
        return _audit(contract, options)
    while options.every is not None:
        try:
            logger.info("%s", json.dumps(post(contract, options)))
        except LedgerError as error:
            logger.warning("not anchored: %s", error)
        time.sleep(options.every * 60)
    return post(contract, options)


def main(argv: Sequence[str] | None = None, prog: str = "ledger.anchor") -> int:
    """Run the command line; returns 0, 1 (an audit found something) or 2 (an error)."""
    options = _parser(prog).parse_args(argv)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(message)s")
    try:
        answer = _run(options)
    except (LedgerError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0 if answer.get("ok", True) else 1


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=prog)
    parser.add_argument("command", choices=("deploy", "sign", "post", "audit"))
    parser.add_argument("--rpc", required=True, help="JSON-RPC address of the chain")
    parser.add_argument("--contract", help="address of the anchor contract")
    parser.add_argument("--trust", type=Path, default=Path("trust.json"))
    parser.add_argument("--key", type=Path, help="file with the key that pays, hex")
    parser.add_argument("--member-key", type=Path, action="append", default=[])
    parser.add_argument("--signature", action="append", default=[], help="from `sign`")
    parser.add_argument("--note", type=Path, help="a checkpoint file instead of the newest")
    parser.add_argument("--member", action="append", default=[], help="address of a member")
    parser.add_argument("--k", type=int, default=1)
    parser.add_argument("--every", type=float, help="repeat after so many minutes")
    parser.add_argument("--first-block", type=int, default=0)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
