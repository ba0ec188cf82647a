"""What the fleet simulator would make of the question of capacity: rows as the SQL returns them, by plain numpy.

Times are chosen over a day, so that its loads are met; which events are kept follows pipeline.sampling's rule.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.fleet import Fleet, FleetSpec
from jobs.fleet.truth import judged, label_codes
from pipeline.encoding import NULL, EventColumns
from pipeline.sli import Verdict
from pipeline.slo import Objective

DAY_US = 86_400_000_000
MINUTE_US = 60_000_000
COLUMNS = ("service", "model", "variant", "least")


def stretches(count: int, length_s: float) -> list[tuple[int, int]]:
    """Spread so many stretches over a day, each at its own phase of a burst."""
    length_us, start_us = round(length_s * 1e6), 20_000 * DAY_US
    starts = [start_us + number * DAY_US // count // 30_000_000 * 30_000_000 for number in range(count)]
    return [(start, start + length_us) for start in starts]


def events_of(spec: FleetSpec, seed: int, when: Iterable[tuple[int, int]]) -> EventColumns:
    fleet = Fleet(spec, seed)
    return EventColumns.concatenate([fleet.events(start, end) for start, end in when])


def rows(events: EventColumns, objectives: Sequence[Objective], ratio: float, seed: int = 0) -> list[dict[str, Any]]:
    """Answer infra/clickhouse/controls/capacity.sql of events of which `ratio` was kept of those bad for nobody."""
    verdicts = np.stack([judged(each, events) for each in objectives])
    is_bad = (verdicts == Verdict.BAD).any(axis=0)
    running = np.asarray(events["adm_running"]).astype(np.int64)
    is_kept = (is_bad | (np.random.default_rng(seed).random(len(running)) < ratio)) & (running != NULL)
    weight = np.where(is_bad, 1.0, 1.0 / ratio)
    in_flight = running + np.maximum(np.asarray(events["adm_waiting"]).astype(np.int64), 0)
    groups: dict[tuple[str, str, str, int], NDArray[np.int64]] = {}
    names = [label_codes(events, name) for name in ("service", "request_model", "variant")]
    coded = np.stack([*(codes for _, codes in names), _least(in_flight)])[:, is_kept]
    chosen = np.flatnonzero(is_kept)
    keys, where = np.unique(coded, axis=1, return_inverse=True)
    order = np.argsort(where, kind="stable")
    ends = np.cumsum(np.bincount(where))
    for number, key in enumerate(keys.T.tolist()):
        start = 0 if number == 0 else int(ends[number - 1])
        service, model, variant = (words[code] for (words, _), code in zip(names, key[:3], strict=True))
        groups[service, model, variant, key[3]] = chosen[order[start : int(ends[number])]]
    minutes = np.asarray(events["completed_at"]) // MINUTE_US
    e2e = np.asarray(events["e2e_us"])
    cells = [_cells(np.asarray(events["ttft_us"]), each, verdicts[n]) for n, each in enumerate(objectives)]
    found = []
    for key, mine in groups.items():
        if any(each.service == key[0] for each in objectives):
            row = _row(key, weight[mine], in_flight[mine], minutes[mine], e2e[mine], verdicts[:, mine], objectives)
            asked = [n for n, each in enumerate(objectives) if each.service == key[0]]
            row["spreads"] = [_spread(cells[n], mine, weight[mine]) for n in asked]
            found.append(row)
    return found


def _cells(ttft_us: NDArray[Any], objective: Objective, verdict: NDArray[Any]) -> NDArray[np.int64] | None:
    """Cells of log time over the threshold, a twentieth each; None: the SLO is about something else."""
    if objective.indicator.metric != "ttft":
        return None
    ratio = np.log(np.maximum(ttft_us, 1) / objective.indicator.threshold)
    cell = np.clip(np.ceil(ratio / 0.05) - 1, -120, 119).astype(np.int64)
    cell = np.where(verdict == Verdict.GOOD, np.minimum(cell, -1), np.where(ratio > 0, np.maximum(cell, 0), 120))
    return np.where((verdict == Verdict.GOOD) | (verdict == Verdict.BAD), cell, 99)


def _spread(cells: NDArray[np.int64] | None, mine: NDArray[np.int64], weight: NDArray[Any]) -> tuple[Any, ...]:
    if cells is None:
        return [], [], []
    own = cells[mine]
    keys = np.unique(own[own != 99])
    return keys.tolist(), *([float((weight**power)[own == key].sum()) for key in keys] for power in (1, 2))


def _least(in_flight: NDArray[np.int64]) -> NDArray[np.int64]:
    """The first load of the bin that a load is in: of 16 to 31 bins each time it doubles."""
    found = in_flight.copy()
    for number, each in enumerate(in_flight.tolist()):
        drop = max(each.bit_length() - 5, 0)
        found[number] = each >> drop << drop
    return found


def _row(
    key: tuple[str, str, str, int], weight: Any, in_flight: Any, minutes: Any, e2e: Any, verdicts: Any,
    objectives: Sequence[Objective],
) -> dict[str, Any]:  # fmt: skip
    asked = [(number, each) for number, each in enumerate(objectives) if each.service == key[0]]
    row: dict[str, Any] = dict(zip(COLUMNS, key, strict=True))
    row |= {
        "most": int(in_flight.max()), "kept": len(weight), "minutes": len(np.unique(minutes)),
        "requests": float(weight.sum()), "in_flight_sum": float((weight * in_flight).sum()), "requests_now": 0.0,
        "in_flight_now": 0.0, "sampled": float(len(weight)), "sampled_squares": float(len(weight)),
        "requests_run": float(weight.sum()), "residence_s_sum": float((weight * e2e).sum() / 1e6),
        "slos": [each.name for _, each in asked],
        "targets": [f"{each.target.numerator / each.target.scale}" for _, each in asked],
    }  # fmt: skip
    for name, verdict in (("good", Verdict.GOOD), ("bad", Verdict.BAD)):
        found = [(verdicts[number] == verdict) * 1.0 for number, _ in asked]
        row[f"{name}_kept"] = [float(each.sum()) for each in found]
        row[name] = [float((each * weight).sum()) for each in found]
        row[f"{name}_squares"] = [float((each * weight**2).sum()) for each in found]
    return row
