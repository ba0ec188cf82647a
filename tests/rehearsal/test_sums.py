"""Tests of SLOs of tokens and cost: streams in words of their own, and words of others refused."""

import pytest

from pipeline.rehearsal import Suite, read
from pipeline.spec import presets
from tests.spec.samples import SHORT, load_text
from tests.spec.test_thresholds import SLICED, written

TOKENS = written("metric: throughput_tps, op: gte, threshold: 10/s, offered: 1/s", SLICED)
COST = written("metric: cost_per_1k_tokens, op: lte, threshold: 0.002 USD", SLICED)


def suite(stream: str, slo: str) -> Suite:
    text = f"slo: short\n{stream}\nexpect: []\n"
    return read("t.yaml", text.encode(), presets(), lambda names: load_text(slo))


def sums(stream: str, slo: str) -> list[int]:
    """Sums of good, bad and excluded of history, then of the stream."""
    found = suite(stream, slo)
    assert found.problems == ()
    (each,) = found.rehearsals
    before, after = slice(0, -each.stream.first), slice(-each.stream.first, None)
    columns = (each.stream.good, each.stream.bad, each.stream.excluded)
    return [int(column[part].sum()) for part in (before, after) for column in columns]


@pytest.mark.parametrize(
    ("stream", "slo", "expected"),
    [
        pytest.param("stream: [{for: 10s, tokens: 9.5, offered: 0.5}]", TOKENS, [0, 0, 0, 95, 5, 0], id="tokens"),
        pytest.param("history: 20s\nstream: [{for: 10s, tokens: 7, offered: 2}]", TOKENS, [140, 40, 0, 70, 20, 0],
                     id="tokens, with a quiet past"),
        pytest.param("stream: [{for: 1s, microusd: 1.8, tokens: 900}]", COST, [0, 0, 0, 1_800_000, 900, 0], id="cost"),
        pytest.param("history: [{for: 5s, microusd: 2, tokens: 0}]\nstream: [{for: 4s, microusd: 0..2, tokens: 1}]",
                     COST, [10_000_000, 0, 0, 4_000_000, 4, 0], id="cost for nothing, and cost that grows"),
        pytest.param("stream: [{for: 5s, silent: true}, {for: 5s, tokens: 0, offered: 0}]", TOKENS, [0] * 6,
                     id="silence, and nothing"),
    ],
)  # fmt: skip
def test_a_stretch_says_what_comes_a_second(stream: str, slo: str, expected: list[int]) -> None:
    assert sums(stream, slo) == expected


@pytest.mark.parametrize(
    ("stream", "slo", "expected"),
    [
        pytest.param("stream: [{for: 10m, rate: 100, bad: 1}]", TOKENS, [
            "stream[0].tokens  is missing: throughput_tps is of tokens, offered",
            "stream[0].offered  is missing: throughput_tps is of tokens, offered",
            "stream[0].rate  must not be given: throughput_tps is of tokens, offered",
            "stream[0].bad  must not be given: throughput_tps is of tokens, offered",
        ], id="requests for tokens"),
        pytest.param("stream: [{for: 10m, tokens: 1, offered: 1}]", COST, [
            "stream[0].microusd  is missing: cost_per_1k_tokens is of microusd, tokens",
            "stream[0].offered  must not be given: cost_per_1k_tokens is of microusd, tokens",
        ], id="tokens without cost"),
        pytest.param("stream: [{for: 10m, rate: 5, microusd: 1}]", SHORT, [
            "stream[0].microusd  must not be given: error_rate counts requests"
        ], id="cost of requests"),
        pytest.param("good: 100x5", TOKENS, ["good  must not be given: throughput_tps is of tokens, offered"],
                     id="a series of requests"),
        pytest.param("history: [{for: 1m, rate: 5}]\nstream: [{for: 10m, tokens: 1, offered: 1}]", TOKENS, [
            "history[0].tokens  is missing: throughput_tps is of tokens, offered",
            "history[0].offered  is missing: throughput_tps is of tokens, offered",
            "history[0].rate  must not be given: throughput_tps is of tokens, offered",
        ], id="history of requests"),
    ],
)  # fmt: skip
def test_words_of_another_metric_are_refused(stream: str, slo: str, expected: list[str]) -> None:
    found = [f"{problem.path}  {problem.rule}" for problem in suite(stream, slo).problems]
    assert sorted(found) == sorted(expected)
