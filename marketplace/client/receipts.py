"""Receipts: the offline proof of each entry a person signed, kept for years.

A receipt is verified under the home's own trust policy when it arrives and again on demand.
"""

from ledger import LedgerClient, LedgerError, NotFoundError, StaleError, unb64, verify_proof
from marketplace.client.errors import LedgerChangedError
from marketplace.client.handed import send_again
from marketplace.client.home import Home


def fetch_missing(home: Home, ledger: LedgerClient) -> int:
    """Fetch, verify and keep receipts the home lacks; those not yet witnessed wait for later.

    Those of stops handed to the marketplace too, once the ledger has them.
    """
    kept = 0
    send_again(home, ledger)
    for document in home.documents("entries"):
        index = int(document["index"])
        if home.has_receipt(index):
            continue
        try:
            proof = ledger.receipt(index)
        except (NotFoundError, StaleError):  # no witnessed checkpoint covers it, or there is none
            continue
        verify_proof(unb64(document["leaf"]), home.trust.policy, proof.encode())
        home.keep_receipt(index, proof)
        kept += 1
    return kept


def check_all(home: Home) -> int:
    """Verify every kept receipt offline; return how many there are.

    Raises LedgerChangedError naming the first that fails.
    """
    count = 0
    for document in home.documents("entries"):
        path = home.path / f"receipts/{int(document['index']):012d}.tlog-proof"
        if not path.exists():
            continue
        try:
            verify_proof(unb64(document["leaf"]), home.trust.policy, path.read_bytes())
        except LedgerError as error:
            raise LedgerChangedError(f"the receipt {path} does not verify: {error}") from None
        count += 1
    return count
