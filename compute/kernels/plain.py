"""The kernels in numpy: what runs where numba is not installed, and what the compiled ones are
tested against. Same faces, same results; slower by an order of magnitude, bounded in memory.
"""

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from compute.kernels.planes import Words, unpack_bits, unpack_dosages
from compute.stats import Products, hwe_exact_many, hwe_x_exact_many, least_squares

Float64: TypeAlias = npt.NDArray[np.float64]
Int32: TypeAlias = npt.NDArray[np.int32]
Int64: TypeAlias = npt.NDArray[np.int64]
_BLOCK = 512  # words at a time: unpacked bits take eight times their planes


def _blocks(words: int) -> Iterator[tuple[slice, slice]]:
    for start in range(0, words, _BLOCK):
        end = min(start + _BLOCK, words)
        yield slice(start, end), slice(start * 64, end * 64)


def add_codes(planes: Words, counter: Words) -> None:
    """As `compiled.add_codes`."""
    for stream, bits in enumerate((planes[:, 0], planes[:, 1], planes[:, 0] & planes[:, 1])):
        add_bits(bits, counter[stream])


def add_bits(planes: Words, counter: Words) -> None:
    """As `compiled.add_bits`."""
    for person in planes:
        carried = person.copy()
        for plane in counter:
            plane[:], carried = plane ^ carried, plane & carried


def flush(counter: Words, counts: Int32) -> None:
    """As `compiled.flush`."""
    for stream, planes in enumerate(counter):
        for number, plane in enumerate(planes):
            counts[stream] += unpack_bits(plane, counts.shape[1]).astype(np.int32) << number
    counter[:] = 0


def sum_values(planes: Words, values: Float64, out: Float64) -> None:
    """As `compiled.sum_values`."""
    for words, rows in _blocks(planes.shape[2]):
        count = rows.stop - rows.start
        for which in range(2):
            bits = unpack_bits(planes[:, which, words], count).astype(np.float64)
            out[:, rows] += values[:, 4 * which : 4 * which + 4].T @ bits


def sum_absent(planes: Words, values: Float64, out: Float64) -> None:
    """As `compiled.sum_absent`."""
    both = planes[:, 0] & planes[:, 1]
    for person, bits in enumerate(both):
        if bits.any():
            out[np.flatnonzero(unpack_bits(bits, out.shape[0]))] += values[person]


def score(
    planes: Words, weights: Float64, absent: Float64, mask: Words, out: Float64, missing: Int64
) -> None:
    """As `compiled.score`."""
    for words, rows in _blocks(planes.shape[2]):
        count = rows.stop - rows.start
        low = unpack_bits(planes[:, 0, words], count)
        high = unpack_bits(planes[:, 1, words], count)
        out += (low.astype(np.float64) + 2.0 * high) @ weights[:, rows].T
        out += (low & high).astype(np.float64) @ absent[:, rows].T
    missing += np.bitwise_count(planes[:, 0] & planes[:, 1] & mask).sum(axis=1, dtype=np.int64)


def hwe(hom_ref: Int64, het: Int64, hom_alt: Int64, logs: Float64, out: Float64) -> None:
    """As `compiled.hwe`."""
    out[:] = hwe_exact_many(hom_ref, het, hom_alt)


def hwe_x(
    hom_ref: Int64, het: Int64, hom_alt: Int64, hap_ref: Int64, hap_alt: Int64, logs: Float64,
    out: Float64,
) -> None:  # fmt: skip
    """As `compiled.hwe_x`."""
    out[:] = hwe_x_exact_many(hom_ref, het, hom_alt, hap_ref, hap_alt)


