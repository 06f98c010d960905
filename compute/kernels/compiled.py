"""The kernels as numba compiles them. Same faces as `compute.kernels.plain`; chosen by `engine`.

Every function checks nothing: the classes above it do. All release the GIL and are cached on disk
(NUMBA_CACHE_DIR where the package itself may not be written), so that a later process loads
machine code in milliseconds.
"""

import math

import numpy as np

from compute.kernels.compiled_fit import fit_linear
from compute.kernels.compiled_jit import Float64, Int32, Int64, Words, jit
from compute.kernels.compiled_logistic import fit_logistic
from compute.kernels.simd import (
    COUNTER_PLANES,
    GROUP,
    count_bits,
    count_codes,
    lowest_bit,
    ones_of,
    sum_codes,
)

__all__ = [
    "add_bits",
    "add_codes",
    "fit_linear",
    "fit_logistic",
    "flush",
    "hwe",
    "hwe_x",
    "score",
    "sum_absent",
    "sum_values",
]


@jit
def add_codes(planes: Words, counter: Words) -> None:
    """planes: (16 n people, 2, words), words a multiple of 8; counter: (3, 9, words)."""
    people, _, words = planes.shape
    source, target = planes.ctypes.data, counter.ctypes.data
    stride, groups = words * 8, people // GROUP
    for at in range(0, stride, 64):
        count_codes(source + at, 2 * stride, stride, groups, target + at, stride)


@jit
def add_bits(planes: Words, counter: Words) -> None:
    """planes: (16 n people, words), words a multiple of 8; counter: (9, words)."""
    people, words = planes.shape
    source, target = planes.ctypes.data, counter.ctypes.data
    stride, groups = words * 8, people // GROUP
    for at in range(0, stride, 64):
        count_bits(source + at, stride, groups, target + at, stride)


@jit
def flush(counter: Words, counts: Int32) -> None:
    """Counts (streams, rows) += counter (streams, 9, words), which is zeroed."""
    streams, _, words = counter.shape
    number = np.empty(64, np.int32)
    for stream in range(streams):
        for w in range(words):
            number[:] = 0
            for plane in range(COUNTER_PLANES):
                bits = counter[stream, plane, w]
                counter[stream, plane, w] = 0
                for bit in range(64):
                    number[bit] |= np.int32((bits >> np.uint64(bit)) & np.uint64(1)) << plane
            for bit in range(64):
                counts[stream, w * 64 + bit] += number[bit]


@jit
def sum_values(planes: Words, values: Float64, out: Float64) -> None:
    """Out (4, rows) += lo * values[:, :4] + hi * values[:, 4:], over people."""
    people, _, words = planes.shape
    stride = words * 8
    for half in range(words * 2):
        sum_codes(
            planes.ctypes.data + half * 4, 2 * stride, stride, people, values.ctypes.data,
            out.ctypes.data + half * 256, words * 512,
        )  # fmt: skip


@jit
def sum_absent(planes: Words, values: Float64, out: Float64) -> None:
    """Out (rows, m) += values (people, m) of each person without a call at the row."""
    people, _, words = planes.shape
    block = 64
    for start in range(0, words, block):
        for person in range(people):
            for w in range(start, min(start + block, words)):
                both = planes[person, 0, w] & planes[person, 1, w]
                while both:
                    row = w * 64 + lowest_bit(both)
                    both &= both - np.uint64(1)
                    for k in range(values.shape[1]):
                        out[row, k] += values[person, k]


