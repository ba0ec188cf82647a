"""Our own metrics: one catalogue, a sentence each, and their text in Prometheus' form or in OpenMetrics'.

Pure. Values are read from plain counters when somebody asks; nothing is counted here. Law: however many labels there
are, a metric has at most `most` series, which is SERIES_MOST; what is past that is one more, named `other`.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.openmetrics import exposition as openmetrics

PLAIN_TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
SERIES_MOST = 1_000  #: of one metric: partitions are the most numerous of our labels
SIGNAL_SERIES_MOST = 10_000  #: of one metric of signals, whose number has a limit of its own
OTHER = "other"


class MetricSpec(NamedTuple):
    """One line of the catalogue."""

    kind: Literal["counter", "gauge"]
    help: str
    labels: tuple[str, ...] = ()
    most: int = SERIES_MOST


class Reading(NamedTuple):
    """One value of one metric."""

    name: str
    value: float
    labels: tuple[str, ...] = ()


STEP, PARTITION = ("step",), ("partition",)
RECEIVER, HELD = ("receiver",), ("receiver", "reason")
CONTROL = ("control",)
TABLE = ("table",)
SIGNAL = (("service", "model", "name", "scope"), SIGNAL_SERIES_MOST)

CATALOGUE: dict[str, MetricSpec] = {
    "burnline_blocks": MetricSpec("counter", "Blocks of records taken from Kafka.", STEP),
    "burnline_records": MetricSpec("counter", "Records in those blocks.", STEP),
    "burnline_bytes": MetricSpec("counter", "Bytes of those blocks, decompressed.", STEP),
    "burnline_stale_blocks": MetricSpec("counter", "Blocks read before a seek and dropped; they are read again.", STEP),
    "burnline_queue_waits": MetricSpec("counter", "Blocks that waited for room in a full queue.", STEP),
    "burnline_units": MetricSpec("counter", "Units written: one transaction or insert each.", STEP),
    "burnline_units_failed": MetricSpec("counter", "Units that failed; their input is read again.", STEP),
    "burnline_step_failures": MetricSpec("counter", "Times the step failed and was made anew; not reset by it.", STEP),
    "burnline_fenced": MetricSpec("counter", "Times another worker had taken a partition of ours.", STEP),
    "burnline_lost_offsets": MetricSpec("counter", "Source offsets deleted by retention before we read them.", STEP),
    "burnline_restored_entries": MetricSpec("counter", "State entries read back after an assignment.", STEP),
    "burnline_transaction_seconds": MetricSpec("counter", "Seconds spent in transactions or inserts.", STEP),
    "burnline_fold_seconds": MetricSpec("counter", "Seconds spent folding units.", STEP),
    "burnline_transaction_seconds_last": MetricSpec("gauge", "Seconds the last transaction or insert took.", STEP),
    "burnline_queued_bytes": MetricSpec("gauge", "Bytes read and not yet folded.", STEP),
    "burnline_held_bytes": MetricSpec("gauge", "Bytes of units that hold their input and are not written.", STEP),
    "burnline_oldest_in_flight_seconds": MetricSpec("gauge", "Age of the oldest block not yet written.", STEP),
    "burnline_owned_partitions": MetricSpec("gauge", "Partitions this worker owns.", STEP),
    "burnline_seconds_since_progress": MetricSpec("gauge", "Seconds since the last unit was written.", STEP),
    "burnline_open_transaction_seconds": MetricSpec("gauge", "Age of the oldest transaction or insert open.", STEP),
    "burnline_backlog_records": MetricSpec("gauge", "Offsets in Kafka behind what was folded.", STEP),
    "burnline_lagging": MetricSpec("gauge", "1: the step is further behind than BURNLINE_LIMIT_LAG_S.", STEP),
    "burnline_stopped": MetricSpec("gauge", "1: the step has stopped and waits for somebody to mend something.", STEP),
    "burnline_store_retries": MetricSpec("counter", "Writes that ClickHouse could not take at that moment."),
    "burnline_refresh_seconds": MetricSpec("counter", "Seconds spent counting kept answers anew.", TABLE),
    "burnline_refresh_failures": MetricSpec("counter", "Parts of kept answers that could not be counted.", TABLE),
    "burnline_refresh_due": MetricSpec("gauge", "Parts of kept answers that are due: older than they may be.", TABLE),
    "burnline_oversized_batches": MetricSpec("counter", "Record batches past BURNLINE_LIMIT_BATCH_BYTES."),
    "burnline_dead_letters": MetricSpec("counter", "Records put aside, by reason.", ("reason",)),
    "burnline_dead_letter_ratio": MetricSpec("gauge", "Share of the latest records that were put aside."),
    "burnline_dead_letters_cut": MetricSpec("counter", "Dead letters that had to be cut to what the broker takes."),
    "burnline_cut_units": MetricSpec("counter", "Units past BURNLINE_LIMIT_OPEN_SLICES, taken in pieces."),
    "burnline_cut_blocks": MetricSpec("counter", "Derived blocks cut at BURNLINE_LIMIT_BLOCK_BYTES."),
    "burnline_clipped_sums": MetricSpec("counter", "Additions to a second's tokens or cost cut short at 2^62."),
    "burnline_duplicates": MetricSpec("counter", "Events left out because their event_id had come before."),
    "burnline_event_ids_forgotten": MetricSpec("counter", "Event ids past BURNLINE_LIMIT_EVENT_IDS, forgotten early."),
    "burnline_event_ids_seconds": MetricSpec("counter", "Seconds spent reading event ids again after an assignment."),
    "burnline_watermark_lag_seconds": MetricSpec("gauge", "From the event time judged to now."),
    "burnline_unjudged_seconds": MetricSpec("gauge", "From the event time judged to the newest seen.", PARTITION),
    "burnline_trace_ids_too_long": MetricSpec("counter", "Trace ids of bad requests left out, past 128 characters."),
    "burnline_series": MetricSpec("gauge", "Distinct series known to this worker."),
    "burnline_series_overflow": MetricSpec("counter", "Events whose series was past BURNLINE_LIMIT_SERIES."),
    "burnline_instances_refused": MetricSpec("counter", "Series whose SLO instance was past the limit, now `other`."),
    "burnline_watermark_seconds": MetricSpec("gauge", "Event time judged so far, since the epoch.", PARTITION),
    "burnline_instances": MetricSpec("gauge", "SLO instances judged here.", PARTITION),
    "burnline_late_entries": MetricSpec("counter", "Counts that came behind the watermark.", PARTITION),
    "burnline_unknown_entries": MetricSpec("counter", "Counts of SLOs not in force, or past the limit.", PARTITION),
    "burnline_judge_refused": MetricSpec("counter", "Instances in blocks past BURNLINE_LIMIT_INSTANCES.", PARTITION),
    "burnline_deferred_statuses": MetricSpec("counter", "Statuses put off, past BURNLINE_LIMIT_STATUSES.", PARTITION),
    "burnline_clipped_events": MetricSpec("counter", "Events past what a slice of a window can hold.", PARTITION),
    "burnline_unreadable_blocks": MetricSpec("counter", "Blocks of slo.counts that were no blocks.", PARTITION),
    "burnline_waiting_entries": MetricSpec("gauge", "Counts that wait for the watermark, 40 bytes each.", PARTITION),
    "burnline_hurried_entries": MetricSpec("counter", "Counts judged early, past BURNLINE_LIMIT_WAITING.", PARTITION),
    "burnline_notifications_sent": MetricSpec("counter", "Notifications that a receiver took.", RECEIVER),
    "burnline_notifications_retried": MetricSpec("counter", "Attempts that a receiver could not take then.", RECEIVER),
    "burnline_notifications_refused": MetricSpec("counter", "Notifications that a receiver will not take.", RECEIVER),
    "burnline_notifications_repeated": MetricSpec("counter", "Requests that say again what is open.", RECEIVER),
    "burnline_notifications_oldest_seconds": MetricSpec("gauge", "Age of the oldest alert not told yet.", RECEIVER),
    "burnline_alerts_suppressed": MetricSpec("counter", "Events of alerts that were held back.", HELD),
    "burnline_alerts_unreadable": MetricSpec("counter", "Records of slo.alerts that could not be read.", RECEIVER),
    "burnline_open_incidents": MetricSpec("gauge", "Incidents that a receiver was told of and are open.", RECEIVER),
    "burnline_receiver_down": MetricSpec("gauge", "1: a receiver fails again and again, and is probed.", RECEIVER),
    "burnline_signals": MetricSpec("gauge", "Signals that are published and not expired, of all controls."),
    "burnline_signals_published": MetricSpec("counter", "Signals published: news, and repetitions in time.", CONTROL),
    "burnline_signals_refused": MetricSpec("counter", "Signals past BURNLINE_LIMIT_SIGNALS, left out.", CONTROL),
    "burnline_signals_unreadable": MetricSpec("counter", "Records of slo.signals that could not be read."),
    "burnline_signals_not_kept": MetricSpec("counter", "Signals left out for want of room: all others are in force."),
    "burnline_signals_forgotten": MetricSpec("counter", "Expired signals, taken out of memory and topic.", CONTROL),
    "burnline_signal_value": MetricSpec("gauge", "What a signal says, in its unit, while it is in force.", *SIGNAL),
    "burnline_signal_confidence_ratio": MetricSpec("gauge", "How sure a signal in force is, of 1.", *SIGNAL),
    "burnline_signal_evaluated_timestamp_seconds": MetricSpec("gauge", "When a signal in force was decided.", *SIGNAL),
    "burnline_signal_expiry_timestamp_seconds": MetricSpec("gauge", "From when on it says nothing any more.", *SIGNAL),
    "burnline_signal_series_left_out": MetricSpec("gauge", "Signals in force past BURNLINE_LIMIT_SIGNAL_SERIES."),
    "burnline_control_unanswered": MetricSpec("counter", "Times ClickHouse gave a control no answer.", CONTROL),
    "burnline_control_failures": MetricSpec("counter", "Times a control failed; its signals expire.", CONTROL),
    "burnline_control_seconds": MetricSpec("counter", "Seconds spent asking and deciding.", CONTROL),
    "burnline_slos": MetricSpec("gauge", "SLOs in force."),
    "burnline_slo_revision": MetricSpec("gauge", "1; its label names the set of SLOs in force.", ("revision",)),
    "burnline_slo_reloads": MetricSpec("counter", "Times other SLO files were put in force without a restart."),
    "burnline_slo_reload_failed": MetricSpec("gauge", "1: SLO files are refused, and the former ones stay in force."),
    "burnline_resident_bytes": MetricSpec("gauge", "Resident memory of this process."),
    "burnline_folded_series": MetricSpec("gauge", "Series of metrics past their limit, added up as `other`."),
}  # fmt: skip


class _Collector:
    def __init__(self, readings: Iterable[Reading]) -> None:
        self._readings: dict[str, list[Reading]] = {name: [] for name in CATALOGUE}
        for reading in readings:
            self._readings[reading.name].append(reading)
        folded = sum(max(len(mine) - CATALOGUE[name].most, 0) for name, mine in self._readings.items())
        self._readings["burnline_folded_series"] = [Reading("burnline_folded_series", folded)]

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        for name, spec in CATALOGUE.items():
            if not self._readings[name]:
                continue
            make = CounterMetricFamily if spec.kind == "counter" else GaugeMetricFamily
            family = make(name, spec.help, labels=spec.labels)
            for reading in _within(self._readings[name], spec):
                family.add_metric(list(reading.labels), reading.value)
            yield family


def _within(readings: list[Reading], spec: MetricSpec) -> list[Reading]:
    """At most so many readings as they are, and the rest as one: counters add up, of gauges the greatest counts."""
    kept, rest = readings[: spec.most], [reading.value for reading in readings[spec.most :]]
    if not rest:
        return kept
    folded = sum(rest) if spec.kind == "counter" else max(rest)
    return [*kept, Reading(kept[0].name, folded, (OTHER,) * len(spec.labels))]


def content_type(accept: str = "") -> str:
    """The form that a client asked for by its Accept header: OpenMetrics when it names it, else Prometheus' own."""
    wanted = (part.split(";") for part in accept.split(","))
    is_open = any(_is_openmetrics(kind, parameters) for kind, *parameters in wanted)
    return OPENMETRICS if is_open else PLAIN_TEXT


def _is_openmetrics(kind: str, parameters: list[str]) -> bool:
    refused = any(re.fullmatch(r"q=0(\.0*)?", each.strip()) for each in parameters)
    return kind.strip().lower() == "application/openmetrics-text" and not refused


def render(readings: Iterable[Reading], accept: str = "") -> bytes:
    """Write readings in the form of `content_type(accept)`.

    Raises: KeyError for a name that is not in the catalogue.
    """
    registry = CollectorRegistry()
    registry.register(_Collector(readings))
    if content_type(accept) == OPENMETRICS:
        return bytes(openmetrics.generate_latest(registry))  # type: ignore[no-untyped-call]
    return bytes(generate_latest(registry))
