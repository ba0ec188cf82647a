"""History at full speed into a worker that is up and idle: nothing of it is late, everything of it is judged."""

import time
from collections.abc import Iterator

import pytest

from jobs.event_sink import KafkaEventSink
from jobs.fleet import FleetSpec, Truth
from jobs.simulation import SimulationSpec, run
from pipeline.embedded.site import Site
from pipeline.spec import load
from pipeline.topics import COUNTS
from tests.acceptance.harness import Pipeline, pipeline_on

pytestmark = [pytest.mark.servers, pytest.mark.slow]

RATE, LENGTH_S, SEED = 30.0, 3_600, 5
AGO_S = 6 * 86_400  #: apart from the other fleets on the site
IDLE_S = 3.5  #: longer than a source partition must be silent to be idle
SLO = """---
apiVersion: burnline/v1
kind: SLO
metadata: {name: history}
spec:
  description: history
  service: chat
  indicator: {metric: error_rate, groupBy: [request_model, region]}
  target: 0.999
  timeWindow: {duration: 1d, isRolling: true}
  alerting: {preset: default}
"""


@pytest.fixture(scope="module")
def idle(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    slo_dir = tmp_path_factory.mktemp("slo")
    (slo_dir / "history.yaml").write_text(SLO)
    with pipeline_on(site, "history", slo_dir) as running:
        running.start_worker()
        running.wait_until(lambda: _are_all_idle(running), "every source partition idle")
        yield running


def _are_all_idle(pipeline: Pipeline) -> bool:
    silent: dict[int, float] = {}
    partitions = None
    for unit in pipeline.columns(COUNTS, "slo_counts"):
        silent[unit["source_partition"]], partitions = unit["idle_us"] / 1e6, unit["source_partitions"]
    return len(silent) == partitions and min(silent.values()) > IDLE_S


def test_no_event_of_history_is_late(idle: Pipeline) -> None:
    truth = Truth(load([idle.settings.slo_dir]).checked().objectives)
    start_us = (int(time.time()) - AGO_S) * 1_000_000
    fleet = FleetSpec(rate=RATE, tenants=3, zero_us=start_us)
    spec = SimulationSpec(fleet, SEED, start_us, LENGTH_S * 1_000_000, None)
    with KafkaEventSink(idle.settings) as sink:
        report = run(spec, sink, truth)
    assert report.failed == 0 and report.events == truth.events > 50_000
    expected = {
        (slo, labels): (n["good"], n["bad"]) for slo, each in truth.totals().items() for labels, n in each.items()
    }

    def judged() -> dict[tuple[str, str], tuple[int, ...]]:
        rows = idle.ask("SELECT slo, instance, good, bad FROM compliance WHERE slo = 'history'")
        return {(slo, labels): tuple(numbers) for slo, labels, *numbers in rows}

    idle.becomes(judged, expected)
    assert idle.ask("SELECT count(), sum(late) FROM late_events WHERE slo = 'history'") == [(len(expected), 0)]
