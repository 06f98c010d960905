"""What a member of the consortium signs: one checkpoint for one contract on one chain (EIP-712).

Pure, apart from the arithmetic of eth-account. Never decides whether a checkpoint may be signed:
the caller has verified it against the witness policy.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from eth_account import Account
from eth_account.messages import SignableMessage, encode_typed_data

from ledger.checkpoint import Checkpoint
from ledger.errors import FormatError

NAME, VERSION = "Omic checkpoint anchor", "1"
_TYPES = {
    "Checkpoint": [
        {"name": "origin", "type": "bytes32"},
        {"name": "size", "type": "uint64"},
        {"name": "root", "type": "bytes32"},
    ]
}


@dataclass(frozen=True, slots=True)
class Domain:
    """Where a signature counts: one contract on one chain."""

    chain_id: int
    contract: str


@dataclass(frozen=True, slots=True)
class MemberSignature:
    """A secp256k1 signature with its recovery value (27 or 28)."""

    v: int
    r: int
    s: int

    def to_hex(self) -> str:
        """Return r, s and v as 65 bytes in hex."""
        return (self.r.to_bytes(32) + self.s.to_bytes(32) + self.v.to_bytes(1)).hex()

    @classmethod
    def from_hex(cls, text: str) -> "MemberSignature":
        """Parse `to_hex`. Raises FormatError."""
        try:
            data = bytes.fromhex(text.strip())
        except ValueError:
            data = b""
        if len(data) != 65:
            raise FormatError("a member's signature is 65 bytes in hex: r, s, v")
        return cls(data[64], int.from_bytes(data[:32]), int.from_bytes(data[32:64]))


def origin_hash(origin: str) -> bytes:
    """Return how a log is named on chain: SHA-256 of its origin, 32 bytes."""
    return sha256(origin.encode()).digest()


def sign_checkpoint(key: str, checkpoint: Checkpoint, domain: Domain) -> MemberSignature:
    """Sign a verified checkpoint with a member's private key (32 bytes in hex)."""
    signed = Account.sign_message(_message(checkpoint, domain), key)
    return MemberSignature(signed.v, signed.r, signed.s)


def signer_of(signature: MemberSignature, checkpoint: Checkpoint, domain: Domain) -> str:
    """Return the address that made a signature. Raises FormatError if none can have."""
    try:
        vrs = (signature.v, signature.r, signature.s)
        address = Account.recover_message(_message(checkpoint, domain), vrs=vrs)
    except Exception as error:
        # eth-keys and eth-account have no common error; whatever it is, it is no signature.
        raise FormatError(f"not a signature of a member: {type(error).__name__}") from None
    return str(address)


def _message(checkpoint: Checkpoint, domain: Domain) -> SignableMessage:
    where: dict[str, Any] = {
        "name": NAME,
        "version": VERSION,
        "chainId": domain.chain_id,
        "verifyingContract": domain.contract,
    }
    what = {
        "origin": origin_hash(checkpoint.origin),
        "size": checkpoint.size,
        "root": checkpoint.root,
    }
    return encode_typed_data(domain_data=where, message_types=_TYPES, message_data=what)
