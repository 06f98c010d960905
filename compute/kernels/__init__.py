"""Face of the kernels: exact statistics over blocks of people's genotypes as bit planes.

Genotypes come as `planes`, uint64 (people, 2, words): see `compute.kernels.planes`, whose
`pack_dosages` makes them of int8 dosages (people, rows). Everything here is plain arrays: no keys,
no I/O, no clock. Code is compiled by numba where it is installed, else numpy's does the same work
slower. People are added block by block and forgotten; two partial objects of one question `merge`.

    counter = CodeCounter(rows); counter.add(planes); one, two, no_call = counter.counts()
    p = hwe_exact(hom_ref, het, hom_alt)                      # on X hwe_x_exact, with men
    linear = LinearAssociation(y, covariates, rows); linear.add(first, planes); linear.result()
    null = NullModel(y, covariates)                           # of a case/control trait
    score = LogisticScore(null, rows); score.add(first, planes); score.result()
    full = LogisticFit(null).fit(all_planes, rows)            # then firth=True where separated
    scores, missing = PolygenicScores(weights, absent).scores(planes)  # (people, scores), (people,)
    add_products(matrix, planes, af); values, vectors = leading(matrix / variants, count)  # PCA

y float64 (people,), covariates float64 (people, q) without an intercept, finite, in the order
people are added; `first` is the index of a block's first person in them. Results (`Association`)
have a row a variant: n, AC, beta and SE per copy of ALT, statistic, p, and a reason where NaN.
Haploid calls are diploid ones here: code them 0 or 2 where a copy counts twice (plink2's X model).
"""

from compute.kernels.components import (
    TW_5_PERCENT,
    add_products,
    leading,
    tracy_widom,
    weights_of,
)
from compute.kernels.counts import BitCounter, CodeCounter
from compute.kernels.engine import cores, engine, name
from compute.kernels.hardy import hwe_exact, hwe_x_exact
from compute.kernels.linear import Association, LinearAssociation
from compute.kernels.logistic import LogisticFit, LogisticScore, NullModel, TraitError
from compute.kernels.planes import (
    Words,
    pack_bits,
    pack_dosages,
    unpack_bits,
    unpack_dosages,
    words_of,
)
from compute.kernels.scores import PolygenicScores

__all__ = [
    "TW_5_PERCENT",
    "Association",
    "BitCounter",
    "CodeCounter",
    "LinearAssociation",
    "LogisticFit",
    "LogisticScore",
    "NullModel",
    "PolygenicScores",
    "TraitError",
    "Words",
    "add_products",
    "cores",
    "engine",
    "hwe_exact",
    "hwe_x_exact",
    "leading",
    "name",
    "pack_bits",
    "pack_dosages",
    "tracy_widom",
    "unpack_bits",
    "unpack_dosages",
    "weights_of",
    "words_of",
]
