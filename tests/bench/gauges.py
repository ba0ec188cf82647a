"""What a worker says of itself while it is watched: a few of its metrics, added up over their labels."""

from collections.abc import Iterable, Mapping
from urllib.request import urlopen

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

#: name here -> metric, and the step when it has one
GAUGES: Mapping[str, tuple[str, str | None]] = {
    "series": ("burnline_series", None),
    "instances": ("burnline_instances", None),
    "waiting": ("burnline_waiting_entries", None),
    "rss_bytes": ("burnline_resident_bytes", None),
    **{f"{step}_backlog": ("burnline_backlog_records", step) for step in ("ingest", "judge", "store")},
    "store_oldest_s": ("burnline_oldest_in_flight_seconds", "store"),
}
PATIENCE_S = 5.0


def gauges(address: str) -> dict[str, float]:
    """Ask a worker on http://host:port; nothing while it does not answer."""
    try:
        with urlopen(f"{address}/metrics", timeout=PATIENCE_S) as answer:
            return added(text_string_to_metric_families(answer.read().decode()))
    except OSError:
        return {}


def added(families: Iterable[Metric]) -> dict[str, float]:
    """Add up the samples of each metric that is watched."""
    samples = [sample for family in families for sample in family.samples]
    return {
        name: sum(each.value for each in samples if each.name == metric and step in {None, each.labels.get("step")})
        for name, (metric, step) in GAUGES.items()
    }
