"""The pages: server-rendered, for individuals, researchers and auditors.

They read the marketplace's services and the public ledger and change nothing but sessions,
checkouts and cancellations. No key is handled on this origin and no answer is ever readable here.
Spec: DESIGN section 2.1.
"""

from marketplace.web.blueprint import install
from marketplace.web.ports import LedgerReader

__all__ = ["LedgerReader", "install"]