@jit
def score(
    planes: Words, weights: Float64, absent: Float64, mask: Words, out: Float64, missing: Int64
) -> None:
    """Out (people, scores) += weights (scores, rows) * dosage; absent (scores, rows) where none.

    absent is what a person without a call gets, less three times the weight (lo and hi are set).
    missing (people,) += rows of the mask, (words,), without a call. The sums of any eight rows'
    weights are looked up in tables ("four Russians", Arlazarov et al. 1970), made once for all
    people of a block and few enough to stay in the processor's nearest cache.
    """
    people, _, words = planes.shape
    tables = np.zeros((8, 256))
    for w in range(words):
        for k in range(weights.shape[0]):
            _tabulate(weights[k, w * 64 : w * 64 + 64], tables)
            for person in range(people):
                once = _looked_up(tables, planes[person, 0, w])
                out[person, k] += once + 2.0 * _looked_up(tables, planes[person, 1, w])
        for person in range(people):
            both = planes[person, 0, w] & planes[person, 1, w]
            missing[person] += ones_of(both & mask[w])
            while both:
                row = w * 64 + lowest_bit(both)
                both &= both - np.uint64(1)
                for k in range(weights.shape[0]):
                    out[person, k] += absent[k, row]


@jit
def _tabulate(weights: Float64, tables: Float64) -> None:
    """Make tables[i, octet] the sum of those of weights[8 i : 8 i + 8] whose bit is set."""
    for octet in range(8):
        for bit in range(8):
            half, weight = 1 << bit, weights[8 * octet + bit]
            for number in range(half):
                tables[octet, half + number] = tables[octet, number] + weight


@jit
def _looked_up(tables: Float64, word: int) -> float:
    """Return the sum over a word's eight octets."""
    one, few = np.uint64(8), np.uint64(255)
    a = tables[0, word & few] + tables[1, (word >> one) & few]
    b = tables[2, (word >> 2 * one) & few] + tables[3, (word >> 3 * one) & few]
    c = tables[4, (word >> 4 * one) & few] + tables[5, (word >> 5 * one) & few]
    d = tables[6, (word >> 6 * one) & few] + tables[7, word >> 7 * one]
    return (a + b) + (c + d)


