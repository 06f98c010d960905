"""What an owner allows (Terms), what a researcher wants (Purpose), what is attested (Claims).

Values only: whether a purpose may use data is decided in `compute.match`. Everything here has one
complete JSON form without floats, so that a signature and an HPKE seal cover every word of it.
A document that leaves a field out, adds one, or writes one differently is refused.
Spec: DESIGN section 3.1 (grant bound to terms, attested claims); GA4GH DUO.
"""

import hashlib
from collections.abc import Mapping
from fractions import Fraction
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, StrictBool, StrictInt, StrictStr, model_validator

from compute.duo import BY_SHORTHAND, DS, DuoTerm, Kind, ParameterType, duo_term
from compute.errors import TermsError
from compute.risk import HIGHEST
from compute.values import (
    COUNTRY,
    Amount,
    Currency,
    Date,
    Diseases,
    Family,
    Line,
    Millis,
    ParameterValue,
    PriceClass,
    Rational,
    RegionOrAny,
    Sensitive,
    Value,
    iso_date,
    parse_value,
    star_alone,
    unique,
)
from ledger import LedgerError, canonical

__all__ = [
    "NEVER",
    "Claim",
    "Claims",
    "Flags",
    "Modifier",
    "Purpose",
    "ReleaseTerms",
    "Terms",
    "canonical_terms",
    "claims_from_attestations",
    "parse_purpose",
    "parse_terms",
    "parse_value",
    "terms_sha256",
]

NEVER = "never"
EXACT_STATISTICS = 10_000_000  # a few genome-wide answers
MOST_EXACT = 10**12


class Modifier(Value):
    """One DUO modifier and its parameters, e.g. DUO:0000025 {"months": 12}."""

    id: StrictStr
    parameters: dict[str, ParameterValue] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check(self) -> Self:
        term = _known(self.id, Kind.MODIFIER)
        allowed = {} if term.parameter is None else {term.parameter[0]: term.parameter[1]}
        for name, value in self.parameters.items():
            if name not in allowed:
                raise ValueError(f"{self.id} has no parameter of that name")
            _check_parameter(allowed[name], value)
        return self

    @property
    def parameter(self) -> ParameterValue | None:
        """Return the value of the code's one parameter; None when the terms leave it out."""
        return next(iter(self.parameters.values()), None)


def _known(code: str, kind: Kind) -> DuoTerm:
    try:
        term = duo_term(code)
    except TermsError as error:
        raise ValueError(str(error)) from None
    if term.kind is not kind:
        raise ValueError(f"{code} is a {term.kind}, not a {kind}")
    return term


def _check_parameter(kind: ParameterType, value: object) -> None:
    if kind is ParameterType.MONTHS:
        if not isinstance(value, int) or not 1 <= value <= 1200:
            raise ValueError("months is a whole number from 1 to 1200")
    elif kind is ParameterType.DATE:
        iso_date(value if isinstance(value, str) else "")
    elif not isinstance(value, tuple) or not value:
        raise ValueError("this parameter is a list that names something")
    elif kind is ParameterType.COUNTRIES and not all(COUNTRY.fullmatch(c) for c in value):
        raise ValueError("countries are ISO 3166 codes such as GB")


class Flags(Value):
    """What DUO has no code for. Strict unless the owner says otherwise."""

    no_insurers: StrictBool = True
    no_employers: StrictBool = True
    no_ai_training: StrictBool = True
    no_reidentification: Literal[True] = True


class ReleaseTerms(Value):
    """How answers may leave, the budget of a lifetime, and the part of it one order may use.

    exact_statistics: how many exact statistics (rows of trusted answers) may ever count the person.
    """

    mode: Literal["private", "trusted"] = "private"
    lifetime_rho: Rational = "1/10"
    order_share: Rational = "1/5"
    exact_statistics: Annotated[StrictInt, Field(ge=0, le=MOST_EXACT)] = EXACT_STATISTICS

    @model_validator(mode="after")
    def _check(self) -> Self:
        if Fraction(self.lifetime_rho) > HIGHEST:
            raise ValueError(f"lifetime_rho is at most {HIGHEST}; beyond, noise hides little")
        if Fraction(self.order_share) > 1:
            raise ValueError("order_share is a part of the budget: at most 1")
        return self

    @property
    def order_rho(self) -> Fraction:
        """Return the most privacy budget (zCDP rho) one order may use of this person."""
        return Fraction(self.lifetime_rho) * Fraction(self.order_share)


