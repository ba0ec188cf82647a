"""Thresholds: what an indicator compares a metric with, in the metric's unit, read and checked together.

Pure. A threshold is read last, as its unit hangs on the metric: a duration, a number of requests, a rate, or money.
Goodput compares several values at once, each with an objective of its own. Throughput and cost are held against
slices of time, as no single request has any.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from pipeline.sli import METRICS, OBJECTIVES, SUMS, Kind, MetricSpec
from pipeline.slo import Indicator
from pipeline.spec import scalars
from pipeline.spec.problems import Refused
from pipeline.spec.reading import Reading
from pipeline.spec.scalars import UNITS_US, duration_text, listed, rate_text

if TYPE_CHECKING:
    from pipeline.spec.rules import Presets

INDICATOR = "spec.indicator"
METRIC, OP, THRESHOLD, OFFERED = (f"{INDICATOR}.{key}" for key in ("metric", "op", "threshold", "offered"))
MODEL, PARTS, STRICT = (f"{INDICATOR}.{key}" for key in ("preset", "objectives", "strict"))
ATTEMPTS, POLICY = (f"{INDICATOR}.{key}" for key in ("attempts", "policy"))

#: unit of a metric -> how a threshold is read, how it is written, what it is kept in, and an example
READERS: dict[str, Callable[[str], int]] = {
    "us": scalars.duration, "requests": scalars.requests, "1/s": scalars.rate, "USD": scalars.money,
}  # fmt: skip
WRITERS: dict[str, Callable[[int], str]] = {
    "us": duration_text, "requests": str, "1/s": rate_text, "USD": scalars.money_text,
}  # fmt: skip
#: what a threshold is a whole number of
KEPT_IN = {"us": "us", "requests": "1", "1/s": "1/s/1000000", "USD": "picousd"}
EXAMPLES = {"us": "1s", "requests": "64", "1/s": "10/s", "USD": "0.002 USD"}
#: what only one direction makes sense of, and why; `lt` and `gt` would need a value between two whole numbers
FLOORS = {Kind.SERVED: "gte", Kind.TOKENS: "gte", Kind.COST: "lte"}
#: so that threshold x tokens stays within 64 bits for tpot; beyond it, no request is meant
THRESHOLD_US_MAX = {Kind.TPOT: UNITS_US["h"]}  # of the others: a day
#: kinds that are about attempts: there is nothing to see in final ones alone
ALL_ATTEMPTS = {Kind.ATTEMPT: "a first attempt that was retried is not final", Kind.COST: "every attempt costs"}


def metric_of(reading: Reading) -> MetricSpec | None:
    """Return the metric of an indicator; None when it is missing or unknown."""
    return METRICS.get(reading.get(METRIC, ""))


def threshold_of(reading: Reading) -> int | None:
    """Return the threshold in the metric's unit; None when it is missing or wrong."""
    metric, text = metric_of(reading), reading.get(THRESHOLD)
    if metric is None or text is None or metric.unit not in READERS:
        return None
    try:
        return READERS[metric.unit](text)
    except Refused:
        return None


def indicator_of(reading: Reading, presets: "Presets") -> Indicator:
    """Build what the comparison of an indicator is made of; the reading is without fault."""
    metric, op, threshold = METRICS[reading.get(METRIC)], reading.get(OP), threshold_of(reading)
    model = presets.models[reading.get(MODEL)].thresholds_us if reading.is_given(MODEL) else {}
    parts = {key: reading.get(f"{PARTS}.{key}") for key in reading.keys.get(PARTS, ())}
    if model and metric.kind is Kind.GOODPUT:
        parts = dict(model)
    elif model:
        op, threshold = "lte", model[metric.name]
    strictly = {"lt": -1, "gt": 1}.get(op, 0)  # what is compared is whole: < x is <= x - 1
    offered = reading.get(OFFERED) or (threshold or 0 if metric.kind is Kind.SERVED else 0)
    return Indicator(
        metric.name,
        None if threshold is None else threshold + strictly,
        op not in {"gte", "gt"},
        final_attempts_only=reading.get(ATTEMPTS, attempts_of(metric)) == "final",
        objectives=tuple(sorted((key, value or None) for key, value in parts.items())),
        is_strict=reading.get(STRICT, False),
        offered=offered,
    )


def attempts_of(metric: MetricSpec) -> str:
    """What is counted where a file does not say: what users see, unless the metric is about attempts."""
    return "all" if metric.kind in ALL_ATTEMPTS else "final"


def text_of(indicator: Indicator) -> str:
    """Say what a value is compared with: at most 1s; ttft at most 1s, e2e at most 10s, all of them known."""
    metric = METRICS.get(indicator.metric)
    if indicator.objectives:
        strict = ", all of them known" if indicator.is_strict else ""
        return listed(f"{name} {_part(threshold_us)}" for name, threshold_us in indicator.objectives) + strict
    if metric is None or indicator.threshold is None:
        return ""
    offered = ""
    if indicator.offered and (metric.kind is Kind.TOKENS or indicator.offered != indicator.threshold):
        offered = f" where {rate_text(indicator.offered)} are offered"
    return f"at {'most' if indicator.at_most else 'least'} {WRITERS[metric.unit](indicator.threshold)}{offered}"


def _part(threshold_us: int | None) -> str:
    return "as each request asks" if threshold_us is None else f"at most {duration_text(threshold_us)}"


def check(reading: Reading) -> None:
    """Say everything that is wrong with what an indicator compares."""
    metric = metric_of(reading)
    if metric is None:
        return
    if not reading.is_given(MODEL):
        _check_given(reading, metric)
    _check_threshold(reading, metric)
    _check_op(reading, metric)
    _check_parts(reading, metric)
    _check_offered(reading, metric)
    _check_counted(reading, metric)