def fit_linear(
    one: Int64, two: Int64, products: Float64, gx: Float64, beta: Float64, se: Float64,
    code: npt.NDArray[np.int8],
) -> None:  # fmt: skip
    """Fit every variant from its sums.

    one, two (V,): people with one, two copies. products (V, 1 + p + p (p + 1) / 2), over people
    with a call, x = (y, covariates) of p columns: how many, sums of x, of x x' along the upper
    triangle. gx (p, V): sums of dosage * x. beta, se (V,) and code (V,) are filled in.
    """
    p = len(gx)
    n = np.rint(products[:, 0]).astype(np.int64)
    people = np.maximum(n, 1).astype(np.float64)
    mean = products[:, 1 : 1 + p] / people[:, None]
    inner = np.empty((len(n), p, p))
    upper = np.triu_indices(p)
    inner[:, upper[0], upper[1]] = inner[:, upper[1], upper[0]] = products[:, 1 + p :]
    inner -= people[:, None, None] * mean[:, :, None] * mean[:, None, :]
    g, gg = one + 2 * two, one + 4 * two
    cross = gx.T - g[:, None] * mean
    xx = np.empty((len(n), p, p))
    xx[:, 0, 0] = gg - g * g / people
    xx[:, 0, 1:] = xx[:, 1:, 0] = cross[:, 1:]
    xx[:, 1:, 1:] = inner[:, 1:, 1:]
    xy = np.concatenate([cross[:, :1], inner[:, 0, 1:]], axis=1)
    yy = np.where(inner[:, 0, 0] > 1e-12 * people, inner[:, 0, 0], 0.0)
    # A covariate that does not vary here: exactly nothing, not its last bits.
    diagonal = np.einsum("vpp->vp", xx)
    xx[np.broadcast_to((diagonal <= 1e-12 * people[:, None])[:, :, None], xx.shape)] = 0.0
    fit = least_squares(Products(n, xx, xy, yy, n * gg == g * g))
    beta[:], se[:] = fit.beta, fit.se
    names = {"": 0, "monomorphic": 1, "too_few_people": 2, "constant_feature": 3, "collinear": 4,
             "no_people": 5}  # fmt: skip
    code[:] = [names[reason] for reason in fit.reason.tolist()]


def fit_logistic(
    planes: Words, first: int, last: int, design: Float64, y: Float64, start: Float64, firth: bool,
    chosen: npt.NDArray[np.bool_], ints: Int64, beta: Float64, se: Float64,
    code: npt.NDArray[np.int8],
) -> None:  # fmt: skip
    """Fit logit P(y = 1) ~ dosage + design, for the rows first … last - 1 that are chosen.

    planes: everybody's; design (k, people), its first row ones; start (k,): the null model's
    coefficients. ints (rows, 2) gets n and AC; beta, se, code (rows,). firth: Firth's penalty.
    """
    from compute.kernels.reference import logistic_one

    words = slice(first // 64, -(-last // 64))
    codes = unpack_dosages(planes[:, :, words], (words.stop - words.start) * 64)
    for row in range(first, last):
        if not chosen[row]:
            continue
        dosage = codes[:, row - words.start * 64]
        called = dosage >= 0
        ints[row] = called.sum(), dosage[called].sum()
        found = logistic_one(dosage[called], design[:, called], y[called], start, firth=firth)
        code[row], beta[row], se[row] = found


def set_gaps(gaps: npt.NDArray[np.uint8], rows: int, out: Words) -> bool:
    """As `compiled.set_gaps`."""
    last = gaps < 0x80
    if len(gaps) and not last[-1]:
        return False
    start = np.flatnonzero(np.concatenate([[True], last[:-1]])) if len(gaps) else np.zeros(0, int)
    place = np.arange(len(gaps)) - np.repeat(start, np.diff(np.append(start, len(gaps))))
    if len(gaps) and place.max() > 4:
        return False
    numbers = np.add.reduceat((gaps.astype(np.int64) & 0x7F) << (7 * place), start) if len(
        gaps) else np.zeros(0, np.int64)  # fmt: skip
    found = np.cumsum(numbers + 1) - 1
    if len(found) and found[-1] >= rows:
        return False
    octets = out.view(np.uint8)
    np.bitwise_or.at(octets, found >> 3, (1 << (found & 7)).astype(np.uint8))
    return True
