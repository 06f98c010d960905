"""An order's scope, as its researcher writes it, and counts of people as they may be told.

Who is in a scope is `compute.selection`'s. Spec: DESIGN section 4.1 (scope and match).
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StrictStr

from compute.errors import TermsError
from compute.values import Names, Region, Value, parse_value, unique

Modality = Literal[
    "genotypes", "expression", "participant",
    "methylation", "proteomics", "metabolomics", "microbiome", "clinical",
]  # fmt: skip


class Scope(Value):
    """What an order selects by: modalities (every one needed), build, published facets, region."""

    modalities: Annotated[tuple[Modality, ...], Field(min_length=1), AfterValidator(unique)]
    build: StrictStr | None = None
    facets: dict[StrictStr, Annotated[Names, Field(min_length=1)]] = Field(default_factory=dict)
    region: Region


def parse_scope(value: object) -> Scope:
    """Parse an order's scope. Raises TermsError."""
    return parse_value(Scope, value)


def bucket(n: int) -> str:
    """Return the public bucket of a count of people: 0, <20, 20-49, 50-99, 100-199, 200-499, ...

    Raises TermsError for a negative count.
    """
    if n < 0:
        raise TermsError("a count of people is not negative")
    if n < 20:
        return "<20" if n else "0"
    low, step = 20, 0
    while n >= (high := low * 5 // 2 if step % 3 == 0 else low * 2):
        low, step = high, step + 1
    return f"{low}-{high - 1}"
