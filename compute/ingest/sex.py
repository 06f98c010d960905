"""What the X and Y calls say of a person's sex, and where X and Y behave as autosomes.

A check for the file's owner ("does this look like the right file?"), never a fact about anybody:
it is "unknown" wherever the calls do not decide. PAR coordinates: GRC, both builds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from compute.builds import CONTIG_CODE, Build
from compute.parsed import Genotypes, Sex

X: Final = CONTIG_CODE["X"]
Y: Final = CONTIG_CODE["Y"]
MT: Final = CONTIG_CODE["MT"]
# Pseudo-autosomal regions of X, 1-based, both ends included.
PAR_X: Final[Mapping[Build, tuple[tuple[int, int], ...]]] = {
    "GRCh37": ((60_001, 2_699_520), (154_931_044, 155_260_560)),
    "GRCh38": ((10_001, 2_781_479), (155_701_383, 156_030_895)),
}
MIN_X: Final = 50  # fewer calls on X do not decide
MALE_HET: Final = 0.01  # of X calls outside PAR; genotyping errors stay below
FEMALE_HET: Final = 0.05


def in_par(build: Build, pos: int) -> bool:
    """Tell whether an X position (1-based) lies in a pseudo-autosomal region."""
    return any(start <= pos <= end for start, end in PAR_X[build])


def sex_check(g: Genotypes) -> Sex:
    """Return the sex the X calls outside PAR suggest, or "unknown"."""
    at = np.flatnonzero((g.contig == X) & (g.ploidy > 0))
    at = at[[not in_par(g.build, pos) for pos in g.pos[at].tolist()]] if len(at) else at
    if len(at) < MIN_X:
        return "unknown"
    if (g.ploidy[at] == 1).mean() > 0.9:
        return "male"
    return sex_of_rate(int(((g.dosage[at] == 1) & (g.ploidy[at] == 2)).sum()), len(at))


def sex_of_rate(het: int, calls: int) -> Sex:
    """Return the sex a count of heterozygous among X calls outside PAR suggests."""
    if calls < MIN_X:
        return "unknown"
    rate = het / calls
    return "male" if rate < MALE_HET else "female" if rate > FEMALE_HET else "unknown"
