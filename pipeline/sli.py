"""SLIs: which events are good, bad or excluded, and which values enter a sketch. Rules are tables.

Pure. The classification is definition 4.4 as data: an event has a *case*, a metric kind has a *verdict* per
case.
Law: good + bad + excluded == every event the objective's selector matched.
"""

from dataclasses import dataclass
from enum import IntEnum

OUTCOMES = ("UNKNOWN", "SUCCESS", "ERROR", "TIMEOUT", "CANCELLED", "SHED", "RATE_LIMITED", "REJECTED")
FAILURE_KINDS = ("NONE", "OOM", "EXECUTION", "TIMEOUT", "UNAVAILABLE", "TRUNCATED", "OTHER")
VANTAGES = ("UNKNOWN", "GATEWAY", "ENGINE", "CLIENT")


class Case(IntEnum):
    """What became of a request, as far as judging it goes."""

    UNKNOWN = 0
    COMPLETE = 1
    TRUNCATED = 2
    ERROR = 3
    TIMEOUT = 4
    CANCELLED = 5
    SHED = 6
    SHED_SHEDDABLE = 7
    RATE_LIMITED = 8
    REJECTED = 9


class Verdict(IntEnum):
    """What a case means for one kind of SLI."""

    EXCLUDED = 0
    GOOD = 1
    BAD = 2
    COMPARE = 3  # the value decides; excluded when the event has none
    CENSORED = 4  # the true value exceeds this one: bad when this already exceeds the threshold, else excluded
    AWAITED = 5  # the value decides if known; else it exceeds the elapsed time, which is censored


class Kind(IntEnum):
    """Kinds of SLI, the columns of the table."""

    ERRORS = 0
    E2E = 1
    TTFT = 2
    TPOT = 3
    # one optional duration of the event each
    TTFO = 4
    QUEUE = 5
    PREFILL = 6
    DECODE = 7
    ITL_MAX = 8


_E, _G, _B, _C, _R, _A = Verdict

#: definition 4.4. A stream that broke keeps what was over before: TTFT, TTFO, queue, prefill. A cancelled request keeps
#: that too; its e2e, its decode and its longest gap are only known to exceed what had elapsed, and so is a TTFT that
#: never came. No other duration is expected of every producer, so that none says nothing.
VERDICTS: dict[Case, tuple[Verdict, ...]] = {
    #                     ERRORS E2E TTFT TPOT TTFO QUEUE PREFILL DECODE ITL_MAX
    Case.UNKNOWN:        (_E, _E, _E, _E, _E, _E, _E, _E, _E),
    Case.COMPLETE:       (_G, _C, _C, _C, _C, _C, _C, _C, _C),
    Case.TRUNCATED:      (_B, _E, _C, _E, _C, _C, _C, _E, _E),
    Case.ERROR:          (_B, _E, _E, _E, _E, _E, _E, _E, _E),
    Case.TIMEOUT:        (_B, _B, _E, _E, _E, _E, _E, _E, _E),
    Case.CANCELLED:      (_E, _R, _A, _E, _C, _C, _C, _R, _R),
    Case.SHED:           (_B, _E, _E, _E, _E, _E, _E, _E, _E),
    Case.SHED_SHEDDABLE: (_E, _E, _E, _E, _E, _E, _E, _E, _E),
    Case.RATE_LIMITED:   (_E, _E, _E, _E, _E, _E, _E, _E, _E),
    Case.REJECTED:       (_E, _E, _E, _E, _E, _E, _E, _E, _E),
}  # fmt: skip

#: what a verdict comes to once it is seen whether the event has the value: (it has none, it has one)
LEFT_TO_DECIDE: dict[Verdict, tuple[Verdict, Verdict]] = {
    Verdict.EXCLUDED: (Verdict.EXCLUDED, Verdict.EXCLUDED),
    Verdict.GOOD: (Verdict.GOOD, Verdict.GOOD),
    Verdict.BAD: (Verdict.BAD, Verdict.BAD),
    Verdict.COMPARE: (Verdict.EXCLUDED, Verdict.COMPARE),
    Verdict.CENSORED: (Verdict.EXCLUDED, Verdict.CENSORED),
    Verdict.AWAITED: (Verdict.CENSORED, Verdict.COMPARE),
}


