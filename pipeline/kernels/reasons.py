"""Codes that kernels give back: what became of a record, and why a kernel stopped."""

import numpy as np

# what became of a record
TODO, GOOD = np.uint64(255), np.uint64(0)
NULL_VALUE, TOO_LARGE, UNFRAMED, MALFORMED, TOO_LONG = (np.uint64(i) for i in range(1, 6))
NEGATIVE_DURATION, NEGATIVE_COUNT, BAD_WEIGHT, COMPLETED_FIRST, TOO_OLD = (np.uint64(i) for i in range(6, 11))
UNKNOWN_SCHEMA, SCHEMA_MISMATCH, FAR_FUTURE, IMPLAUSIBLE, TOO_MANY = (np.uint64(i) for i in range(11, 16))

# why a kernel stopped
DONE, NEW_KEYS, MORE_SLOTS, MORE_KEYS = range(4)

__all__ = [
    "BAD_WEIGHT",
    "COMPLETED_FIRST",
    "DONE",
    "FAR_FUTURE",
    "GOOD",
    "IMPLAUSIBLE",
    "MALFORMED",
    "MORE_KEYS",
    "MORE_SLOTS",
    "NEGATIVE_COUNT",
    "NEGATIVE_DURATION",
    "NEW_KEYS",
    "NULL_VALUE",
    "SCHEMA_MISMATCH",
    "TODO",
    "TOO_LARGE",
    "TOO_LONG",
    "TOO_MANY",
    "TOO_OLD",
    "UNFRAMED",
    "UNKNOWN_SCHEMA",
]
