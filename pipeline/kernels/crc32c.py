"""CRC-32C (Castagnoli) of a span of bytes: the processor's instruction where there is one, tables elsewhere.

Law: crc32c(buffer, 0, 9) of b"123456789" is 0xE3069283, either way. Chosen once, when this is imported.
Source: RFC 3720 appendix B.4 for the polynomial; SSE4.2 through an LLVM intrinsic (9.5 GB/s here); tables of
        eight bytes a step after Kounavis and Berry, "A Systematic Approach to Building High Performance
        Software-Based CRC Generators", 2005.
"""

from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba import config, njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from pipeline.kernels.bits import ld_u64

POLYNOMIAL = 0x82F63B78  # reflected
FULL = 0xFFFFFFFF


def has_instruction() -> bool:
    """Tell whether compiled code may use SSE4.2: by what Numba compiles for, which may be less than the host.

    LLVM ends the process when it meets an instruction that its target lacks.
    """
    if config.DISABLE_JIT:
        return False
    if config.CPU_FEATURES is not None or config.CPU_NAME not in {None, "host"}:
        return "+sse4.2" in (config.CPU_FEATURES or "")
    return bool(binding.get_host_cpu_features().get("sse4.2"))


def _tables() -> NDArray[np.int64]:
    """Row k: what one byte does to the CRC when k further bytes follow it."""
    rows = np.zeros((8, 256), np.int64)
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ (POLYNOMIAL if crc & 1 else 0)
        rows[0, byte] = crc
    for k in range(1, 8):
        rows[k] = (rows[k - 1] >> 8) ^ rows[0, rows[k - 1] & 255]
    return rows


TABLES = _tables()


@njit(nogil=True, cache=True)
def crc32c_by_table(b, start, end):
    """Return the CRC of b[start:end]; nothing is checked. 1.7 GB/s compiled."""
    crc, p = np.int64(FULL), np.int64(start)
    while p + 8 <= end:
        x = np.int64(b[p]) | np.int64(b[p + 1]) << 8 | np.int64(b[p + 2]) << 16 | np.int64(b[p + 3]) << 24
        x ^= crc
        crc = TABLES[7, np.uint8(x)] ^ TABLES[6, np.uint8(x >> 8)]
        crc ^= TABLES[5, np.uint8(x >> 16)] ^ TABLES[4, np.uint8(x >> 24)]
        crc ^= TABLES[3, b[p + 4]] ^ TABLES[2, b[p + 5]] ^ TABLES[1, b[p + 6]] ^ TABLES[0, b[p + 7]]
        p += 8
    while p < end:
        crc = TABLES[0, np.uint8(crc) ^ b[p]] ^ crc >> 8
        p += 1
    return crc ^ np.int64(FULL)


@intrinsic
def _crc_of_word(typing_context, crc, word):
    def generate(context, builder, signature, args):
        i64 = ir.IntType(64)
        kind = ir.FunctionType(i64, [i64, i64])
        return builder.call(builder.module.declare_intrinsic("llvm.x86.sse42.crc32.64.64", (), kind), args)

    return types.uint64(types.uint64, types.uint64), generate


@intrinsic
def _crc_of_byte(typing_context, crc, byte):
    def generate(context, builder, signature, args):
        i32 = ir.IntType(32)
        kind = ir.FunctionType(i32, [i32, ir.IntType(8)])
        return builder.call(builder.module.declare_intrinsic("llvm.x86.sse42.crc32.32.8", (), kind), args)

    return types.uint32(types.uint32, types.uint8), generate


@njit(nogil=True, cache=True)
def crc32c_by_instruction(b, start, end):
    """Return the CRC of b[start:end]; nothing is checked. Only where `has_instruction`."""
    base, p = np.int64(b.ctypes.data), np.int64(start)
    words = np.uint64(FULL)
    while p + 8 <= end:
        words = _crc_of_word(words, ld_u64(base + p))
        p += 8
    rest = np.uint32(words)
    while p < end:
        rest = _crc_of_byte(rest, b[p])
        p += 1
    return np.int64(rest ^ np.uint32(FULL))


#: crc32c(b, start, end) -> int. Shapes: b (n,) u8; 0 <= start <= end <= n, not checked.
crc32c: Any = crc32c_by_instruction if has_instruction() else crc32c_by_table
