"""Exact Hardy-Weinberg p of many positions, without mid-p.

Wigginton, Cutler and Abecasis 2005; on X, women and men together, Graffelman and Weir 2016.
"""

import itertools
from concurrent.futures import Executor

import numpy as np

from compute.kernels.engine import engine_for
from compute.stats import Float64, Int64


def hwe_exact(
    hom_ref: Int64, het: Int64, hom_alt: Int64, pool: Executor | None = None, parts: int = 1
) -> Float64:
    """Return p of each position, 1.0 where nothing varies: equal to `compute.stats.hwe_exact`.

    Only the two tails are summed; the rest of the distribution is known in closed form. With a
    pool the positions are shared out in `parts`.
    """
    out = np.empty(len(het), np.float64)
    if not len(het):
        return out
    logs = _log_factorials(2 * int((hom_ref + het + hom_alt).max()))
    kernel = engine_for(100 * len(het)).hwe
    edges = np.linspace(0, len(het), parts + 1).astype(int).tolist()
    spans = [slice(a, b) for a, b in itertools.pairwise(edges)]
    if pool is None:
        kernel(hom_ref, het, hom_alt, logs, out)
        return out
    list(pool.map(lambda s: kernel(hom_ref[s], het[s], hom_alt[s], logs, out[s]), spans))
    return out


def hwe_x_exact(
    hom_ref: Int64, het: Int64, hom_alt: Int64, hap_ref: Int64, hap_alt: Int64
) -> Float64:
    """Return p of each X position: equal to `compute.stats.hwe_x_exact`.

    hom_ref, het, hom_alt: women; hap_ref, hap_alt: men, who have one copy.
    """
    out = np.empty(len(het), np.float64)
    if not len(het):
        return out
    women, men = hom_ref + het + hom_alt, hap_ref + hap_alt
    logs = _log_factorials(int((2 * women + men).max()))
    work = int(((men + 1) * (women + 1)).sum())
    engine_for(work).hwe_x(hom_ref, het, hom_alt, hap_ref, hap_alt, logs, out)
    return out


def _log_factorials(most: int) -> Float64:
    from scipy.special import gammaln

    found: Float64 = gammaln(np.arange(most + 1) + 1.0)
    return found
