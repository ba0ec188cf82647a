"""Random events with their corners: what a fleet sends, and what it should not."""

from random import Random
from typing import Any

from pipeline.sli import Case, Verdict
from pipeline.slo import Indicator, Objective, Ratio

E, B = Verdict.EXCLUDED, Verdict.BAD
START_US = 1_763_164_800_000_000
MODELS, TENANTS = ("m-a", "m=b,c", "m\\d"), ("acme", "zen", "né")
#: half of them complete
OUTCOMES = ("SUCCESS",) * 6 + ("UNKNOWN", "ERROR", "TIMEOUT", "CANCELLED", "SHED", "RATE_LIMITED", "REJECTED")
DURATIONS = (0, 1, 2, 127, 128, 999_999, 1_000_000, 1_000_001, 2_000_000, 16_383, 1 << 34, (1 << 34) + 1)


def maybe(random: Random, value: Any, chance: float = 0.7) -> Any:
    return value if random.random() < chance else None


def duration(random: Random) -> int:
    return random.choice(DURATIONS) if random.random() < 0.3 else int(random.lognormvariate(13, 2))


def sample(random: Random, span_us: int = 25_000_000) -> dict[str, Any]:
    """One plausible event; optional fields are often missing."""
    return _measured(random, span_us) | _described(random)


def _measured(random: Random, span_us: int) -> dict[str, Any]:
    """Who, when, how long, how many tokens."""
    completed = START_US + random.randrange(span_us)
    return {
        "event_id": f"{random.getrandbits(128):032x}"[: random.choice((36, 32, 7, 0))],
        "request_id": "r" * random.randrange(90),
        "attempt": random.choice((1, 1, 2)),
        "final_attempt": random.random() < 0.8,
        "vantage": random.choice(("UNKNOWN", "GATEWAY", "ENGINE")),
        "trace_id": maybe(random, f"{random.getrandbits(128):032x}"),
        "span_id": maybe(random, "ab" * 4),
        "received_at": completed - random.choice((0, 1, duration(random))),
        "completed_at": completed,
        "emitted_at": completed + random.randrange(-5, 5),
        "e2e_us": duration(random),
        "ttft_us": maybe(random, duration(random)),
        "ttfo_us": maybe(random, duration(random)),
        "queue_us": maybe(random, duration(random)),
        "prefill_us": maybe(random, duration(random)),
        "decode_us": maybe(random, duration(random)),
        "itl_max_us": maybe(random, duration(random)),
        "itl_sketch": maybe(random, random.randbytes(9), 0.2),
        "input_tokens": maybe(random, random.choice((0, 1, 4096))),
        "output_tokens": maybe(random, random.choice((0, 1, 2, 3, 777)), 0.9),
        "cached_input_tokens": random.randrange(3),
        "cache_write_input_tokens": 0,
        "reasoning_output_tokens": 1,
        "usage_source": random.choice(("NONE", "ENGINE")),
    }


def _described(random: Random) -> dict[str, Any]:
    """What became of it, on what, for whom, at which price."""
    return {
        "outcome": random.choice(OUTCOMES),
        "http_status": maybe(random, random.choice((200, 200, 200, 429, 499, 500, 503))),
        "error_type": maybe(random, "x", 0.1),
        "failure_kind": random.choice(("NONE",) * 8 + ("OOM", "TRUNCATED", "OTHER")),
        "drop_reason": maybe(random, "ttl", 0.1),
        "finish_reason": maybe(random, "stop"),
        "tenant_id": random.choice(TENANTS),
        "service": random.choice(("chat", "embed")),
        "operation": "chat",
        "provider": maybe(random, "p") or "",
        "request_model": random.choice(MODELS),
        "response_model": maybe(random, "rm", 0.3),
        "adapter": None,
        "priority": random.choice((0, 0, 1, -1)),
        "objective": maybe(random, "gold", 0.2),
        "stream": random.random() < 0.5,
        "slo_ttft_ms": maybe(random, random.choice((500, 0, 1, -7, (1 << 31) - 1)), 0.3),
        "slo_tpot_ms": maybe(random, random.choice((1, 40, 1 << 30)), 0.3),
        "endpoint_id": maybe(random, f"pod-{random.randrange(9)}"),
        "region": maybe(random, random.choice(("eu", "us"))),
        "engine": maybe(random, "vllm"),
        "variant": maybe(random, "h100"),
        "accelerator": None,
        "cold_start": random.random() < 0.1,
        "adm_running": maybe(random, random.choice((0, 1, random.randrange(99), -1))),
        "adm_waiting": None,
        "adm_kv_usage": maybe(random, 0.5),
        "cost_picousd": maybe(random, random.randrange(1 << 40)),
        "cost_source": "NONE",
        "price_version": None,
        "gpu_us": maybe(random, random.randrange(1 << 30)),
        "end_user_hash": maybe(random, "0" * 24, 0.3),
        "sample_weight": random.choice((1, 1, 1, 10)),
        "attributes": {"k": "v" * random.randrange(9)} if random.random() < 0.2 else {},
    }


