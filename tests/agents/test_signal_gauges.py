"""Signals as gauges: what is in force alone, bounded; and the queries of the examples, as Prometheus runs them."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families as read
from ruamel.yaml import YAML

import infra
from pipeline.agents.signal_gauges import readings
from pipeline.controls.signal import Signal, unknown
from pipeline.metrics import render
from tests.referee.promtool import PROMTOOL

MODEL = "llama-3.3-70b"
EXPIRES_S = 120


def said(value: float | None, name: str = "scale", **changes: Any) -> Signal:
    told = {"service": "chat", "model": MODEL, "name": name, "scope": "", "state": "out", "value": value, "unit": ""}
    times = {"evaluated_at_us": 1_000_000, "expires_at_us": EXPIRES_S * 1_000_000}
    return Signal(**{**told, "reason": "", **times, **changes})


def told(*signals: Signal, now_s: float = 60, most: int = 1_000) -> dict[tuple[str, ...], float]:
    """Read what /metrics says: (metric, name, scope) -> value."""
    text = render(readings(signals, round(now_s * 1e6), most)).decode()
    found = (sample for family in read(text) for sample in family.samples)
    return {(each.name, *(each.labels.get(label, "") for label in ("name", "scope"))): each.value for each in found}


def test_a_signal_in_force_says_its_value_how_sure_it_is_and_when_it_ends() -> None:
    found = told(said(6.0, confidence=0.75), said(0.0, "shed"))
    assert found["burnline_signal_value", "scale", ""] == 6.0
    assert found["burnline_signal_confidence_ratio", "scale", ""] == 0.75
    assert found["burnline_signal_evaluated_timestamp_seconds", "scale", ""] == 1.0
    assert found["burnline_signal_expiry_timestamp_seconds", "scale", ""] == EXPIRES_S
    assert found["burnline_signal_value", "shed", ""] == 0.0, "a 0 that is known is one"
    assert ("burnline_signal_confidence_ratio", "shed", "") not in found, "what is not told is no number"


@pytest.mark.parametrize(
    ("signal", "now_s"),
    [
        pytest.param(said(6.0), EXPIRES_S, id="it has expired"),
        pytest.param(unknown("scale", "chat", MODEL, "no capacity", 0, 600.0), 60, id="nothing is known"),
        pytest.param(said(None), 60, id="it has no value"),
    ],
)
def test_what_is_not_in_force_has_no_series_and_is_not_0(signal: Signal, now_s: float) -> None:
    found = told(signal, said(1.0, "shed", expires_at_us=600_000_000), now_s=now_s)
    assert {key[1] for key in found if key[0].startswith("burnline_signal_") and key[1]} == {"shed"}
    assert found["burnline_signal_series_left_out", "", ""] == 0


def test_tenants_are_left_out_before_what_scalers_act_on_and_the_same_ones_each_time() -> None:
    tenants = [said(0.5, "quota", scope=f"tokens/t{at}") for at in range(9)]
    wanted = {("scale", ""), ("gate", ""), ("quota", "tokens/t0"), ("quota", "tokens/t1")}
    for signals in (tenants, tenants[::-1]):
        found = told(*signals, said(6.0), said(0.0, "gate"), most=4)
        assert {key[1:] for key in found if key[0] == "burnline_signal_value"} == wanted
        assert found["burnline_signal_series_left_out", "", ""] == 7
    assert told(said(6.0), most=0)["burnline_signal_series_left_out", "", ""] == 1


# -- the examples
def example(name: str) -> list[Any]:
    return list(YAML(typ="safe", pure=True).load_all((infra.HOME / "examples" / name).read_text()))


def query_of_keda() -> str:
    (scaled,) = example("keda-prometheus.yaml")
    (trigger,) = scaled["spec"]["triggers"]
    assert (trigger["metricType"], trigger["metadata"]["threshold"]) == ("AverageValue", "1")
    assert trigger["metadata"]["ignoreNullValues"] == "false", "no answer must be a failure"
    assert all(isinstance(each, str) for each in trigger["metadata"].values())  # KEDA takes no others
    return str(trigger["metadata"]["query"])


def query_of_hpa() -> str:
    """Fill the adapter's template as the adapter does, with the labels that the HPA selects."""
    config, scaler = example("hpa-external.yaml")
    (rule,) = YAML(typ="safe", pure=True).load(config["data"]["config.yaml"])["externalRules"]
    (metric,) = scaler["spec"]["metrics"]
    assert metric["external"]["metric"]["name"] == rule["name"]["as"] and not rule["resources"]["namespaced"]
    assert metric["external"]["target"] == {"type": "AverageValue", "averageValue": "1"}
    chosen = metric["external"]["metric"]["selector"]["matchLabels"]
    filled = {"<<.Series>>": "burnline_signal_value", "<<.LabelMatchers>>": labels(chosen)}
    query = rule["metricsQuery"]
    for name, value in filled.items():
        query = query.replace(name, value)
    assert "<<" not in query
    return str(query)


def series(signals: list[Signal], instance: str, minutes: int) -> list[dict[str, str]]:
    """What Prometheus has of a worker that is scraped every minute, from 0 on."""
    families = read(render(readings(signals, 0, 1_000)).decode())
    return [
        {"series": f"{sample.name}{{{labels(sample.labels | {'instance': instance})}}}",
         "values": f"{sample.value}x{minutes - 1} stale"}
        for family in families for sample in family.samples
    ]  # fmt: skip


def labels(of: dict[str, str]) -> str:
    return ",".join(f'{name}="{value}"' for name, value in of.items())


@pytest.mark.skipif(PROMTOOL is None, reason="there is no promtool: make promtool, on Debian")
@pytest.mark.parametrize(
    ("query", "kept"), [(query_of_keda, "{}"), (query_of_hpa, f'{{model="{MODEL}", service="chat"}}')]
)
def test_examples_ask_prometheus_for_the_replicas_and_have_no_answer_once_they_expired(
    query: Any, kept: str, tmp_path: Path
) -> None:
    """Of two workers, one of which takes over in the first minutes; of others, nothing."""
    others = [said(40.0, model="other"), said(24.0, "capacity"), said(9.0, service="search")]
    seen = [*series([said(6.0), *others], "a", 9), *series([said(6.0), *others], "b", 1)]
    expected = [(60, [{"labels": kept, "value": 6}]), (EXPIRES_S, [])]
    asked = [{"expr": query(), "eval_time": f"{at}s", "exp_samples": samples} for at, samples in expected]
    test = {"interval": "1m", "input_series": seen, "promql_expr_test": asked}
    (tmp_path / "test.json").write_text(json.dumps({"rule_files": [], "tests": [test]}))
    command = [PROMTOOL or "", "test", "rules", str(tmp_path / "test.json")]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
