"""The fleet: spec and seed -> events of any stretch of time, the same whichever way time is cut up.

Two streams, each drawn cell by cell from a generator of its own (seed, stream, cell): requests that need one
attempt, placed by their completion, and chains of attempts of the few that their clients repeat. A chain may
reach past its cell, so chains are drawn from HORIZON_US before the stretch asked for, and kept for the next.

    cells     |----k-1----|-----k-----|----k+1----|
    chain          x--retry--x--retry-----x             reaches HORIZON_US at the most
    events                 [start ... end)
"""

from collections import OrderedDict
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from jobs.fleet.attempts import Requests, Tables, choose, draw_attempts, draw_requests
from jobs.fleet.columns import Times, Vocabulary, assemble
from jobs.fleet.endings import OUTCOME
from jobs.fleet.load import Conditions, FleetSpec, Layout
from pipeline.encoding import EventColumns
from pipeline.sli import OUTCOMES

Ints = NDArray[np.int64]

SLOTS = 8  #: of a cell; conditions are steady for one slot
CELLS_US = tuple(int(s * 1_000_000) for s in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60))
CELL_EVENTS = 40_000  #: enough that numpy's overhead is small, few enough for the cache
CHAIN_CELL_US = 30_000_000
ATTEMPTS_MAX = 3
BACKOFF_US = (200_000, 1_000_000)  # doubled for each further attempt; from, and how much more at most
CHAIN_E2E_US_MAX = 20_000_000  #: a repeated request is given up after this
HORIZON_US = ATTEMPTS_MAX * CHAIN_E2E_US_MAX + 4 * sum(BACKOFF_US)
PRIMARY, CHAINS = 1, 2  # streams, as words of the seed


class Fleet:
    """Events of a fleet. A pure function of (spec, seed); what it keeps only saves drawing twice."""

    def __init__(self, spec: FleetSpec, seed: int = 0) -> None:
        """Lay the fleet out."""
        self.spec, self.seed = spec, seed
        self._layout = Layout(spec, seed)
        self._tables = Tables(self._layout)
        self._vocabulary = Vocabulary(self._tables)
        fitting = [us for us in CELLS_US if spec.rate * us / 1e6 <= CELL_EVENTS]
        self.cell_us = fitting[-1] if fitting else CELLS_US[0]
        self._kept: dict[int, OrderedDict[int, EventColumns]] = {
            PRIMARY: OrderedDict(),
            CHAINS: OrderedDict(),
        }

    def events(self, start_us: int, end_us: int) -> EventColumns:
        """Return events completed in [start_us, end_us), in the order of their completion."""
        primary = self._stretch(PRIMARY, start_us, end_us, self.cell_us, 0, 1, self._primary_cell)
        chains = self._stretch(
            CHAINS,
            start_us,
            end_us,
            CHAIN_CELL_US,
            HORIZON_US,
            HORIZON_US // CHAIN_CELL_US + 2,
            self._chain_cell,
        )
        both = EventColumns.concatenate([primary, chains])
        return both.take(np.argsort(both["completed_at"], kind="stable"))  # nearly sorted: one merge

    def _stretch(
        self, stream: int, start_us: int, end_us: int, cell_us: int, reach_us: int, keep: int,
        draw: Callable[[int], EventColumns],
    ) -> EventColumns:  # fmt: skip
        """Join the cells of a stream that may have events in [start, end), and cut."""
        kept, parts = self._kept[stream], []
        for cell in range(max(start_us - reach_us, 0) // cell_us, max(-(-end_us // cell_us), 1)):
            if cell not in kept:
                kept[cell] = draw(cell)
            kept.move_to_end(cell)
            events = kept[cell]
            while len(kept) > keep:
                kept.popitem(last=False)
            at = events["completed_at"]
            inside = (at >= start_us) & (at < end_us)
            parts.append(events if inside.all() else events.take(inside))
        return EventColumns.concatenate(parts)

    def _rng(self, stream: int, cell: int) -> np.random.Generator:
        return np.random.Generator(np.random.SFC64(np.random.SeedSequence([self.seed, stream, cell])))

    def _arrivals(
        self, rng: np.random.Generator, cell: int, cell_us: int, chains: bool
    ) -> tuple[Conditions, Requests, Ints]:
        """Draw when requests of a cell come, and to which pool; in order of time."""
        slot_us = cell_us // SLOTS
        starts = cell * cell_us + np.arange(SLOTS, dtype=np.int64) * slot_us
        state = self._layout.conditions(starts + slot_us // 2)
        intensity = state.arrivals
        if chains:
            failing = 1 - (1 - state.fail_ratio) * (1 - self.spec.error_ratio) * (1 - state.shed_ratio)
            intensity = intensity * failing * self.spec.retry_ratio
        counts = rng.poisson(intensity.sum(axis=0) * slot_us / 1e6)
        times, cells = [], []
        for slot, count in enumerate(counts):
            times.append(starts[slot] + np.sort(rng.integers(0, slot_us, count)))
            steps = np.cumsum(intensity[:, slot])
            chosen = np.searchsorted(steps[:-1], rng.random(count) * steps[-1], side="right")
            cells.append(chosen * SLOTS + slot)
        cell_index = np.concatenate(cells)
        requests = draw_requests(self._tables, rng, (cell_index // SLOTS).astype(np.int32), cell_index)
        return state, requests, np.concatenate(times)

    def _primary_cell(self, cell: int) -> EventColumns:
        rng = self._rng(PRIMARY, cell)
        state, requests, completed = self._arrivals(rng, cell, self.cell_us, chains=False)
        n = len(completed)
        attempts = draw_attempts(self._tables, rng, requests, state, completed)
        received = np.maximum(completed - attempts.e2e_us, 0)
        emitted = completed + rng.integers(500, 20_000, n)
        times = Times(received, completed, emitted, np.ones(n, np.int64), np.ones(n, np.bool_))
        return assemble(self._vocabulary, requests, attempts, state, times, _words(rng, 6, n))

    def _chain_cell(self, cell: int) -> EventColumns:
        rng = self._rng(CHAINS, cell)
        state, requests, completed = self._arrivals(rng, cell, CHAIN_CELL_US, chains=True)
        ids = _words(rng, 6, len(completed))
        received: Ints | None = None
        parts = []
        for number in range(1, ATTEMPTS_MAX + 1):
            attempts = draw_attempts(self._tables, rng, requests, state, completed, number == 1, CHAIN_E2E_US_MAX)
            if received is None:
                received = np.maximum(completed - attempts.e2e_us, 0)
            else:
                completed = received + attempts.e2e_us
            again = (OUTCOME[attempts.ending] == OUTCOMES.index("ERROR")) & (number < ATTEMPTS_MAX)
            emitted = completed + rng.integers(500, 20_000, len(completed))
            times = Times(received, completed, emitted, np.full(len(completed), number), ~again)
            parts.append(assemble(self._vocabulary, requests, attempts, state, times, ids))
            pause = (BACKOFF_US[0] + rng.integers(0, BACKOFF_US[1], len(completed))) * 2 ** (number - 1)
            requests, ids = choose(requests, again), ids[:, again].copy()
            received, completed = (completed + pause)[again], completed[again]
            ids[:2] = _words(rng, 2, ids.shape[1])
        return EventColumns.concatenate(parts)


def _words(rng: np.random.Generator, count: int, n: int) -> NDArray[np.uint64]:
    return rng.integers(0, 1 << 64, (count, n), np.uint64)
