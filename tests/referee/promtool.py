"""Asks promtool at which evaluations alerts fire: a test that expects none, whose failures are the answer."""

import json
import os
import re
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from tests.referee.rules import LEVELS, rules, series, spans_s, step_s
from tests.scenarios.reading import Scenario

UNPACKED = Path(".burnline/prometheus/usr/bin/promtool")  #: of Debian's package, by `make promtool`
PROMTOOL = shutil.which("promtool") or shutil.which(UNPACKED)
KINDS = ("plain", "held")
_UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_FIRING = re.compile(r'alertname: (?P<asked>\w+), time: (?P<time>\w+),|Labels:\{.*scenario="(?P<scenario>[^"]+)"')

#: (alert, scenario) -> (first evaluation at which it fires, first at which it does not any more; None: never)
Firing = dict[tuple[str, str], list[tuple[int, int | None]]]


def firing(scenarios: Sequence[Scenario], home: Path, is_dense: bool = False) -> Firing:
    """Run scenarios of one policy and step, all in one test; seconds are those of the scenarios."""
    policy, step = scenarios[0].policy, step_s(scenarios[0])
    history_s, end = max(spans_s(policy)), max(each.stream.end for each in scenarios)
    alerts = [f"{kind}_{level.name}" for kind in KINDS for level in LEVELS]
    test = {
        "interval": f"{step}s",
        "input_series": [line for each in scenarios for line in series(each, history_s, is_dense)],
        "alert_rule_test": [
            {"alertname": alert, "eval_time": f"{history_s + at}s", "exp_alerts": []}
            for alert in alerts
            for at in range(0, end + 1, step)
        ],
    }
    (home / "rules.json").write_text(json.dumps(rules(policy)))
    file = home / "test.json"
    file.write_text(json.dumps({"rule_files": ["rules.json"], "evaluation_interval": f"{step}s", "tests": [test]}))
    frugal = {**os.environ, "GOMAXPROCS": "1", "GOGC": "400"}  # a third less of processor
    command = [PROMTOOL or "promtool", "test", "rules", str(file)]
    run = subprocess.run(command, capture_output=True, text=True, check=False, env=frugal)
    if run.returncode and "alertname:" not in run.stderr:
        raise RuntimeError(run.stderr[:2_000])
    return _intervals(run.stderr, history_s, step, {each.name: each.stream.end for each in scenarios})


def _intervals(answer: str, history_s: int, step: int, ends: dict[str, int]) -> Firing:
    found: Firing = defaultdict(list)
    alert, at = "", 0
    for match in _FIRING.finditer(answer):
        if match["asked"]:
            alert, at = match["asked"], _seconds(match["time"]) - history_s
        elif at <= ends[match["scenario"]]:
            intervals, after = found[alert, match["scenario"]], at + step
            start = intervals.pop()[0] if intervals and intervals[-1][1] == at else at
            intervals.append((start, after if after <= ends[match["scenario"]] else None))
    return found


def _seconds(text: str) -> int:
    return sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)([dhms])", text))
