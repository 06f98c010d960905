"""What an operator does: state bank transfers, custodians' splits, payouts, reconciliation.

An operator is a key pinned in the trust file. What it states stands on the public ledger under
that key; a bank transfer counts only after two different operators stated the same of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ledger import LedgerClient, TrustPolicy, fingerprint, make_entry, submission_for, verify_proof
from marketplace.client.errors import ClientError
from marketplace.client.keys import KeyStore, SigningKey
from marketplace.client.market import Market
from marketplace.client.statements import new_id, now_ms


@dataclass(frozen=True)
class Operator:
    """One operator's key, and the market and ledger its trust file names."""

    trust: TrustPolicy
    key: SigningKey

    @classmethod
    def open(cls, keys: Path, trust: Path, passphrase: str | None = None) -> "Operator":
        """Load a key folder and a trust file. Raises ClientError where the key is not pinned."""
        policy, key = TrustPolicy.load(trust), KeyStore(keys, passphrase).signing()
        if not policy.pins.is_service("operator", fingerprint(key.public)):
            raise ClientError(f"the key in {keys} is not pinned as an operator in {trust}")
        return cls(policy, key)

    @cached_property
    def market(self) -> Market:
        """Return the marketplace, signed in as this operator."""
        market = Market(self.trust.marketplace_url)
        market.sign_in(fingerprint(self.key.public), self.key)
        return market

    def act(self, action: str, details: Mapping[str, Any]) -> int:
        """Put an operator.acted entry on the ledger; return its index, once witnesses signed it."""
        fields = {"id": new_id(), "time": now_ms(), "action": action, "details": dict(details)}
        entry = make_entry("operator.acted", fields, [self.key.sign])
        client = LedgerClient(self.trust.ledger_url)
        (done,) = client.append([submission_for(entry, b"")], wait=True)
        if done.receipt is not None:
            verify_proof(done.leaf_bytes, self.trust.policy, done.receipt.encode())
        return int(done.index)

    def waiting(self) -> list[dict[str, Any]]:
        """Return the bank transfers that wait for operators."""
        found: list[dict[str, Any]] = self.market.get("/operator/transfers")["transfers"]
        return found

    def confirm(self, invoice: str) -> tuple[dict[str, Any], int]:
        """State that an invoice's transfer is on the bank's statement; return it and its entry."""
        for one in self.waiting():
            if one["invoice"] == invoice:
                return one, self.act(one["action"], one["details"])
        raise ClientError(f"no transfer waits for invoice {invoice}; see `omic operator bank`")
