"""Loads and stores at raw addresses, and the few bit tricks the kernels share.

Addresses (int64), not arrays: passing arrays into inlined helpers leaves reference counting in the hot loop
(417 calls and half the speed in the first decoder). Nothing is checked here: callers keep every address
inside a buffer with PAD spare bytes. With NUMBA_DISABLE_JIT=1 the same names are plain Python over ctypes.
"""

import ctypes
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba import config, njit, types
from numba.extending import intrinsic

PAD = 64  #: spare bytes behind every buffer a decoder reads: more than the longest step between two checks
MASK64 = (1 << 64) - 1

_SEPTETS = 0x7F7F7F7F7F7F7F7F
_SLOW_PEXT = {"znver1", "znver2", "bdver4"}
_I64, _U8 = ir.IntType(64), ir.IntType(8)
_LLVM = {
    "u8": _U8,
    "u16": ir.IntType(16),
    "u32": ir.IntType(32),
    "u64": _I64,
    "i32": ir.IntType(32),
    "i64": _I64,
    "f32": ir.FloatType(),
    "f64": ir.DoubleType(),
}
_CTYPES: dict[str, Any] = {"u8": ctypes.c_uint8, "u16": ctypes.c_uint16, "u32": ctypes.c_uint32,
                           "u64": ctypes.c_uint64, "i32": ctypes.c_int32, "i64": ctypes.c_int64,
                           "f32": ctypes.c_float, "f64": ctypes.c_double}  # fmt: skip


def _numba_type(kind: str) -> Any:
    return {"f": types.float64, "u": types.uint64, "i": types.int64}[kind[0]]


def _load(kind: str) -> Callable[..., Any]:
    """Make load(address) -> the value there, widened to 64 bits."""
    if config.DISABLE_JIT:
        wide = {"f": float, "u": np.uint64, "i": np.int64}[kind[0]]
        return lambda address: wide(_CTYPES[kind].from_address(int(address)).value)

    @intrinsic
    def load(typing_context, address):
        def generate(context, builder, signature, args):
            value = builder.load(builder.inttoptr(args[0], _LLVM[kind].as_pointer()))
            value.align = 1
            if kind == "f32":
                return builder.fpext(value, _LLVM["f64"])
            if kind in {"f64", "u64", "i64"}:
                return value
            return builder.zext(value, _I64) if kind[0] == "u" else builder.sext(value, _I64)

        return _numba_type(kind)(types.int64), generate

    kept: Callable[..., Any] = load
    return kept


def _store(kind: str) -> Callable[..., Any]:
    """Make store(address, value): the value narrowed to the kind."""
    if config.DISABLE_JIT:
        narrow = float if kind[0] == "f" else int

        def plain(address, value):
            _CTYPES[kind].from_address(int(address)).value = narrow(value)

        return plain

    @intrinsic
    def store(typing_context, address, value):
        def generate(context, builder, signature, args):
            narrowed = args[1]
            if kind == "f32":
                narrowed = builder.fptrunc(narrowed, _LLVM[kind])
            elif kind not in {"f64", "u64", "i64"}:
                narrowed = builder.trunc(narrowed, _LLVM[kind])
            place = builder.store(narrowed, builder.inttoptr(args[0], _LLVM[kind].as_pointer()))
            place.align = 1
            return context.get_dummy_value()

        return types.void(types.int64, _numba_type(kind)), generate

    kept: Callable[..., Any] = store
    return kept


ld_u8, ld_u16, ld_u32, ld_u64 = _load("u8"), _load("u16"), _load("u32"), _load("u64")
ld_i32, ld_i64, ld_f32, ld_f64 = _load("i32"), _load("i64"), _load("f32"), _load("f64")
st_u8, st_u16, st_u32, st_u64 = _store("u8"), _store("u16"), _store("u32"), _store("u64")
st_i32, st_i64, st_f64 = _store("i32"), _store("i64"), _store("f64")


