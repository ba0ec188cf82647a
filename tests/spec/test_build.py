"""What a good file means, and that every valid SLO is read back as it was meant."""

import json
import pickle
from io import StringIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

import schemas
from pipeline.alerts import AlertPolicy, ClearRule, Guards, Severity, Watched, WindowPair
from pipeline.bindings import applies, labels_needed
from pipeline.judgement import JudgeFold, JudgeSpec
from pipeline.plans import tables
from pipeline.series import LABELS
from pipeline.sli import METRICS, OBJECTIVES, VANTAGES
from pipeline.slo import Indicator, Ratio
from pipeline.spec import Sla, Slo, load, presets
from pipeline.spec.language import OPS, PAIRS_MAX
from pipeline.spec.scalars import (
    FACTOR_DECIMALS_MAX,
    TARGET_DECIMALS_MAX,
    WINDOW_US_MAX,
    duration,
    duration_text,
    fraction,
    written,
)
from pipeline.spec.selectors import CLOSED
from pipeline.spec.thresholds import READERS
from tests.spec.samples import GOOD, SHORT, load_text, spoiled

S = 1_000_000
HOUR, DAY = 3_600 * S, 86_400 * S


def _only(text: str) -> Slo:
    found = load_text(text)
    assert found.problems == ()
    (slo,) = found.slos
    return slo


def test_the_good_file_means_what_it_says() -> None:
    slo = _only(GOOD)
    objective = slo.objective
    assert (objective.name, objective.service, objective.window_us) == ("chat-ttft", "chat", 30 * DAY)
    assert objective.target == Ratio(99, 100)
    assert objective.indicator == Indicator(
        "ttft",
        S,
        True,
        (("operation", ("chat",)), ("tenant_id", ("zen", "acme"))),
        ("request_model", "region"),
        "GATEWAY",
        False,
    )
    assert slo.policy == AlertPolicy(
        (
            WindowPair(Severity.CRITICAL, Ratio(144, 10), HOUR, 300 * S),
            WindowPair(Severity.WARNING, Ratio(2, 1), DAY, 7200 * S),
        ),
        Guards(50, 5, Ratio(25, 100)),
        ClearRule(Ratio(2, 10), 300 * S),
    )
    assert slo.sla == Sla(Ratio(95, 100), "10 % credit")
    assert slo.preset is None
    assert (slo.owner, slo.runbook) == ("serving", "https://runbooks.example/chat-ttft")
    assert str(slo.source) == "f.yaml:1"


def test_what_is_left_out_has_its_default() -> None:
    slo = _only(SHORT)
    assert slo.objective.indicator == Indicator("error_rate")
    assert slo.objective.indicator.final_attempts_only
    assert slo.policy == presets().windows["default"]
    assert slo.policy.guards == Guards()
    assert (slo.preset, slo.sla, slo.owner, slo.runbook) == ("default", None, "", "")


def test_a_set_gives_the_judge_what_it_watches() -> None:
    found = load_text(f"{GOOD}---\n{SHORT}")
    assert [watched.runbook for watched in found.watched] == ["https://runbooks.example/chat-ttft", None]
    assert found.watched[1] == Watched(found.objectives[1], found.policies["short"])
    assert list(found.by_name) == ["chat-ttft", "short"]
    assert pickle.loads(pickle.dumps(found)) == found


@pytest.mark.parametrize(
    ("metric", "op", "threshold_us", "at_most"),
    [
        ("e2e", "lte", S, True),
        ("e2e", "lt", S - 1, True),
        ("e2e", "gte", S, False),
        ("ttft", "gt", S + 1, False),
        ("tpot", "lte", S, True),
        ("tpot", "gte", S, False),
    ],
)
def test_strict_comparisons_are_kept_as_the_next_whole_microsecond(
    metric: str, op: str, threshold_us: int, at_most: bool
) -> None:
    indicator = _only(spoiled(("metric: ttft", f"metric: {metric}"), ("op: lte", f"op: {op}"))).objective.indicator
    assert (indicator.threshold, indicator.at_most) == (threshold_us, at_most)


