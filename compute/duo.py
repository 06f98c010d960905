"""The GA4GH Data Use Ontology as data: every code a person's terms may hold, and its parameter.

It names codes and says what they mean in plain words; what a code permits is decided in
`compute.match` alone. Never matches on shorthands: NPU changed its id between releases.
Spec: github.com/EBISPOT/DUO (release file duo.csv, CC BY 4.0); the plain words are ours.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from compute.errors import TermsError


class Kind(StrEnum):
    """Whether a code opens data or narrows its use."""

    PERMISSION = "permission"
    MODIFIER = "modifier"


class ParameterType(StrEnum):
    """What the one parameter of a code holds."""

    DISEASES = "diseases"  # disease ontology ids; they stand in Terms.diseases
    TEXTS = "texts"
    IDS = "ids"
    COUNTRIES = "countries"  # ISO 3166-1 alpha-2
    DATE = "date"  # YYYY-MM-DD
    MONTHS = "months"


@dataclass(frozen=True, slots=True)
class DuoTerm:
    """One usable code; parameter is (name, type) or None."""

    id: str
    shorthand: str
    kind: Kind
    label: str
    plain: str
    parameter: tuple[str, ParameterType] | None = None


_P, _M = Kind.PERMISSION, Kind.MODIFIER
_ROWS = (
    DuoTerm("DUO:0000004", "NRES", _P, "no restriction", "any use at all"),
    DuoTerm("DUO:0000042", "GRU", _P, "general research use", "research for any purpose"),
    DuoTerm(
        "DUO:0000006",
        "HMB",
        _P,
        "health or medical or biomedical research",
        "health and medical research, but not the study of ancestry",
    ),
    DuoTerm(
        "DUO:0000007",
        "DS",
        _P,
        "disease specific research",
        "research on the conditions I name",
        ("diseases", ParameterType.DISEASES),
    ),
    DuoTerm(
        "DUO:0000011",
        "POA",
        _P,
        "population origins or ancestry research only",
        "the study of ancestry and population origins only",
    ),
    DuoTerm(
        "DUO:0000012",
        "RS",
        _M,
        "research specific restrictions",
        "only certain kinds of study",
        ("topics", ParameterType.TEXTS),
    ),
    DuoTerm(
        "DUO:0000015",
        "NMDS",
        _M,
        "no general methods research",
        "not for developing software or methods",
    ),
    DuoTerm(
        "DUO:0000016",
        "GSO",
        _M,
        "genetic studies only",
        "only studies that use genetic data",
    ),
    DuoTerm(
        "DUO:0000018",
        "NPUNCU",
        _M,
        "not for profit, non commercial use only",
        "only not-for-profit organisations, and no commercial use",
    ),
    DuoTerm("DUO:0000019", "PUB", _M, "publication required", "results must be published"),
    DuoTerm(
        "DUO:0000020",
        "COL",
        _M,
        "collaboration required",
        "only together with people I name",
        ("investigators", ParameterType.IDS),
    ),
    DuoTerm(
        "DUO:0000021",
        "IRB",
        _M,
        "ethics approval required",
        "only with an ethics committee's approval",
    ),
    DuoTerm(
        "DUO:0000022",
        "GS",
        _M,
        "geographical restriction",
        "only in the countries I name",
        ("countries", ParameterType.COUNTRIES),
    ),
    DuoTerm(
        "DUO:0000024",
        "MOR",
        _M,
        "publication moratorium",
        "nothing may be published before a date",
        ("date", ParameterType.DATE),
    ),
    DuoTerm(
        "DUO:0000025",
        "TS",
        _M,
        "time limit on use",
        "only for a number of months",
        ("months", ParameterType.MONTHS),
    ),
    DuoTerm(
        "DUO:0000026",
        "US",
        _M,
        "user specific restriction",
        "only researchers I name",
        ("users", ParameterType.IDS),
    ),
    DuoTerm(
        "DUO:0000027",
        "PS",
        _M,
        "project specific restriction",
        "only projects I name",
        ("projects", ParameterType.IDS),
    ),
    DuoTerm(
        "DUO:0000028",
        "IS",
        _M,
        "institution specific restriction",
        "only institutions I name",
        ("institutions", ParameterType.IDS),
    ),
    DuoTerm(
        "DUO:0000029",
        "RTN",
        _M,
        "return to database or resource",
        "derived data must be given back",
    ),
    DuoTerm("DUO:0000043", "CC", _M, "clinical care use", "clinical care is allowed as well"),
    DuoTerm(
        "DUO:0000044",
        "NPOA",
        _M,
        "population origins or ancestry research prohibited",
        "not for the study of ancestry",
    ),
    DuoTerm(
        "DUO:0000045",
        "NPU",
        _M,
        "not for profit organisation use only",
        "only not-for-profit organisations",
    ),
    DuoTerm("DUO:0000046", "NCU", _M, "non-commercial use only", "no commercial use"),
)

DUO_TERMS: dict[str, DuoTerm] = {row.id: row for row in _ROWS}
BY_SHORTHAND: dict[str, str] = {row.shorthand: row.id for row in _ROWS}
NRES, GRU, HMB, DS, POA = (BY_SHORTHAND[s] for s in ("NRES", "GRU", "HMB", "DS", "POA"))
CC = BY_SHORTHAND["CC"]

# Roots of the two branches: they classify codes and never tag data.
GROUPINGS = frozenset({"DUO:0000001", "DUO:0000017"})
# Codes of older releases: what each one is today. An empty tuple has no successor.
LEGACY: dict[str, tuple[str, ...]] = {"DUO:0000005": (GRU, CC), "DUO:0000014": ()}


def duo_term(code: str) -> DuoTerm:
    """Return the usable term of a DUO id. Raises TermsError for groupings and unknown ids."""
    if code in GROUPINGS:
        raise TermsError(
            f"{code} is a heading of DUO and cannot stand in terms; choose a code under it"
        )
    if code in LEGACY:
        raise TermsError(f"{code} is a code of an older DUO release; import it with modernise()")
    try:
        return DUO_TERMS[code]
    except KeyError:
        raise TermsError(f"{code[:20]!r} is not a DUO code we know") from None


def modernise(codes: Iterable[str]) -> list[str]:
    """Map codes of any DUO release to today's, in order and without repeats.

    Raises TermsError for a code that is unknown, a grouping, or retired without a successor.
    """
    result: list[str] = []
    for code in codes:
        today = LEGACY.get(code, (code,))
        if not today:
            raise TermsError(
                f"{code} was retired from DUO without a successor; state it in today's codes"
            )
        for one in today:
            if duo_term(one).id not in result:
                result.append(one)
    return result
