"""One running ledger: store, log, reader and the operator's hand put together from a directory."""

from pathlib import Path
from typing import Any

from ledger.auditors import Auditors
from ledger.config import (
    LOG_KEY_NAME,
    OPERATOR_KEY_NAME,
    LedgerConfig,
    load_tokens,
    read_secret,
)
from ledger.errors import FormatError
from ledger.log import Log
from ledger.note import Ed25519Signer, parse_private_key
from ledger.publish import Publisher
from ledger.reader import Reader
from ledger.snapshot import Snapshots
from ledger.state import State
from ledger.store_sql import SqlStore
from ledger.trust import Pins, TrustPolicy
from ledger.web import Operator, make_app

SNAPSHOT_NAME = "fold.snapshot"


class Service:
    """One running ledger: store, log, reader and the operator's hand."""

    def __init__(self, config: LedgerConfig) -> None:
        trust = None if config.trust_file is None else TrustPolicy.load(config.trust_file)
        secret = read_secret(config.directory / LOG_KEY_NAME)
        signer = parse_private_key(secret)
        if signer.vkey.name != config.origin:
            raise FormatError(f"the log key is for {signer.vkey.name!r}, not {config.origin!r}")
        _check_trust(trust, signer)
        self.tokens = load_tokens(config.directory)
        self.auditors = Auditors(config.directory)
        self.store = SqlStore(config.database_url)
        publisher = Publisher(
            self.store,
            signer,
            config.witnesses or _witness_urls(trust),
            None if trust is None else trust.policy,
        )
        pins = Pins() if trust is None else trust.pins
        passkeys = None if trust is None else trust.passkeys
        # The log's own key guards it: only who can sign for the log could have written it.
        snapshots = Snapshots(config.directory / SNAPSHOT_NAME, secret.encode())
        self.log = Log(self.store, publisher, lambda: State(pins), passkeys, snapshots=snapshots)
        self.reader = Reader(self.store, lambda: self.log.published)
        self.operator = Operator(self.log, _operator_seed(config.directory))

    def app(self) -> Any:
        """Return the WSGI application."""
        return make_app(self.log, self.reader, self.operator, self.tokens, self.auditors)

    def close(self) -> None:
        """Finish what is waiting and let go of the store."""
        self.log.stop()
        self.store.close()


def _check_trust(trust: TrustPolicy | None, signer: Ed25519Signer) -> None:
    if trust is not None and signer.vkey not in [log.vkey for log in trust.policy.logs]:
        raise FormatError(
            "the trust file names another log key: nobody would accept what this log signs. "
            "Correct trust.json or start from the right directory"
        )


def _witness_urls(trust: TrustPolicy | None) -> tuple[str, ...]:
    if trust is None:
        return ()
    return tuple(witness.url for witness in trust.policy.witnesses if witness.url)


def _operator_seed(directory: Path) -> bytes:
    try:
        return bytes.fromhex(read_secret(directory / OPERATOR_KEY_NAME))
    except ValueError:
        raise FormatError(f"{OPERATOR_KEY_NAME} is damaged; restore it from a backup") from None
