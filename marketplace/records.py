"""Records of processing (GDPR Art. 30), and everything the marketplace holds about one party.

One line for each table and each ledger entry type: what it is for, on what legal basis, how long
it is kept, and which column names the person. The export of Art. 15 and 20 reads the same lines,
so a table nobody described cannot be left out of it unseen: a test fails until it is described.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sqlmodel import Session

from compute import bucket
from ledger import RULES, Dataset, State
from marketplace.services import Services
from marketplace.tables import METADATA

CONSENT, CONTRACT, LEGAL = "consent (6(1)(a), 9(2)(a))", "contract (6(1)(b))", "law (6(1)(c))"
INTEREST = "security, legitimate interest (6(1)(f))"
OWNERS = "the owners themselves"
LIFE, ORDER_LIFE = "until erased by its owner, or its retention date", "with its order"


@dataclass(frozen=True, slots=True)
class Held:
    """One table: purpose, legal basis, how long. subject: the column that names the party.

    hidden: columns that are secrets or say nothing to the party, left out of its export.
    """

    purpose: str
    basis: str
    kept: str
    subject: str | None = None
    hidden: tuple[str, ...] = ()


TABLES: Mapping[str, Held] = {
    "accounts": Held("who has signed in", CONTRACT, "until the account is closed", "party"),
    "challenges": Held("sign in once", INTEREST, "5 minutes", "party", ("secret_sha256",)),
    "sessions": Held("stay signed in", INTEREST, "12 hours", "party", ("token_sha256",)),
    "kept_answers": Held(
        "answer a repeated request as the first", INTEREST, "24 hours", "party", ("id", "request")
    ),
    "objects": Held("find ciphertext; names nobody", CONSENT, LIFE),
    "uploads": Held("ciphertext not yet registered", CONSENT, "24 hours", "owner"),
    "datasets": Held("find a dataset's ciphertext", CONSENT, LIFE, "owner"),
    "dataset_reports": Held("tell an owner whether a file could be used", CONSENT, LIFE),
    "shared_files": Held(
        "health passport", CONSENT, "until stopped or its date", "owner", ("token_sha256",)
    ),
    "upload_parts": Held("ciphertext on its way in parts", CONSENT, "24 hours", "owner"),
    "passkeys": Held("sign in", CONTRACT, "until removed or the account is closed", "party"),
    "vaults": Held(
        "a party's own keys, as ciphertext only they open",
        CONTRACT,
        "until the account is closed",
        "party",
    ),
    "vault_locators": Held(
        "find a vault by a passkey or a printed code", CONTRACT, "with its vault", "party"
    ),
    "quotes": Held("a binding price", CONTRACT, "with its order, else 30 minutes", "party"),
    "orders": Held("carry an order out", CONTRACT, LEGAL, "researcher"),
    "order_events": Held("show what happened to an order", CONTRACT, ORDER_LIFE),
    "payments": Held("take and give back money", CONTRACT, LEGAL, None, ("reference_salt",)),
    "refunds": Held("give money back", CONTRACT, LEGAL, None, ("reference_salt",)),
    "disputes": Held("a bank took a payment back", CONTRACT, LEGAL),
    "charities": Held("who may be passed a share; names no person", CONTRACT, "while offered"),
    "payees": Held("how a party is paid", CONTRACT, "until the account is closed", "party"),
    "payout_batches": Held("pay out once a period; names nobody", CONTRACT, LEGAL),
    "payouts": Held("money sent to a party", CONTRACT, LEGAL, "party", ("salt",)),
    "reconciliations": Held("book, ledger and provider compared", LEGAL, "as tax law asks"),
    "webhook_events": Held("act on a payment once; names nobody", CONTRACT, "90 days"),
    "jobs": Held("work for compute; opaque ids", CONTRACT, ORDER_LIFE),
    "job_objects": Held("encrypted answers", CONTRACT, ORDER_LIFE),
    "outbox": Held(
        "entries on their way to the ledger", CONTRACT, "until posted", "subject", ("submission",)
    ),
    "book_transactions": Held("the accounts", LEGAL, "as tax law asks"),
    "book_lines": Held("the accounts", LEGAL, "as tax law asks", "owner"),
    "shares": Held("what an owner earned", CONTRACT, "as tax law asks", "owner", ("salt",)),
    "leaders": Held("which process does the background work", INTEREST, "10 seconds"),
}

PROCESSORS: Mapping[str, str] = {
    "ledger": "keeps signed statements; personal ones as commitments beside an erasable store",
    "compute": "opens consented data in memory, in the region of its keys, after an access entry",
    "marketplace": "accounts, ciphertext it cannot read, money",
    "payment provider": "researchers' payments and owners' payouts",
}


def undescribed() -> list[str]:
    """Return the tables that no line of TABLES describes."""
    return sorted(set(METADATA.tables) - set(TABLES))


def ropa(state: State) -> dict[str, Any]:
    """Return the record of processing activities: from code and ledger, nobody's memory."""
    live = [one for one in state.datasets.values() if not (one.erased or one.replaced)]
    return {
        "tables": {
            name: {
                **asdict(TABLES[name]),
                "columns": [column.name for column in METADATA.tables[name].columns],
            }
            for name in sorted(METADATA.tables)
            if name in TABLES
        },
        "entries": {
            f"{rule.type}/{rule.version}": {
                "visibility": rule.visibility,
                "signed_by": rule.signer,
                "erasable": rule.erasable,
                "fields": sorted({*rule.fields, *rule.optional}),
            }
            for rule in RULES.values()
        },
        "processors": dict(PROCESSORS),
        "controllers": _counted(_controller(one) for one in live),
        "custodians": _counted(one.custodian for one in live),
        "regions_of_storage": _counted(one.region for one in live),
        "regions_of_compute": sorted({key.region for key in state.compute_keys.values()}),
        "undescribed": undescribed(),
    }


def _controller(dataset: Dataset) -> str | None:
    # The record is public: an owner's id beside a count of datasets would tell who has how many.
    return OWNERS if dataset.controller == dataset.owner else dataset.controller


def _counted(values: Iterable[str | None]) -> dict[str, str]:
    found = Counter(value for value in values if value is not None)
    return {name: bucket(count) for name, count in sorted(found.items())}


def everything_about(services: Services, party: str) -> dict[str, list[dict[str, Any]]]:
    """Return every row here that names a party, by table, without secrets."""
    with services.db.read() as session:
        return {
            name: _rows(session, name, held.subject, held.hidden, party)
            for name, held in TABLES.items()
            if held.subject is not None
        }


def _rows(
    session: Session, name: str, subject: str, hidden: tuple[str, ...], party: str
) -> list[dict[str, Any]]:
    table = METADATA.tables[name]
    rows = session.execute(table.select().where(table.c[subject] == party)).mappings()
    return [{key: value for key, value in row.items() if key not in hidden} for row in rows]
