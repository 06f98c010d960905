"""The three inner loops that must be vector code, written in LLVM's IR through numba intrinsics.

LLVM's own vectoriser gives up on them (many pointers that may alias); as explicit eight-lane
vectors they compile to whatever the machine has (AVX-512, AVX2, NEON). Addresses and strides are
bytes, as integers. Nothing here checks bounds: `compute.kernels.compiled` alone calls it.
"""

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LANES = 8
COUNTER_PLANES = 9  # counts to 511
GROUP = 16  # people a carry-save step adds
_I1, _I8, _I64, _F64 = ir.IntType(1), ir.IntType(8), ir.IntType(64), ir.DoubleType()
_WORDS = ir.VectorType(_I64, LANES)
_DOUBLES = ir.VectorType(_F64, LANES)
_MASK = ir.VectorType(_I1, LANES)
_ADDRESS = types.intp


def _at(builder: Any, address: Any, kind: Any, align: int) -> Any:
    found = builder.load(builder.inttoptr(address, kind.as_pointer()))
    found.align = align
    return found


def _put(builder: Any, value: Any, address: Any, align: int) -> None:
    builder.store(value, builder.inttoptr(address, value.type.as_pointer())).align = align


def _int(value: int) -> Any:
    return ir.Constant(_I64, value)


def _adder(builder: Any, a: Any, b: Any, c: Any) -> tuple[Any, Any]:
    """Return (sum, carry) of three one-bit numbers in each position."""
    half = builder.xor(a, b)
    return builder.xor(half, c), builder.or_(builder.and_(a, b), builder.and_(half, c))


def _add_group(builder: Any, low: list[Any], inputs: Sequence[Callable[[], Any]]) -> Any:
    """Add sixteen one-bit inputs to four counter planes; return what carries out (Harley-Seal)."""

    def carry(first: int, count: int, plane: int) -> Any:
        if count == 2:
            low[plane], out = _adder(builder, low[plane], inputs[first](), inputs[first + 1]())
            return out
        half = count // 2
        one = carry(first, half, plane - 1)
        other = carry(first + half, half, plane - 1)
        low[plane], out = _adder(builder, low[plane], one, other)
        return out

    return carry(0, GROUP, 3)


def _count(
    builder: Any, groups: Any, read: Callable[[Any, int], Any], counter: Any, stride: Any
) -> None:
    """Add `groups` of sixteen people to one counter, held in registers meanwhile.

    read(group, number): the bits of one person; counter: address of nine planes, `stride` apart.
    """
    places = [
        builder.add(counter, builder.mul(stride, _int(plane))) for plane in range(COUNTER_PLANES)
    ]
    planes = [
        cgutils.alloca_once_value(builder, _at(builder, place, _WORDS, 8)) for place in places
    ]
    with cgutils.for_range(builder, groups) as loop:
        low = [builder.load(plane) for plane in planes[:4]]
        inputs = [lambda n=n: read(loop.index, n) for n in range(GROUP)]
        carried = _add_group(builder, low, inputs)
        for value, plane in zip(low, planes[:4], strict=True):
            builder.store(value, plane)
        for plane in planes[4:]:
            old = builder.load(plane)
            builder.store(builder.xor(old, carried), plane)
            carried = builder.and_(old, carried)
    for plane, place in zip(planes, places, strict=True):
        _put(builder, builder.load(plane), place, 8)


@intrinsic
def count_codes(
    typing: Any, source: Any, person: Any, plane: Any, groups: Any, counter: Any, stride: Any
) -> Any:
    """Add eight words of sixteen people a group to three counters: lo, hi, lo and hi.

    source: address of the first person's lo words; person, plane: strides; counter: address of
    3 x 9 counter planes, `stride` apart.
    """
    signature = types.void(*[_ADDRESS] * 6)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source, person, plane, groups, counter, stride = args

        def word(group: Any, number: int, which: int) -> Any:
            at = builder.add(builder.mul(group, _int(GROUP)), _int(number))
            place = builder.add(source, builder.mul(person, at))
            return _at(builder, builder.add(place, plane) if which else place, _WORDS, 8)

        streams: list[Callable[[Any, int], Any]] = [
            lambda group, n: word(group, n, 0),
            lambda group, n: word(group, n, 1),
            lambda group, n: builder.and_(word(group, n, 0), word(group, n, 1)),
        ]
        for number, stream in enumerate(streams):
            base = builder.add(counter, builder.mul(stride, _int(number * COUNTER_PLANES)))
            _count(builder, groups, stream, base, stride)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def count_bits(
    typing: Any, source: Any, person: Any, groups: Any, counter: Any, stride: Any
) -> Any:
    """Add eight words of sixteen people a group, one plane each, to one counter of nine planes."""
    signature = types.void(*[_ADDRESS] * 5)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source, person, groups, counter, stride = args

        def word(group: Any, number: int) -> Any:
            at = builder.add(builder.mul(group, _int(GROUP)), _int(number))
            return _at(builder, builder.add(source, builder.mul(person, at)), _WORDS, 8)

        _count(builder, groups, word, counter, stride)
        return context.get_dummy_value()

    return signature, codegen


