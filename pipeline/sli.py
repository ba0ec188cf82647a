"""SLIs: which events are good, bad or excluded, and which values enter a sketch. Rules are tables.

Pure. The classification is definition 4.4 as data: an event has a *case*, a metric kind has a *verdict* per
case.
Law: good + bad + excluded == every event the objective's selector matched; but of sums (tokens, cost) good is the
amount and bad what it is held against, and excluded the events that have neither.
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
    JOINT = 6  # several values decide together: good when none of those it has is over its threshold
    UNFINISHED = 7  # the same of what was broken off: bad when one is over already, else excluded
    SUM = 8  # adds its value to good, and what that is held against to bad
    AMOUNT = 9  # adds its value to good


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
    # of what became of the request, or of how it came
    SHED = 9
    ATTEMPT = 10
    RUNNING = 11
    GOODPUT = 12
    SERVED = 13
    # sums
    TOKENS = 14
    COST = 15


_E, _G, _B, _C, _R, _A, _J, _U, _S, _M = Verdict

#: definition 4.4. A stream that broke keeps what was over before: TTFT, TTFO, queue, prefill. A cancelled request keeps
#: that too; its e2e, its decode and its longest gap are only known to exceed what had elapsed, and so is a stream's
#: TTFT that never came. No other duration is expected of every producer, so that none says nothing. What is shed is
#: bad for goodput and is offered load, whatever its priority: dropping never raises a figure. Every attempt is one,
#: and costs what it costs, whatever became of it; who was let in met the load there was.
VERDICTS: dict[Case, tuple[Verdict, ...]] = {
    #                     ERRORS E2E TTFT TPOT TTFO QUEUE PREFILL DECODE ITL_MAX
    #                                             SHED ATTEMPT RUNNING GOODPUT SERVED TOKENS COST
    Case.UNKNOWN:        (_E, _E, _E, _E, _E, _E, _E, _E, _E, _E, _C, _E, _E, _E, _E, _S),
    Case.COMPLETE:       (_G, _C, _C, _C, _C, _C, _C, _C, _C, _G, _C, _C, _J, _G, _S, _S),
    Case.TRUNCATED:      (_B, _E, _C, _E, _C, _C, _C, _E, _E, _G, _C, _C, _B, _B, _S, _S),
    Case.ERROR:          (_B, _E, _E, _E, _E, _E, _E, _E, _E, _G, _C, _C, _B, _B, _S, _S),
    Case.TIMEOUT:        (_B, _B, _E, _E, _E, _E, _E, _E, _E, _G, _C, _C, _B, _B, _S, _S),
    Case.CANCELLED:      (_E, _R, _A, _E, _C, _C, _C, _R, _R, _E, _C, _C, _U, _E, _M, _S),
    Case.SHED:           (_B, _E, _E, _E, _E, _E, _E, _E, _E, _B, _C, _E, _B, _B, _S, _S),
    Case.SHED_SHEDDABLE: (_E, _E, _E, _E, _E, _E, _E, _E, _E, _B, _C, _E, _B, _B, _S, _S),
    Case.RATE_LIMITED:   (_E, _E, _E, _E, _E, _E, _E, _E, _E, _E, _C, _E, _E, _E, _E, _S),
    Case.REJECTED:       (_E, _E, _E, _E, _E, _E, _E, _E, _E, _E, _C, _E, _E, _E, _E, _S),
}  # fmt: skip

#: what a verdict comes to once it is seen whether the event has the value: (it has none, it has one)
LEFT_TO_DECIDE: dict[Verdict, tuple[Verdict, Verdict]] = {verdict: (verdict, verdict) for verdict in Verdict} | {
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


#: kinds without a threshold of their own
PLAIN = (Kind.ERRORS, Kind.SHED, Kind.ATTEMPT, Kind.GOODPUT)
#: kinds whose threshold a slice of time is held against
OF_SLICES = (Kind.SERVED, Kind.TOKENS, Kind.COST)
#: of those, kinds whose good and bad are sums
SUMS = (Kind.TOKENS, Kind.COST)


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
        return self.kind not in PLAIN

    @property
    def is_of_slices(self) -> bool:
        """Whether a slice as a whole is compared: single events are neither good nor bad."""
        return self.kind in OF_SLICES


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
        MetricSpec(
            "throughput_rps",
            Kind.SERVED,
            "1/s",
            "served requests a second of a slice, judged where as many are offered; failed and shed ones are offered",
            "the user's",
            "utilisation",
            "medium",
        ),
        MetricSpec(
            "throughput_tps",
            Kind.TOKENS,
            "1/s",
            "output tokens a second of a slice, judged where so many requests are offered",
            "the user's",
            "utilisation",
            "medium",
        ),
        MetricSpec(
            "concurrency",
            Kind.RUNNING,
            "requests",
            "requests in flight at admission; events with adm_running, of requests that were let in",
            "99 % at most the tested capacity",
            "GPU memory and batch scheduling",
            "high",
        ),
        MetricSpec(
            "cost_per_1k_tokens",
            Kind.COST,
            "USD",
            "1000 x cost of all events of a slice, failed and retried ones too, / their output tokens",
            "the user's",
            "hardware efficiency",
            "high",
        ),
        MetricSpec(
            "goodput",
            Kind.GOODPUT,
            "1",
            "good / eligible; good = complete and within all objectives that apply, bad = over one, failed or shed",
            "95 %",
            "utilisation",
            "high",
        ),
        MetricSpec(
            "shed_rate",
            Kind.SHED,
            "1",
            "bad / eligible; bad = shed of any priority, good = let in, whether it failed or not",
            "< 1 %",
            "under-provisioning",
            "medium",
        ),
        MetricSpec(
            "retry_amplification",
            Kind.ATTEMPT,
            "1",
            "bad / all attempts; bad = attempt > 1; attempts per request = 1 / (1 - that share)",
            "< 5 %",
            "bug fixes and model stability",
            "medium",
        ),
    )
}

#: of kinds whose value is one optional field: that field
FIELD_OF: dict[Kind, str] = {
    Kind.TTFO: "ttfo_us", Kind.QUEUE: "queue_us", Kind.PREFILL: "prefill_us", Kind.DECODE: "decode_us",
    Kind.ITL_MAX: "itl_max_us", Kind.RUNNING: "adm_running",
}  # fmt: skip
#: of those, what needs two tokens: with fewer, there is nothing from first to last, and no gap
BETWEEN_TOKENS = (Kind.DECODE, Kind.ITL_MAX)
#: metrics that goodput may have objectives for, and the field of a request's own target, in ms
OBJECTIVES: dict[str, str | None] = {
    m.name: {"ttft": "slo_ttft_ms", "tpot": "slo_tpot_ms"}.get(m.name) for m in METRICS.values() if m.unit == "us"
}
