"""What owners' rights look like over HTTP: approvals, notices, shares, export, visas."""

from typing import Any

from pydantic import BaseModel

from marketplace.api.models import Id, In, Text


class ReasonOut(BaseModel):
    code: str
    text: str


class ApprovalOut(BaseModel):
    """An order that waits for the owner; attested: what somebody we trust says of the buyer."""

    order: str
    index: int
    dataset: str
    grant: str
    researcher: str
    attested: dict[str, Any]
    declared: dict[str, Any]
    query: str
    since: int
    age_ms: int
    paid: bool
    price: int | None
    currency: str
    reasons: list[ReasonOut]


class ApprovalsOut(BaseModel):
    approvals: list[ApprovalOut]


class NoticeOut(BaseModel):
    kind: str
    at: int
    text: str
    about: str


class NoticesOut(BaseModel):
    notices: list[NoticeOut]


class PassportIn(In):
    """What belongs to a share of a whole dataset: the header for the professional's key, base64."""

    share: Id
    header: str
    token_sha256: Text


class PassportOut(BaseModel):
    share: str
    url: str


class SharedOut(BaseModel):
    share: str
    dataset: str
    part: bool
    valid_until: int | None
    status: str
    fetches: int
    fetched_at: int | None


class SharesGivenOut(BaseModel):
    shares: list[SharedOut]


class EverythingOut(BaseModel):
    """Every row here about the party, by table."""

    party: str
    at: int
    tables: dict[str, list[dict[str, Any]]]


class RopaOut(BaseModel):
    """controllers, custodians, regions_of_storage: how many datasets, in buckets.

    Owners who decide over their own data are counted together and never named.
    """

    tables: dict[str, Any]
    entries: dict[str, Any]
    processors: dict[str, str]
    controllers: dict[str, str]
    custodians: dict[str, str]
    regions_of_storage: dict[str, str]
    regions_of_compute: list[str]
    undescribed: list[str]


class VisaIn(In):
    grant: Id
    holder: Text | None = None


class VisaOut(BaseModel):
    visa: str


class JwksOut(BaseModel):
    """A JSON Web Key Set (RFC 7517)."""

    keys: list[dict[str, str]]


class ErasedOut(BaseModel):
    """Whether a dataset's ciphertext is still here: held, erased, retired or unknown."""

    dataset: str
    ciphertext: str


class TermsIn(In):
    """terms: the consent terms as they would be signed."""

    terms: dict[str, Any]


class WouldAllowOut(BaseModel):
    """One example request each: who, what for, the matcher's verdict, why not, and the price."""

    examples: list[dict[str, str]]
