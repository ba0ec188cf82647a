"""Notices: what leaves the judge, as columns of SloStatus and BurnRateAlert and as CloudEvents headers.

Pure. Everything but processing times follows from the judged second, so a replay writes the same bytes.
Ratios are for reading: they are made here, last, of the integers that judged. Burn rates are those that were
judged, against the window's full expected traffic (pipeline.slo.burn_rate); of an instance older than the
window they are plain.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

from pipeline import slo
from pipeline.alerts import Alert, Kind, Notice, Severity, Watched
from pipeline.blocks import encode
from pipeline.framing import Framing, single_object_header
from pipeline.many import encode_many
from pipeline.periods import EPOCH
from pipeline.records import OutRecord
from pipeline.series import parse_label_text
from pipeline.windows import start_of
from schemas import avro_text

CONTENT_TYPE = b"application/avro"
#: of events: one column says all of it
COUNTED: dict[str, Any] = {
    "counts_revision": None, "slice_us": None, "slice_target": None, "counted_since": None, "parts": [],
    "part_revisions": [], "part_weights": [],
}  # fmt: skip
WATERMARK_US = "watermark_us"  #: header of a tombstone of slo.status


class Reading(NamedTuple):
    """One instance at one judged second. Windows: the alerts' ascending, the compliance window last."""

    second: int  # end of every window
    first_s: int  # since when there is something to count
    spans_s: tuple[int, ...]
    sums: list[tuple[int, int]]  # good, bad
    measured: list[tuple[int, int]]  # measured, expected slices
    excluded: int  # in the compliance window
    late: int
    total: int
    period_s: tuple[int, int] | None = None  # of the calendar; None: the compliance window rolls
    known_s: int = 0  # since when the compliance window's sums are whole, where that is later than first_s

    @property
    def start_s(self) -> int:
        """First second of the compliance window."""
        return self.second - self.spans_s[-1] if self.period_s is None else self.period_s[0]

    @property
    def counted_from_s(self) -> int:
        """First second that the compliance window counts: a rolling one's begins with a cell."""
        return start_of(self.second, self.spans_s[-1]) if self.period_s is None else self.period_s[0]

    @property
    def whole_s(self) -> int:
        """Length of the compliance window; of a calendar's, of its whole period."""
        return self.spans_s[-1] if self.period_s is None else self.period_s[1] - self.period_s[0]

    def span_s(self, window: int) -> int:
        """Length of a window, whole."""
        return self.whole_s if self._is_compliance(window) else self.spans_s[window]

    def _is_compliance(self, window: int) -> bool:
        return window in {-1, len(self.spans_s) - 1}

    def lived(self, window: int) -> int:
        """Seconds of a window in which the instance existed, as far as it is known what happened."""
        is_whole = not self._is_compliance(window)
        start = self.second - self.spans_s[window] if is_whole else max(self.start_s, self.known_s)
        return max(self.second - max(self.first_s, start), 0)

    def coverage(self, window: int) -> float:
        """Share of a window that was measured; nothing is missing of one that only begins."""
        measured, expected = self.measured[window]
        return measured / expected if expected else 1.0

    def ratio(self, window: int = -1) -> tuple[int, int]:
        """(good, bad) of a window, of which its ratios are made; the compliance window's unless told."""
        return self.sums[window]

    def burn(self, watched: Watched, window: int) -> float | None:
        good, bad = self.sums[window]
        return slo.burn_rate(watched.objective.target, good, bad, self.lived(window), self.span_s(window))

    def present_burn(self, watched: Watched) -> float | None:
        """Burn rate over the longest window that alerts; None: no data, or no such window."""
        return self.burn(watched, len(self.spans_s) - 2) if len(self.spans_s) > 1 else None

    def exhaustion_s(self, watched: Watched, rate: float | None) -> float | None:
        """Seconds until the budget is gone; None too when a new period begins sooner."""
        target = watched.objective.target
        if self.period_s is None:
            return slo.time_to_exhaustion_s(target, *self.ratio(), watched.objective.window_us, rate)
        rest = slo.period_exhaustion_s(target, *self.ratio(), self.lived(-1), rate)
        return rest if rest is not None and self.second + rest < self.period_s[1] else None


class Told(NamedTuple):
    """One notice and all it was made of."""

    notice: Notice
    watched: Watched
    labels: str
    alert: Alert  # after the step; what it was before when resolved
    pair: int  # the pair that speaks, of the policy; of a budget, the step
    reading: Reading
    kind: Kind = Kind.BURN_RATE
    exemplars: tuple[str, ...] = ()  # trace ids


