"""Notices: what leaves the judge, as columns of SloStatus and BurnRateAlert and as CloudEvents headers.

Pure. Everything but processing times follows from the judged second, so a replay writes the same bytes.
Ratios are for reading: they are made here, last, of the integers that judged. Burn rates are those that were
judged, against the window's full expected traffic (pipeline.slo.burn_rate); of an instance older than the
window they are plain.
"""

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

from pipeline import slo
from pipeline.alerts import Alert, Notice, Severity, Watched
from pipeline.blocks import encode
from pipeline.framing import Framing, single_object_header
from pipeline.records import OutRecord
from pipeline.series import parse_label_text
from schemas import avro_text

CONTENT_TYPE = b"application/avro"
EVENT_TYPES = {
    Notice.FIRED: "slo.burnrate.fired.v1",
    Notice.UPDATED: "slo.burnrate.updated.v1",
    Notice.RESOLVED: "slo.burnrate.resolved.v1",
}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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

    def lived(self, window: int) -> int:
        """Seconds of a window in which the instance existed."""
        return max(min(self.second - self.first_s, self.spans_s[window]), 0)

    def coverage(self, window: int) -> float:
        measured, expected = self.measured[window]
        return measured / expected

    def burn(self, watched: Watched, window: int) -> float | None:
        good, bad = self.sums[window]
        return slo.burn_rate(watched.objective.target, good, bad, self.lived(window), self.spans_s[window])

    def exhaustion_s(self, watched: Watched, rate: float | None) -> float | None:
        objective = watched.objective
        return slo.time_to_exhaustion_s(objective.target, *self.sums[-1], objective.window_us, rate)


class Told(NamedTuple):
    """One notice and all it was made of."""

    notice: Notice
    watched: Watched
    labels: str
    alert: Alert  # after the step; what it was before when resolved
    pair: int  # the pair that speaks, of the policy
    reading: Reading


def instance_key(name: str, labels: str) -> str:
    """Name one SLO instance: key of slo.status and slo.state, and the alert's dedup key."""
    return f"{name}|{labels}"


def status_columns(watched: Watched, labels: str, alert: Alert, reading: Reading, judged_at_us: int) -> dict[str, Any]:
    """Columns of a SloStatus."""
    objective, windows = watched.objective, range(len(reading.spans_s) - 1)
    good, bad = reading.sums[-1]
    end_us = reading.second * 1_000_000
    burns = [reading.burn(watched, w) for w in windows]
    return {
        "slo": objective.name, "revision": objective.revision, "instance": labels,
        "service": objective.service, "labels": parse_label_text(labels),
        "target": float(objective.target), "window_us": objective.window_us,
        "watermark": end_us, "window_start": end_us - objective.window_us, "window_end": end_us,
        "judged_at": judged_at_us, "state": alert.state.name, "severity": alert.severity.name,
        "good": good, "bad": bad, "excluded": reading.excluded,
        "compliance_ratio": slo.compliance_ratio(good, bad), "coverage_ratio": reading.coverage(-1),
        "budget_events": slo.budget_events(objective.target, good + bad),
        "budget_remaining_ratio": slo.budget_remaining_ratio(objective.target, good, bad),
        "budget_minutes": slo.budget_minutes(objective.target, objective.window_us),
        "time_to_exhaustion_s": reading.exhaustion_s(watched, burns[-1] if burns else None),
        "windows_s": list(reading.spans_s[:-1]), "windows_good": [reading.sums[w][0] for w in windows],
        "windows_bad": [reading.sums[w][1] for w in windows],
        "windows_coverage_ratio": [reading.coverage(w) for w in windows], "windows_burn_rate": burns,
        "late": reading.late,
    }  # fmt: skip


