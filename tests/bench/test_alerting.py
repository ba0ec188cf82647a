"""The benchmark of alerts tells right when each was due, and Prometheus is asked for the same."""

import json
import shutil
import subprocess
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.bench import alerting, prometheus
from tests.bench.alertmanager import Held
from tests.bench.exporter import Exporter
from tests.bench.paced import Sent
from tests.referee.promtool import PROMTOOL

TICK_US = 1_000_000


def naive_due(good: list[int], bad: list[int], factor: float) -> int | None:
    """By the definition, tick by tick; a tick a second."""
    due = None
    for at in range(len(good)):
        burns = []
        for window in (alerting.LONG_S, alerting.SHORT_S):
            badly, every = sum(bad[max(at + 1 - window, 0) : at + 1]), 0
            every = badly + sum(good[max(at + 1 - window, 0) : at + 1])
            burns.append(every > 0 and badly / every >= factor * (1 - alerting.TARGET) - 1e-9)
        due = (at if due is None else due) if all(burns) else None
    return due


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 3)), min_size=1, max_size=200), st.sampled_from([5, 10, 20])
)
@settings(max_examples=50)
def test_an_alert_is_due_when_both_windows_burn_and_go_on_to(counts: list[tuple[int, int]], factor: int) -> None:
    good, bad = (list(column) for column in zip(*counts, strict=True))
    at_us = np.arange(len(good), dtype=np.int64) * TICK_US
    assert alerting.due_tick(at_us, np.array(good), np.array(bad), factor) == naive_due(good, bad, factor)


def sent(bad_from: int, seconds: int = 200) -> Sent:
    """One model with a request a second, which are bad from some second on."""
    bad = [[int(at >= bad_from)] for at in range(seconds)]
    return Sent([at * TICK_US for at in range(seconds)], [[1 - each[0]] for each in bad], bad, seconds, 0, seconds)


def test_delays_are_counted_from_when_each_alert_is_due() -> None:
    # of 120 good seconds, 6, 12 and 24 bad ones make 5 %, 10 % and 20 %: the ticks 145, 151 and 163
    alert = {"kind": "BURN_RATE", "event": "FIRED", "slo": "errors-10", "labels": {"request_model": "model-00"}}
    late = {**alert, "event": "UPDATED"}
    watched = prometheus.Watched({("errors-5", "model-00"): 180_000})
    held = Held("", {("errors-10", "model-00"): 155_000})
    alerts = [(154_000, alert), (160_000, alert), (153_000, late)]
    found = alerting.delays(sent(140), alerts, held, watched, (151_500, 170_000))
    known = [(each.due_ms, each.topic_s, each.alertmanager_s, each.prometheus_s, each.is_in_crash) for each in found]
    assert known == [
        (145_000, None, None, 35.0, False),
        (151_000, 3.0, 4.0, None, True),
        (163_000, None, None, None, True),
    ]
    assert [each.slo for each in found] == ["errors-5", "errors-10", "errors-20"]


def test_what_never_came_is_missing_in_the_result_and_the_plot_is_drawn(tmp_path: Path) -> None:
    found = [alerting.Delay("a", 0, 0, 2.5, 2.6, 40.0), alerting.Delay("a", 1, 0, None, None, 20.0, is_in_crash=True)]
    load = alerting.result(alerting.Load("idle", 1), sent(140), found, None, 2.0)
    assert (load["due"], load["topic"]["seconds"], load["prometheus"]["p50_s"]) == (2, [2.5], 20.0)
    measured = {"loads": [load], "goal_s": 1.0}
    assert alerting.rows(measured)[0][1:] == [
        "-0.50",
        "-0.50",
        "2.50",
        "2.50",
        "2.60",
        "2.60",
        "20.00",
        "20.00",
        "8 x",
        "1, 1, 2 of 2",
    ]
    alerting.plot(measured, tmp_path / "alerting.png")
    assert (tmp_path / "alerting.png").stat().st_size > 10_000


@pytest.mark.skipif(shutil.which(PROMTOOL or "") is None, reason="no promtool")
def test_prometheus_takes_the_rules(tmp_path: Path) -> None:
    (tmp_path / "rules.json").write_text(json.dumps(prometheus.rules(alerting.specs())))
    checked = subprocess.run(
        [PROMTOOL or "", "check", "rules", str(tmp_path / "rules.json")], capture_output=True, text=True, check=False
    )
    assert "SUCCESS: 5 rules found" in checked.stdout, checked.stderr


def test_the_exporter_shows_what_was_sent() -> None:
    port = prometheus.free_port()
    exporter = Exporter(port, 2)
    for _ in range(3):
        exporter.count(np.array([10, 20]), np.array([1, 0]))
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
        lines = answer.read().decode().splitlines()
    exporter.close()
    assert lines == [
        "# TYPE requests_total counter",
        'requests_total{request_model="model-00"} 30',
        'requests_total{request_model="model-01"} 60',
        "# TYPE requests_bad_total counter",
        'requests_bad_total{request_model="model-00"} 3',
        'requests_bad_total{request_model="model-01"} 0',
    ]
