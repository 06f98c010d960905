"""Ask the vault of this compute machine to open one grant, and say what it answers.

An operator's check after a withdrawal: `python -m compute.probe --dir D --grant ID` follows the
ledger by itself, offers the vault the newest recorded access, and prints one JSON line. It never
prints or keeps what a grant opens, and never writes to the ledger.
"""

import argparse
import json
import sys
from pathlib import Path

from compute.config import WorkerConfig, load_config, read_token
from compute.errors import ComputeError
from compute.keys import load_keys
from compute.kms import open_kms
from compute.store import CohortStore
from compute.vault import RecordedAccess, Vault, VaultRefusedError, recorded_access
from compute.worker_start import clock_ms
from ledger import Follower, LedgerClient, LedgerError, TrustPolicy


def probe(config: WorkerConfig, grant: str) -> dict[str, object]:
    """Try to open a grant's data key under the newest access; {"opened", "code", "reason"}.

    Raises LedgerError where the ledger cannot be followed, VaultRefusedError never.
    """
    client = LedgerClient(config.ledger_url, read_token(config.ledger_token_file, "grants"))
    trust = TrustPolicy.load(config.trust_file)
    follower = Follower(client, trust, None, personal=True, clock=clock_ms)
    follower.sync()
    keys = load_keys(config.directory)
    kms = open_kms(config.kms_url, keys.kek, config.directory)
    vault = Vault(keys, CohortStore(config.store_path, kms), kms)
    try:
        vault.reader(grant, _newest(follower, client))
    except VaultRefusedError as error:
        return {"opened": False, "code": error.code, "reason": str(error)}
    return {"opened": True, "code": "", "reason": "the vault would open this grant"}


def _newest(follower: Follower, client: LedgerClient) -> RecordedAccess:
    accesses = sorted(follower.state.accesses.values(), key=lambda access: access.index)
    if not accesses:
        raise VaultRefusedError("no access is recorded: nothing is opened", code="no_access")
    root = bytes.fromhex(str(accesses[-1].payload["cohort_root"]))
    return recorded_access(follower, accesses[-1].id, client.access_tree(root))


def main() -> None:
    """Run the probe; exit status 0 when it got an answer, 2 when it could not ask."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dir", type=Path, required=True, help="the worker's directory")
    parser.add_argument("--grant", required=True, help="the consent's id")
    arguments = parser.parse_args()
    try:
        print(json.dumps(probe(load_config(arguments.dir), arguments.grant)))  # noqa: T201
    except (ComputeError, LedgerError) as error:
        print(f"compute.probe: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(2)


if __name__ == "__main__":
    main()
