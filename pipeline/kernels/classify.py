"""Classification by table: case of an event, and what its value means for each kind of SLI.

The tables come from `pipeline.sli` as bytes; this file only knows how to index them. Law: equal to
sli.case_of and sli.VERDICTS for every combination (tested over all of them).
"""

import numpy as np
from numba import njit

from pipeline.kernels.bits import ld_u8

# verdicts, as in sli.Verdict
EXCLUDED, GOOD, BAD, COMPARE, CENSORED = range(5)
# kinds, as in sli.Kind
ERRORS, E2E, TTFT, TPOT = range(4)
NULL = -(1 << 63)
FAILURE_NONE, FAILURE_TRUNCATED = 0, 5  # as in sli.FAILURE_KINDS


@njit(forceinline=True)
def case_index(outcome, failure_kind, http_status, priority):
    """Return the index into the table of cases: outcome x failed x truncated x sheddable."""
    failed = np.int64(failure_kind != FAILURE_NONE) | np.int64(http_status >= 500)
    truncated = np.int64(failure_kind == FAILURE_TRUNCATED)
    return outcome * 8 + failed * 4 + truncated * 2 + np.int64(priority < 0)


@njit(forceinline=True)
def verdict_of(rule, known, value, scale, threshold, at_most, elapsed):
    """Decide one event for one objective: EXCLUDED, GOOD or BAD.

    Units: value / scale and threshold in microseconds, compared as value <= threshold x scale: no division.
    """
    if rule < COMPARE:
        return np.int64(rule)
    if known:
        met = value <= threshold * scale if at_most else value >= threshold * scale
        return np.int64(GOOD) if met else np.int64(BAD)
    if rule == CENSORED and at_most and elapsed > threshold:
        return np.int64(BAD)
    return np.int64(EXCLUDED)


@njit(cache=True, nogil=True)
def cases_of(outcomes, failure_kinds, http_statuses, priorities, cases, out):
    """Fill out[i] with the case of event i.

    Shapes: cases the table's bytes; the others (n,) i64.
    """
    table = cases.ctypes.data
    for i in range(out.size):
        index = case_index(outcomes[i], failure_kinds[i], http_statuses[i], priorities[i])
        out[i] = np.int64(ld_u8(table + index))


def warm() -> None:
    one = np.zeros(1, np.int64)
    cases_of(one, one, one, one, np.zeros(64, np.uint8), one.copy())
