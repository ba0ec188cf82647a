"""Comparison of products in 128 bits, exact for all of 63-bit factors."""

from llvmlite import ir
from numba import config, types
from numba.extending import intrinsic


def _at_least_plain(x, a, y, b):
    return int(x) * int(a) >= int(y) * int(b)


@intrinsic
def _at_least(typing_context, x, a, y, b):
    def generate(context, builder, signature, args):
        wide = [builder.zext(arg, ir.IntType(128)) for arg in args]
        return builder.icmp_unsigned(">=", builder.mul(wide[0], wide[1]), builder.mul(wide[2], wide[3]))

    return types.boolean(types.int64, types.int64, types.int64, types.int64), generate


#: x * a >= y * b in 128 bits, all four in [0, 2^63)
at_least = _at_least_plain if config.DISABLE_JIT else _at_least
