"""What payees and operators send and get: payouts, statements, invoices, comparisons."""

from typing import Annotated, Any

from pydantic import BaseModel, Field

from marketplace.api.models import Count, In

Country = Annotated[str, Field(pattern=r"^[A-Za-z]{2}$")]


class ActIn(In):
    """entry: where the operator's own operator.acted entry for this stands on the ledger."""

    entry: Count


class OnboardIn(In):
    """country: ISO 3166, where the person lives, needed once; Stripe asks for everything else."""

    country: Country | None = None


class OnboardCharityIn(ActIn):
    """country: ISO 3166, where the charity banks; entry as in ActIn."""

    country: Country


class PassOnIn(In):
    charity: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{1,39}$")]


class PayeeOut(BaseModel):
    """mode: null (nothing chosen), bank, charity; ready: transfers reach the account.

    donates: every consent asks nothing and nothing was ever earned, so nobody needs to be paid.
    """

    mode: str | None
    charity: str | None
    charity_name: str | None
    account: bool
    submitted: bool
    ready: bool
    donates: bool


class CharityIn(ActIn):
    code: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{1,39}$")]
    name: Annotated[str, Field(min_length=1, max_length=120)]


class CharitiesOut(BaseModel):
    charities: list[dict[str, Any]]


class StatementOut(BaseModel):
    """Amounts in minor units; the balance of each line is what was owed after it."""

    party: str
    since: int
    until: int
    lines: list[dict[str, Any]]
    payouts: list[dict[str, Any]]
    totals: dict[str, dict[str, int]]
    balances: dict[str, int]
    payee: PayeeOut
    minimum: dict[str, int]
    test_money: bool


class PayoutsOut(BaseModel):
    payouts: list[dict[str, Any]]


class InvoiceIn(In):
    """purchase_order: the buyer's own number for it."""

    purchase_order: Annotated[str, Field(min_length=1, max_length=64)]


class InvoiceOut(BaseModel):
    invoice: str
    order: str
    purchase_order: str | None
    state: str
    items: list[dict[str, Any]]
    total: int
    currency: str
    issued_at: int
    due_at: int
    billed_to: str | None
    payee: str
    address: str | None
    tax_id: str | None
    bank: str
    page: str
    test_money: bool


class TransfersOut(BaseModel):
    """What operators look for on the bank's statement; details is what each signs."""

    transfers: list[dict[str, Any]]


class BatchesOut(BaseModel):
    batches: list[dict[str, Any]]


class ReverseIn(ActIn):
    """amount: minor units, all that is left when null."""

    amount: Annotated[int, Field(gt=0)] | None = None


class ReconciliationOut(BaseModel):
    """ok: nothing is open; closed: what was done, open: what a person must look at."""

    at: int
    ok: bool
    closed: list[dict[str, Any]]
    open: list[dict[str, Any]]
    totals: dict[str, dict[str, Any]]


class ReconciliationsOut(BaseModel):
    runs: list[ReconciliationOut]
