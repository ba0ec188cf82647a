"""`burnline alerts replay --recount`: what nobody counted is counted anew, exactly, and judged."""

import json
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from jobs.event_sink import KafkaEventSink
from jobs.fleet import FleetSpec, Incident, Truth
from jobs.simulation import SimulationSpec, run
from pipeline.commands.alerts import app
from pipeline.commands.alerts_recount import recounted
from pipeline.embedded import EmbeddedKafka
from pipeline.rehearsal.history import Period
from pipeline.settings import Settings
from pipeline.spec import load
from pipeline.topics import create_topics

BEFORE_S, BROKEN_S, AFTER_S = 3_600, 600, 300
MODEL = "llama-3.3-70b"
SLO = """\
apiVersion: burnline/v1
kind: SLO
metadata: {name: never-counted}
spec:
  service: chat
  indicator: {metric: error_rate, where: {operation: chat}, groupBy: [request_model]}
  target: 0.995
  timeWindow: {duration: 1d, isRolling: true}
  alerting: {preset: default}
"""


@pytest.mark.servers
def test_what_is_counted_anew_is_the_truth_and_pages(
    kafka: EmbeddedKafka, topic_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "slo.yaml").write_text(SLO)
    environment = {
        "KAFKA_BROKERS": kafka.brokers, "TOPIC_PREFIX": topic_prefix, "SLO_DIR": str(tmp_path), "DATA_DIR": ".burnline",
    }  # fmt: skip
    for name, value in environment.items():
        monkeypatch.setenv(f"BURNLINE_{name}", value)
    settings, slos = Settings(), load([tmp_path]).checked()
    create_topics(settings)
    length_s = BEFORE_S + BROKEN_S + AFTER_S
    start_s = (int(time.time()) - 86_400 - length_s) // 60 * 60
    incident = Incident("bad-build", "errors", BEFORE_S * 10**6, (BEFORE_S + BROKEN_S) * 10**6, 0.5,
                        (("request_model", (MODEL,)),))  # fmt: skip
    truth = Truth(slos.objectives)
    fleet = FleetSpec(rate=8.0, tenants=2, incidents=(incident,), zero_us=start_s * 10**6)
    run(SimulationSpec(fleet, 7, start_s * 10**6, length_s * 10**6, None), KafkaEventSink(settings), truth)

    found = recounted(settings, slos, Period(start_s, start_s, start_s + length_s), lambda done, every: None)
    assert found.records == truth.events
    sums = {
        instance: (int(each.good.sum()), int(each.bad.sum()))
        for instance, each in found.counted["never-counted"].items()
    }
    assert sums == {labels: (n["good"], n["bad"]) for labels, n in truth.totals()["never-counted"].items()}

    iso = [datetime.fromtimestamp(second, UTC).isoformat() for second in (start_s, start_s + length_s)]
    words = ["replay", "--slo", str(tmp_path / "slo.yaml"), "--from", iso[0], "--to", iso[1], "--recount", "--json"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    (told,) = json.loads(result.stdout)
    assert told["text"] == "judged out of events counted anew"
    assert [alert["instance"] for alert in told["alerts"]] == [f"request_model={MODEL}"]
    fired = datetime.fromisoformat(told["alerts"][0]["fired"]).timestamp() - start_s
    assert BEFORE_S < fired < BEFORE_S + BROKEN_S
