"""What comes in and goes out over HTTP; the OpenAPI document is made of these models."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Id = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Text = Annotated[str, Field(max_length=4096)]
Count = Annotated[int, Field(ge=0, le=2**53 - 1)]


class In(BaseModel):
    """A request body: nothing unknown."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class ChallengeIn(In):
    party: Id


class ChallengeOut(BaseModel):
    challenge: str


class SessionIn(In):
    party: Id
    challenge: Text
    public_key: Text
    signature: Text


class SessionOut(BaseModel):
    token: str
    expires_at: int


class TokenIn(In):
    """scopes: read, ask. minutes: how long it lasts, at most as long as a session."""

    scopes: Annotated[list[Annotated[str, Field(max_length=16)]], Field(min_length=1, max_length=4)]
    minutes: Annotated[int, Field(ge=1, le=24 * 60)] = 60


class LinkOut(BaseModel):
    url: str


class UploadOut(BaseModel):
    dataset: str
    sha256: str
    size: int
    state: str


class PartOut(BaseModel):
    number: int
    size: int
    sha256: str


class PartsOut(BaseModel):
    parts: list[PartOut]


class CompleteIn(In):
    """What the whole ciphertext is: SHA-256 in hex, bytes, and in how many parts it came."""

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    size: Count
    parts: Annotated[int, Field(ge=1, le=4096)]


class WayIn(In):
    """One way into a vault; box holds the vault key under it."""

    kind: Annotated[str, Field(pattern=r"^(prf|code|passphrase)$")]
    box: Text
    locator: Id | None = None
    credential: Text | None = None
    salt: Text | None = None
    rounds: Count | None = None


class VaultIn(In):
    """A vault as its owner closed it; box is AES-256-GCM ciphertext in base64."""

    v: Annotated[int, Field(ge=1, le=1)]
    wraps: Annotated[list[WayIn], Field(min_length=1, max_length=32)]
    box: Annotated[str, Field(max_length=4 << 20)]


class VaultOut(BaseModel):
    v: int
    wraps: list[dict[str, Any]]
    box: str


class VaultKeptOut(BaseModel):
    etag: str


class OptionsOut(BaseModel):
    """options: PublicKeyCredentialCreationOptionsJSON or ...RequestOptionsJSON (WebAuthn)."""

    options: dict[str, Any]


class PasskeyIn(In):
    """credential: RegistrationResponseJSON (WebAuthn level 3)."""

    credential: dict[str, Any]


class PasskeyOut(BaseModel):
    credential: str
    created_at: int
    used_at: int | None


class PasskeysOut(BaseModel):
    passkeys: list[PasskeyOut]


class ComputeKeyOut(BaseModel):
    index: int
    key_id: str
    region: str


class ComputeKeysOut(BaseModel):
    keys: list[ComputeKeyOut]


class ReferencesOut(BaseModel):
    references: list[dict[str, Any]]


class ResolveIn(In):
    """Names as typed, the build they are meant on, and a chain file (SHA-256) to lift by."""

    names: Annotated[list[Text], Field(max_length=1000)]
    build: Text
    chain: Text | None = None


class ResolveOut(BaseModel):
    build: str
    names: list[dict[str, Any]]
    variants: list[str]
    regions: list[str]
    lifted: list[dict[str, Any]]


class DatasetIn(In):
    dataset: Id


class DatasetOut(BaseModel):
    dataset: str
    state: str


class StopIn(In):
    """A signed stop as the ledger takes it: a submission of one entry, in base64 parts."""

    payload_type: Text
    payload: Annotated[str, Field(max_length=512 << 10)]
    signatures: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=4)]
    salt: Text | None = None
    attachments: dict[str, Any] = Field(default_factory=dict)


class StopOut(BaseModel):
    """entry: its id; state pending, posted (then index says where) or refused by the ledger."""

    entry: str
    state: str
    index: int | None


