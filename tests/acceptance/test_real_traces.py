"""Recorded traces through the whole pipeline, against an oracle that reads the files by itself.

The traces are of 2023 and 2025; ClickHouse keeps 10 s slices for 8 days and 1 min slices for 40. So they are
replayed as `burnline produce` does by default: each moved in time as a whole, to end now. Distances stay.
"""

import json
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from fastavro import parse_schema

from pipeline.embedded.site import Site
from schemas import avro_text
from tests.acceptance.harness import Pipeline, pipeline_on, read_avro
from tests.naive import traces as naive

pytestmark = [pytest.mark.servers, pytest.mark.slow]

DATA = Path(__file__).parents[3] / "shared" / "data"
#: file, mapping, how the oracle reads it
FILES = (
    ("deepseek-monitor/deepseek_performance.csv.gz", "deepseek-monitor", naive.deepseek),
    ("deepseek-monitor/old_deepseek_performance.csv.gz", "deepseek-monitor-old", naive.deepseek),
    ("claude-agent-sessions/requests.csv.gz", "claude-agent-sessions", naive.agent_sessions),
    ("azure-llm-2023/AzureLLMInferenceTrace_code.csv.gz", "azure-llm-2023", naive.azure),
    ("azure-llm-2023/AzureLLMInferenceTrace_conv.csv.gz", "azure-llm-2023", naive.azure),
)
QUANTILES = (0.5, 0.95, 0.99)
METRICS = ("e2e", "ttft", "tpot")
OUTCOMES = ("success", "error", "timeout", "cancelled", "shed", "rate_limited", "rejected", "unknown")
SUMS = (*OUTCOMES, "input_tokens", "output_tokens")


class Slo(NamedTuple):
    """An SLO of this test, one instance a model."""

    service: str
    metric: str
    limit_us: int = 0
    op: str = "lte"

    @property
    def name(self) -> str:
        return f"{self.service}-{self.metric.replace('_', '-')}"

    def text(self) -> str:
        compared = f"op: {self.op}, threshold: {self.limit_us}us, " if self.limit_us else ""
        return f"""---
apiVersion: burnline/v1
kind: SLO
metadata: {{name: {self.name}}}
spec:
  description: {self.metric} of {self.service}
  service: {self.service}
  indicator: {{metric: {self.metric}, {compared}groupBy: [request_model]}}
  target: 0.99
  timeWindow: {{duration: 30d, isRolling: true}}
  alerting: {{preset: default}}
"""


SLOS = (
    Slo("azure-code", "error_rate"),
    Slo("azure-code", "ttft", 400_000),
    Slo("azure-conv", "e2e", 5_000_000),
    Slo("azure-conv", "tpot", 30_000),  # the very value that the formula gives to all
    Slo("agent-sessions", "error_rate"),
    Slo("agent-sessions", "e2e", 10_000_000, "lt"),  # times have two digits: many are 10.00
    Slo("agent-sessions", "ttft", 3_000_000),
    Slo("agent-sessions", "tpot", 25_000),
    Slo("deepseek-probe", "error_rate"),
    Slo("deepseek-probe", "availability"),
    Slo("deepseek-probe", "e2e", 20_000_000),
    Slo("deepseek-probe", "ttft", 5_000_000),
    Slo("deepseek-probe", "tpot", 40_000),
)


class Replayed(NamedTuple):
    """All traces, stored; the requests as the oracle read them, moved in time as the events were."""

    pipeline: Pipeline
    requests: list[naive.Request]


@pytest.fixture(scope="module")
def replayed(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replayed]:
    if not DATA.is_dir():
        pytest.skip("the recorded traces of ../shared/data are not here")
    slo_dir = tmp_path_factory.mktemp("slo")
    (slo_dir / "traces.yaml").write_text("".join(slo.text() for slo in SLOS))
    with pipeline_on(site, "traces", slo_dir) as running:
        worker = running.begin_worker()
        requests = [each for file, mapping, read in FILES for each in _replay(running, file, mapping, read)]
        worker.ready()
        services = sorted({each.service for each in requests})
        stored = f"SELECT sum(requests) FROM sli_1m WHERE service IN {services}"
        running.becomes(lambda: running.ask(stored)[0][0], len(requests))
        yield Replayed(running, requests)


