"""A fleet with an incident through the whole pipeline, against the exact truth about it.

Everything is in Kafka before the worker starts, so no partition is silent while another has a backlog, nothing
is late, and the judge has to say what the arithmetic says, to the second.
"""

import asyncio
import math
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import pytest
from faust.types import TP

from jobs.fleet import FleetSpec, Incident, Truth
from jobs.simulation import SimulationSpec, run
from pipeline.agents.judge import judge
from pipeline.agents.parts import Parts
from pipeline.alerts import Watched
from pipeline.app import parts_of
from pipeline.blocks import decode
from pipeline.embedded.site import Site
from pipeline.records import OutRecord, UnitFacts
from pipeline.spec import SloSet, load
from pipeline.topics import ALERTS, COUNTS
from tests.acceptance.fleet_traces import NotingSink
from tests.acceptance.harness import Pipeline, pipeline_on
from tests.judging import record_block
from tests.naive.judge import NaiveJudge, Pair, Rules

pytestmark = [pytest.mark.servers, pytest.mark.slow]

HEALTHY_S, INCIDENT_S, RECOVERY_S = 4_200, 600, 900
AGO_S = 2 * 86_400  #: apart from the other fleets on the site
RATE, SEED = 38.0, 7
MODEL = "llama-3.3-70b"
#: a column of `sli` -> the cases of the truth that are in it
OUTCOMES = {
    "success": ("complete",), "error": ("error", "truncated"), "timeout": ("timeout",),
    "cancelled": ("cancelled",), "shed": ("shed", "shed_sheddable"), "rate_limited": ("rate_limited",),
    "rejected": ("rejected",), "unknown": ("unknown",),
}  # fmt: skip
OTHERS = ("retries", "cold_starts", "input_tokens", "output_tokens", "cost_picousd", "gpu_us")
MINE = "startsWith(slo, 'fleet-') AND kind = 'BURN_RATE'"
LABELS = ("service", "request_model", "tenant_id", "region", "operation", "priority_class", "variant", "vantage")
SLO = """---
apiVersion: burnline/v1
kind: SLO
metadata: {{name: fleet-{name}, annotations: {{runbook: "https://runbooks.example/{name}"}}}}
spec:
  description: {name}
  service: {service}
  indicator: {{{indicator}}}
  target: {target}
  timeWindow: {{duration: 1d, isRolling: true}}
  alerting: {{preset: default}}
"""
SLOS = (
    ("errors", "chat", "metric: error_rate, where: {operation: chat}, groupBy: [request_model]", 0.999),
    ("ttft", "chat", "metric: ttft, op: lte, threshold: 1200ms, groupBy: [request_model, region]", 0.99),
    ("tpot", "chat", "metric: tpot, op: lte, threshold: 60ms, where: {tenant_id: [acme]}", 0.99),
    ("e2e", "assist", "metric: e2e, op: lte, threshold: 14s, groupBy: [request_model]", 0.99),
    ("availability", "search", "metric: availability, groupBy: [region]", 0.999),
)


class Run(NamedTuple):
    """A fleet that ran, stored and judged."""

    pipeline: Pipeline
    slos: SloSet
    truth: Truth
    start_s: int
    incident_s: int
    end_s: int
    bad: set[tuple[str, str]]  # model, trace id

    @property
    def totals(self) -> dict[tuple[str, str], tuple[int, int]]:
        """(slo, instance) -> good, bad, as the truth has it."""
        totals = self.truth.totals()
        return {(slo, labels): (n["good"], n["bad"]) for slo, each in totals.items() for labels, n in each.items()}

    def judged(self) -> dict[tuple[str, str], tuple[int, ...]]:
        """The same as ClickHouse has it: the window of a day holds all once the watermark has passed the last event."""
        rows = self.pipeline.ask("SELECT slo, instance, good, bad FROM compliance WHERE startsWith(slo, 'fleet-')")
        return {(slo, labels): tuple(n) for slo, labels, *n in rows}

    def alert_log(self) -> set[tuple[Any, ...]]:
        """(alert, fired, resolved, highest severity) as ClickHouse has it."""
        rows = self.pipeline.ask(f"SELECT dedup_key, fired_at, resolved_at, severity FROM alert_log WHERE {MINE}")
        return {(key, _second(fired), _second(resolved), severity) for key, fired, resolved, severity in rows}

    @property
    def sli(self) -> str:
        """The rows of `sli` that are this fleet's."""
        return (
            "(SELECT * FROM sli WHERE service IN ('chat', 'assist', 'search', 'batch') AND "
            f"slice_start >= toDateTime({self.start_s // 10 * 10}) AND slice_start < toDateTime({self.end_s}))"
        )


