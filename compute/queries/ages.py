"""Ages in years, as far as a coded record tells them: of an onset, and when it last speaks.

An age stated as a duration is taken as it is; a calendar year counts from the year of birth, so to
the year. A class of onset (such as HP:0003577, congenital) is no age.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from compute.parsed import Clinical

DAYS: Final = 365.25
_MS: Final = DAYS * 86_400_000
_EPOCH: Final = 1970
_AGE: Final = re.compile(r"P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?(?:T.*)?")
_YEAR: Final = re.compile(r"\d{4}")
_PARTS: Final = (1.0, 1 / 12, 7 / DAYS, 1 / DAYS)


def age_in_years(stated: str | None, birth_year: int | None) -> float | None:
    """Return the age an onset or last sight states, None where it states none."""
    if not stated:
        return None
    age = _AGE.fullmatch(stated)
    if age is not None:
        parts = zip(age.groups(), _PARTS, strict=True)
        return sum(int(number) * years for number, years in parts if number)
    if not _YEAR.fullmatch(stated):
        return None
    return _since_birth(int(stated), birth_year)


def last_known_age(record: Clinical) -> float | None:
    """Return the greatest age at which the record speaks of the person, None where it has none."""
    return max(_ages(record), default=None)


def _ages(record: Clinical) -> Iterator[float]:
    born = record.demographics.birth_year
    stated = [record.demographics.last_seen]
    stated += [term.onset for term in record.terms if not term.excluded]
    found = [age_in_years(one, born) for one in stated]
    times = [m.time_ms for m in record.measurements if m.time_ms is not None]
    if times:
        found.append(_since_birth(int(_EPOCH + max(times) / _MS), born))
    yield from (age for age in found if age is not None)


def _since_birth(year: int, birth_year: int | None) -> float | None:
    return None if birth_year is None or year < birth_year else float(year - birth_year)
