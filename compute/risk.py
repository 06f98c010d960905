"""What a privacy budget means for its owner: how well anybody could tell that they took part.

Under zero-concentrated differential privacy of rho in all (everybody's queries together) no attacker,
whatever they know, tells a participant from a stranger with a better AUC than Phi(sqrt(rho)), nor
finds more than Phi(sqrt(2 rho) + z) of participants while wrongly naming a share of strangers
(Dong, Roth and Su 2022, from the Gaussian mechanism). Pictures are SVG text without scripts, drawn
from rho alone, for pages and terminals alike. Exact bounds; the guess out of 100 is rounded up.
"""  # noqa: E501

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from statistics import NormalDist
from typing import Any
from xml.sax.saxutils import escape

from compute.said import Say, as_it_is

HIGHEST = Fraction(1, 2)  # the largest lifetime budget terms may state
# Measured, not bounded: `python -m benchmarks.privacy` fails when it finds more.
TRUSTED_RIGHT_OF_100 = 76
WIDTH, HEIGHT, LEFT, TOP = 360, 180, 40, 16
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Risk:
    """Bounds on any attacker who has a person's whole genome.

    right_of_100: how often of 100 they tell a participant from a stranger (50 is guessing).
    found_of_100: of 100 participants, how many they find while wrongly naming 5 of 100 strangers.
    """

    right_of_100: int
    found_of_100: int


def risk_of(rho: Fraction) -> Risk:
    """Return the bounds at a budget of rho, rounded up. Raises ValueError below 0."""
    if rho < 0:
        raise ValueError("a privacy budget is not negative")
    right = _NORMAL.cdf(math.sqrt(rho))
    found = _NORMAL.cdf(math.sqrt(2 * rho) + _NORMAL.inv_cdf(0.05))
    return Risk(math.ceil(100 * right - 1e-9), math.ceil(100 * found - 1e-9))


def risk_words(rho: Fraction, say: Say = as_it_is) -> str:
    """Say a budget's risk, and whom the bound leaves out: k relatives together lose k^2 rho."""
    return say(
        "Even somebody who has your whole genome and buys everything could tell that you took "
        "part in at most %(1)s of 100 cases (50 of 100 is guessing). If close relatives take part "
        "as well it is more: as with four times the budget for two of you, nine times for three.",
        risk_of(rho).right_of_100,
    )


def risk_picture(lifetime: Fraction, spent: Fraction = Fraction(0), say: Say = as_it_is) -> str:
    """Return an SVG: the risk over budgets from 0 to 1/2, the owner's own marked, and what of it
    is spent. Raises ValueError for a budget below 0.
    """
    points = " ".join(
        f"{_x(at / 100):.1f},{_y(_right(at / 100)):.1f}" for at in range(int(HIGHEST * 100) + 1)
    )
    risk, here = risk_of(lifetime), min(float(lifetime), float(HIGHEST))
    used = min(float(spent), here)
    side, anchor = (1, "start") if here < 0.3 else (-1, "end")
    grid = "".join(
        f'<line x1="{LEFT}" x2="{WIDTH - 10}" y1="{_y(share):.1f}" y2="{_y(share):.1f}" '
        f'stroke="currentColor" opacity=".2"/><text x="{LEFT - 6}" y="{_y(share) + 4:.1f}" '
        f'text-anchor="end">{round(100 * share)}</text>'
        for share in (0.5, 0.6, 0.7, 0.8)
    )
    marks = "".join(
        f'<text x="{_x(rho):.1f}" y="{HEIGHT - 20}" text-anchor="middle">{rho:g}</text>'
        for rho in (0, 0.1, 0.2, 0.3, 0.4, 0.5)
    )
    title = say(
        "With a lifetime budget of %(1)s, at most %(2)s of 100 guesses whether you took part are "
        "right; %(3)s of it is spent.",
        f"{float(lifetime):g}", risk.right_of_100, f"{float(spent):g}",
    )  # fmt: skip
    yours = say("yours: %(1)s of 100", risk.right_of_100)
    below = say("lifetime budget; bar: spent. Height: right guesses of 100")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'font-family="sans-serif" font-size="11" fill="currentColor">'
        f"<title>{escape(title)}</title>{grid}{marks}"
        f'<polyline points="{points}" fill="none" stroke="currentColor" stroke-width="2"/>'
        f'<line x1="{_x(0):.1f}" x2="{_x(used):.1f}" y1="{_y(0.5):.1f}" y2="{_y(0.5):.1f}" '
        f'stroke="currentColor" stroke-width="6" opacity=".6"/>'
        f'<circle cx="{_x(here):.1f}" cy="{_y(_right(here)):.1f}" r="5"/>'
        f'<text x="{_x(here) + 8 * side:.1f}" y="{_y(_right(here)) + 18:.1f}" '
        f'text-anchor="{anchor}">{escape(yours)}</text>'
        f'<text x="{LEFT}" y="{HEIGHT - 4}">{escape(below)}</text></svg>'
    )


def error_picture(expected: Mapping[str, Any]) -> str:
    """Return an SVG of a dry run's expected error: bars of sampling, noise, and both.

    expected: what `expected_error` returns for a private query.
    """
    parts = [(name, float(expected[key])) for name, key in (
        ("sampling", "sampling_sd"), ("noise", "noise_sd"), ("together", "se"))]  # fmt: skip
    longest = max(value for _, value in parts) or 1.0
    bars = "".join(
        f'<text x="70" y="{30 + 34 * at}" text-anchor="end">{name}</text>'
        f'<rect x="78" y="{18 + 34 * at}" width="{200 * value / longest:.1f}" height="16"/>'
        f'<text x="{84 + 200 * value / longest:.1f}" y="{30 + 34 * at}">± {value:g}</text>'
        for at, (name, value) in enumerate(parts)
    )
    title = f"Expected error of each {expected['statistic']}: ± {float(expected['se']):g}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} 120" role="img" '
        f'font-family="sans-serif" font-size="11" fill="currentColor"><title>{title}</title>'
        f"{bars}</svg>"
    )


def _right(rho: float) -> float:
    return _NORMAL.cdf(math.sqrt(rho))


def _x(rho: float) -> float:
    return LEFT + (WIDTH - LEFT - 70) * rho / float(HIGHEST)


def _y(share: float) -> float:
    return TOP + (HEIGHT - TOP - 40) * (0.85 - share) / 0.35
