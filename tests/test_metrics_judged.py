"""Every metric that is no single latency, from its file and its events to its alerts, against slow arithmetic."""

from collections import Counter
from fractions import Fraction
from io import BytesIO
from typing import Any

import fastavro
import pytest

from pipeline import blocks
from pipeline.alerts import Watched
from pipeline.decoding import EventFold, FoldSpec
from pipeline.framing import SINGLE_OBJECT
from pipeline.ingest import IngestFold, IngestSpec
from pipeline.records import UnitFacts
from tests.compiled import KERNELS
from tests.event_samples import objectives
from tests.ingest_reading import HEADER, block_of
from tests.judging import Driver, spec
from tests.naive import events as naive
from tests.naive.judge import NaiveJudge
from tests.naive.slices import whole_verdicts
from tests.spec.samples import load_text
from tests.test_judgement import rules_of

BEGIN = 1_763_164_800  #: a full hour
CALM_S, INCIDENT_S, AFTER_S = 900, 600, 900
SLO = """---
apiVersion: burnline/v1
kind: SLO
metadata: {{name: {name}}}
spec:
  service: alone
  indicator: {{{indicator}}}
  target: 0.98
  timeWindow: {{duration: 2h}}
  alerting: {{pairs: [{{severity: critical, factor: 10, long: 10m, short: 1m}},
                      {{severity: warning, factor: 2, long: 20m, short: 5m}}]}}
  {slices}
"""
SLICES = "budgetingMethod: Timeslices\n  timeSliceWindow: 1m"
SLOS = {
    "goodput": ("metric: goodput, objectives: {ttft: 1s, tpot: 1s, e2e: 30s}", ""),
    "asked": ("metric: goodput, strict: true, objectives: {ttft: perRequest}", ""),
    "shed": ("metric: shed_rate", ""),
    "retries": ("metric: retry_amplification", ""),
    "crowd": ("metric: concurrency, op: lte, threshold: 64", ""),
    "served": ("metric: throughput_rps, op: gte, threshold: 90/m", SLICES),
    "tokens": ("metric: throughput_tps, op: gte, threshold: 6/s, offered: 1.5/s", SLICES),
    "cost": ("metric: cost_per_1k_tokens, op: lte, threshold: 0.000001 USD", SLICES),
}
FOUND = load_text("".join(SLO.format(name=n, indicator=i, slices=s) for n, (i, s) in SLOS.items())).checked()
WATCHED = {each.objective.name: each for each in FOUND.watched}


def events_of(second: int) -> list[dict[str, Any]]:
    """Two requests: a good one, and one that is good, or in the incident one shed and one bad in every respect."""
    at = (BEGIN + second) * 1_000_000 + 500_000
    good = {
        "event_id": "e", "request_id": "r", "emitted_at": at, "received_at": at - 700_000, "completed_at": at,
        "service": "alone", "request_model": "m", "e2e_us": 700_000, "ttft_us": 400_000, "output_tokens": 4,
        "outcome": "SUCCESS", "attempt": 1, "adm_running": 10, "cost_picousd": 1_000, "slo_ttft_ms": 500,
    }  # fmt: skip
    bad = {"ttft_us": 2_000_000, "e2e_us": 9_000_000, "output_tokens": 1, "attempt": 2, "adm_running": 65}
    bad |= {"cost_picousd": 10_000}
    if not CALM_S <= second < CALM_S + INCIDENT_S:
        return [good, good | {"priority": -1}]
    return [good | {"outcome": "SHED", "priority": -1, "output_tokens": None, "cost_picousd": None}, good | bad]


EVENTS = [event for second in range(CALM_S + INCIDENT_S + AFTER_S) for event in events_of(second)]
FULL = naive.read(naive.write(EVENTS[0])) or {}  #: with every field
READ = [FULL | event for event in EVENTS]
SCHEMA = fastavro.parse_schema(naive.READER)


def payload_of(event: dict[str, Any]) -> bytes:
    stream = BytesIO()
    fastavro.schemaless_writer(stream, SCHEMA, event)
    return HEADER + stream.getvalue()


@pytest.fixture(scope="module")
def counted() -> dict[str, Any]:
    """Columns of the one block of counts that comes of all events; compiled as for tests/test_ingest.py."""
    fold = EventFold(FoldSpec(), (*objectives(), *FOUND.objectives), SINGLE_OBJECT, KERNELS)
    block = block_of(map(payload_of, EVENTS), append_ms=-1)
    facts = UnitFacts("inference.events", 0, 1, 0, len(EVENTS), READ[-1]["completed_at"])
    unit = IngestFold(IngestSpec("slo.counts", "slo.slices", "dlq", 1, 1), fold).fold([block], facts)
    (record,) = (record for record in unit.records if record.topic == "slo.counts")
    return blocks.decode("slo_counts", record.value or b"")


def entries_of(watched: Watched) -> dict[int, tuple[int, int, int]]:
    """Second -> what its events or, at its end, its slice add, one by one."""
    indicator, seconds = watched.objective.indicator, dict[int, Counter[str]]()
    for event in READ:
        if event["final_attempt"] or not indicator.final_attempts_only:
            seconds.setdefault(event["completed_at"] // 1_000_000, Counter()).update(naive.tally(event, indicator))
    counts = {second: (n["good"], n["bad"], n["excluded"]) for second, n in seconds.items()}
    if watched.objective.timeslices is None:
        return counts
    scale = 1 if indicator.metric == "cost_per_1k_tokens" else 1_000_000
    limits = Fraction(indicator.threshold or 0, scale), Fraction(indicator.offered, 1_000_000)
    return whole_verdicts(counts, 60, indicator.metric, *limits)


@pytest.mark.parametrize("name", SLOS)
def test_alerts_and_sums_are_those_of_slow_arithmetic(name: str, counted: dict[str, Any]) -> None:
    watched = WATCHED[name]
    driver = Driver(spec(watched))
    driver.feed(counted)
    judged_s, entries = driver.fold.judgement.judged_s or 0, entries_of(watched)
    status, before = driver.statuses[f"{name}|"], [n for second, n in entries.items() if second < judged_s]
    assert (status["good"], status["bad"]) == (sum(n[0] for n in before), sum(n[1] for n in before))
    assert min(status["good"], status["bad"]) > 0
    slices = {event["completed_at"] // 10_000_000 for event in READ}
    slow = NaiveJudge(rules_of(watched), {s: n[:2] for s, n in entries.items()}, slices, BEGIN, judged_s)
    slow.first = BEGIN
    assert driver.told == slow.run()
    assert [event for _, event, _ in driver.told if event != "UPDATED"] == ["FIRED", "RESOLVED"]
