"""The judging kernel: entries sorted by row, the same without the compiler.

Its judgements are compared with the slow judge in tests/test_judgement.py.
"""

import os
import subprocess
import sys

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.kernels import rings as k
from pipeline.kernels.judging import amend_rows, hand_out, judge_rows, warm
from tests.judging import T0, Driver, counts, spec, steady


@given(st.lists(st.integers(0, 4), max_size=30))
def test_entries_are_sorted_by_row_and_keep_their_order(rows_of_entries):
    waiting = np.array([[row, i, 0, 0, 0] for i, row in enumerate(rows_of_entries)], np.int64).reshape(-1, 5)
    rows = k.Rows(*[np.zeros((5, 1, 2), np.uint32)] * 3, np.zeros((5, k.WORDS), np.int64))
    due = np.empty_like(waiting)
    hand_out(rows, waiting, due)
    for row in range(5):
        own = due[rows.words[row, k.DUE] : rows.words[row, k.DUE_END]].tolist()
        assert own == [entry for entry in waiting.tolist() if entry[0] == row]


def test_warming_compiles_what_judging_calls():
    warm()
    kernels = (hand_out, judge_rows, amend_rows)
    before = [len(getattr(kernel, "signatures", [])) for kernel in kernels]
    driver = Driver(spec())
    driver.feed(counts(steady(T0, T0 + 20, 1)))
    driver.feed(counts(steady(T0 + 5, T0 + 30, 1)))
    assert [len(getattr(kernel, "signatures", [])) for kernel in kernels] == before


SCRIPT = """
from dataclasses import replace
from datetime import datetime
from pipeline.periods import Calendar
from pipeline.slo import Ratio, Timeslices
from tests.judging import *
day = Calendar(1, "d", datetime(2023, 11, 14, 22, 14), "UTC")  # begins 40 s after T0
own = [{}, {"calendar": day, "window_us": day.longest_us}, {"timeslices": Timeslices(10**7, Ratio(1, 2))}]
for each in (*own, own[1] | own[2], {"timeslices": Timeslices(10**7)}):
    slo = watched(policy=preset("default", Guards(1, 1)))
    driver = Driver(spec(replace(slo, objective=replace(slo.objective, **each))))
    driver.feed(counts([*steady(T0, T0 + 120, 100), *steady(T0 + 120, T0 + 180, 0, 100)]))
    driver.feed(counts([*steady(T0 + 5, T0 + 7, 0, 3), *steady(T0 + 50, T0 + 60, 0, 300)], newest=T0 + 190))
    print(driver.told, driver.statuses["chat|"]["good"], driver.statuses["chat|"]["bad"])
"""


def test_without_the_compiler_it_judges_the_same():
    def run(**env):
        return subprocess.run(
            [sys.executable, "-c", SCRIPT], env=os.environ | env, check=True, capture_output=True, text=True
        ).stdout

    plain, compiled = run(NUMBA_DISABLE_JIT="1", PYTHONPATH="."), run(PYTHONPATH=".")
    assert plain == compiled
    assert "FIRED" in plain