def instance_key(name: str, labels: str) -> str:
    """Name one SLO instance: key of slo.status and slo.state."""
    return f"{name}|{labels}"


def status_columns(watched: Watched, labels: str, alert: Alert, reading: Reading, judged_at_us: int) -> dict[str, Any]:
    """Columns of a SloStatus."""
    objective, windows = watched.objective, range(len(reading.spans_s) - 1)
    good, bad = reading.sums[-1]
    end_us = reading.second * 1_000_000
    burns, present_burn = [reading.burn(watched, w) for w in windows], reading.present_burn(watched)
    return {
        "slo": objective.name, "revision": objective.revision, "instance": labels,
        "service": objective.service, "labels": parse_label_text(labels),
        "target": float(objective.target), "window_us": reading.whole_s * 1_000_000,
        "watermark": end_us, "window_start": reading.start_s * 1_000_000, "window_end": end_us,
        "judged_at": judged_at_us, "state": alert.state.name, "severity": alert.severity.name,
        "good": good, "bad": bad, "excluded": reading.excluded,
        "compliance_ratio": slo.compliance_ratio(*reading.ratio()), "coverage_ratio": reading.coverage(-1),
        "budget_events": slo.budget_events(objective.target, good + bad),
        "budget_remaining_ratio": slo.budget_remaining_ratio(objective.target, *reading.ratio()),
        "budget_minutes": slo.budget_minutes(objective.target, reading.whole_s * 1_000_000),
        "time_to_exhaustion_s": reading.exhaustion_s(watched, present_burn),
        "exhaustion_burn_rate": present_burn,
        "exhaustion_window_s": reading.spans_s[-2] if burns else None,
        **_counted_columns(watched, reading), **_sla_columns(watched, reading),
        "windows_s": list(reading.spans_s[:-1]), "windows_good": [reading.sums[w][0] for w in windows],
        "windows_bad": [reading.sums[w][1] for w in windows],
        "windows_coverage_ratio": [reading.coverage(w) for w in windows], "windows_burn_rate": burns,
        "late": reading.late,
    }  # fmt: skip


def _counted_columns(watched: Watched, reading: Reading) -> dict[str, Any]:
    """Which stored counts it is made of. A slice that is good or bad as a whole is not made of good and bad events."""
    objective, slices = watched.objective, watched.objective.timeslices
    if slices is None:
        return COUNTED | {"counts_revision": objective.indicator_revision}
    parts = {} if slices.is_whole else parts_columns([objective], [1])
    since_s = max(reading.counted_from_s, reading.first_s, reading.known_s)
    target = None if slices.target is None else float(slices.target)
    return COUNTED | parts | {"slice_us": slices.slice_us, "slice_target": target, "counted_since": since_s * 1_000_000}


def parts_columns(parts: Sequence[slo.Objective], weights: Sequence[int]) -> dict[str, Any]:
    """Names and revisions of what is counted for a judgement."""
    names, revisions = [each.name for each in parts], [each.indicator_revision for each in parts]
    return {"parts": names, "part_revisions": revisions, "part_weights": list(weights)}


def _sla_columns(watched: Watched, reading: Reading) -> dict[str, Any]:
    """What is left of the SLA's budget: null without an SLA, or without data."""
    target = watched.objective.sla_target
    left = None if target is None else slo.budget_remaining_ratio(target, *reading.ratio())
    return {"sla_target": None if target is None else float(target), "sla_budget_remaining_ratio": left}