@intrinsic
def _fold_product(typing_context, a, b):
    def generate(context, builder, signature, args):
        wide = ir.IntType(128)
        product = builder.mul(builder.zext(args[0], wide), builder.zext(args[1], wide))
        high = builder.trunc(builder.lshr(product, ir.Constant(wide, 64)), _I64)
        return builder.xor(builder.trunc(product, _I64), high)

    return types.uint64(types.uint64, types.uint64), generate


@intrinsic
def _bits_of(typing_context, value):
    return types.int64(types.float64), lambda context, builder, signature, args: builder.bitcast(args[0], _I64)


@intrinsic
def _trailing_zeros(typing_context, word):
    def generate(context, builder, signature, args):
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.uint64(types.uint64), generate


@intrinsic
def _leading_zeros(typing_context, word):
    def generate(context, builder, signature, args):
        return builder.ctlz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.uint64(types.uint64), generate


@intrinsic
def _prefetch(typing_context, address):
    def generate(context, builder, signature, args):
        i32 = ir.IntType(32)
        pointer = builder.inttoptr(args[0], _U8.as_pointer())
        function = builder.module.declare_intrinsic(
            "llvm.prefetch",
            [_U8.as_pointer()],
            ir.FunctionType(ir.VoidType(), [_U8.as_pointer(), i32, i32, i32]),
        )
        builder.call(function, [pointer, ir.Constant(i32, 1), ir.Constant(i32, 3), ir.Constant(i32, 1)])
        return context.get_dummy_value()

    return types.void(types.int64), generate


@intrinsic
def _opaque(typing_context, value):
    def generate(context, builder, signature, args):
        kind = ir.FunctionType(_I64, [_I64])
        return builder.asm(kind, "", "=r,0", [args[0]], side_effect=True)

    return types.int64(types.int64), generate


@intrinsic
def _differ32(typing_context, a, b, masks):
    def generate(context, builder, signature, args):
        vector, wide = ir.VectorType(_I64, 4), ir.IntType(256)
        words = []
        for address in args:
            word = builder.load(builder.inttoptr(address, vector.as_pointer()))
            word.align = 1
            words.append(word)
        masked = builder.and_(builder.xor(words[0], words[1]), words[2])
        return builder.icmp_unsigned("!=", builder.bitcast(masked, wide), ir.Constant(wide, 0))

    return types.boolean(types.int64, types.int64, types.int64), generate


@intrinsic
def _septets_by_pext(typing_context, word):
    def generate(context, builder, signature, args):
        function = builder.module.declare_intrinsic("llvm.x86.bmi.pext.64", [], ir.FunctionType(_I64, [_I64, _I64]))
        return builder.call(function, [args[0], ir.Constant(_I64, _SEPTETS)])

    return types.uint64(types.uint64), generate


@intrinsic
def _out_of_line(typing_context):
    def generate(context, builder, signature, args):
        builder.function.attributes.add("noinline")
        builder.function.attributes.add("cold")
        return context.get_dummy_value()

    return types.void(), generate


@njit(forceinline=True)
def septets_by_shifts(w):
    w = (w & np.uint64(0x007F007F007F007F)) | ((w & np.uint64(0x7F007F007F007F00)) >> np.uint64(1))
    w = (w & np.uint64(0x00003FFF00003FFF)) | ((w & np.uint64(0x3FFF00003FFF0000)) >> np.uint64(2))
    return (w & np.uint64(0x000000000FFFFFFF)) | ((w & np.uint64(0x0FFFFFFF00000000)) >> np.uint64(4))


def _has_fast_pext() -> bool:
    """Tell whether code is made for a processor with a quick PEXT: that of the first two Zens takes 18 cycles or more.

    Compiled kernels are cached per processor, so the choice is never another one's.
    """
    name = config.CPU_NAME or binding.get_host_cpu_name()
    known = binding.get_host_cpu_features() if config.CPU_FEATURES is None else {}
    return not config.DISABLE_JIT and config.CPU_NAME is None and bool(known.get("bmi2")) and name not in _SLOW_PEXT