def alert_columns(told: Told, evaluated_at_us: int) -> dict[str, Any]:
    """Columns of a BurnRateAlert. The sequence is the judged second: ascending, and known after any loss."""
    watched, reading = told.watched, told.reading
    objective, pair = watched.objective, watched.policy.pairs[told.pair]
    long, short = (reading.spans_s.index(us // 1_000_000) for us in (pair.long_us, pair.short_us))
    long_burn, short_burn = reading.burn(watched, long), reading.burn(watched, short)
    end_us = reading.second * 1_000_000
    return {
        "dedup_key": instance_key(objective.name, told.labels), "sequence": reading.second,
        "slo": objective.name, "revision": objective.revision, "instance": told.labels,
        "service": objective.service, "labels": parse_label_text(told.labels), "event": told.notice.name,
        "severity": told.alert.severity.name, "metric": objective.indicator.metric,
        "target": float(objective.target), "burn_rate_factor": float(pair.factor),
        "long_window_s": reading.spans_s[long], "short_window_s": reading.spans_s[short],
        "long_good": reading.sums[long][0], "long_bad": reading.sums[long][1],
        "short_good": reading.sums[short][0], "short_bad": reading.sums[short][1],
        "long_burn_rate": long_burn, "short_burn_rate": short_burn,
        "budget_remaining_ratio": slo.budget_remaining_ratio(objective.target, *reading.sums[-1]),
        "time_to_exhaustion_s": reading.exhaustion_s(watched, long_burn),
        "started_at": told.alert.started_s * 1_000_000, "window_end": end_us, "watermark": end_us,
        "evaluated_at": evaluated_at_us, "late_ratio": reading.late / reading.total if reading.total else 0.0,
        "provisional": min(reading.coverage(long), reading.coverage(short)) < 1.0,
        "runbook": watched.runbook, "reason": _reason(told, long_burn, short_burn, pair.factor),
    }  # fmt: skip


def _reason(told: Told, long_burn: float | None, short_burn: float | None, factor: slo.Ratio) -> str:
    pair = told.watched.policy.pairs[told.pair]
    windows = f"{_span(pair.long_us)} and {_span(pair.short_us)}"
    burns = f"{_rate(long_burn)} over {_span(pair.long_us)}, {_rate(short_burn)} over {_span(pair.short_us)}"
    severity = told.alert.severity.name.lower()
    if told.notice is Notice.RESOLVED:
        return f"{severity} is over: the budget burns at {burns}"
    return f"{severity}: the budget burns at {float(factor):g}x or more over {windows}: {burns}"


def _rate(burn: float | None) -> str:
    return "no data" if burn is None else f"{burn:.4g}x"


def _span(span_us: int) -> str:
    seconds = span_us // 1_000_000
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


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
        "specversion": "1.0", "type": EVENT_TYPES[Notice[columns["event"]]], "source": source,
        "id": f"{columns['dedup_key']}|{sequence}", "time": _rfc3339(time),
        "subject": f"{columns['service']}/{columns['slo']}", "dataschema": data_schema(),
        "severitytext": columns["severity"], "sequence": sequence,
        "expirytime": _rfc3339(time + timedelta(seconds=columns["long_window_s"])),
    }  # fmt: skip
    named = tuple((f"ce_{name}", value.encode()) for name, value in attributes.items())
    return (("content-type", CONTENT_TYPE), *named)


def _rfc3339(time: datetime) -> str:
    return time.isoformat(timespec="microseconds").replace("+00:00", "Z")


def alert_record(topic: str, told: Told, evaluated_at_us: int, source: str, framing: Framing) -> OutRecord:
    columns = alert_columns(told, evaluated_at_us)
    value = encode("burn_rate_alert", columns, framing)
    return OutRecord(topic, value, columns["dedup_key"].encode(), None, alert_headers(columns, source))


def status_record(topic: str, columns: dict[str, Any], framing: Framing) -> OutRecord:
    key = instance_key(columns["slo"], columns["instance"]).encode()
    return OutRecord(topic, encode("slo_status", columns, framing), key)


def speaking_pair(watched: Watched, latched: int, severity: Severity) -> int | None:
    """Return the first pair that holds on with a severity; None: none does."""
    pairs = enumerate(watched.policy.pairs)
    return next((p for p, pair in pairs if latched >> p & 1 and pair.severity is severity), None)
