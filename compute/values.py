"""The kinds of field our signed documents have, and the frozen document they stand in.

No kind repairs, trims or guesses a value; none is a float.
"""

import re
from datetime import date
from fractions import Fraction
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictInt,
    StrictStr,
    ValidationError,
)

from compute.errors import TermsError

_DISEASE = re.compile(r"[A-Z][A-Za-z]{1,15}:[0-9A-Za-z]{1,20}")
COUNTRY = re.compile(r"[A-Z]{2}")
_REGION = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,31}")
_RATIONAL = re.compile(r"[0-9]{1,9}(/[1-9][0-9]{0,8})?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_FAMILY = re.compile(r"[a-z][a-z0-9_.-]{0,63}")


def _matches(pattern: re.Pattern[str], what: str) -> AfterValidator:
    def check(text: str) -> str:
        if pattern.fullmatch(text) is None:
            raise ValueError(f"not {what}")
        return text

    return AfterValidator(check)


def _rational(text: str) -> str:
    if _RATIONAL.fullmatch(text) is None or str(Fraction(text)) != text:
        raise ValueError('not an exact fraction in lowest terms such as "1/10"')
    return text


def iso_date(text: str) -> str:
    """Return a date YYYY-MM-DD that exists. Raises ValueError."""
    if _DATE.fullmatch(text) is None:
        raise ValueError("not a date YYYY-MM-DD")
    date.fromisoformat(text)
    return text


def _plain_line(text: str) -> str:
    if not text.isprintable():
        raise ValueError("holds characters that do not print")
    return text


def unique(items: tuple[str, ...]) -> tuple[str, ...]:
    """Return items that are all different. Raises ValueError."""
    if len(set(items)) != len(items):
        raise ValueError("names something twice")
    return items


def star_alone(items: tuple[str, ...]) -> tuple[str, ...]:
    """Return "*" alone, or names without it. Raises ValueError."""
    if not items or ("*" in items and len(items) > 1):
        raise ValueError('give "*" alone, or the names one by one')
    return items


Disease = Annotated[StrictStr, _matches(_DISEASE, "an ontology id such as MONDO:0005148")]
Region = Annotated[StrictStr, _matches(_REGION, "a region name")]
Rational = Annotated[StrictStr, AfterValidator(_rational)]
Date = Annotated[StrictStr, AfterValidator(iso_date)]
Millis = Annotated[StrictInt, Field(ge=0, le=2**53 - 1)]
Amount = Annotated[StrictInt, Field(ge=0, le=10**12)]
Currency = Annotated[StrictStr, _matches(re.compile("[a-z]{3}"), "a lower-case currency code")]
Line = Annotated[StrictStr, Field(max_length=200), AfterValidator(_plain_line)]
Name = Annotated[Line, Field(min_length=1)]
Family = Annotated[StrictStr, _matches(re.compile(rf"\*|{_FAMILY.pattern}"), "a query family")]
RegionOrAny = Annotated[StrictStr, _matches(re.compile(rf"\*|{_REGION.pattern}"), "a region")]
Names = Annotated[tuple[Name, ...], AfterValidator(unique)]
Diseases = Annotated[tuple[Disease, ...], AfterValidator(unique)]
PriceClass = Literal["non_profit_research", "commercial_research", "methods", "clinical_care"]
Sector = Literal["academic", "public_health", "commercial", "insurer", "employer"]
# Studies a person may want to be asked about first (DUOS asks its committees about the same ones).
Sensitive = Literal[
    "addiction",
    "controls",
    "gender",
    "illegal_behaviour",
    "not_health",
    "pediatric",
    "population",
    "psychological_traits",
    "sexual_diseases",
    "stigmatised_diseases",
    "vulnerable_populations",
]
PRICE_CLASSES: tuple[PriceClass, ...] = get_args(PriceClass)
SECTORS: tuple[Sector, ...] = get_args(Sector)
ParameterValue = StrictInt | Annotated[StrictStr, Field(max_length=200)] | Names


class Value(BaseModel):
    """A frozen document: nothing unknown, nothing changed after it is made."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    def to_dict(self) -> dict[str, Any]:
        """Return the complete JSON form, without floats."""
        return self.model_dump(mode="json")


V = TypeVar("V", bound=Value)


def parse_value(kind: type[V], value: object) -> V:
    """Parse a document of a kind. Raises TermsError naming the field and never its contents."""
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part)[:40] for part in e['loc']) or 'document'}: {e['msg']}"
            for e in error.errors(include_input=False, include_url=False)[:5]
        )
        raise TermsError(f"{kind.__name__.lower()} not accepted: {problems}") from None
