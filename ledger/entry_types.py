"""The one table of entry types: fields, visibility, signer, stops, attachments.

Data only; `ledger.entries` reads it to check an entry, `ledger.state` to fold one. A type or
version that is not in the table raises UnknownEntry: mirrors and witnesses go on, consent
decisions stop. A version, once released, never changes: its golden file is in the tests.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

from ledger import kinds as k
from ledger.errors import FormatError
from ledger.kinds import Kind

PERSONAL, PUBLIC, BY_ROLE = "personal", "public", "by role"
FINAL, PAUSE, REPLACE = "final", "pause", "replace"
COSIGNED_ROLES = ("owner", "researcher", "reviewer")
BASIS_KINDS = ("self", "guardian", "deputy", "custodian", "operator")
NO_REIDENTIFICATION = "no-reidentification/1"


class UnknownEntry(FormatError):
    """The entry is newer than this program: nothing that needs its meaning may be decided."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What is fixed about one version of one entry type.

    signer names the fold's rule for who may sign. stop: what the leaf's `stops` do to the grants
    they name. attachments: name -> payload field that commits to it. erasable: the envelope may
    be deleted when a later dataset.erased names its leaf.
    """

    type: str
    visibility: str
    signer: str
    fields: Mapping[str, Kind]
    optional: Mapping[str, Kind] = field(default_factory=dict)
    version: int = 1
    stop: str | None = None
    attachments: Mapping[str, str] = field(default_factory=dict)
    erasable: bool = False
    required: tuple[tuple[str, Kind], ...] = field(init=False, repr=False, compare=False)
    form: "Form" = field(init=False, repr=False, compare=False)
    schema: str = field(init=False, repr=False, compare=False)
    points: bool = field(init=False, repr=False, compare=False)  # has index lists in the clear

    def __post_init__(self) -> None:
        required = tuple({**COMMON, **self.fields}.items())
        object.__setattr__(self, "required", required)
        object.__setattr__(self, "form", Form(required))
        object.__setattr__(self, "schema", f"{self.type}/{self.version}")
        lists = {"stops", "resumes", "erases"} & {*self.fields, *self.optional}
        object.__setattr__(self, "points", bool(lists) or self.stop == REPLACE)


class Form:
    """The required fields of an entry as one quick test: every entry of the log passes it."""

    __slots__ = ("_others", "_texts", "_texts_fit")

    def __init__(self, required: Sequence[tuple[str, Kind]]) -> None:
        texts = [(name, kind.pattern) for name, kind in required if kind.pattern is not None]
        # No pattern matches a line end, so the joined texts fit only if each of them does.
        self._texts_fit = re.compile("\n".join(f"(?:{pattern})" for _, pattern in texts)).fullmatch
        self._texts = itemgetter(*(name for name, _ in texts))
        self._others = tuple((name, kind.test) for name, kind in required if kind.pattern is None)

    def fits(self, payload: Mapping[str, Any]) -> bool:
        """Tell whether every required field is there and of its kind."""
        try:
            if self._texts_fit("\n".join(self._texts(payload))) is None:
                return False
            for name, test in self._others:
                if not test(payload[name]):
                    return False
        except (KeyError, TypeError):
            return False
        return True


COMMON: dict[str, Kind] = {
    "id": k.ID,
    "time": k.TIME,
    "subject": k.nullable(k.ID),
    "schema": k.CODE,
    "actor": k.FINGERPRINT,
    "basis": k.OBJECT,
}
_PARTY = {"party": k.ID, "role": k.ROLE}
_ORDER_REASON = {"order": k.ID, "reason": k.CODE}
_GRANT = {
    "grant": k.ID,
    "owner": k.ID,
    "dataset": k.ID,
    "offer": k.nullable(k.ID),
    "terms": k.OBJECT,
    "terms_sha256": k.DIGEST,
    "facets": k.OBJECT,
    "recipient": k.RECIPIENT,
    "sealed_grant_sha256": k.DIGEST,
    "activity_commitment": k.DIGEST,
    "order": k.nullable(k.ID),
}
_GRANT_STOP = {"grant": k.ID, "dataset": k.ID, "owner": k.ID, "stops": k.ONE_INDEX}
_DATASET_END = {"dataset": k.ID, "owner": k.ID, "stops": k.INDEXES, "erases": k.INDEXES}
_PAYMENT = {
    "order": k.ID,
    "amount": k.AMOUNT,
    "currency": k.CURRENCY,
    "provider": k.CODE,
    "reference_commitment": k.COMMITMENT,
}
_SEALED = {"sealed_grant": "sealed_grant_sha256"}


def _personal(type_: str, signer: str, fields: Mapping[str, Kind], **more: Any) -> Rule:
    return Rule(type_, PERSONAL, signer, fields, **more)


def _public(type_: str, signer: str, fields: Mapping[str, Kind], **more: Any) -> Rule:
    return Rule(type_, PUBLIC, signer, fields, **more)


_TABLE = (
    Rule("party.registered", BY_ROLE, "registrant", {**_PARTY, "keys": k.KEYS}, erasable=True),
    Rule("party.key_added", BY_ROLE, "party or recovered", {**_PARTY, "key": k.KEY}, erasable=True),
    Rule("party.key_removed", BY_ROLE, "party", {**_PARTY, "fingerprint": k.FINGERPRINT}),
    Rule(
        "party.key_rotated",
        BY_ROLE,
        "rotated key",
        {**_PARTY, "fingerprint": k.FINGERPRINT, "key": k.KEY},
    ),
    Rule(
        "party.attested",
        BY_ROLE,
        "attester of every claim",
        {**_PARTY, "claims": k.OBJECT, "expires_at": k.TIME},
        erasable=True,
    ),
    Rule(
        "recovery.requested",
        BY_ROLE,
        "recovery key",
        {**_PARTY, "recovery": k.ID, "key": k.KEY, "effective_at": k.TIME},
        erasable=True,
    ),
    Rule("recovery.cancelled", BY_ROLE, "party", {**_PARTY, "recovery": k.ID}),
    _personal(
        "mandate.given",
        "mandator",
        {
            "mandate": k.ID,
            "owner": k.ID,
            "holder": k.ID,
            "kind": k.one_of("guardian", "deputy", "custodian"),
            "valid_until": k.nullable(k.TIME),
        },
        erasable=True,
    ),
    _personal(
        "mandate.ended",
        "owner or holder",
        {"mandate": k.ID, "owner": k.ID},
        optional={"stops": k.INDEXES},
        stop=FINAL,
    ),
    _personal(
        "dataset.registered",
        "owner",
        {
            "dataset": k.ID,
            "owner": k.ID,
            "participant": k.PSEUDONYM,
            "modality": k.one_of(
                "genotypes",
                "expression",
                "participant",
                "methylation",
                "proteomics",
                "metabolomics",
                "microbiome",
                "clinical",
            ),
            "signing_key": k.KEY32,
            "ciphertext": k.CIPHERTEXT,
            "format": k.OBJECT,
            "region": k.REGION,
            "controller": k.nullable(k.CODE),
            "custodian": k.nullable(k.CODE),
        },
        optional={"retain_until": k.nullable(k.TIME)},
        erasable=True,
    ),
    _personal(
        "dataset.replaced",
        "owner or dataset",
        _DATASET_END,
        optional={"replaced_by": k.nullable(k.ID)},
        stop=FINAL,
        erasable=True,
    ),
    _personal("dataset.erased", "owner of erasure", _DATASET_END, stop=FINAL, erasable=True),
    _personal(
        "offer.published",
        "owner",
        {"offer": k.ID, "owner": k.ID, "datasets": k.IDS, "terms": k.OBJECT, "facets": k.OBJECT},
        erasable=True,
    ),
    _personal("offer.withdrawn", "owner", {"offer": k.ID, "owner": k.ID}, erasable=True),
    _personal("consent.granted", "owner or dataset", _GRANT, attachments=_SEALED, erasable=True),
    _personal(
        "consent.rekeyed",
        "owner or dataset",
        {**_GRANT, "replaces": k.INDEX},
        stop=REPLACE,
        attachments=_SEALED,
        erasable=True,
    ),
    _personal(
        "consent.withdrawn", "owner, dataset or marketplace", _GRANT_STOP, stop=FINAL, erasable=True
    ),
    _personal(
        "consent.paused", "owner, dataset or marketplace", _GRANT_STOP, stop=PAUSE, erasable=True
    ),
    _personal(
        "consent.resumed",
        "owner or dataset",
        {"grant": k.ID, "dataset": k.ID, "owner": k.ID, "resumes": k.ONE_INDEX},
        erasable=True,
    ),
    _personal(
        "objection.raised", "owner", {"owner": k.ID, "stops": k.INDEXES}, stop=FINAL, erasable=True
    ),
    _personal("objection.lifted", "owner", {"owner": k.ID}, erasable=True),
    _personal(
        "share.given",
        "owner or dataset",
        {
            "share": k.ID,
            "owner": k.ID,
            "dataset": k.ID,
            "recipient_key": k.KEY32,
            "header_sha256": k.DIGEST,
            "valid_until": k.nullable(k.TIME),
        },
        erasable=True,
    ),
    _personal(
        "share.stopped",
        "owner or dataset",
        {"share": k.ID, "owner": k.ID, "dataset": k.ID},
        erasable=True,
    ),
    _public(
        "order.placed",
        "researcher",
        {
            "order": k.ID,
            "researcher": k.ID,
            "purpose": k.WRITTEN,
            "query": k.OBJECT,
            "query_digest": k.DIGEST,
            "code_digest": k.DIGEST,
            "scope": k.WRITTEN,
            "release": k.RELEASE,
            "price": k.PRICE,
            "quote": k.ID,
            "quote_sha256": k.DIGEST,
            "undertaking": k.one_of(NO_REIDENTIFICATION),
            "result_key": k.KEY32,
            "attestations": k.INDEXES,
        },
    ),
    *(
        _public(f"order.{word}", "marketplace", _ORDER_REASON)
        for word in ("approved", "refused", "cancelled", "expired", "failed")
    ),
    *(
        _public(f"payment.{word}", "marketplace", _PAYMENT)
        for word in ("received", "refunded", "disputed")
    ),
    _public(
        "access.recorded",
        "compute",
        {
            "access": k.ID,
            "order": k.nullable(k.ID),
            "purpose": k.CODE,
            "query_digest": k.nullable(k.DIGEST),
            "code_digest": k.nullable(k.DIGEST),
            "judged_size": k.COUNT,
            "judged_root": k.DIGEST,
            "cohort_size": k.COUNT,
            "opened": k.COUNT,
            "cohort_root": k.DIGEST,
            "excluded": k.COUNTS,
            "release": k.nullable(k.RELEASE),
            "region": k.REGION,
            "attempt": k.COUNT,
        },
        attachments={"access_tree": "cohort_root"},
    ),
    _public("access.refused", "compute", {**_ORDER_REASON, "excluded": k.COUNTS}),
    _public(
        "result.published",
        "compute",
        {
            "order": k.ID,
            "access": k.ID,
            "commitment": k.COMMITMENT,
            "ciphertext_sha256": k.DIGEST,
            "ciphertext_size": k.COUNT,
        },
    ),
    _public("result.withheld", "compute", {**_ORDER_REASON, "access": k.ID}),
    _public(
        "review.decided",
        "reviewer",
        {
            "order": k.ID,
            "draft_commitment": k.COMMITMENT,
            "decision": k.one_of("approve", "reject"),
            "reviewer": k.ID,
        },
    ),
    _public(
        "settlement.made",
        "marketplace",
        {
            "order": k.ID,
            "access": k.ID,
            "gross": k.MONEY,
            "platform_fee": k.MONEY,
            "compute_fee": k.MONEY,
            "owners_total": k.MONEY,
            "currency": k.CURRENCY,
            "shares": k.COUNT,
            "share_root": k.DIGEST,
        },
    ),
    _personal(
        "payout.sent",
        "marketplace",
        {"owner": k.ID, "amount": k.AMOUNT, "currency": k.CURRENCY, "settlements": k.SOME_INDEXES},
        erasable=True,
    ),
    _public(
        "payout.made",
        "marketplace",
        {
            "payout": k.ID,
            "period": k.CODE,
            "currency": k.CURRENCY,
            "amount": k.MONEY,
            "reversed": k.MONEY,
            "payouts": k.COUNT,
            "payout_root": k.DIGEST,
        },
    ),
    _public(
        "attester.named", "operator", {"claim": k.CODE, "key": k.PUBLIC_KEY, "expires_at": k.TIME}
    ),
    _public(
        "compute.released", "compute or operator", {"version": k.CODE, "code_digest": k.DIGEST}
    ),
    _public(
        "compute.key_published",
        "compute",
        {
            "key_id": k.CODE,
            "region": k.REGION,
            "crypt4gh_public": k.KEY32,
            "hpke_public": k.PUBLIC_KEY,
            "not_before": k.TIME,
            "not_after": k.TIME,
        },
    ),
    _public("web.released", "marketplace or operator", {"digest": k.DIGEST}),
    _public("operator.acted", "operator", {"action": k.CODE}, optional={"details": k.OBJECT}),
    _public("schema.activated", "operator", {"type": k.CODE, "version": k.COUNT}),
)

RULES: dict[tuple[str, int], Rule] = {(rule.type, rule.version): rule for rule in _TABLE}


def rule_for(type_: str, version: int) -> Rule:
    """Return the rule of an entry type. Raises UnknownEntry."""
    rule = RULES.get((type_, version))
    if rule is None:
        raise UnknownEntry(
            f"entry type {type_[:60]!r} version {version} is unknown here; update this program"
        )
    return rule
