"""Prometheus rules of a policy, as sloth generates them, and a scenario's counters as Prometheus scrapes them.

An error ratio per window, out of counters; per severity an alert that is the OR of its pairs, each of them two
windows over factor x budget (`>`, as sloth and the SRE Workbook have it). Beside these plain alerts, `held` ones with
the policy's margin and hold: a recording rule that remembers a pair until its short window is under (1 - margin) x
factor, and `keep_firing_for`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.alerts import AlertPolicy, Severity, WindowPair
from tests.scenarios.delivery import as_counted, as_heard
from tests.scenarios.reading import Scenario

LONG_S = 4 * 3_600
LEVELS = (Severity.CRITICAL, Severity.WARNING)


def spans_s(policy: AlertPolicy) -> list[int]:
    """Windows of a policy, ascending."""
    return sorted({us // 1_000_000 for pair in policy.pairs for us in (pair.long_us, pair.short_us)})


def rules(policy: AlertPolicy) -> dict[str, Any]:
    """Write the rule file of a policy."""
    rate = "sum by (scenario) (rate({}[{}s]))"
    ratios = [
        {"record": _ratio(s), "expr": f"{rate.format('slo_bad_total', s)} / {rate.format('slo_eligible_total', s)}"}
        for s in spans_s(policy)
    ]
    kept = 1 - float(policy.clear.margin)
    held = [
        {
            "record": "slo:pair_held",
            "labels": {"pair": str(number), "severity": pair.severity.name},
            "expr": f'{_met(pair)} or ({_ratio(pair.short_us // 1_000_000)} >= ({kept} * {_threshold(pair)}) '
            f'and on (scenario) slo:pair_held{{pair="{number}"}})',
        }
        for number, pair in enumerate(policy.pairs)
    ]  # fmt: skip
    alerts = [alert for level in LEVELS for alert in _alerts(policy, level)]
    return {"groups": [{"name": "slo", "rules": [*ratios, *held, *alerts]}]}


def _alerts(policy: AlertPolicy, level: Severity) -> list[dict[str, Any]]:
    """Two alerts for "at least as severe as that"."""
    pairs = [pair for pair in policy.pairs if pair.severity >= level]
    names = "|".join(sorted({pair.severity.name for pair in pairs}))
    return [
        {"alert": f"plain_{level.name}", "expr": " or ".join(map(_met, pairs))},
        {
            "alert": f"held_{level.name}",
            "expr": f'max by (scenario) (slo:pair_held{{severity=~"{names}"}})',
            "keep_firing_for": f"{policy.clear.hold_s}s",
        },
    ]


def _met(pair: WindowPair) -> str:
    long, short = (_ratio(us // 1_000_000) for us in (pair.long_us, pair.short_us))
    return f"({long} > ({_threshold(pair)}) and {short} > ({_threshold(pair)}))"


def _ratio(span: int) -> str:
    return f"slo:sli_error:ratio_rate{span}s"


def _threshold(pair: WindowPair) -> str:
    return f"{float(pair.factor):g} * slo:error_budget:ratio"


def step_s(scenario: Scenario) -> int:
    """Seconds between scrapes, and between evaluations; more where there are many, and never more than the hold."""
    return 30 if scenario.stream.end <= LONG_S else 60


def series(scenario: Scenario, history_s: int, is_dense: bool = False) -> list[dict[str, str]]:
    """Write a scenario's counters from `history_s` before its second 0 on, one value a scrape, `_` where there is none.

    What is late is counted when it is heard of; of a budget of slices, slices are counted. Before second 0 only scrapes
    are kept at which a window begins that is judged: a rate is the difference of a window's last and first, and all
    others are work.
    """
    stream, budget = as_counted(as_heard(scenario)).stream, f"{1 - float(scenario.target):.12g}"
    at = np.arange(-history_s, stream.end + 1, step_s(scenario))
    is_there = (at >= stream.first) & (at <= stream.end)
    last = np.clip(at - 1 - stream.first, 0, len(stream.good) - 1)
    is_there &= stream.is_heard[last] | (at == stream.first)
    if not is_dense:
        begins = [(at >= -span) & (at <= stream.end - span) for span in spans_s(scenario.policy)]
        is_there &= (at >= 0) | np.logical_or.reduce(begins)
    made = [("slo:error_budget:ratio", [budget] * len(at))]
    for name, counts in (("slo_bad_total", stream.bad), ("slo_eligible_total", stream.good + stream.bad)):
        sums = np.concatenate([[0], np.cumsum(counts)])[np.clip(at - stream.first, 0, len(counts))]
        made.append((name, [str(v) if there else "_" for v, there in zip(sums.tolist(), is_there, strict=True)]))
    return [{"series": f'{name}{{scenario="{scenario.name}"}}', "values": _short(values)} for name, values in made]


def _short(values: Sequence[str]) -> str:
    """Write runs of one value in promtool's notation."""
    words: list[str] = []
    start = 0
    for end in range(1, len(values) + 1):
        if end == len(values) or values[end] != values[start]:
            run, value = end - start, values[start]
            words.append(value if run == 1 else f"_x{run}" if value == "_" else f"{value}+0x{run - 1}")
            start = end
    return " ".join(words)