def case_of(outcome: str, failure_kind: str, http_status: int | None, priority: int) -> Case:
    """Classify one event: the slow, readable form that the kernel's table is built from.

    Source: definition 4.4; a 5xx or a failure kind under SUCCESS is an error, mid-stream failures included.
    """
    failed = failure_kind != "NONE" or (http_status is not None and http_status >= 500)
    if outcome == "SUCCESS":
        outcome = "ERROR" if failed else "COMPLETE"
    if outcome == "ERROR" and failure_kind == "TRUNCATED":
        return Case.TRUNCATED
    if outcome == "SHED" and priority < 0:
        return Case.SHED_SHEDDABLE
    return Case[outcome]


@dataclass(frozen=True)
class MetricSpec:
    """One line of the catalogue (definition 3)."""

    name: str
    kind: Kind
    unit: str
    formula: str
    typical: str
    cost_driver: str
    monitoring_complexity: str

    @property
    def has_threshold(self) -> bool:
        return self.kind is not Kind.ERRORS


METRICS: dict[str, MetricSpec] = {
    m.name: m
    for m in (
        MetricSpec(
            "error_rate",
            Kind.ERRORS,
            "1",
            "bad / eligible; bad = 5xx, timeouts, failures of execution, mid-stream failures",
            "< 0.1 %",
            "bug fixes and model stability",
            "medium",
        ),
        MetricSpec(
            "availability",
            Kind.ERRORS,
            "1",
            "good / eligible, the request form",
            "99.9 %",
            "redundancy and failover",
            "low",
        ),
        MetricSpec(
            "e2e",
            Kind.E2E,
            "us",
            "receipt of the request to delivery of the final token",
            "99 % < 2 s",
            "under-provisioning",
            "high",
        ),
        MetricSpec(
            "ttft",
            Kind.TTFT,
            "us",
            "receipt to first non-empty output token; streams only",
            "99 % < 1 s",
            "cold start and model loading",
            "medium",
        ),
        MetricSpec(
            "tpot",
            Kind.TPOT,
            "us",
            "decode_us / (output_tokens - 1), output_tokens >= 2",
            "99 % < 100 ms",
            "FLOPs and decoding",
            "medium",
        ),
        MetricSpec(
            "ttfo",
            Kind.TTFO,
            "us",
            "receipt to first visible output token, reasoning is not visible; events with ttfo_us",
            "99 % < 5 s",
            "cold start, model loading and reasoning",
            "medium",
        ),
        MetricSpec(
            "queue",
            Kind.QUEUE,
            "us",
            "wait before first scheduling; events with queue_us",
            "99 % < 500 ms",
            "under-provisioning",
            "medium",
        ),
        MetricSpec(
            "prefill",
            Kind.PREFILL,
            "us",
            "scheduling to first token; events with prefill_us",
            "99 % < 1 s",
            "FLOPs and prompt length",
            "medium",
        ),
        MetricSpec(
            "decode",
            Kind.DECODE,
            "us",
            "first to last token; events with decode_us, output_tokens >= 2 or unknown",
            "99 % < 10 s",
            "memory bandwidth and batch scheduling",
            "medium",
        ),
        MetricSpec(
            "itl_max",
            Kind.ITL_MAX,
            "us",
            "longest gap between output tokens, a stall; events with itl_max_us, output_tokens >= 2 or unknown",
            "99 % < 500 ms",
            "batch scheduling and preemption",
            "high",
        ),
    )
}

#: of kinds whose value is one optional field: that field
FIELD_OF: dict[Kind, str] = {
    Kind.TTFO: "ttfo_us", Kind.QUEUE: "queue_us", Kind.PREFILL: "prefill_us", Kind.DECODE: "decode_us",
    Kind.ITL_MAX: "itl_max_us",
}  # fmt: skip
#: of those, what needs two tokens: with fewer, there is nothing from first to last, and no gap
BETWEEN_TOKENS = (Kind.DECODE, Kind.ITL_MAX)

#: Named in the catalogue of definition 3, judged by a later version: refused by name, with this list.
METRICS_LATER = (
    "throughput_rps", "throughput_tps", "concurrency", "cost_per_1k_tokens", "goodput", "shed_rate",
    "retry_amplification",
)  # fmt: skip
