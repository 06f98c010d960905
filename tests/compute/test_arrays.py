"""Arrays as bytes: what was packed comes back, and nothing else is taken."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from compute.arrays import ArraysError, pack, size_of, unpack

ARRAY = st.one_of(
    hnp.arrays("<i8", hnp.array_shapes(min_dims=1, max_dims=3, min_side=0)),
    hnp.arrays("<f8", hnp.array_shapes(min_dims=1, max_dims=3, min_side=0)),
    hnp.arrays("|b1", hnp.array_shapes(min_dims=1, max_dims=2, min_side=0)),
    hnp.arrays("<U16", hnp.array_shapes(min_dims=1, max_dims=1, min_side=0)),
)


def shapes_of(arrays):
    return {name: (one.dtype.str, one.shape) for name, one in arrays.items()}


@given(st.dictionaries(st.text("abc.0", min_size=1, max_size=5), ARRAY, max_size=4))
def test_what_was_packed_comes_back_bit_for_bit(arrays):
    shapes = shapes_of(arrays)
    data = pack(arrays)
    found = unpack(data, shapes)
    assert list(found) == list(arrays)
    for name, one in arrays.items():
        assert found[name].dtype == one.dtype
        assert found[name].tobytes() == one.tobytes()
    assert pack(found) == data
    assert size_of(shapes) <= len(data)


ONE = {"n": np.arange(6, dtype=np.int64).reshape(2, 3)}
OTHERS = [
    {"n": ("<i8", (3, 2))},
    {"n": ("<i8", (6,))},
    {"n": ("<f8", (2, 3))},
    {"m": ("<i8", (2, 3))},
    {},
    {"n": ("<i8", (2, 3)), "m": ("<i8", (0,))},
]


@pytest.mark.parametrize("shapes", OTHERS)
def test_another_shape_type_or_name_is_refused(shapes):
    with pytest.raises(ArraysError):
        unpack(pack(ONE), shapes)


@given(st.integers(0, 200), st.binary(max_size=3))
def test_bytes_cut_or_grown_are_refused(at, more):
    data = pack(ONE)
    bent = data[:at] + more
    if len(bent) != len(data):  # other numbers in their place are numbers, too
        with pytest.raises(ArraysError):
            unpack(bent, shapes_of(ONE))
    with pytest.raises(ArraysError):
        unpack(data + b"\0", shapes_of(ONE))


def test_objects_are_neither_packed_nor_read():
    with pytest.raises(ArraysError):
        pack({"o": np.array([{}], dtype=object)})
    with pytest.raises(ArraysError):
        pack({"n": np.array([1], ">i8")})
    with pytest.raises(ArraysError):
        unpack(pickle.dumps(ONE), shapes_of(ONE))


@pytest.mark.parametrize(("array", "raw"), [
    (np.array([True, False]), b"\x02\x00"),
    (np.array(["x"], "<U16"), b"\xff" * 64),
])  # fmt: skip
def test_what_is_no_value_of_its_type_is_refused(array, raw):
    data = pack({"a": array})
    bent = data[: -len(raw)] + raw
    with pytest.raises(ArraysError):
        unpack(bent, {"a": (array.dtype.str, array.shape)})