@pytest.mark.parametrize(
    ("text", "length_us"),
    [
        ("1us", 1), ("250ms", 250_000), ("1.5s", 1_500_000), ("0.25ms", 250), ("90s", 90 * S),
        ("1h30m", 5_400 * S), ("2w", 14 * DAY), ("1d", DAY),
    ],
)  # fmt: skip
def test_durations_are_exact(text: str, length_us: int) -> None:
    assert duration(text) == length_us


@given(st.integers(1, 10 * WINDOW_US_MAX))
def test_a_duration_is_read_back_as_it_was_written(length_us: int) -> None:
    assert duration(duration_text(length_us)) == length_us


def test_numbers_stay_exact_where_floats_would_not() -> None:
    slo = _only(spoiled(("0.999", "0.9990000"), text=SHORT))
    assert slo.objective.target == Ratio(999, 1000)
    assert slo.objective.budget == 1


def test_the_finest_numbers_that_are_accepted_fit_the_judges_integers() -> None:
    """`tables` raises when a product with a window's seconds is over 63 bits."""
    slo = _only(
        spoiled(
            ("target: 0.99", f"target: 0.{'9' * (TARGET_DECIMALS_MAX - 1)}7"),
            ("target: 0.95", "target: 0.9"),
            ("duration: 30d", f"duration: {duration_text(WINDOW_US_MAX)}"),
            ("factor: 14.4, long: 1h", f"factor: 3333333.{'3' * FACTOR_DECIMALS_MAX}, long: 366d"),
            ("margin: 0.2", f"margin: 0.{'3' * FACTOR_DECIMALS_MAX}"),
        )
    )
    layouts, _ = tables([Watched(slo.objective, slo.policy)])
    assert max(layouts[0].spans_s) == WINDOW_US_MAX // S


def test_the_examples_are_what_ingest_and_the_judge_take() -> None:
    found = load([schemas.HOME / "slo"])
    JudgeFold(JudgeSpec(found.watched, found.composed))
    labels = {name: "x" for name in labels_needed(found.objectives)}
    chat = {**labels, "service": "chat", "operation": "chat", "request_model": "llama-3.3-70b"}
    bound = [objective.name for objective in found.objectives if applies(objective, chat)]
    composed = ["chat-journey>chat-errors", "chat-journey>chat-ttft"]
    assert bound == [
        "chat-errors",
        "chat-goodput",
        "chat-as-asked",
        "chat-ttft",
        "chat-e2e",
        "chat-minutes",
        "chat-shed",
        "chat-retries",
        "chat-tpot-llama-70b",
        "chat-availability",
        *composed,
    ]


# ---- any valid SLO

WORDS = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S")), min_size=1, max_size=12)
OPEN_LABELS = [label for label in LABELS if label not in CLOSED and label != "service"]


@st.composite
def targets(draw: st.DrawFn) -> str:
    digits = draw(st.integers(1, TARGET_DECIMALS_MAX))
    return written(fraction(Ratio(draw(st.integers(1, 10**digits - 1)), 10**digits)))


@st.composite
def window_pairs(draw: st.DrawFn, target: str, window_s: int) -> dict[str, str]:
    long_s = draw(st.integers(2, window_s))
    limit = 1 / (1 - fraction(Ratio.parse(target)))
    hundredths = draw(st.integers(1, int(limit * 100)))
    return {
        "severity": draw(st.sampled_from(["info", "warning", "critical"])),
        "factor": written(fraction(Ratio(hundredths, 100)), 2),
        "long": duration_text(long_s * S),
        "short": duration_text(draw(st.integers(1, long_s - 1)) * S),
    }


