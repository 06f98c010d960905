"""The loop of `compute.gcm` as numba compiles it: OpenSSL called by address, outside the GIL."""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from compute.kernels.compiled import add_codes
from compute.kernels.compiled_jit import Int64, Words, jit
from compute.kernels.simd import GROUP

_ADDRESS = types.intp
_I64, _I32 = ir.IntType(64), ir.IntType(32)
_SET_TAG = 0x11  # EVP_CTRL_AEAD_SET_TAG
_NONCE, _TAG = 12, 16


@intrinsic
def _open_one(
    typing: Any, init: Any, update: Any, control: Any, final: Any, context: Any, scratch: Any,
    key: Any, source: Any, size: Any, aad: Any, aad_size: Any, target: Any,
) -> Any:  # fmt: skip
    """Open nonce || ciphertext (`size` bytes) || tag into target; 1 where the tag holds, else 0.

    init, update, control, final: addresses of EVP_DecryptInit_ex, EVP_DecryptUpdate,
    EVP_CIPHER_CTX_ctrl, EVP_DecryptFinal_ex. A call after one that failed fails as well, or does
    no harm: the answer is that of all of them.
    """
    signature = types.int64(*[_ADDRESS] * 12)

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        init, update, control, final, context, scratch, key, source, size, aad, aad_size, out = args
        zero, good = ir.Constant(_I64, 0), ir.Constant(ir.IntType(1), 1)

        def call(address: Any, *given: Any) -> None:
            nonlocal good
            kind = ir.FunctionType(_I32, [value.type for value in given])
            result = builder.call(builder.inttoptr(address, kind.as_pointer()), given)
            good = builder.and_(good, builder.icmp_signed(">", result, ir.Constant(_I32, 0)))

        text = builder.add(source, ir.Constant(_I64, _NONCE))
        tag = builder.add(text, size)
        call(init, context, zero, zero, key, source)
        call(update, context, zero, scratch, aad, builder.trunc(aad_size, _I32))
        call(update, context, out, scratch, text, builder.trunc(size, _I32))
        call(control, context, ir.Constant(_I32, _SET_TAG), ir.Constant(_I32, _TAG), tag)
        call(final, context, builder.add(out, size), scratch)
        return builder.zext(good, _I64)

    return signature, codegen


@jit
def open_each(
    calls: Int64, context: int, keys: Any, sources: Int64, aads: Any, ends: Int64, out: Any,
    at: Int64,
) -> int:  # fmt: skip
    """Open the message at sources[i] into out[at[i]]; return the first i that does not open, or -1.

    calls: the four addresses of `_open_one`; keys: 32 bytes each; aads: the additional data, the
    i-th from ends[i] to ends[i + 1]; out: uint8 (rows, size). What does not open is zeroed: no
    byte of it is handed on unauthenticated.
    """
    scratch, size = np.zeros(1, np.int64), out.shape[1]
    for i in range(len(sources)):
        opened = _open_one(
            calls[0], calls[1], calls[2], calls[3], context, scratch.ctypes.data,
            keys.ctypes.data + 32 * i, sources[i], size, aads.ctypes.data + ends[i],
            ends[i + 1] - ends[i], out.ctypes.data + size * at[i],
        )  # fmt: skip
        if not opened:
            out[at[i]] = 0
            return i
    return -1


@jit
def count_each(
    calls: Int64, context: int, keys: Any, sources: Int64, aads: Any, ends: Int64, tile: Any,
    planes: Words, counter: Words,
) -> int:  # fmt: skip
    """Open messages sixteen at a time over a tile and add their planes to a counter.

    tile: uint8 (16, size); planes: the same memory as uint64 (16, 2, words); counter: as
    `compute.kernels.compiled.add_codes` takes it. Returns as `open_each`; the tile ends zeroed.
    """
    at, count, failed = np.arange(GROUP), len(sources), -1
    for first in range(0, count, GROUP):
        last = min(first + GROUP, count)
        tile[last - first :] = 0
        failed = open_each(
            calls, context, keys[32 * first :], sources[first:last], aads, ends[first : last + 1],
            tile, at,
        )  # fmt: skip
        if failed >= 0:
            failed += first
            break
        add_codes(planes, counter)
    tile[:] = 0
    return failed
