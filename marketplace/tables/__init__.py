"""The marketplace's tables. Rows are what the server remembers, never the authority for consent.

All times are Unix milliseconds (integers), all enums strings, all money minor units. No table has
a place for plaintext, for a decryption key, or for an attribute an owner did not publish.
Table models do not validate; what comes from outside passes through the models in `api/models`.
"""

from marketplace.tables.base import METADATA, NAMING, Table
from marketplace.tables.money import (
    BookLine,
    BookTransaction,
    Charity,
    Dispute,
    Payee,
    Payment,
    Payout,
    PayoutBatch,
    Reconciliation,
    Refund,
    Share,
    WebhookEvent,
)
from marketplace.tables.orders import (
    Job,
    JobObject,
    Leader,
    Order,
    OrderEventRow,
    OutboxRow,
    Quote,
)
from marketplace.tables.people import (
    Account,
    Challenge,
    DatasetFile,
    DatasetReport,
    KeptAnswer,
    LoginSession,
    Passkey,
    SharedFile,
    StoredObject,
    Upload,
    UploadPart,
    VaultCopy,
    VaultLocator,
)

__all__ = [
    "METADATA",
    "NAMING",
    "Account",
    "BookLine",
    "BookTransaction",
    "Challenge",
    "Charity",
    "DatasetFile",
    "DatasetReport",
    "Dispute",
    "Job",
    "JobObject",
    "KeptAnswer",
    "Leader",
    "LoginSession",
    "Order",
    "OrderEventRow",
    "OutboxRow",
    "Passkey",
    "Payee",
    "Payment",
    "Payout",
    "PayoutBatch",
    "Quote",
    "Reconciliation",
    "Refund",
    "Share",
    "SharedFile",
    "StoredObject",
    "Table",
    "Upload",
    "UploadPart",
    "VaultCopy",
    "VaultLocator",
    "WebhookEvent",
]