@pytest.fixture(scope="module")
def fleet(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    slo_dir = tmp_path_factory.mktemp("slo")
    texts = (SLO.format(name=n, service=s, indicator=i, target=t) for n, s, i, t in SLOS)
    (slo_dir / "fleet.yaml").write_text("".join(texts))
    with pipeline_on(site, "fleet", slo_dir, source_idle_s=8.0) as running:
        slos = load([slo_dir]).checked()
        truth = Truth(slos.objectives)
        start_s = int(time.time()) - AGO_S - HEALTHY_S - INCIDENT_S - RECOVERY_S
        incident_us = HEALTHY_S * 1_000_000, (HEALTHY_S + INCIDENT_S) * 1_000_000
        bad_build = Incident("bad-build", "errors", *incident_us, 0.15, (("request_model", (MODEL,)),))
        spec = FleetSpec(rate=RATE, tenants=3, incidents=(bad_build,), zero_us=start_s * 1_000_000)
        length_us = (HEALTHY_S + INCIDENT_S + RECOVERY_S) * 1_000_000
        sink = NotingSink(running.settings)
        report = run(SimulationSpec(spec, SEED, start_s * 1_000_000, length_us, None), sink, truth)
        assert report.failed == 0 and report.events == truth.events > 100_000
        running.start_worker()
        made = Run(running, slos, truth, start_s, start_s + HEALTHY_S, start_s + length_us // 1_000_000, sink.bad)
        running.becomes(lambda: running.ask(f"SELECT sum(requests) FROM {made.sli}")[0][0], truth.events)
        running.becomes(made.judged, made.totals)  # all of it, and so is every alert told
        yield made


def test_slices_are_exact_per_dimension_tuple_and_ten_seconds(fleet: Run) -> None:
    columns = (*OUTCOMES, *OTHERS)
    rows = fleet.pipeline.ask(
        f"SELECT {', '.join(LABELS)}, toUnixTimestamp64Micro(slice_start), {', '.join(columns)} FROM {fleet.sli}"
    )
    found = {(row[: len(LABELS)], row[len(LABELS)]): row[len(LABELS) + 1 :] for row in rows}
    expected = {
        key: (*(sum(n[case] for case in cases) for cases in OUTCOMES.values()), *(n[name] for name in OTHERS))
        for key, n in fleet.truth.slices().items()
    }
    assert len(found) == len(rows) > 40_000
    assert found == expected


def test_verdicts_are_exact_per_instance_and_ten_seconds(fleet: Run) -> None:
    expected: dict[tuple[str, str, int], list[int]] = defaultdict(lambda: [0, 0, 0])
    for (slo, labels, second_us), counted in fleet.truth.verdicts().items():
        sums = expected[slo, labels, second_us // 10_000_000 * 10]
        sums[:] = [a + b for a, b in zip(sums, counted, strict=True)]
    ask = (
        "SELECT slo, instance, toUnixTimestamp(toDateTime(slice_start)), good, bad, excluded FROM slo_counts "
        f"WHERE slo IN {tuple(slo.objective.name for slo in fleet.slos.slos)}"
    )

    def stored() -> dict[tuple[str, str, int], list[int]]:
        return {(slo, instance, at): counted for slo, instance, at, *counted in fleet.pipeline.ask(ask)}

    fleet.pipeline.becomes(stored, dict(expected))


@pytest.mark.parametrize("metric", ["e2e", "ttft", "tpot"])
def test_quantiles_of_every_model_are_within_one_percent(fleet: Run, metric: str) -> None:
    rows = fleet.pipeline.ask(
        f"SELECT service, request_model, quantilesDDMerge(0.01, 0.5, 0.95, 0.99)({metric}_state) "
        f"FROM {fleet.sli} GROUP BY ALL"
    )
    series, _, values = fleet.truth.sorted_latencies(f"{metric}_us")
    names = [labels[:2] for labels in fleet.truth.series]
    model_of = {name: n for n, name in enumerate(dict.fromkeys(names))}
    models = np.array([model_of[name] for name in names])[series]
    for service, model, found in rows:
        ordered = np.sort(values[models == model_of[service, model]])
        if len(ordered):
            exact = [float(ordered[math.floor(q * (len(ordered) - 1))]) for q in (0.5, 0.95, 0.99)]
            assert found == pytest.approx(exact, rel=0.01, abs=1e-6), (service, model)
        else:
            assert all(math.isnan(each) for each in found), (service, model)
    assert len(rows) == len(model_of)


# -- alerts


def _rules(watched: Watched) -> Rules:
    """An SLO as the slow judge wants it."""
    policy = watched.policy

    def exact(ratio: Any) -> Fraction:
        return Fraction(ratio.numerator, ratio.scale)

    pairs = tuple(Pair(int(p.severity), exact(p.factor), p.long_us // 10**6, p.short_us // 10**6) for p in policy.pairs)
    guards, clear = policy.guards, policy.clear
    return Rules(
        exact(watched.objective.target), pairs, guards.min_events, guards.min_bad, exact(guards.min_coverage),
        exact(clear.margin), clear.hold_us // 10**6,
    )  # fmt: skip


@pytest.fixture(scope="module")
def arithmetic(fleet: Run) -> dict[str, list[tuple[int, str, str]]]:
    """Alert -> (second, event, severity) of all that has to be told, by the slow judge."""
    seconds: dict[tuple[str, str], dict[int, tuple[int, int]]] = defaultdict(dict)
    for (slo, labels, second_us), (good, bad, _) in fleet.truth.verdicts().items():
        seconds[slo, labels][second_us // 1_000_000] = good, bad
    slices = {start_us // 10_000_000 for _, start_us in fleet.truth.slices()}
    rules = {watched.objective.name: _rules(watched) for watched in fleet.slos.watched}
    told = {}
    for (slo, labels), counted in seconds.items():
        judge = NaiveJudge(rules[slo], counted, slices, fleet.start_s - 1, fleet.end_s)
        told[f"{slo}|{labels}"] = judge.run()
    return {key: them for key, them in told.items() if them}


def _alerts(fleet: Run) -> list[tuple[Any, dict[str, Any]]]:
    return [each for each in fleet.pipeline.decoded(ALERTS, "burn_rate_alert") if each[1]["kind"] == "BURN_RATE"]


def test_alerts_fire_and_resolve_at_the_second_the_arithmetic_says(
    fleet: Run, arithmetic: dict[str, list[tuple[int, str, str]]]
) -> None:
    key = f"fleet-errors|request_model={MODEL}"
    told = arithmetic[key]
    fired, resolved = told[0], told[-1]
    assert fired[1] == "FIRED" and fleet.incident_s < fired[0] < fleet.incident_s + INCIDENT_S
    assert resolved[1] == "RESOLVED" and fleet.incident_s + INCIDENT_S < resolved[0] < fleet.end_s - 60

    def found() -> dict[str, list[tuple[int, str, str]]]:
        them: dict[str, set[tuple[int, str, str]]] = defaultdict(set)
        for _, alert in _alerts(fleet):
            them[alert["dedup_key"]].add((alert["window_end"].timestamp(), alert["event"], alert["severity"]))
        return {name: sorted(events) for name, events in them.items()}

    fleet.pipeline.becomes(found, arithmetic)
    events = [(alert["dedup_key"], alert["sequence"]) for _, alert in _alerts(fleet)]
    assert len(events) == len(set(events)), "each event is there once"


def test_alerts_are_cloud_events_in_binary_mode(fleet: Run) -> None:
    for message, alert in _alerts(fleet):
        headers = {name: value.decode() for name, value in message.headers()}
        at = alert["window_end"].astimezone(UTC)
        stale = at + timedelta(seconds=alert["long_window_s"])
        assert message.key().decode() == alert["dedup_key"]
        assert headers.pop("ce_dataschema").startswith("urn:avro:slo.inference.v1.BurnRateAlert:")
        assert headers.pop("ce_source")
        assert headers == {
            "content-type": "application/avro",
            "ce_specversion": "1.0",
            "ce_type": f"slo.burnrate.{alert['event'].lower()}.v1",
            "ce_id": f"{alert['dedup_key']}|{alert['sequence']:020d}",
            "ce_time": f"{at:%Y-%m-%dT%H:%M:%S.%fZ}",
            "ce_subject": f"{alert['service']}/{alert['slo']}",
            "ce_severitytext": alert["severity"],
            "ce_sequence": f"{alert['sequence']:020d}",
            "ce_expirytime": f"{stale:%Y-%m-%dT%H:%M:%S.%fZ}",
        }
        assert alert["event"] != "RESOLVED" or alert["reason"], "a resolved event has its data"


def test_a_live_alert_has_traces_of_its_own_bad_requests(fleet: Run) -> None:
    def told() -> list[dict[str, Any]]:
        return [alert for _, alert in _alerts(fleet) if alert["dedup_key"] == f"fleet-errors|request_model={MODEL}"]

    fleet.pipeline.becomes(lambda: "RESOLVED" in {alert["event"] for alert in told()}, True)
    mine, bad = told(), {trace for model, trace in fleet.bad if model == MODEL}
    fired = [alert for alert in mine if alert["event"] != "RESOLVED"]
    assert fired and all(1 <= len(alert["exemplar_trace_ids"]) <= 5 for alert in fired)
    assert all(bad.issuperset(alert["exemplar_trace_ids"]) for alert in fired)
    assert not any(alert["exemplar_trace_ids"] for alert in mine if alert["event"] == "RESOLVED")


def test_clickhouse_has_the_alerts_of_the_topic(fleet: Run) -> None:
    columns = (
        "dedup_key", "sequence", "event", "severity", "long_good", "long_bad", "short_good", "short_bad",
        "started_at", "window_end", "runbook", "reason",
    )  # fmt: skip
    expected = sorted(tuple(alert[name] for name in columns) for _, alert in _alerts(fleet))
    ask = f"SELECT {', '.join(columns)} FROM alerts WHERE startsWith(slo, 'fleet-') AND kind = 'BURN_RATE'"
    fleet.pipeline.becomes(lambda: sorted(fleet.pipeline.ask(ask)), expected)


def _log(told: Mapping[str, list[tuple[int, str, str]]]) -> set[tuple[Any, ...]]:
    """(alert, fired, resolved, highest severity) of what was told."""
    found, ranks = set(), ("NONE", "INFO", "WARNING", "CRITICAL")
    for key, events in told.items():
        fired = [at for at, event, _ in events if event == "FIRED"]
        for first, following in zip(fired, [*fired[1:], math.inf], strict=True):
            mine = [each for each in events if first <= each[0] < following]
            resolved = next((at for at, event, _ in mine if event == "RESOLVED"), None)
            found.add((key, first, resolved, max((severity for *_, severity in mine), key=ranks.index)))
    return found


def _second(time: datetime | None) -> float | None:
    return None if time is None else time.timestamp()


def test_the_alert_log_has_each_alert_from_fired_to_resolved(
    fleet: Run, arithmetic: dict[str, list[tuple[int, str, str]]]
) -> None:
    fleet.pipeline.becomes(fleet.alert_log, _log(arithmetic))
    ask = f"SELECT min(peak_burn_rate), min(detection_delay_ms) FROM alert_log WHERE {MINE}"
    peak, delay_ms = fleet.pipeline.ask(ask)[0]
    assert peak >= 2 and delay_ms > 0


# -- what people are told


def test_status_agrees_with_the_truth(fleet: Run) -> None:
    expected = fleet.totals
    mine = [row for row in fleet.pipeline.run("status") if row["slo"].startswith("fleet-")]
    assert {(row["slo"], row["instance"]): (row["good"], row["bad"]) for row in mine} == expected
    for row in mine:
        good, bad = expected[row["slo"], row["instance"]]
        assert row["compliance_ratio"] == pytest.approx(good / (good + bad), rel=1e-12)
        budget = (1 - row["target"]) * (good + bad)
        assert row["budget_remaining_ratio"] == pytest.approx(1 - bad / budget, rel=1e-9)


def test_alerts_as_the_command_line_tells_them_are_those_of_the_log(
    fleet: Run, arithmetic: dict[str, list[tuple[int, str, str]]]
) -> None:
    fleet.pipeline.becomes(fleet.alert_log, _log(arithmetic))
    found = fleet.pipeline.run("alerts", "--limit", "10000")
    mine = [row for row in found if row["slo"].startswith("fleet-") and row["kind"] == "BURN_RATE"]
    told = {
        (f"{row['slo']}|{row['instance']}", *(row[name] and datetime.fromisoformat(row[name]).timestamp()
         for name in ("fired_at", "resolved_at")), row["severity"])
        for row in mine
    }  # fmt: skip
    assert told == _log(arithmetic)


# -- replay


async def _fresh_fold(parts: Parts, partition: int) -> Any:
    """Make a judge as a worker makes it; its shell needs a running loop."""
    return judge(parts).step.spec.make_fold(TP(parts.topic(COUNTS), partition))


def _replayed(parts: Parts, records: list[Any], partition: int, blocks_a_unit: int) -> list[OutRecord]:
    """Feed one partition of slo.counts to a fresh judge, cut into other units than the worker had."""
    fold, topic = asyncio.run(_fresh_fold(parts, partition)), parts.topic(COUNTS)
    written: list[OutRecord] = []
    for at in range(0, len(records), blocks_a_unit):
        some = records[at : at + blocks_a_unit]
        block = record_block([message.value() for message in some], some[0].offset())
        block.offset[:] = [message.offset() for message in some]
        block.next_offset = some[-1].offset() + 1
        facts = UnitFacts(
            topic, partition, parts.partitions[topic], block.first_offset, block.next_offset, at * 1_000_000
        )
        unit = fold.fold([block], facts)
        written += [record for record in unit.records if record.topic == parts.topic(ALERTS)]
    return written


@pytest.mark.parametrize("blocks_a_unit", [1, 13])
def test_the_same_counts_give_the_same_alerts_again(fleet: Run, blocks_a_unit: int) -> None:
    parts = parts_of(fleet.pipeline.settings)
    of_partition: dict[int, list[Any]] = defaultdict(list)
    for message in fleet.pipeline.records(COUNTS):
        of_partition[message.partition()].append(message)
    again = [record for p, records in of_partition.items() for record in _replayed(parts, records, p, blocks_a_unit)]
    first = list(fleet.pipeline.records(ALERTS))  # those of budgets too

    def said(key: Any, headers: Any, value: Any) -> tuple[Any, ...]:
        return key, tuple(headers), {**decode("burn_rate_alert", value), "evaluated_at": 0}

    def ordered(them: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        return sorted(them, key=lambda each: (each[0], each[2]["sequence"]))

    assert first
    assert ordered([said(r.key, r.headers, r.value) for r in again]) == ordered(
        [said(m.key(), m.headers(), m.value()) for m in first]
    )
