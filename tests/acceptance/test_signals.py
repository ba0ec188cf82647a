"""A judgement becomes a signal that anybody may ask for; who takes over from a killed owner goes on from there."""

import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from pipeline.controls.signal import Signal
from pipeline.embedded.site import EXAMPLES, Site
from pipeline.publishing import Writer, publish
from pipeline.topics import STATUS
from tests.acceptance.harness import pipeline_on

pytestmark = pytest.mark.servers
SERVICE = "signalled"
CONTROLS = "apiVersion: burnline/v1\nkind: Controls\ngate: {every: 1s, ttl: 1h}\n"


def judgement() -> tuple[str, dict[str, Any]]:
    now_us = time.time_ns() // 1000 + 600_000_000  # it does not grow stale while the test runs
    return f"{SERVICE}-errors|", {
        "slo": f"{SERVICE}-errors", "revision": "r", "instance": "", "service": SERVICE, "target": 0.99,
        "window_us": 86_400_000_000, "watermark": now_us, "window_start": now_us - 86_400_000_000,
        "window_end": now_us, "judged_at": now_us, "state": "OK", "severity": "NONE", "good": 900, "bad": 100,
        "excluded": 0, "compliance_ratio": 0.9, "coverage_ratio": 1.0, "budget_events": 10.0,
        "budget_remaining_ratio": -9.0, "budget_minutes": 14.4, "time_to_exhaustion_s": 0.0, "windows_s": [300],
        "windows_good": [90], "windows_bad": [10], "windows_coverage_ratio": [1.0], "windows_burn_rate": [10.0],
        "late": 0,
    }  # fmt: skip


def metric(address: str, name: str, **labels: str) -> float:
    families = text_string_to_metric_families(httpx.get(f"{address}/metrics", timeout=60).text)
    samples = (sample for family in families for sample in family.samples if sample.name == name)
    return sum(sample.value for sample in samples if labels.items() <= sample.labels.items())


def test_a_judgement_becomes_a_signal_and_a_successor_remembers_it(site: Site, tmp_path: Path) -> None:
    file = tmp_path / "controls.yaml"
    file.write_text(CONTROLS)
    settings = {"steps": "store,control", "controls_file": file, "session_timeout_s": 6.0}
    with pipeline_on(site, "signals", EXAMPLES, **settings) as running:
        Writer(running.settings, STATUS, "slo_status").write([judgement()])
        address = running.begin_worker().ready()["http"]
        sql = f"SELECT model, name, state, value FROM signals WHERE service = '{SERVICE}'"
        running.becomes(lambda: running.ask(sql), [("", "gate", "frozen", 2.0)])
        (row,) = running.run("signals", SERVICE)
        assert (row["state"], row["details"]["slo"], row["is_expired"]) == ("frozen", f"{SERVICE}-errors", False)
        flat = httpx.get(f"{address}/api/v1/signals/{SERVICE}/llama", timeout=60).json()
        assert (flat["values"], flat["states"]) == ({"gate": 2.0}, {"gate": "frozen"})

        running.workers[0].kill()
        now_us = time.time_ns() // 1000
        forecast = Signal(
            service=SERVICE, model="llama", name="forecast", scope="load:5m", state="forecast", value=7.0,
            unit="requests/s", reason="", evaluated_at_us=now_us, expires_at_us=now_us + 600_000_000,
        )  # fmt: skip
        assert publish(running.settings, [forecast]) == 1
        successor = running.begin_worker().ready()["http"]
        gate = {"control": "gate"}
        running.wait_until(
            lambda: metric(successor, "burnline_control_seconds_total", **gate) > 0, "the successor has looked"
        )
        assert metric(successor, "burnline_restored_entries_total", step="control") >= 2
        running.becomes(lambda: len(running.ask(sql)), 2)
        told = [message.key().decode() for message in running.records("slo.signals")]
        assert told.count(f"{SERVICE}||gate") == 1  # the successor knew that it had been said
        assert f"{SERVICE}|llama|forecast|load:5m" in told