class Terms(Value):
    """Everything an owner allows with one dataset. Prices are minor units per use; see NEVER."""

    v: Literal[1] = 1
    permissions: Annotated[tuple[StrictStr, ...], Field(min_length=1), AfterValidator(unique)]
    diseases: Diseases = ()
    modifiers: tuple[Modifier, ...] = ()
    flags: Flags = Flags()
    prices: dict[PriceClass, Amount | Literal["never"]]
    currency: Currency = "gbp"
    query_families: Annotated[
        tuple[Family, ...], AfterValidator(unique), AfterValidator(star_alone)
    ] = ("*",)
    regions: Annotated[
        tuple[RegionOrAny, ...], AfterValidator(unique), AfterValidator(star_alone)
    ] = ("*",)
    release: ReleaseTerms = ReleaseTerms()
    valid_from: Millis
    valid_until: Millis | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        for code in self.permissions:
            _known(code, Kind.PERMISSION)
        unique(tuple(modifier.id for modifier in self.modifiers))
        if (DS in self.permissions) != bool(self.diseases):
            raise ValueError(f"{DS} needs diseases, and diseases need {DS}")
        if self.valid_until is not None and self.valid_until <= self.valid_from:
            raise ValueError("valid_until lies before valid_from")
        return self

    def modifier(self, shorthand: str) -> Modifier | None:
        """Return the modifier of a DUO shorthand such as "NPU", or None."""
        code = BY_SHORTHAND[shorthand]
        return next((one for one in self.modifiers if one.id == code), None)


class Purpose(Value):
    """What a researcher wants the data for, as signed into order.placed.

    primary: DS disease, HMB health, POA ancestry, MDS methods, GRU other research, CC clinical
    care. controls: flags of a sensitive study. undertakings: DUO ids of promises made.
    publish_from: earliest publication. All of it is public.
    """

    primary: Literal["DS", "HMB", "POA", "MDS", "GRU", "CC"]
    diseases: Diseases = ()
    commercial: StrictBool
    ai_training: StrictBool = False
    reidentification: StrictBool = False
    controls: Annotated[tuple[Sensitive, ...], AfterValidator(unique)] = ()
    project: Line = ""
    project_id: Line | None = None
    sponsor: Line = ""
    undertakings: Annotated[tuple[StrictStr, ...], AfterValidator(unique)] = ()
    publish_from: Date | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.primary == "DS" and not self.diseases:
            raise ValueError("research on a disease names the disease")
        for code in self.undertakings:
            _known(code, Kind.MODIFIER)
        return self


class Claim(Value):
    """One attested attribute, its attester's key fingerprint, and when it ends (ms, exclusive)."""

    value: StrictBool | StrictStr
    attester: StrictStr
    expires_at: Millis


class Claims(Value):
    """What pinned attesters say of one party. What is not here is not known."""

    party: StrictStr
    attested: dict[str, Claim] = Field(default_factory=dict)

    def value(self, name: str, now_ms: int) -> bool | str | None:
        """Return an attribute that is attested at now_ms; None when it is not."""
        claim = self.attested.get(name)
        return claim.value if claim is not None and now_ms < claim.expires_at else None


def parse_terms(value: object) -> Terms:
    """Parse terms in their complete form. Raises TermsError, also when a field is left out."""
    terms = parse_value(Terms, value)
    if terms.to_dict() != value:
        raise TermsError("terms must be complete: write every field, as Terms.to_dict() does")
    return terms


def parse_purpose(value: object) -> Purpose:
    """Parse a purpose; left-out fields take their defaults. Raises TermsError."""
    return parse_value(Purpose, value)


def claims_from_attestations(party: str, claims: Mapping[str, Any]) -> Claims:
    """Make Claims of what attesters said: {name: {"value", "attester", "expires_at"}}.

    Raises TermsError.
    """
    return parse_value(Claims, {"party": party, "attested": dict(claims)})


def canonical_terms(terms: Terms | Mapping[str, Any]) -> bytes:
    """Return the RFC 8785 bytes that terms_sha256 and a grant's seal cover. Raises TermsError."""
    try:
        return canonical(terms.to_dict() if isinstance(terms, Terms) else dict(terms))
    except LedgerError as error:
        raise TermsError(f"terms have no canonical form: {error}") from None


def terms_sha256(terms: Terms | Mapping[str, Any]) -> str:
    """Return the hex SHA-256 of the canonical terms, as a consent commits to them."""
    return hashlib.sha256(canonical_terms(terms)).hexdigest()