def _replay(running: Pipeline, file: str, mapping: str, read: Any) -> list[naive.Request]:
    """Produce a file with the command line, and read it with the oracle."""
    said = running.run("produce", str(DATA / file), "--mapping", mapping)
    requests: list[naive.Request] = read(DATA / file)
    assert (said["sent"], said["failed"], said["rejects"]) == (len(requests), 0, 0)
    moved_us = said["start_us"] - min(each.completed_us for each in requests)
    assert said["end_us"] - moved_us == max(each.completed_us for each in requests)
    return [each._replace(completed_us=each.completed_us + moved_us) for each in requests]


def _services(replayed: Replayed) -> str:
    return str(tuple(sorted({each.service for each in replayed.requests})))


def test_every_count_and_token_sum_is_exact_per_service_model_and_outcome(replayed: Replayed) -> None:
    sums = ", ".join(f"sum({name})" for name in SUMS)
    rows = replayed.pipeline.ask(
        f"SELECT service, request_model, {sums} FROM sli_1m WHERE service IN {_services(replayed)} GROUP BY ALL"
    )
    found = {
        (service, model, name): n for service, model, *counts in rows for name, n in zip(SUMS, counts, strict=True) if n
    }
    expected = naive.counted(replayed.requests)
    assert found == {key: n for key, n in expected.items() if n}
    assert expected["agent-sessions", "claude-opus-4-5-20251101", "unknown"] == 2_732  # unfinished streams
    assert sum(n for (service, _, what), n in expected.items() if (service, what) == ("deepseek-probe", "error"))


