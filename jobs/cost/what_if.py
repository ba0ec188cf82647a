"""What if: what an objective would cost. Objective -> load that an endpoint may have -> replicas for the peak -> money.

Pure. The load is found as capacity is, from the events that are kept whole, judged by the objective in question; the
peak is that of whole minutes. Each step has a range, and the ranges meet end to end: most replicas are the greatest
peak over what an endpoint surely serves.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pipeline.controls.capacity import Capacity, CapacitySpec, capacities
from pipeline.controls.cost import Plan, PriceList, Range, plan
from pipeline.controls.headroom import NAME, ask, is_judged
from pipeline.controls.load_curve import served
from pipeline.slo import Objective
from pipeline.spec.build import parse
from pipeline.spec.files import presets
from pipeline.spec.problems import Refused, SpecError

#: peaks of a model: of its minutes the least that may count as one, the likely one, and the greatest; without what no
#: replica would have got
PEAKS_SQL = """\
SELECT request_model AS model, quantilesExact(0.95, 0.99, 1)(rps) AS peaks, count() AS minutes
FROM (
    SELECT request_model, slice_start, max(rps) AS rps
    FROM (
        SELECT request_model, slice_start, vantage, sum(requests - rate_limited - rejected) / 60 AS rps FROM sli_1m
        WHERE service = {service:String}
            AND slice_start >= now64(6, 'UTC') - toIntervalSecond(toInt64({window_s:Float64}))
        GROUP BY request_model, slice_start, vantage
    )
    GROUP BY request_model, slice_start
)
GROUP BY request_model
ORDER BY request_model"""

#: what a replica of a variant is, and what an hour of one of its accelerators costs, as its snapshots said last
REPLICAS_SQL = """\
SELECT model, ifNull(variant, '') AS its_variant, argMax(gpu_count, snapshot_at) AS gpus,
    argMax(gpu_hour_picousd, snapshot_at) AS hour_picousd, argMax(accelerator, snapshot_at) AS its_accelerator
FROM snapshots
WHERE service = {service:String} AND gpu_count > 0
    AND snapshot_at >= now64(6, 'UTC') - toIntervalSecond(toInt64({window_s:Float64}))
GROUP BY model, its_variant"""


def replica_hours(rows: Sequence[Mapping[str, Any]], prices: PriceList, now_us: int) -> dict[tuple[str, str], int]:
    """Pico-USD for an hour of a replica of each model and variant: as snapshots say, else by the list of prices."""
    found = {}
    for row in rows:
        hour = row["hour_picousd"] or prices.hour(row["its_accelerator"] or "", now_us)
        if hour is not None:
            whole = row["gpus"] * hour * (prices.overhead.scale + prices.overhead.numerator)
            found[row["model"], row["its_variant"]] = whole // prices.overhead.scale
    return found


class Outcome(NamedTuple):
    """What an objective takes of one model and variant. None: not known."""

    model: str
    variant: str
    metric: str
    threshold: str
    target: str
    state: str  # of the capacity
    in_flight: int | None
    rps: Range | None  # an endpoint may serve
    peak_rps: Range | None
    replica_hour: int | None  # pico-USD
    plan: Plan | None

    @property
    def told(self) -> dict[str, Any]:
        """As JSON says it."""
        month = self.plan.month if self.plan and self.replica_hour is not None else None
        return {
            **{name: value for name, value in self._asdict().items() if name not in {"plan", "rps", "peak_rps"}},
            "rps_per_replica": self.rps and self.rps._asdict(),
            "peak_rps": self.peak_rps and self.peak_rps._asdict(),
            "replicas": self.plan and self.plan.replicas._asdict(),
            "usd_a_month": month and {name: value / 1e12 for name, value in month._asdict().items()},
            "is_least": self.plan.is_least if self.plan else None,
        }


def objective_of(service: str, metric: str, threshold: str, target: str) -> Objective:
    """Read an objective as an SLO file has it.

    Raises: SpecError with what is wrong with it; Refused, where it says nothing of the load of an endpoint.
    """
    service, metric, threshold, target = map(json.dumps, (service, metric, threshold, target))  # YAML holds JSON
    limit = f", op: lte, threshold: {threshold}" if threshold != '""' else ""
    text = f"""\
apiVersion: burnline/v1
kind: SLO
metadata: {{name: what-if}}
spec:
  service: {service}
  indicator: {{metric: {metric}{limit}}}
  target: {target}
  timeWindow: {{duration: 1d, isRolling: true}}
  alerting: {{pairs: [{{severity: warning, factor: 1, long: 1h, short: 5m}}]}}
"""
    found = parse({"what-if": text.encode()}, presets())
    if found.problems:
        raise SpecError(list(found.problems))
    objective = next(iter(found.told.values())).objective
    if not is_judged(objective):
        raise Refused(
            f"{objective.indicator.metric} says nothing of what a load does", "write metric: ttft, e2e or tpot"
        )
    return objective


def question(spec: CapacitySpec, objective: Objective) -> tuple[str, Mapping[str, Any]]:
    """What is asked of the events that are kept."""
    (each,) = ask(spec, [objective], 0)
    assert each.name == NAME
    return each.sql, each.values


def outcomes(
    spec: CapacitySpec, objective: Objective, said: tuple[str, str, str], rows: Sequence[Mapping[str, Any]],
    peaks: Mapping[str, Range], hours: Mapping[tuple[str, str], int],
) -> list[Outcome]:  # fmt: skip
    """Plan every model and variant. `said`: metric, threshold and target as they were written."""
    found = [each for each in capacities(spec, rows) if each.variant or (each.model, "") in hours]
    return [_outcome(each, said, peaks.get(each.model), hours.get((each.model, each.variant))) for each in found]


def _outcome(found: Capacity, said: tuple[str, str, str], peak: Range | None, hour: int | None) -> Outcome:
    rps = _rps(found)
    planned = plan(peak, rps, hour or 0, is_capped=found.broken_at is None) if rps and peak else None
    return Outcome(found.model, found.variant, *said, found.state, found.in_flight, rps, peak, hour, planned)


def _rps(found: Capacity) -> Range | None:
    """Requests a second at one endpoint: at the load that surely keeps the objective, at one that breaks it, midway."""
    if found.in_flight is None or not found.curve:
        return None
    sure = served(found.curve, found.in_flight)
    most = served(found.curve, found.broken_at) if found.broken_at is not None else sure
    return Range(sure, (sure + max(most, sure)) / 2, max(most, sure)) if sure > 0 else None
