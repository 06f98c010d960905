"""One client's connections: its home, the ledger, the marketplace and the attester.

The ledger view is shared by everything on one machine that trusts the same policy, and is
compared with what it was last time: a ledger that changed its past is a loud error.
"""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import httpx

from ledger import ComputeKey, ConsistencyError, Follower, LedgerClient, State, TrustPolicy
from marketplace.client.errors import ClientError, LedgerChangedError
from marketplace.client.home import Home
from marketplace.client.market import TIMEOUT_SECONDS, Attester, Market
from marketplace.client.statements import now_ms


@dataclass
class LedgerView:
    """The public part of the ledger as this machine verified it (no personal envelopes).

    http is one connection pool for every server, shared by all sessions on this view: a session a
    person must not mean a connection a person.
    """

    trust: TrustPolicy
    path: Path | None = None
    http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=TIMEOUT_SECONDS))
    client: LedgerClient = field(init=False)
    _follower: Follower = field(init=False)

    def __post_init__(self) -> None:
        self.client = LedgerClient(self.trust.ledger_url)
        self._follower = Follower(
            self.client, self.trust, path=self.path, personal=False, clock=now_ms
        )

    def sync(self) -> State:
        """Fetch and verify the newest checkpoint and everything since the last one.

        Raises LedgerChangedError where the log no longer contains what it showed before.
        """
        try:
            self._follower.sync()
        except ConsistencyError as error:
            raise LedgerChangedError(
                f"your ledger changed its past: {error}. Keep your home directory as it is "
                "(it holds the proof) and tell the auditors named in your trust file."
            ) from None
        return self._follower.state

    def recipient(self, region: str, now: int) -> ComputeKey:
        """Return the newest compute key of a region that is valid now.

        It counts only because the ledger shows it, signed by the compute identity the trust file
        pins; the marketplace's word is never asked.
        """
        keys = [
            key
            for key in self.state.compute_keys.values()
            if key.region == region and key.not_before <= now < key.not_after
        ]
        if not keys:
            raise ClientError(
                f"the ledger shows no compute key valid now for region {region!r}; "
                "no consent can be given until compute publishes one"
            )
        return max(keys, key=lambda key: key.not_before)

    @property
    def state(self) -> State:
        return self._follower.state

    @property
    def follower(self) -> Follower:
        return self._follower


@dataclass
class Session:
    """Everything a verb needs: who I am, and whom I talk to."""

    home: Home
    view: LedgerView

    @classmethod
    def open(cls, home: Home, view: LedgerView | None = None) -> "Session":
        """Connect with the trust policy pinned in the home."""
        return cls(home, view or LedgerView(home.trust, home.path / "ledger-view"))

    @property
    def ledger(self) -> LedgerClient:
        return self.view.client

    @cached_property
    def market(self) -> Market:
        """Return the marketplace, signed in as this home's party."""
        market = Market(self.home.trust.marketplace_url, self.view.http)
        market.sign_in(self.home.party, self.home.keys.signing())
        return market

    @cached_property
    def attester(self) -> Attester:
        return Attester(self.home.attester_url, self.view.http)

    def keep_receipts(self) -> int:
        """Fetch the offline proofs of our entries we do not hold yet; return how many came."""
        from marketplace.client.receipts import fetch_missing

        return fetch_missing(self.home, self.ledger)
