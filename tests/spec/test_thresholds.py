"""What an indicator compares: units by metric, goodput's objectives, floors of slices; each fault to the letter."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sli import METRICS
from pipeline.slo import Indicator, Ratio, Timeslices
from pipeline.spec import scalars
from pipeline.spec.explanation import sentence
from pipeline.spec.lint import lint
from tests.spec.samples import SHORT, load_text, problems, spoiled
from tests.spec.test_json_schema import errors

SLICED = "\n  budgetingMethod: Timeslices\n  timeSliceWindow: 1m"
MINUTE = Timeslices(60_000_000, Ratio(1, 1), is_whole=True)
PICO = 10**12


def written(indicator: str, more: str = "") -> str:
    return spoiled(("{metric: error_rate}", f"{{{indicator}}}{more}"), text=SHORT)


def slo_of(indicator: str, more: str = "") -> Any:
    return load_text(written(indicator, more)).checked().slos[0]


READ = [
    ("metric: goodput, objectives: {ttft: 1s, tpot: 100ms, e2e: 10s}", "",
     Indicator("goodput", objectives=(("e2e", 10_000_000), ("tpot", 100_000), ("ttft", 1_000_000))),
     "99.9 % of chat requests are served with e2e at most 10s, tpot at most 100ms, ttft at most 1s, over 30d"),
    ("metric: goodput, strict: true, objectives: {queue: 5s, ttft: perRequest}", "",
     Indicator("goodput", objectives=(("queue", 5_000_000), ("ttft", None)), is_strict=True),
     "99.9 % of chat requests are served with queue at most 5s, ttft as each request asks, all of them known,"
     " over 30d"),
    ("metric: goodput, preset: llama2-70b/interactive", "",
     Indicator("goodput", objectives=(("tpot", 40_000), ("ttft", 450_000))),
     "99.9 % of chat requests are served with tpot at most 40ms, ttft at most 450ms, over 30d"),
    ("metric: shed_rate", "", Indicator("shed_rate"), "99.9 % of chat requests are not shed, over 30d"),
    ("metric: retry_amplification", "", Indicator("retry_amplification", final_attempts_only=False),
     "99.9 % of chat requests are first attempts, over 30d"),
    ("metric: concurrency, op: lt, threshold: 64", "", Indicator("concurrency", 63),
     "99.9 % of chat requests have concurrency of at most 63, over 30d"),
    ("metric: concurrency, op: gte, threshold: 8 requests", "", Indicator("concurrency", 8, at_most=False),
     "99.9 % of chat requests have concurrency of at least 8, over 30d"),
    ("metric: throughput_rps, op: gte, threshold: 600/m", SLICED,
     Indicator("throughput_rps", 10_000_000, at_most=False, offered=10_000_000),
     "99.9 % of slices of 1m of chat requests have throughput_rps of at least 10/s, over 30d"),
    ("metric: throughput_rps, op: gte, threshold: 0.5/s, offered: 2/s", SLICED,
     Indicator("throughput_rps", 500_000, at_most=False, offered=2_000_000),
     "99.9 % of slices of 1m of chat requests have throughput_rps of at least 0.5/s where 2/s are offered, over 30d"),
    ("metric: throughput_tps, op: gte, threshold: 1000/s, offered: 5/s", f"{SLICED}\n  timeSliceTarget: 1",
     Indicator("throughput_tps", 1_000_000_000, at_most=False, offered=5_000_000),
     "99.9 % of slices of 1m of chat requests have throughput_tps of at least 1000/s where 5/s are offered, over 30d"),
    ("metric: cost_per_1k_tokens, op: lte, threshold: 0.002 USD", SLICED,
     Indicator("cost_per_1k_tokens", 2_000_000_000, final_attempts_only=False),
     "99.9 % of slices of 1m of chat requests have cost_per_1k_tokens of at most 0.002 USD, over 30d"),
]  # fmt: skip


@pytest.mark.parametrize(("indicator", "more", "expected", "said"), READ, ids=[row[0] for row in READ])
def test_each_form_is_read_and_said_again(indicator: str, more: str, expected: Indicator, said: str) -> None:
    slo = slo_of(indicator, more)
    assert slo.objective.indicator == expected
    assert slo.objective.timeslices == (MINUTE if METRICS[expected.metric].is_of_slices else None)
    assert sentence(slo) == said
    assert errors(written(indicator, more)) == []


I, T = "spec.indicator", "spec.indicator.threshold"  # noqa: E741
RPS, TPS = "metric: throughput_rps, op: gte, threshold: 10/s", "metric: throughput_tps, op: gte, threshold: 10/s"
COST = "metric: cost_per_1k_tokens, op: lte, threshold: 1 USD"
METHOD = "write budgetingMethod: Timeslices, and timeSliceWindow: 1m"
FAULTS = [
    ("a rate without unit", "metric: throughput_rps, op: gte, threshold: 10", SLICED,
     f"{T}  10  must carry a unit  -> write 10/s, 10/m or 10/h"),
    ("a duration for a rate", "metric: throughput_rps, op: gte, threshold: 10s", SLICED,
     f"{T}  10s  must be a rate: a number a second, minute or hour  -> write a number and /s, /m or /h, as 10/s"),
    ("a rate a day", "metric: throughput_rps, op: gte, threshold: 10/d", SLICED,
     f"{T}  10/d  must be a rate: a number a second, minute or hour  -> write a number and /s, /m or /h, as 10/s"),
    ("a rate of nothing", "metric: throughput_rps, op: gte, threshold: 0/s", SLICED,
     f"{T}  0/s  must be greater than 0 and at most 100000000/s  -> write a rate such as 10/s"),
    ("a rate that is not whole", "metric: throughput_rps, op: gte, threshold: 1/m", SLICED,
     f"{T}  1/m  must be whole in millionths a second  -> write 0.016666/s"),
    ("a floor that is none", "metric: throughput_rps, op: lte, threshold: 10/s", SLICED,
     f"{I}.op  lte  must be gte for throughput_rps: the threshold is what a slice must reach  -> write op: gte"),
    ("no floor", "metric: throughput_rps", SLICED,
     f"{I}.op  is missing: throughput_rps compares a value  -> write op: gte",
     f"{T}  is missing: throughput_rps compares a value  -> write threshold: 10/s"),
    ("a rate of requests", RPS, "",
     f"spec.budgetingMethod  must be Timeslices: throughput_rps is of slices, and of no single request  -> {METHOD}"),
    ("a rate of ratios", RPS, SLICED.replace("Timeslices", "RatioTimeslices"),
     "spec.budgetingMethod  RatioTimeslices  must be Timeslices: throughput_rps is of slices, and of no single request"
     f"  -> {METHOD}"),
    ("a share of a slice", RPS, f"{SLICED}\n  timeSliceTarget: 0.9",
     "spec.timeSliceTarget  0.9  must be 1, or not given: throughput_rps is of a slice as a whole  -> remove it"),
    ("less offered than served", f"{RPS}, offered: 9.5/s", SLICED,
     f"{I}.offered  9.5/s  must not be less than threshold, 10/s: nobody serves more than is offered"
     "  -> write 10/s or more, or leave it out"),
    ("tokens of nobody", TPS, SLICED,
     f"{I}.offered  is missing: tokens can only come where requests are offered"
     "  -> write offered: 5/s, the rate of requests that is judged"),
    ("offered to a latency", "metric: ttft, op: lte, threshold: 1s, offered: 5/s", "",
     f"{I}.offered  5/s  must not be given: ttft is no throughput  -> remove it"),
    ("money without currency", "metric: cost_per_1k_tokens, op: lte, threshold: 0.002", SLICED,
     f"{T}  0.002  must carry its currency  -> write 0.002 USD"),
    ("money of old habit", "metric: cost_per_1k_tokens, op: lte, threshold: $0.002", SLICED,
     f"{T}  $0.002  must carry its currency  -> write 0.002 USD"),
    ("no money at all", "metric: cost_per_1k_tokens, op: lte, threshold: 1s", SLICED,
     f"{T}  1s  must be an amount of money in USD  -> write a number and USD, such as 0.002 USD"),
    ("a cost to be reached", "metric: cost_per_1k_tokens, op: gte, threshold: 1 USD", SLICED,
     f"{I}.op  gte  must be lte for cost_per_1k_tokens: the threshold is what a slice must not exceed"
     "  -> write op: lte"),
    ("the cost of final attempts", f"{COST}, attempts: final", SLICED,
     f"{I}.attempts  final  must be all for cost_per_1k_tokens: every attempt costs"
     "  -> write attempts: all, or leave it out"),
    ("a policy of sums", f"{COST}, policy: {{shed: excluded}}", SLICED,
     f"{I}.policy  must not be given: cost_per_1k_tokens sums up, and calls no request bad  -> remove it"),
    ("concurrency of a time", "metric: concurrency, op: lte, threshold: 1s", "",
     f"{T}  1s  must be a whole number of requests  -> write digits only, such as 64"),
    ("concurrency of nothing", "metric: concurrency, op: lte", "",
     f"{T}  is missing: concurrency compares a value  -> write threshold: 64"),
    ("a threshold of nobody", "metric: shed_rate, op: lte, threshold: 0.01", "",
     f"{I}.op  lte  must not be given: shed_rate compares nothing  -> remove it",
     f"{T}  0.01  must not be given: shed_rate compares nothing  -> remove it"),
    ("retries of final attempts", "metric: retry_amplification, attempts: final", "",
     f"{I}.attempts  final  must be all for retry_amplification: a first attempt that was retried is not final"
     "  -> write attempts: all, or leave it out"),
    ("goodput without objectives", "metric: goodput", "",
     f"{I}.objectives  is missing: goodput meets objectives"
     "  -> write objectives: {ttft: 1s, tpot: 100ms}, or the preset of a model"),
    ("goodput of one value", "metric: goodput, op: lte, threshold: 1s, objectives: {ttft: 1s}", "",
     f"{I}.op  lte  must not be given: goodput compares nothing  -> remove it, or write it in objectives",
     f"{T}  1s  must not be given: goodput compares nothing  -> remove it, or write it in objectives"),
    ("goodput said twice", "metric: goodput, preset: llama2-70b/interactive, objectives: {ttft: 1s}", "",
     f"{I}.objectives  is already said by preset  -> remove one of them"),
    ("objectives of another metric", "metric: error_rate, strict: true, objectives: {ttft: 1s}", "",
     f"{I}.strict  true  must not be given: error_rate is no goodput  -> remove it, or write metric: goodput",
     f"{I}.objectives  must not be given: error_rate is no goodput  -> remove it, or write metric: goodput"),
    ("an objective without unit", "metric: goodput, objectives: {ttft: 1}", "",
     f"{I}.objectives.ttft  1  must carry a unit  -> write 1ms or 1s"),
    ("an objective of two days", "metric: goodput, objectives: {e2e: 2d, tpot: 2h}", "",
     f"{I}.objectives.e2e  2d  must be at most 1d for e2e  -> lower it",
     f"{I}.objectives.tpot  2h  must be at most 1h for tpot  -> lower it"),
    ("an objective that nobody asks for", "metric: goodput, objectives: {e2e: perRequest}", "",
     f"{I}.objectives.e2e  perRequest  must be a duration: requests ask only for ttft, tpot"
     "  -> write a duration, such as 10s"),
    ("an objective that is no latency", "metric: goodput, objectives: {error_rate: 1s}", "",
     f"{I}.objectives.error_rate  error_rate  must be one of e2e, ttft, tpot, ttfo, queue, prefill, decode, itl_max"
     "  -> write one of them"),
]  # fmt: skip


@pytest.mark.parametrize(("indicator", "more", "expected"), [
    pytest.param(indicator, more, expected, id=name) for name, indicator, more, *expected in FAULTS
])  # fmt: skip
def test_each_fault_is_told_with_what_to_write(indicator: str, more: str, expected: list[str]) -> None:
    found = [problem.split(maxsplit=1)[1].strip() for problem in problems(written(indicator, more))]
    assert sorted(found) == sorted(expected)


@pytest.mark.parametrize("indicator", ["metric: throughput_rps, op: gte, threshold: 10",
                                       "metric: cost_per_1k_tokens, op: lte, threshold: 0.002",
                                       "metric: concurrency, op: lte, threshold: 1s",
                                       "metric: ttft, op: lte, threshold: 10/s",
                                       "metric: goodput, objectives: {ttft: 1}"])  # fmt: skip
def test_an_editor_sees_a_wrong_unit(indicator: str) -> None:
    assert errors(written(indicator, SLICED)) != []


@given(st.integers(1, 10**14), st.integers(1, 10**18))
def test_rates_and_money_are_read_back_exactly(millionths: int, picousd: int) -> None:
    assert scalars.rate(scalars.rate_text(millionths)) == millionths
    assert scalars.money(scalars.money_text(picousd)) == picousd


def test_what_is_held_against_a_slice_changes_no_count() -> None:
    """So that another floor keeps the history of counts, and another objective does not."""
    ten, twelve = (slo_of(f"metric: throughput_rps, op: gte, threshold: {n}/s", SLICED).objective for n in (10, 12))
    assert ten.indicator_revision == twelve.indicator_revision
    assert ten.revision != twelve.revision
    goods = [slo_of(f"metric: goodput, objectives: {{ttft: {n}s}}").objective for n in (1, 2)]
    strict = slo_of("metric: goodput, strict: true, objectives: {ttft: 1s}").objective
    assert len({each.indicator_revision for each in (*goods, strict)}) == 3


def test_the_order_of_objectives_changes_no_revision() -> None:
    orders = ("ttft: 1s, e2e: 9s", "e2e: 9000ms, ttft: 1s")
    one, other = (slo_of(f"metric: goodput, objectives: {{{order}}}") for order in orders)
    assert one.objective == other.objective


def test_short_slices_of_tokens_are_told() -> None:
    text = written("metric: throughput_tps, op: gte, threshold: 10/s, offered: 1/s", SLICED.replace("1m", "10s"))
    told = [problem.rule for problem in lint(load_text(text).checked())]
    assert "is short for tokens: those of a long generation all land where it ends" in told


def test_a_composite_takes_no_metric_of_whole_slices() -> None:
    text = f"""{written(RPS, SLICED)}---
{SHORT.replace("name: short", "name: other")}---
apiVersion: burnline/v1
kind: SLO
metadata: {{name: both}}
spec:
  composite: {{rule: worstOf, objectives: [{{ref: short}}, {{ref: other}}]}}
  target: 0.99{SLICED}
  timeSliceTarget: 0.9
  timeWindow: {{duration: 30d}}
"""
    assert ["compares slices as a whole, and a composite counts requests" in each for each in problems(text)] == [True]
