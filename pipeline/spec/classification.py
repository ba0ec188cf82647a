"""Classification policy: what one SLO makes of a case that others judge by definition 4.4.

Pure. Only cases that are a matter of policy can be moved, and only to bad or excluded: nothing that failed is
made good. What repeats the table says nothing, and makes no revision. Sketches, outcome counters and other SLOs
know nothing of it.
"""

from collections.abc import Iterable

from pipeline.sli import METRICS, VERDICTS, Case, Verdict
from pipeline.spec.reading import Reading

POLICY = "spec.indicator.policy"
CASES = {
    "truncated": Case.TRUNCATED, "timeout": Case.TIMEOUT, "cancelled": Case.CANCELLED, "shed": Case.SHED,
    "shedSheddable": Case.SHED_SHEDDABLE, "rateLimited": Case.RATE_LIMITED, "rejected": Case.REJECTED,
}  # fmt: skip
NAMES = {"bad": Verdict.BAD, "excluded": Verdict.EXCLUDED}


def policy_text(own: Iterable[tuple[Case, Verdict]]) -> str:
    """Write what an SLO judges otherwise, as its file would: shed excluded, cancelled bad."""
    keys, words = ({code: text for text, code in names.items()} for names in (CASES, NAMES))
    return ", ".join(f"{keys[case]} {words[verdict]}" for case, verdict in own)


def verdicts(reading: Reading) -> tuple[tuple[Case, Verdict], ...]:
    """Return the cases that this SLO judges otherwise, in order."""
    metric = METRICS.get(reading.get("spec.indicator.metric", ""))
    said = {CASES[key]: NAMES.get(reading.get(f"{POLICY}.{key}")) for key in reading.keys.get(POLICY, ())}
    return tuple(
        (case, verdict)
        for case, verdict in sorted(said.items())
        if metric is not None and verdict is not None and verdict != VERDICTS[case][metric.kind]
    )
