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
    CENSORED = 4  # the value decides if known; else bad when the elapsed time already exceeds the threshold


class Kind(IntEnum):
    """Kinds of SLI, the columns of the table."""

    ERRORS = 0
    E2E = 1
    TTFT = 2
    TPOT = 3


_E, _G, _B, _C, _R = Verdict.EXCLUDED, Verdict.GOOD, Verdict.BAD, Verdict.COMPARE, Verdict.CENSORED

#: definition 4.4. A stream that broke keeps the TTFT its user saw. A cancelled request's e2e is only known to
#: exceed what had elapsed; its TTFT is exact once a token was seen.
VERDICTS: dict[Case, tuple[Verdict, Verdict, Verdict, Verdict]] = {
    #                     ERRORS E2E TTFT TPOT
    Case.UNKNOWN:        (_E, _E, _E, _E),
    Case.COMPLETE:       (_G, _C, _C, _C),
    Case.TRUNCATED:      (_B, _E, _C, _E),
    Case.ERROR:          (_B, _E, _E, _E),
    Case.TIMEOUT:        (_B, _B, _E, _E),
    Case.CANCELLED:      (_E, _R, _R, _E),
    Case.SHED:           (_B, _E, _E, _E),
    Case.SHED_SHEDDABLE: (_E, _E, _E, _E),
    Case.RATE_LIMITED:   (_E, _E, _E, _E),
    Case.REJECTED:       (_E, _E, _E, _E),
}  # fmt: skip


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
    )
}

#: Named in the catalogue of definition 3, judged by a later version: refused by name, with this list.
METRICS_LATER = (
    "ttfo", "queue", "prefill", "decode", "itl_max", "throughput_rps", "throughput_tps", "concurrency",
    "cost_per_1k_tokens", "goodput", "shed_rate", "retry_amplification",
)  # fmt: skip
