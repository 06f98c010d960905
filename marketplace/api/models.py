"""What comes in and goes out over HTTP; the OpenAPI document is made of these models."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Id = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Text = Annotated[str, Field(max_length=4096)]
Count = Annotated[int, Field(ge=0, le=2**53 - 1)]


class In(BaseModel):
    """A request body: nothing unknown, and no type taken for another ("5" is no number)."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


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


class EndedOut(BaseModel):
    """ended: how many other sessions and tokens there were."""

    ended: int


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


# A whole number, a fraction or a decimal, as text: 1/100, 2.5.
Number = Annotated[str, Field(pattern=r"^[0-9]{1,12}(/[1-9][0-9]{0,8}|\.[0-9]{1,9})?$")]


class AskIn(In):
    """What a researcher asks: four documents in the forms compute defines, and in what money.

    Any family's query.params may hold a `match`, a list of filters over encrypted data that must
    all hold of a person to be counted:
    {"kind": "term", "term": CURIE, "ontology": SHA-256 for descendants, "present": true},
    {"kind": "group", "stratum": "sex" or "population", "levels": [...]},
    {"kind": "number", "of": a covariate, measurement or feature trait, "least": "1", "most": "2"},
    {"kind": "carrier", "variant": "1-1000-A-G", "carries": true}.
    Their modalities must stand in the scope.

    assumed_maf: the minor allele frequency (or prevalence) to expect the error at, a fraction.
    assumed_sd: the standard deviation to expect of the value a query measures (a trait, a feature,
    a score), in its own unit; above 0, and at most half the width of what it is clamped to. Nothing
    is looked up: of data a dry run says nothing. A quote takes them only to tell whether noise
    would drown the answer expected; they are neither kept nor signed.
    """

    purpose: dict[str, Any]
    query: dict[str, Any]
    scope: dict[str, Any]
    release: dict[str, Any]
    currency: Annotated[str, Field(pattern=r"^[a-z]{3}$")] = "gbp"
    assumed_maf: Number = "1/4"
    assumed_sd: Number | None = None


class DryRunOut(BaseModel):
    """people, left_out and other_builds are buckets; other_builds: held on that build only.

    match: where the query has one, that it is judged inside the order only, in words.
    """

    people: str
    left_out: dict[str, str]
    other_builds: dict[str, str]
    match: str | None
    price: int | None
    currency: str
    items: list[dict[str, Any]]
    expected_error: dict[str, Any]


class QuoteOut(BaseModel):
    """left_out: people, in buckets, by what keeps them out ("release": stricter than this order).

    other_builds: of those who hold data on that build only: not included. match: where the query
    has one, that it is judged inside the order only, in words.
    """

    quote: str
    left_out: dict[str, str]
    other_builds: dict[str, str]
    match: str | None
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


class ProgressOut(BaseModel):
    """How far a worker is, as of its last clock tick: planned, opening, summing or waiting.

    done of total planned partitions while it sums; total follows from the query alone.
    """

    step: str
    done: int
    total: int


class MoneyMoveOut(BaseModel):
    """One movement of an order's money: paid, invoice (waits for a transfer), refund or dispute.

    amount: minor units, the tax in it. state: of what it is, e.g. planned or sent for a refund.
    """

    kind: str
    state: str
    at: int
    amount: int
    currency: str
    tax: int
    by: str | None
    reason: str | None
    receipt_url: str | None


class OrderOut(BaseModel):
    """why: the reason's code in words. money: told of one order at a time, empty in lists."""

    order: str
    state: str
    reason: str | None
    why: str | None
    quote: str
    query: dict[str, Any]
    purpose: dict[str, Any]
    scope: dict[str, Any]
    release: dict[str, Any]
    amount: int
    currency: str
    index: int
    access: str | None
    progress: ProgressOut | None = None
    deadline: int
    created_at: int
    changed_at: int
    objects: list[str]
    history: list[dict[str, Any]]
    money: list[MoneyMoveOut] = []


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
    """One share; leaf = HMAC-SHA256(salt, canonical {order, owner, amount, currency}).

    given: your terms asked nothing for this use.
    """

    order: str
    amount: int
    currency: str
    given: bool
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


class DoneOut(BaseModel):
    stored: bool