SUM_COLUMNS = 4
_SUM_ROWS = 32


@intrinsic
def sum_codes(
    typing: Any, source: Any, person: Any, plane: Any, people: Any, values: Any, out: Any,
    stride: Any,
) -> Any:  # fmt: skip
    """Over 32 rows: out[k][row] += sum over people of lo * values[k] + hi * values[4 + k].

    values: (people, 8) doubles; out: address of the first row of four rows of doubles, `stride`
    apart. The sums stay in registers while people pass.
    """
    signature = types.void(*[_ADDRESS] * 7)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source, person, plane, people, values, out, stride = args
        sums = _loaded(builder, out, stride)
        with cgutils.for_range(builder, people) as loop:
            codes = builder.add(source, builder.mul(person, loop.index))
            given = builder.add(values, builder.mul(loop.index, _int(64)))
            for which in range(2):
                _add_plane(builder, sums, codes, plane if which else None, given, 4 * which)
        for slot, place in sums.values():
            _put(builder, builder.load(slot), place, 8)
        return context.get_dummy_value()

    return signature, codegen


def _loaded(builder: Any, out: Any, stride: Any) -> dict[tuple[int, int], tuple[Any, Any]]:
    """Read the sums from memory: (column, lane group) -> where it is held, where it lies."""
    sums = {}
    for k in range(SUM_COLUMNS):
        for block in range(_SUM_ROWS // LANES):
            place = builder.add(builder.add(out, builder.mul(stride, _int(k))), _int(64 * block))
            slot = cgutils.alloca_once(builder, _DOUBLES)
            builder.store(_at(builder, place, _DOUBLES, 8), slot)
            sums[k, block] = slot, place
    return sums


def _add_plane(
    builder: Any, sums: dict[tuple[int, int], tuple[Any, Any]], codes: Any, plane: Any, given: Any,
    first: int,
) -> None:  # fmt: skip
    """Add a person's values, from the one at `first`, where a plane has a bit; None: the lower."""
    masks = []
    for block in range(_SUM_ROWS // LANES):
        place = builder.add(codes, _int(block))
        place = place if plane is None else builder.add(place, plane)
        masks.append(builder.bitcast(_at(builder, place, _I8, 1), _MASK))
    for k in range(SUM_COLUMNS):
        at = builder.add(given, _int(8 * (k + first)))
        spread = _splat(builder, _at(builder, at, _F64, 8))
        for block, mask in enumerate(masks):
            slot = sums[k, block][0]
            old = builder.load(slot)
            added = builder.fadd(old, spread)
            builder.store(builder.select(mask, added, old), slot)


def _splat(builder: Any, value: Any) -> Any:
    empty = ir.Constant(_DOUBLES, ir.Undefined)
    one = builder.insert_element(empty, value, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(one, empty, zeros)


@intrinsic
def lowest_bit(typing: Any, word: Any) -> Any:
    """Return the index of the lowest set bit of a non-zero uint64."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(_I1, 1))

    return types.int64(types.uint64), codegen


@intrinsic
def ones_of(typing: Any, word: Any) -> Any:
    """Return how many bits of a uint64 are set."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ctpop(args[0])

    return types.int64(types.uint64), codegen


@intrinsic
def as_double(typing: Any, bits: Any) -> Any:
    """Return the double with these 64 bits."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], _F64)

    return types.float64(types.int64), codegen


@intrinsic
def as_bits(typing: Any, value: Any) -> Any:
    """Return the 64 bits of a double."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], _I64)

    return types.int64(types.float64), codegen