@jit
def _tail(h: int, step: int, rare: int, people: int) -> float:
    """Return the sum of P(h'), from h outwards, in units of P(h)."""
    total, term = 1.0, 1.0
    while True:
        if step > 0:
            top = 4.0 * ((rare - h) // 2) * (people - h - (rare - h) // 2)
            term *= top / ((h + 2.0) * (h + 1.0))
        else:
            homs = (rare - h) // 2
            term *= (h * (h - 1.0)) / (4.0 * (homs + 1.0) * (people - h - homs + 1.0))
        h += step
        total += term
        if not term > total * 1e-14:
            return total


@jit
def hwe(hom_ref: Int64, het: Int64, hom_alt: Int64, logs: Float64, out: Float64) -> None:
    """Exact p of each position; logs[i] = log(i!) up to twice the people."""
    for at in range(len(het)):
        out[at] = _hwe_one(hom_ref[at], het[at], hom_alt[at], logs)


@jit
def _log_chance(h: int, rare: int, people: int, logs: Float64) -> float:
    homs = (rare - h) // 2
    return h * math.log(2.0) - logs[h] - logs[homs] - logs[people - h - homs]


@jit
def _likeliest(rare: int, people: int, logs: Float64) -> int:
    """Return the likeliest number of heterozygotes; it lies within one step of where it starts."""
    middle = int(rare * (2.0 * people - rare) / (2.0 * max(people, 1)))
    middle += (middle ^ rare) & 1
    middle = min(max(middle, rare & 1), rare)
    while middle + 2 <= rare and _log_chance(middle + 2, rare, people, logs) > _log_chance(
        middle, rare, people, logs
    ):
        middle += 2
    while middle >= 2 and _log_chance(middle - 2, rare, people, logs) > _log_chance(
        middle, rare, people, logs
    ):
        middle -= 2
    return middle


@jit
def _hwe_one(hom_ref: int, het: int, hom_alt: int, logs: Float64) -> float:
    people = hom_ref + het + hom_alt
    rare = 2 * min(hom_ref, hom_alt) + het
    if rare == 0:
        return 1.0
    middle = _likeliest(rare, people, logs)
    seen = _log_chance(het, rare, people, logs)
    tie = 1e-9 + 8e-16 * logs[people]
    if _log_chance(middle, rare, people, logs) - seen <= tie:
        return 1.0
    # log of n! nA! nB! / (2n)!: with it the chances of all configurations add to one.
    scale = logs[2 * people] - logs[people] - logs[rare] - logs[2 * people - rare]
    step = 2 if het > middle else -2
    found = math.exp(seen - scale) * _tail(het, step, rare, people)
    near, far = middle, rare if step < 0 else rare & 1
    if _log_chance(far, rare, people, logs) <= seen + tie:
        while abs(far - near) > 2:  # the first configuration no likelier than the one seen
            half = near + (far - near) // 4 * 2
            if _log_chance(half, rare, people, logs) <= seen + tie:
                far = half
            else:
                near = half
        here = math.exp(_log_chance(far, rare, people, logs) - scale)
        found += here * _tail(far, -step, rare, people)
    return min(found, 1.0)


@jit
def hwe_x(
    hom_ref: Int64, het: Int64, hom_alt: Int64, hap_ref: Int64, hap_alt: Int64, logs: Float64,
    out: Float64,
) -> None:  # fmt: skip
    """Exact p of each X position; logs[i] = log(i!) up to the number of alleles."""
    for at in range(len(het)):
        out[at] = _hwe_x_one(hom_ref[at], het[at], hom_alt[at], hap_ref[at], hap_alt[at], logs)


@jit
def _hwe_x_one(
    hom_ref: int, het: int, hom_alt: int, hap_ref: int, hap_alt: int, logs: Float64
) -> float:
    women, men = hom_ref + het + hom_alt, hap_ref + hap_alt
    alleles, copies = 2 * women + men, 2 * hom_alt + het + hap_alt
    # Chances of women's heterozygotes are those of `_log_chance` (A the allele counted, either of
    # the two), beside log of men! / (mA! mB!); with `scale` all configurations add up to one.
    scale = logs[alleles] - logs[women] - logs[men] - logs[copies] - logs[alleles - copies]
    seen = _log_chance(het, 2 * hom_alt + het, women, logs) - logs[hap_alt] - logs[hap_ref]
    tie = 1e-9 + 8e-16 * logs[alleles]
    found = 0.0
    for carrying in range(max(0, copies - 2 * women), min(men, copies) + 1):
        own = logs[carrying] + logs[men - carrying]
        left = copies - carrying
        found += _row(min(left, 2 * women - left), women, seen + tie + own, scale + own, logs)
    return min(found, 1.0)


@jit
def _row(rare: int, women: int, most: float, scale: float, logs: Float64) -> float:
    """Sum the chances, of one count of men, of women's configurations no likelier than `most`."""
    middle = _likeliest(rare, women, logs)
    if _log_chance(middle, rare, women, logs) <= most:
        # All of them: what the hypergeometric law says of such a count of men.
        return math.exp(logs[2 * women] - logs[women] - logs[rare] - logs[2 * women - rare] - scale)
    found = 0.0
    for step in (-2, 2):
        near, far = middle, rare if step > 0 else rare & 1
        if _log_chance(far, rare, women, logs) > most:
            continue
        while abs(far - near) > 2:  # the first configuration no likelier than `most`
            half = near + (far - near) // 4 * 2 if step > 0 else near - (near - far) // 4 * 2
            if _log_chance(half, rare, women, logs) <= most:
                far = half
            else:
                near = half
        here = _log_chance(far, rare, women, logs) - scale
        if here > -700.0:
            found += math.exp(here) * _tail(far, step, rare, women)
    return found


@jit
def set_gaps(gaps: np.ndarray, rows: int, out: Words) -> bool:
    """Set the bits a list of gaps names (see compute.rowsets); False where one is past `rows`."""
    row, number, shift = np.int64(-1), np.int64(0), 0
    for byte in gaps:
        number |= np.int64(byte & 0x7F) << shift
        shift += 7
        if byte & 0x80:
            if shift > 28:
                return False
            continue
        row += number + 1
        if row >= rows:
            return False
        out[row >> 6] |= np.uint64(1) << np.uint64(row & 63)
        number, shift = np.int64(0), 0
    return shift == 0
