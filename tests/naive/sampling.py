"""Which records of a partition are in a share of all: splitmix64, in Python's integers."""

WORD = (1 << 64) - 1


def is_in_share(offset: int, partition: int, ratio: float) -> bool:
    x = (offset * 0x9E3779B97F4A7C15 + partition * 0x5851F42D4C957F2D) & WORD
    x = ((x ^ x >> 30) * 0xBF58476D1CE4E5B9) & WORD
    x = ((x ^ x >> 27) * 0x94D049BB133111EB) & WORD
    return (x ^ x >> 31) / (1 << 64) < ratio
