"""Alerts on ourselves: each fires on what it is for, none on a healthy worker, and all read metrics that we have."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

import infra
from pipeline.metrics import CATALOGUE
from tests.referee.promtool import PROMTOOL

FILE = infra.HOME / "prometheus" / "alerts.yaml"
RULES = YAML(typ="safe").load(FILE)["groups"][0]["rules"]
HEALTHY = {
    'burnline_owned_partitions{step="judge"}': "4x40",
    'burnline_stopped{step="judge"}': "0x40",
    'burnline_seconds_since_progress{step="judge"}': "1x40",
    'burnline_lagging{step="judge"}': "0x40",
    'burnline_step_failures_total{step="judge"}': "3x40",
    'burnline_lost_offsets_total{step="ingest"}': "7x40",
    "burnline_dead_letter_ratio": "0.001x40",
    "burnline_series_overflow_total": "9x40",
    "burnline_instances_refused_total": "9x40",
    'burnline_judge_refused_total{partition="1"}': "9x40",
    "burnline_slo_reload_failed": "0x40",
    'burnline_control_failures_total{control="scale"}': "0x40",
    'burnline_control_unanswered_total{control="scale"}': "0x20 1x20",
    'burnline_receiver_down{receiver="pager"}': "0x40",
    'burnline_notifications_oldest_seconds{receiver="pager"}': "0 10 5 0x37",
}
#: of each alert, what makes it fire
SICK = {
    "BurnlineGone": {'burnline_owned_partitions{step="judge"}': None},
    "BurnlineStopped": {'burnline_stopped{step="judge"}': "1x40"},
    "BurnlineStuck": {'burnline_seconds_since_progress{step="judge"}': "0+60x40"},
    "BurnlineLags": {'burnline_lagging{step="judge"}': "1x40"},
    "BurnlineFails": {'burnline_step_failures_total{step="judge"}': "0+1x40"},
    "BurnlineLostOffsets": {'burnline_lost_offsets_total{step="ingest"}': "0x15 5x25"},
    "BurnlineDeadLetters": {"burnline_dead_letter_ratio": "0.02x40"},
    "BurnlineLimit": {'burnline_judge_refused_total{partition="1"}': "0x15 5x25"},
    "BurnlineFilesRefused": {"burnline_slo_reload_failed": "1x40"},
    "BurnlineControlFails": {'burnline_control_failures_total{control="scale"}': "0+1x40"},
    "BurnlineReceiverDown": {'burnline_receiver_down{receiver="pager"}': "1x40"},
    "BurnlineAlertsLate": {'burnline_notifications_oldest_seconds{receiver="pager"}': "0+60x40"},
}


def test_every_rule_reads_metrics_that_we_have() -> None:
    read = {name for rule in RULES for name in re.findall(r"burnline_\w+", rule["expr"])}
    ours = {name + "_total" * (spec.kind == "counter") for name, spec in CATALOGUE.items()}
    assert read <= ours and len(read) >= len(RULES)


def test_every_alert_has_its_case() -> None:
    assert [rule["alert"] for rule in RULES] == list(SICK)


def fired(series: dict[str, str | None], home: Path) -> set[str]:
    """Names of the alerts that fire after 25 minutes: a test that expects none, whose failures are the answer."""
    lines = [{"series": name, "values": values} for name, values in series.items() if values]
    asked = [{"alertname": rule["alert"], "eval_time": "25m", "exp_alerts": []} for rule in RULES]
    test: dict[str, Any] = {"interval": "1m", "input_series": lines, "alert_rule_test": asked}
    (home / "test.json").write_text(json.dumps({"rule_files": [str(FILE)], "tests": [test]}))
    command = [PROMTOOL or "", "test", "rules", str(home / "test.json")]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    found = set(re.findall(r"alertname: (\w+)", run.stderr))
    assert bool(found) == bool(run.returncode), run.stderr
    return found


@pytest.mark.skipif(PROMTOOL is None, reason="there is no promtool: make promtool, on Debian")
@pytest.mark.parametrize("alert", [None, *SICK])
def test_an_alert_fires_on_what_it_is_for_and_on_nothing_else(alert: str | None, tmp_path: Path) -> None:
    changed = SICK[alert] if alert else {}
    assert fired({**HEALTHY, **changed}, tmp_path) == ({alert} if alert else set())


@pytest.mark.skipif(PROMTOOL is None, reason="there is no promtool: make promtool, on Debian")
def test_what_is_over_before_it_matters_alerts_nobody(tmp_path: Path) -> None:
    blips = {
        'burnline_lagging{step="judge"}': "0x24 1 0x15",
        "burnline_dead_letter_ratio": "0.001x22 0.5x2 0.001x15",
        'burnline_receiver_down{receiver="pager"}': "0x24 1 0x15",
        'burnline_step_failures_total{step="judge"}': "3x20 4x20",
    }
    assert fired({**HEALTHY, **blips}, tmp_path) == set()