@st.composite
def indicators(draw: st.DrawFn) -> dict[str, Any]:
    metric = draw(st.sampled_from(["error_rate", "shed_rate", "e2e", "ttft", "tpot", "concurrency", "goodput"]))
    indicator: dict[str, Any] = {"metric": metric}
    if metric == "concurrency":
        indicator |= {"op": draw(st.sampled_from(OPS)), "threshold": str(draw(st.integers(1, 10**8)))}
    if metric == "goodput":
        limits = st.integers(1, HOUR).map(duration_text)
        parts = st.dictionaries(st.sampled_from([*OBJECTIVES]), limits, min_size=1)
        indicator |= {"objectives": draw(parts), "strict": draw(st.sampled_from(["true", "false"]))}
    if metric in {"e2e", "ttft", "tpot"}:
        indicator["op"] = draw(st.sampled_from([op for op in OPS if metric != "tpot" or op.endswith("e")]))
        indicator["threshold"] = duration_text(draw(st.integers(2, HOUR)))
    values = st.one_of(WORDS, st.lists(WORDS, min_size=1, max_size=3, unique=True))
    indicator["where"] = draw(st.dictionaries(st.sampled_from(OPEN_LABELS), values, max_size=3))
    if draw(st.booleans()):
        indicator["groupBy"] = draw(st.lists(st.sampled_from(list(LABELS)), min_size=1, max_size=3, unique=True))
    if draw(st.booleans()):
        indicator["vantage"] = draw(st.sampled_from(VANTAGES))
    indicator["attempts"] = draw(st.sampled_from(["final", "all"]))
    return indicator


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    target, window_s = draw(targets()), draw(st.integers(2, WINDOW_US_MAX // S))
    return {
        "apiVersion": "burnline/v1",
        "kind": "SLO",
        "metadata": {
            "name": draw(st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,30}[a-z0-9])?", fullmatch=True)),
            "labels": draw(st.dictionaries(WORDS, WORDS, max_size=2)),
        },
        "spec": {
            "description": draw(WORDS),
            "service": draw(WORDS),
            "indicator": draw(indicators()),
            "target": target,
            "timeWindow": {"duration": duration_text(window_s * S), "isRolling": "true"},
            "alerting": {"pairs": draw(st.lists(window_pairs(target, window_s), min_size=1, max_size=PAIRS_MAX))},
            "guards": {
                "minEvents": str(draw(st.integers(0, 10**6))),
                "minBad": str(draw(st.integers(0, 99))),
            },
        },
    }


def _as_json(document: Any) -> str:
    return json.dumps(document, ensure_ascii=False)


def _as_blocks(document: Any) -> str:
    stream = StringIO()
    YAML(typ="rt").dump(document, stream)
    return stream.getvalue()


def _many(value: Any) -> tuple[str, ...]:
    return tuple(value) if isinstance(value, list) else (value,)


@pytest.mark.parametrize("written_as", [_as_json, _as_blocks])
@given(documents())
def test_any_valid_slo_is_read_back(written_as: Any, document: dict[str, Any]) -> None:
    slo = _only(written_as(document))
    spec, indicator, objective = document["spec"], document["spec"]["indicator"], slo.objective
    assert (objective.name, objective.service) == (document["metadata"]["name"], spec["service"])
    assert written(fraction(objective.target)) == spec["target"]
    assert duration_text(objective.window_us) == spec["timeWindow"]["duration"]
    counted = objective.indicator
    assert dict(counted.where) == {label: _many(values) for label, values in indicator["where"].items()}
    assert counted.group_by == tuple(indicator.get("groupBy", ()))
    assert (counted.metric, counted.vantage) == (indicator["metric"], indicator.get("vantage"))
    assert counted.final_attempts_only == (indicator["attempts"] == "final")
    if "op" in indicator:
        step = {"lt": -1, "gt": 1}.get(indicator["op"], 0)
        assert counted.threshold == READERS[METRICS[counted.metric].unit](indicator["threshold"]) + step
        assert counted.at_most == (indicator["op"][0] == "l")
    assert dict(counted.objectives) == {name: duration(each) for name, each in indicator.get("objectives", {}).items()}
    assert counted.is_strict == (indicator.get("strict") == "true")
    pairs = [
        {
            "severity": pair.severity.name.lower(),
            "factor": written(fraction(pair.factor), 2),
            "long": duration_text(pair.long_us),
            "short": duration_text(pair.short_us),
        }
        for pair in slo.policy.pairs
    ]
    assert pairs == spec["alerting"]["pairs"]
    assert slo.policy.guards.min_events == int(spec["guards"]["minEvents"])
    assert dict(slo.labels) == document["metadata"]["labels"]