def alert_columns(told: Told, evaluated_at_us: int) -> dict[str, Any]:
    """Columns of a BurnRateAlert. The sequence is the judged second: ascending, and known after any loss."""
    watched, reading = told.watched, told.reading
    objective, pair = watched.objective, watched.policy.pairs[told.pair]
    long, short = (reading.spans_s.index(us // 1_000_000) for us in (pair.long_us, pair.short_us))
    long_burn, short_burn = reading.burn(watched, long), reading.burn(watched, short)
    rate = long_burn if told.kind is Kind.BURN_RATE else reading.present_burn(watched)
    end_us = reading.second * 1_000_000
    return {
        "dedup_key": dedup_key(told), "sequence": reading.second, "kind": told.kind.name,
        "slo": objective.name, "revision": objective.revision, "instance": told.labels,
        "service": objective.service, "labels": parse_label_text(told.labels), "event": told.notice.name,
        "severity": told.alert.severity.name, "metric": objective.indicator.metric,
        "target": float(objective.target), "burn_rate_factor": float(pair.factor),
        "long_window_s": reading.span_s(long), "short_window_s": reading.span_s(short),
        "long_good": reading.sums[long][0], "long_bad": reading.sums[long][1],
        "short_good": reading.sums[short][0], "short_bad": reading.sums[short][1],
        "long_burn_rate": long_burn, "short_burn_rate": short_burn,
        "budget_remaining_ratio": slo.budget_remaining_ratio(objective.target, *reading.ratio()),
        "time_to_exhaustion_s": reading.exhaustion_s(watched, rate), "exhaustion_burn_rate": rate,
        "started_at": told.alert.started_s * 1_000_000, "window_end": end_us, "watermark": end_us,
        "evaluated_at": evaluated_at_us, "late_ratio": reading.late / reading.total if reading.total else 0.0,
        "provisional": min(reading.coverage(long), reading.coverage(short)) < 1.0,
        "exemplar_trace_ids": [*told.exemplars], "runbook": watched.runbook, "reason": KINDS[told.kind].reason(told),
    }  # fmt: skip


def _burn_reason(told: Told) -> str:
    pair, spans = told.watched.policy.pairs[told.pair], told.reading.spans_s
    long, short = (
        told.reading.burn(told.watched, spans.index(us // 1_000_000)) for us in (pair.long_us, pair.short_us)
    )
    burns = f"{_rate(long)} over {_span(pair.long_us)}, {_rate(short)} over {_span(pair.short_us)}"
    if told.notice is Notice.RESOLVED:
        return f"{_severity(told)} is over: the budget burns at {burns}"
    windows = f"{_span(pair.long_us)} and {_span(pair.short_us)}"
    return f"{_severity(told)}: the budget burns at {float(pair.factor):g}x or more over {windows}: {burns}"


def _no_data_reason(told: Told) -> str:
    since = f"{EPOCH + timedelta(seconds=told.alert.started_s):%Y-%m-%d %H:%M:%S} UTC"
    if told.notice is Notice.RESOLVED:
        return f"{_severity(told)} is over: events come again; nothing was judged from {since} on"
    return f"{_severity(told)}: no source has sent events for too long; nothing is judged from {since} on"


def _budget_reason(told: Told) -> str:
    return _spent_reason(told, "error budget")


def _sla_reason(told: Told) -> str:
    return _spent_reason(told, "SLA's budget")


def _spent_reason(told: Told, budget: str) -> str:
    """Say what is spent, and how long the rest lasts at which rate."""
    watched, reading, pairs = told.watched, told.reading, told.watched.policy.pairs
    window = _span(reading.whole_s * 1_000_000)
    if told.notice is Notice.RESOLVED:
        left = pairs[0].factor
        return f"{_severity(told)} is over: less than {float(left):.0%} of the {budget} of {window} is spent"
    rate = reading.present_burn(watched)
    rest = reading.exhaustion_s(watched, rate)
    said = f"{_severity(told)}: {float(pairs[told.pair].factor):.0%} or more of the {budget} of {window} is spent"
    if not rest:
        return said
    recent = _span(reading.spans_s[-2] * 1_000_000)
    return f"{said}; at the {_rate(rate)} of the last {recent} the rest lasts {_lasting(rest)}"


def _lasting(seconds: float) -> str:
    size, unit = next(each for each in ((86_400, "d"), (3_600, "h"), (60, "min"), (0, "s")) if seconds >= each[0])
    return f"{seconds / (size or 1):.1f} {unit}"


def _severity(told: Told) -> str:
    return told.alert.severity.name.lower()


def _rate(burn: float | None) -> str:
    return "no data" if burn is None else f"{burn:.4g}x"


def _span(span_us: int) -> str:
    seconds = span_us // 1_000_000
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


#: why an alert is resolved that nobody judges any more
REMOVED, SILENCED = "the SLO was removed", "the SLO has no alert policy any more"


def _given(told: Told) -> str:
    """Who tells of it knows why: the judge does not."""
    raise ValueError(f"{told.kind.name} is not judged")


class KindOfAlert(NamedTuple):
    """What is particular to one kind."""

    event: str  # CloudEvents types, but for what happened
    suffix: str  # of dedup keys, so that kinds do not meet in one alert
    reason: Callable[[Told], str] = _given  # in words

    @property
    def is_judged(self) -> bool:
        return self.reason is not _given


KINDS = {
    Kind.BURN_RATE: KindOfAlert("slo.burnrate", "", _burn_reason),
    Kind.NO_DATA: KindOfAlert("slo.nodata", "|no-data", _no_data_reason),
    Kind.BUDGET: KindOfAlert("slo.budget", "|budget", _budget_reason),
    Kind.SLA: KindOfAlert("sla.at_risk", "|sla", _sla_reason),
    Kind.LAGGING: KindOfAlert("burnline.lagging", "|lagging"),
    Kind.STALE_SOURCE: KindOfAlert("burnline.stale_source", "|stale-source"),
    Kind.RECEIVER_DOWN: KindOfAlert("burnline.receiver_down", "|receiver-down"),
    Kind.QUOTA: KindOfAlert("quota.exceeded", "|quota"),
}


def dedup_key(told: Told) -> str:
    """Name one alert over all its events."""
    return instance_key(told.watched.objective.name, told.labels) + KINDS[told.kind].suffix


def source_of(site: str, kind: Kind) -> str:
    """CloudEvents source: which Burnline an event comes from, by the site's topic prefix, and which part of it."""
    return f"burnline/{site}{'judge' if KINDS[kind].is_judged else 'worker'}"


def event_type(kind: Kind, notice: Notice) -> str:
    """CloudEvents type of an alert's event."""
    return f"{KINDS[kind].event}.{notice.name.lower()}.v1"


@cache
def data_schema() -> str:
    """A URN of the alert's schema, by the fingerprint of its canonical form."""
    fingerprint = single_object_header(avro_text("burn_rate_alert"))[2:]
    return f"urn:avro:slo.inference.v1.BurnRateAlert:{fingerprint.hex()}"


def alert_headers(columns: dict[str, Any], source: str) -> tuple[tuple[str, bytes], ...]:
    """CloudEvents 1.0 attributes in Kafka's binary mode.

    Time and expiry are event times. An event that no later one follows within its long window is stale.
    """
    sequence = f"{columns['sequence']:020d}"
    time = EPOCH + timedelta(microseconds=columns["window_end"])
    attributes = {
        "specversion": "1.0", "type": event_type(Kind[columns["kind"]], Notice[columns["event"]]),
        "source": source,
        "id": f"{columns['dedup_key']}|{sequence}", "time": _rfc3339(time),
        "subject": f"{columns['service']}/{columns['slo']}", "dataschema": data_schema(),
        "severitytext": columns["severity"], "sequence": sequence,
        "expirytime": _rfc3339(time + timedelta(seconds=columns["long_window_s"])),
    }  # fmt: skip
    named = tuple((f"ce_{name}", value.encode()) for name, value in attributes.items())
    return (("content-type", CONTENT_TYPE), *named)


def _rfc3339(time: datetime) -> str:
    return time.isoformat(timespec="microseconds").replace("+00:00", "Z")


def farewell(last: Mapping[str, Any], second: int, why: str) -> dict[str, Any]:
    """Columns that resolve an alert nobody judges any more: its last event's counts, for there are no others."""
    end_us = second * 1_000_000
    return {
        **last, "event": Notice.RESOLVED.name, "sequence": second, "window_end": end_us, "watermark": end_us,
        "exemplar_trace_ids": [], "reason": f"{last['severity'].lower()} is over: {why}",
    }  # fmt: skip


def alert_record(topic: str, columns: dict[str, Any], source: str, framing: Framing) -> OutRecord:
    value = encode("burn_rate_alert", columns, framing)
    return OutRecord(topic, value, columns["dedup_key"].encode(), None, alert_headers(columns, source))


def status_records(topic: str, columns: Sequence[dict[str, Any]], framing: Framing) -> list[OutRecord]:
    """Write judgements; those with as many windows go together."""
    alike: dict[int, list[int]] = {}
    for place, each in enumerate(columns):
        alike.setdefault(len(each["windows_s"]), []).append(place)
    values = [b""] * len(columns)
    for places in alike.values():
        written = encode_many("slo_status", [columns[place] for place in places], framing)
        for place, value in zip(places, written, strict=True):
            values[place] = value
    keys = (instance_key(each["slo"], each["instance"]).encode() for each in columns)
    return [OutRecord(topic, value, key) for value, key in zip(values, keys, strict=True)]


def withdrawal(topic: str, key: str, second: int) -> OutRecord:
    """Take an instance's judgement back, as of a judged second: a tombstone."""
    return OutRecord(topic, None, key.encode(), None, ((WATERMARK_US, str(second * 1_000_000).encode()),))


def speaking_pair(watched: Watched, latched: int, severity: Severity) -> int | None:
    """Return the first pair that holds on with a severity; None: none does."""
    pairs = enumerate(watched.policy.pairs)
    return next((p for p, pair in pairs if latched >> p & 1 and pair.severity is severity), None)