def test_every_request_is_in_the_slice_in_which_it_ended(replayed: Replayed) -> None:
    rows = replayed.pipeline.ask(
        "SELECT service, request_model, toUnixTimestamp(toDateTime(slice_start)) AS at, sum(requests) "
        f"FROM sli_1m WHERE service IN {_services(replayed)} GROUP BY ALL"
    )
    minutes = Counter((r.service, r.model, r.completed_us // 60_000_000 * 60) for r in replayed.requests)
    assert {(service, model, at): n for service, model, at, n in rows} == minutes
    recent = {each for each in {r.service for r in replayed.requests} if each != "deepseek-probe"}
    rows = replayed.pipeline.ask(
        "SELECT service, request_model, toUnixTimestamp(toDateTime(slice_start)) AS at, sum(requests) "
        f"FROM sli WHERE service IN {tuple(sorted(recent))} GROUP BY ALL"
    )
    tens = Counter(
        (r.service, r.model, r.completed_us // 10_000_000 * 10) for r in replayed.requests if r.service in recent
    )
    assert {(service, model, at): n for service, model, at, n in rows} == tens


@pytest.mark.parametrize("metric", METRICS)
def test_quantiles_are_within_one_percent(replayed: Replayed, metric: str) -> None:
    rows = replayed.pipeline.ask(
        f"SELECT service, request_model, quantilesDDMerge(0.01, 0.5, 0.95, 0.99)({metric}_state) "
        f"FROM sli_1m WHERE service IN {_services(replayed)} GROUP BY ALL"
    )
    expected = naive.values(replayed.requests, metric)
    found = {(service, model): them for service, model, them in rows}
    assert {key for key, them in found.items() if not math.isnan(them[0])} == set(expected)
    for key, values in expected.items():
        exact = [naive.quantile(values, q) for q in QUANTILES]
        assert found[key] == pytest.approx(exact, rel=0.01, abs=1e-6), key


def test_a_value_that_was_not_recorded_is_absent_and_not_zero(replayed: Replayed) -> None:
    found: Counter[tuple[str, str, str]] = Counter()
    for block in replayed.pipeline.columns("slo.slices", "slo_slice"):
        names = block["label_names"]
        labels = [block["labels"][at : at + len(names)] for at in range(0, len(block["labels"]), len(names))]
        where = names.index("service"), names.index("request_model")
        for metric in METRICS:
            series = np.repeat(block["series_index"], block[f"{metric}_lengths"])
            for place, n in enumerate(np.bincount(series, block[f"{metric}_counts"]).tolist()):
                service, model = (labels[place][at] for at in where)
                found[service, model, metric] += int(n)
    expected = {
        (*key, metric): len(them) for metric in METRICS for key, them in naive.values(replayed.requests, metric).items()
    }
    assert {key: n for key, n in found.items() if n} == expected
    assert (
        sum(n for (service, _, metric), n in found.items() if (service, metric) == ("agent-sessions", "ttft")) < 4_200
    )


def _judged(requests: list[naive.Request]) -> dict[tuple[str, str], tuple[int, int, int]]:
    """(slo, instance) -> good, bad, excluded."""
    found: dict[tuple[str, str], Counter[str]] = {}
    for slo in SLOS:
        metric = "error_rate" if slo.metric == "availability" else slo.metric
        for each in requests:
            if each.service == slo.service:
                verdicts = found.setdefault((slo.name, f"request_model={each.model}"), Counter())
                verdicts[naive.verdict(each, metric, slo.limit_us, slo.op == "lt")] += 1
    return {key: (n["good"], n["bad"], n["excluded"]) for key, n in found.items()}


def test_verdicts_are_exact_in_clickhouse_and_for_a_read_committed_reader(replayed: Replayed) -> None:
    expected = _judged(replayed.requests)
    names = tuple(slo.name for slo in SLOS)
    ask = f"SELECT slo, instance, sum(good), sum(bad), sum(excluded) FROM slo_counts WHERE slo IN {names} GROUP BY ALL"

    def stored() -> dict[tuple[str, str], tuple[int, ...]]:
        return {(slo, instance): tuple(counts) for slo, instance, *counts in replayed.pipeline.ask(ask)}

    replayed.pipeline.becomes(stored, expected)
    read: dict[tuple[str, str], list[int]] = {}
    for block in replayed.pipeline.columns("slo.counts", "slo_counts"):
        for n, name in enumerate(("good", "bad", "excluded")):
            for place, count in enumerate(np.bincount(block["instance_index"], block[name]).tolist()):
                read.setdefault((block["slos"][place], block["instances"][place]), [0, 0, 0])[n] += int(count)
    assert {key: tuple(sums) for key, sums in read.items()} == expected


def test_compliance_is_what_the_verdicts_say(replayed: Replayed) -> None:
    """All of it lies in the window of 30 days; much of it came late, behind what was judged already."""
    expected = _judged(replayed.requests)
    ask = "SELECT slo, instance, good, bad, excluded FROM compliance WHERE slo IN "

    def judged() -> dict[tuple[str, str], tuple[int, ...]]:
        rows = replayed.pipeline.ask(ask + str(tuple(slo.name for slo in SLOS)))
        return {(slo, instance): tuple(counts) for slo, instance, *counts in rows}

    replayed.pipeline.becomes(judged, expected)
    rows = replayed.pipeline.ask("SELECT slo, instance, compliance_ratio, eligible FROM compliance")
    for slo, instance, ratio, eligible in rows:
        if (slo, instance) in expected:
            good, bad, _ = expected[slo, instance]
            assert eligible == good + bad
            assert ratio is None if not eligible else ratio == good / eligible


def test_unfinished_requests_are_neither_good_nor_bad(replayed: Replayed) -> None:
    unfinished = Counter(each.model for each in replayed.requests if each.outcome == "unknown")
    assert sum(unfinished.values()) == 4_312
    ask = (
        "SELECT instance, sum(good) + sum(bad), sum(excluded) FROM slo_counts "
        "WHERE slo = 'agent-sessions-error-rate' GROUP BY instance"
    )
    of_model = Counter(each.model for each in replayed.requests if each.service == "agent-sessions")
    expected = {(f"request_model={model}", n - unfinished[model], unfinished[model]) for model, n in of_model.items()}
    replayed.pipeline.becomes(lambda: set(replayed.pipeline.ask(ask)), expected)


def test_invented_latencies_are_labelled_so(replayed: Replayed) -> None:
    schema = parse_schema(json.loads(avro_text("inference_event")))
    labelled, others = 0, 0
    for message in replayed.pipeline.records("inference.events"):
        if b"azure-co" not in message.value():
            assert b"synthetic" not in message.value()
            others += 1
        else:
            assert read_avro(message.value(), schema)["attributes"]["latency"] == "synthetic"
            labelled += 1
    assert (labelled, others) == (28_185, 10_986 + 49_334)
