"""Classification by table: case of an event, and what its value means for a rule of some kind of SLI.

The tables come from `pipeline.sli` as bytes; this file only knows how to index them. What an SLO's own policy moves
stands in its rules, two bits a case, and not in a table of its own: there may be as many policies as SLOs, and rules
without one only see a zero. Law: equal to sli.case_of and sli.VERDICTS for every combination (tested over all of them).
"""

import numpy as np
from numba import njit

from pipeline.kernels.bits import ld_u8

# verdicts, as in sli.Verdict
EXCLUDED, GOOD, BAD, COMPARE, CENSORED = range(5)
JOINT, UNFINISHED, SUM, AMOUNT = range(6, 10)
OWN_BITS = 2  #: for each case, of a rule's own verdicts: 0 where it has none, else the verdict + 1
# kinds, as in sli.Kind
(ERRORS, E2E, TTFT, TPOT, TTFO, QUEUE, PREFILL, DECODE, ITL_MAX, SHED, ATTEMPT, RUNNING, GOODPUT, SERVED, TOKENS,
 COST) = range(16)  # fmt: skip
NULL = -(1 << 63)
FAILURE_NONE, FAILURE_TRUNCATED = 0, 5  # as in sli.FAILURE_KINDS


@njit(forceinline=True)
def case_index(outcome, failure_kind, http_status, priority):
    """Return the index into the table of cases: outcome x failed x truncated x sheddable."""
    failed = np.int64(failure_kind != FAILURE_NONE) | np.int64(http_status >= 500)
    truncated = np.int64(failure_kind == FAILURE_TRUNCATED)
    return outcome * 8 + failed * 4 + truncated * 2 + np.int64(priority < 0)


@njit(forceinline=True)
def moved(own, case, state):
    """Return what a rule's own verdicts make of a case: EXCLUDED or BAD, or the state where they say nothing."""
    said = (own >> (OWN_BITS * case)) & ((1 << OWN_BITS) - 1)
    return said - 1 if said != 0 else state


@njit(forceinline=True)
def verdict_of(state, value, scale, threshold, at_least):
    """Decide one event for one objective by what its case left to decide: EXCLUDED, GOOD or BAD; a state of several
    values is left as it is.

    Units: value / scale and threshold in microseconds, compared as value <= threshold x scale: no division.
           at_least: -1 for >=, 0 for <=.
    """
    if state == COMPARE:
        margin = threshold * scale - value
        return np.int64(GOOD) if (margin ^ at_least) - at_least >= 0 else np.int64(BAD)
    if state == CENSORED:
        return np.int64(BAD) if at_least == 0 and value > threshold * scale else np.int64(EXCLUDED)
    return state


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