def spoilt(random: Random) -> dict[str, Any]:
    """One event that decodes and must be refused."""
    event = sample(random)
    name, value = random.choice(
        (
            ("e2e_us", -1),
            ("ttft_us", -5),
            ("decode_us", -(1 << 62)),
            ("input_tokens", -1),
            ("output_tokens", -9),
            ("cost_picousd", -1),
            ("gpu_us", -1),
            ("sample_weight", 0),
            ("sample_weight", -3),
            ("e2e_us", 1 << 51),
            ("cost_picousd", 1 << 60),
            ("completed_at", -1),
            ("received_at", event["completed_at"] + 1),
        )
    )
    event[name] = value
    if name == "completed_at":
        event["received_at"] = -2
    return event


def objectives() -> tuple[Objective, ...]:
    """One of each kind of SLI, with selectors, groups, vantage, both directions and policies of their own."""

    def objective(name: str, indicator: Indicator, service: str = "chat") -> Objective:
        return Objective(name, service, indicator, Ratio.parse("0.99"), 30 * 86_400_000_000, "r1", "i1")

    return (
        objective("errors", Indicator("error_rate", group_by=("request_model", "region"))),
        objective(
            "ttft",
            Indicator("ttft", 1_000_000, where=(("tenant_id", ("acme", "zen")),), group_by=("request_model",)),
        ),
        objective("e2e", Indicator("e2e", 2_000_000, vantage="GATEWAY", group_by=("tenant_id", "priority_class"))),
        objective("slow", Indicator("e2e", 100_000, at_most=False, final_attempts_only=False)),
        objective("tpot", Indicator("tpot", 1_000, group_by=("endpoint_id",))),
        objective("embed", Indicator("availability", group_by=("stream",)), "embed"),
        objective(
            "strict", Indicator("error_rate", verdicts=((Case.CANCELLED, B), (Case.SHED, E), (Case.REJECTED, B)))
        ),
        objective("ttfo", Indicator("ttfo", 1_000_000, group_by=("request_model",))),
        objective("queue", Indicator("queue", 999_999, final_attempts_only=False)),
        objective("prefill", Indicator("prefill", 128, at_most=False), "embed"),
        objective("decode", Indicator("decode", 1_000_000)),
        objective("stall", Indicator("itl_max", 127, group_by=("tenant_id",))),
        objective("impatient", Indicator("ttft", 1_000_000, verdicts=((Case.TIMEOUT, B), (Case.CANCELLED, E)))),
        *(objective(name, indicator) for name, indicator in OF_ALL_SORTS.items()),
    )


LIMITS = (("ttft", 1_000_000), ("tpot", 1_000), ("e2e", 2_000_000))
#: what came after the latencies
OF_ALL_SORTS = {
    "goodput": Indicator("goodput", objectives=LIMITS, group_by=("request_model",)),
    "all-or-nothing": Indicator("goodput", objectives=(*LIMITS, ("queue", 1 << 34)), is_strict=True),
    "as-asked": Indicator(
        "goodput", objectives=(("ttft", None), ("tpot", None)), final_attempts_only=False,
        verdicts=((Case.TRUNCATED, E), (Case.SHED_SHEDDABLE, E)),
    ),
    "stalls": Indicator("goodput", objectives=(("itl_max", 128), ("decode", 999_999), ("tpot", None))),
    "shed": Indicator("shed_rate", final_attempts_only=False, group_by=("tenant_id",)),
    "retries": Indicator("retry_amplification", final_attempts_only=False),
    "crowded": Indicator("concurrency", 50),
    "busy": Indicator("concurrency", 50, at_most=False, verdicts=((Case.REJECTED, B),)),
    "served": Indicator("throughput_rps", 10_000_000, at_most=False),
    "tokens": Indicator("throughput_tps", 10_000_000, at_most=False, group_by=("request_model",)),
    "cost": Indicator("cost_per_1k_tokens", 2_000_000_000, final_attempts_only=False, vantage="GATEWAY"),
}  # fmt: skip