def _check_given(reading: Reading, metric: MetricSpec) -> None:
    """Metrics with a value need op and threshold, of their own or of a preset; others take none."""
    unit = f"with a unit; typical is {metric.typical}"
    if metric.unit != "us":
        unit = EXAMPLES.get(metric.unit, "")
    for path, remedy in ((OP, f"write op: {FLOORS.get(metric.kind, 'lte')}"), (THRESHOLD, f"write threshold: {unit}")):
        if metric.has_threshold and not reading.is_given(path):
            reading.refuse(path, f"is missing: {metric.name} compares a value", remedy, reading.at(METRIC))
        elif not metric.has_threshold and reading.is_given(path):
            instead = ", or write it in objectives" if metric.kind is Kind.GOODPUT else ""
            reading.refuse(path, f"must not be given: {metric.name} compares nothing", f"remove it{instead}")


def _check_threshold(reading: Reading, metric: MetricSpec) -> None:
    found = reading.values.get(THRESHOLD)
    if found is None or not metric.has_threshold:
        return
    try:
        threshold = READERS[metric.unit](found.value)
    except Refused as refused:
        reading.report.refuse(found.place, THRESHOLD, found.text, refused)
        return
    _check_length(reading, THRESHOLD, metric, threshold)


def _check_length(reading: Reading, path: str, metric: MetricSpec, threshold: int) -> None:
    most = THRESHOLD_US_MAX.get(metric.kind, UNITS_US["d"])
    if metric.unit == "us" and threshold > most:
        reading.refuse(path, f"must be at most {duration_text(most)} for {metric.name}", "lower it")


def _check_op(reading: Reading, metric: MetricSpec) -> None:
    """tpot is a fraction of microseconds, so `lt x` is no `lte x - 1us`; a floor has one direction."""
    op, only = reading.get(OP), FLOORS.get(metric.kind)
    if op is not None and metric.kind is Kind.TPOT and op in {"lt", "gt"}:
        reading.refuse(OP, "is not supported yet for tpot", f"write op: {op}e")
    if op is not None and only is not None and op != only:
        what = "a slice must reach" if only == "gte" else "a slice must not exceed"
        reading.refuse(OP, f"must be {only} for {metric.name}: the threshold is what {what}", f"write op: {only}")


def _check_parts(reading: Reading, metric: MetricSpec) -> None:
    """Goodput names its objectives, or a model's preset does; nothing else has any."""
    is_goodput = metric.kind is Kind.GOODPUT
    for path in (PARTS, STRICT):
        if reading.is_given(path) and not is_goodput:
            remedy = "remove it, or write metric: goodput"
            reading.refuse(path, f"must not be given: {metric.name} is no goodput", remedy)
    if not is_goodput:
        return
    if reading.is_given(PARTS) and reading.is_given(MODEL):
        reading.refuse(PARTS, "is already said by preset", "remove one of them")
    if not reading.is_given(PARTS) and not reading.is_given(MODEL):
        remedy = "write objectives: {ttft: 1s, tpot: 100ms}, or the preset of a model"
        reading.refuse(PARTS, "is missing: goodput meets objectives", remedy, reading.at(METRIC))
    for name in reading.keys.get(PARTS, ()):
        path = f"{PARTS}.{name}"
        limit_us = reading.get(path)
        if limit_us == 0 and OBJECTIVES[name] is None:
            own = listed(each for each, column in OBJECTIVES.items() if column is not None)
            reading.refuse(path, f"must be a duration: requests ask only for {own}", "write a duration, such as 10s")
        elif limit_us is not None:
            _check_length(reading, path, METRICS[name], limit_us)


def _check_offered(reading: Reading, metric: MetricSpec) -> None:
    """A throughput is judged only under load; of tokens, a file says from which request rate on."""
    offered, threshold = reading.get(OFFERED), threshold_of(reading)
    if metric.kind not in {Kind.SERVED, Kind.TOKENS}:
        if reading.is_given(OFFERED):
            reading.refuse(OFFERED, f"must not be given: {metric.name} is no throughput", "remove it")
    elif metric.kind is Kind.TOKENS and not reading.is_given(OFFERED):
        rule = "is missing: tokens can only come where requests are offered"
        reading.refuse(OFFERED, rule, "write offered: 5/s, the rate of requests that is judged", reading.at(METRIC))
    elif metric.kind is Kind.SERVED and None not in {offered, threshold} and offered < threshold:
        rule = f"must not be less than threshold, {rate_text(threshold or 0)}: nobody serves more than is offered"
        reading.refuse(OFFERED, rule, f"write {rate_text(threshold or 0)} or more, or leave it out")


def _check_counted(reading: Reading, metric: MetricSpec) -> None:
    """Which attempts count, whose verdict can be moved, and how time is cut."""
    why = ALL_ATTEMPTS.get(metric.kind)
    if why is not None and reading.get(ATTEMPTS) == "final":
        reading.refuse(ATTEMPTS, f"must be all for {metric.name}: {why}", "write attempts: all, or leave it out")
    if metric.kind in SUMS and reading.is_given(POLICY):
        reading.refuse(POLICY, f"must not be given: {metric.name} sums up, and calls no request bad", "remove it")
    path = "spec.budgetingMethod"
    if metric.is_of_slices and reading.get(path) != "Timeslices":
        place = reading.at(path, METRIC)
        remedy = "write budgetingMethod: Timeslices, and timeSliceWindow: 1m"
        reading.refuse(path, f"must be Timeslices: {metric.name} is of slices, and of no single request", remedy, place)