def _fold_product_plain(a, b):
    product = int(a) * int(b)
    return np.uint64((product & MASK64) ^ (product >> 64))


def _trailing_zeros_plain(word):
    return np.uint64((int(word) & -int(word)).bit_length() - 1)


def _leading_zeros_plain(word):
    return np.uint64(64 - int(word).bit_length())


def _differ32_plain(a, b, masks):
    one, two, mask = (int.from_bytes(ctypes.string_at(int(address), 32), "little") for address in (a, b, masks))
    return (one ^ two) & mask != 0


def _bits_of_plain(value):
    return np.int64(struct.unpack("<q", struct.pack("<d", value))[0])


#: hi ^ lo of the 128-bit product: the mixing step of the wyhash family
fold_product = _fold_product_plain if config.DISABLE_JIT else _fold_product
#: the 64 bits of a double, as an integer
bits_of = _bits_of_plain if config.DISABLE_JIT else _bits_of
#: how many low zero bits a word has that is not 0
trailing_zeros = _trailing_zeros_plain if config.DISABLE_JIT else _trailing_zeros
#: how many high zero bits a word has that is not 0
leading_zeros = _leading_zeros_plain if config.DISABLE_JIT else _leading_zeros
#: the low seven bits of each byte, one behind the other
septets = _septets_by_pext if _has_fast_pext() else septets_by_shifts
#: whether 32 bytes differ where a mask of 32 bytes has ones; a vector by hand: Numba leaves such code scalar
differ32 = _differ32_plain if config.DISABLE_JIT else _differ32
#: ask for a cache line that will be written
prefetch = (lambda address: None) if config.DISABLE_JIT else _prefetch

#: called in a kernel that is rarely needed: keeps it out of its callers, whose code has to fit the first-level cache
out_of_line = (lambda: None) if config.DISABLE_JIT else _out_of_line
#: the value itself, which LLVM cannot see through: in a short loop over raw addresses it keeps the vectoriser
#: away, which would gather word by word (it cannot tell that integer addresses are consecutive)
opaque = (lambda value: value) if config.DISABLE_JIT else _opaque

_SEED, _MIX = np.uint64(0xA0761D6478BD642F), np.uint64(0xE7037ED1A0B428DB)


@njit(forceinline=True)
def hash_bytes(a, n):
    """Hash n bytes at address a to 64 bits; read only those n bytes.

    Source: the multiply-and-fold scheme of wyhash, constants included.
    """
    h = np.uint64(n) ^ _SEED
    if n > 8:
        last = a + n - 8
        i = a
        while i < last:
            h = fold_product(ld_u64(i) ^ _MIX, h)
            i = opaque(i + 8)
        w = ld_u64(last)
    elif n >= 4:
        w = (ld_u32(a) << np.uint64(32)) | ld_u32(a + n - 4)
    elif n > 0:
        w = (ld_u8(a) << np.uint64(16)) | (ld_u8(a + (n >> 1)) << np.uint64(8)) | ld_u8(a + n - 1)
    else:
        w = np.uint64(0)
    return fold_product(fold_product(w ^ _MIX, h) ^ _SEED, _MIX)


@njit(forceinline=True)
def copy_bytes(source, target, n):
    """Copy n bytes in steps of 8; may read and write up to 7 bytes past the end."""
    i = np.int64(0)
    while i < n:
        st_u64(target + i, ld_u64(source + i))
        i = opaque(i + 8)


@njit(forceinline=True)
def same_bytes(a, b, n):
    """Tell whether n bytes are equal; may read up to 7 bytes past either end."""
    difference = np.uint64(0)
    i = np.int64(0)
    while i + 8 <= n:
        difference |= ld_u64(a + i) ^ ld_u64(b + i)
        i = opaque(i + 8)
    if i < n:
        difference |= (ld_u64(a + i) ^ ld_u64(b + i)) << np.uint64(8 * (8 - (n - i)))
    return difference == np.uint64(0)


def address_of(array: Any) -> int:
    """Return the address of an array's first byte; the caller keeps the array alive."""
    return int(array.ctypes.data)
