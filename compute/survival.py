"""Survival curves of grouped ages: Kaplan and Meier's estimate with Greenwood's error. Pure.

An interval is treated as one moment: who leaves in it is still at risk in it. Sources: Kaplan and
Meier 1958; Greenwood 1926; intervals on the scale of log(-log S), which stay within [0, 1]
(Kalbfleisch and Prentice 2002, section 1.4).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

Float64: TypeAlias = npt.NDArray[np.float64]
Z: Final = 1.959963984540054


@dataclass(frozen=True, slots=True, eq=False)
class Survival:
    """The share still without the event after each interval, its error and 95 % interval."""

    share: Float64
    se: Float64
    low: Float64
    high: Float64


def kaplan_meier(
    at_risk: npt.NDArray[Any], events: npt.NDArray[Any], extra: npt.NDArray[Any] | float = 0.0
) -> Survival:
    """Return the curve over the last axis, NaN from where nobody is at risk on.

    at_risk: people when an interval begins; events: of them, with the event in it. extra: variance
    of log S from elsewhere, such as added noise. No interval where S is 1 or 0.
    """
    n, d = at_risk.astype(np.float64), events.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        share: Float64 = np.asarray(np.cumprod(1.0 - d / n, axis=-1), np.float64)
        variance = np.cumsum(d / (n * (n - d)), axis=-1) + extra
        spread = np.sqrt(variance)
        se = share * spread
        reach = np.exp(Z * spread / np.abs(np.log(share)))
        low, high = share**reach, share ** (1.0 / reach)
    inside = (share > 0) & (share < 1) & np.isfinite(reach)
    return Survival(
        share,
        np.where(np.isfinite(se), se, np.nan),
        np.where(inside, low, np.nan),
        np.where(inside, high, np.nan),
    )