class MyDatasetOut(BaseModel):
    """state registered, replaced or erased; index: its entry on the ledger.

    compute: what compute last reported as it took the file in: "ingested", or why it could not
    (e.g. ciphertext_differs, file.bad_header); null: not taken in yet.
    """

    dataset: str
    modality: str | None
    state: str
    index: int | None
    uploaded: bool
    compute: str | None
    compute_at: int | None


class MyDatasetsOut(BaseModel):
    datasets: list[MyDatasetOut]
    next: str | None


class CatalogueOut(BaseModel):
    people: str
    modalities: dict[str, str]
    facets: dict[str, dict[str, str]]


class AskIn(In):
    """What a researcher asks: four documents in the forms compute defines, and in what money."""

    purpose: dict[str, Any]
    query: dict[str, Any]
    scope: dict[str, Any]
    release: dict[str, Any]
    currency: Annotated[str, Field(pattern=r"^[a-z]{3}$")] = "gbp"


class DryRunOut(BaseModel):
    people: str
    left_out: dict[str, str]
    price: int | None
    currency: str
    items: list[dict[str, Any]]
    expected_error: dict[str, Any]


class QuoteOut(BaseModel):
    quote: str
    total: int
    currency: str
    items: list[dict[str, Any]]
    valid_until: int
    sha256: str
    body: dict[str, Any]
    order_fields: dict[str, Any]


class OrderIn(In):
    """quote: its id; index: where the signed order.placed entry stands on the ledger."""

    quote: Id
    index: Count


class OrderOut(BaseModel):
    order: str
    state: str
    reason: str | None
    quote: str
    query: dict[str, Any]
    purpose: dict[str, Any]
    scope: dict[str, Any]
    release: dict[str, Any]
    amount: int
    currency: str
    index: int
    access: str | None
    deadline: int
    created_at: int
    changed_at: int
    objects: list[str]
    history: list[dict[str, Any]]


class OrdersOut(BaseModel):
    orders: list[OrderOut]
    next: str | None


class CheckoutOut(BaseModel):
    url: str
    session_id: str


class ReviewOut(BaseModel):
    order: str
    draft_commitment: str
    purpose: dict[str, Any]
    query: dict[str, Any]
    scope: dict[str, Any]
    release: dict[str, Any]
    decided: int
    needed: int
    mine: str | None


class ReviewsOut(BaseModel):
    reviews: list[ReviewOut]


class ShareOut(BaseModel):
    """One share; leaf = HMAC-SHA256(salt, canonical {order, owner, amount, currency})."""

    order: str
    amount: int
    currency: str
    salt: str
    index: int
    size: int
    proof: list[str]
    share_root: str
    settlement_index: int | None
    at: int


class SharesOut(BaseModel):
    shares: list[ShareOut]
    next: str | None


class StatusOut(BaseModel):
    ledger_size: int
    ledger_synced_at: int
    undecidable: str | None
    orders: dict[str, int]
    jobs: dict[str, int]
    outbox: dict[str, int]
    test_money: bool


class LeaseIn(In):
    worker: Annotated[str, Field(min_length=1, max_length=200)]


class JobOut(BaseModel):
    job_id: str
    kind: str
    order: str | None
    attempt: int
    lease: int
    lease_ms: int


class HeartbeatIn(In):
    lease: Count


class HeartbeatOut(BaseModel):
    stops: list[dict[str, Any]]
    cancel: bool


class OutcomeIn(In):
    lease: Count
    outcome: dict[str, Any]


class DoneOut(BaseModel):
    stored: bool


class OnboardIn(In):
    """country: ISO 3166, where the person lives; Stripe asks for everything else."""

    country: Annotated[str, Field(pattern=r"^[A-Za-z]{2}$")]


class PassOnIn(In):
    charity: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{1,39}$")]


class PayeeOut(BaseModel):
    """mode: null (nothing chosen), bank, charity; ready: transfers reach the account."""

    mode: str | None
    charity: str | None
    account: bool
    submitted: bool
    ready: bool


class ActIn(In):
    """entry: where the operator's own operator.acted entry for this stands on the ledger."""

    entry: Count


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
    payee: str
    bank: str
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
