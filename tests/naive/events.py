"""Oracle of decoding and of one event's meaning: fastavro, and definition 4.4 written as if-ladders."""

import io
import json
from typing import Any

import fastavro

from schemas import avro_text
from tests.naive.blocks import bare

READER = bare(json.loads(avro_text("inference_event")))

Event = dict[str, Any]


def write(event: Event, schema: Any = READER) -> bytes:
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, fastavro.parse_schema(bare(schema)), event)
    return stream.getvalue()


def read(payload: bytes, schema: Any = READER) -> Event | None:
    """The event as the newest reader sees it, None when the bytes are not one; UTF-8 may be broken."""
    stream = io.BytesIO(payload)
    try:
        event: Any = fastavro.schemaless_reader(
            stream,
            fastavro.parse_schema(bare(schema)),
            fastavro.parse_schema(READER),
            handle_unicode_errors="backslashreplace",
        )
    except Exception:
        return None
    return event if stream.tell() == len(payload) else None


def outcome_counter(event: Event) -> str:
    """Which of the slice's outcome counters an event adds to."""
    failed = event["failure_kind"] != "NONE" or (event["http_status"] or 0) >= 500
    if event["outcome"] == "SUCCESS" and failed:
        return "error"
    return str(event["outcome"].lower())


def is_truncated(event: Event) -> bool:
    return outcome_counter(event) == "error" and event["failure_kind"] == "TRUNCATED"


def case(event: Event) -> str:
    """What became of the request, by the names that policies use."""
    what = outcome_counter(event)
    if is_truncated(event):
        return "truncated"
    return "shed_sheddable" if what == "shed" and event["priority"] < 0 else what


def judged(event: Event, indicator: Any) -> str:
    """The same as `judge`, but what the SLO's own policy says goes first."""
    own = {each.name.lower(): verdict.name.lower() for each, verdict in indicator.verdicts}
    if case(event) in own:
        return own[case(event)]
    if indicator.metric == "goodput":
        return goodput(event, dict(indicator.objectives), indicator.is_strict)
    return judge(event, indicator.metric, indicator.threshold, indicator.at_most)


def tally(event: Event, indicator: Any) -> dict[str, int]:
    """What one event of weight 1 adds to good, bad and excluded."""
    what, tokens = outcome_counter(event), event["output_tokens"] or 0
    if indicator.metric == "throughput_tps" and what not in {"unknown", "rate_limited", "rejected"}:
        amount, load = tokens, int(what != "cancelled")
    elif indicator.metric == "cost_per_1k_tokens":
        amount, load = event["cost_picousd"] or 0, tokens
    elif indicator.metric == "throughput_tps":
        amount, load = 0, 0
    else:
        return {judged(event, indicator): 1}
    return {"good": amount, "bad": load, "excluded": int((amount, load) == (0, 0))}


def own_target_us(event: Event, metric: str) -> int | None:
    """What a request asks for itself: at most an hour; nothing, or less than a millisecond, asks for nothing."""
    asked = event[f"slo_{metric}_ms"]
    return None if asked is None or asked <= 0 else min(asked, 3_600_000) * 1000


def goodput(event: Event, objectives: dict[str, int | None], is_strict: bool) -> str:
    """Good, bad or excluded: whoever is served must meet all that applies, whoever is not served meets nothing."""
    what = outcome_counter(event)
    if what in {"error", "timeout", "shed"}:
        return "bad"
    if what not in {"success", "cancelled"}:
        return "excluded"
    found = []
    for metric, threshold_us in objectives.items():
        limit_us = own_target_us(event, metric) if threshold_us is None else threshold_us
        if limit_us is not None:
            found.append(judge(event, metric, limit_us, at_most=True))
    if "bad" in found or (is_strict and what == "success" and "excluded" in found):
        return "bad"
    return "good" if what == "success" else "excluded"


def tpot(event: Event) -> tuple[int, int] | None:
    """Numerator and denominator, None where TPOT is not defined."""
    tokens = event["output_tokens"]
    if event["ttft_us"] is None or tokens is None or tokens < 2:
        return None
    decode = event["decode_us"] if event["decode_us"] is not None else event["e2e_us"] - event["ttft_us"]
    return None if decode < 0 else (decode, tokens - 1)


def judge(event: Event, metric: str, threshold: int | None, at_most: bool) -> str:  # noqa: C901, PLR0911, PLR0912
    """Say good, bad or excluded, line by line as definition 4.4 has it."""
    what = outcome_counter(event)
    if metric in {"error_rate", "availability"}:
        if what == "success":
            return "good"
        if what in {"error", "timeout"}:
            return "bad"
        return "bad" if what == "shed" and event["priority"] >= 0 else "excluded"
    if metric == "retry_amplification":
        return "bad" if event["attempt"] > 1 else "good"
    if metric == "shed_rate":
        return {"shed": "bad", "success": "good", "error": "good", "timeout": "good"}.get(what, "excluded")
    if metric == "throughput_rps":
        return {"success": "good", "error": "bad", "timeout": "bad", "shed": "bad"}.get(what, "excluded")
    assert threshold is not None
    if metric == "e2e":
        if what == "timeout":
            return "bad"
        if what == "cancelled":
            return "bad" if at_most and event["e2e_us"] > threshold else "excluded"
        if what != "success":
            return "excluded"
        value, scale = event["e2e_us"], 1
    elif metric == "ttft":
        seen = event["ttft_us"] is not None
        if what == "cancelled" and not seen:
            return "bad" if at_most and event["stream"] and event["e2e_us"] > threshold else "excluded"
        if not seen or not (what in {"success", "cancelled"} or is_truncated(event)):
            return "excluded"
        value, scale = event["ttft_us"], 1
    elif metric == "concurrency":
        value, scale = event["adm_running"], 1
        if value is None or value < 0 or what in {"shed", "rate_limited", "rejected", "unknown"}:
            return "excluded"
    elif metric in {"ttfo", "queue", "prefill"}:
        value, scale = event[f"{metric}_us"], 1
        if value is None or value < 0 or not (what in {"success", "cancelled"} or is_truncated(event)):
            return "excluded"
    elif metric in {"decode", "itl_max"}:
        value, scale = event[f"{metric}_us"], 1
        if value is None or value < 0 or event["output_tokens"] in {0, 1}:
            return "excluded"
        if what == "cancelled":
            return "bad" if at_most and value > threshold else "excluded"
        if what != "success":
            return "excluded"
    else:
        pair = tpot(event)
        if pair is None or what != "success":
            return "excluded"
        value, scale = pair
    met = value <= threshold * scale if at_most else value >= threshold * scale
    return "good" if met else "bad"


def shown(event: Event) -> dict[str, float]:
    """Values of the event that enter the sketches."""
    what, values = outcome_counter(event), {}
    if what == "success":
        values["e2e"] = float(event["e2e_us"])
    if event["ttft_us"] is not None and (what in {"success", "cancelled"} or is_truncated(event)):
        values["ttft"] = float(event["ttft_us"])
    pair = tpot(event)
    if pair is not None and what == "success":
        values["tpot"] = pair[0] / pair[1]
    return values


def refused(event: Event) -> str | None:
    """Why an event that decodes cannot be counted."""
    durations = [event[n] for n in ("e2e_us", "ttft_us", "decode_us") if event[n] is not None]
    amounts = [event[n] for n in ("input_tokens", "output_tokens", "cost_picousd", "gpu_us") if event[n] is not None]
    if min(durations) < 0:
        return "negative_duration"
    if amounts and min(amounts) < 0:
        return "negative_count"
    if event["sample_weight"] < 1:
        return "bad_weight"
    if event["received_at"] > event["completed_at"]:
        return "completed_before_received"
    if event["completed_at"] < 0:
        return "too_old"
    weighted = [x * event["sample_weight"] for x in amounts]
    if max(durations) > 2**50 or (weighted and max(weighted) > 2**53):
        return "implausible"
    return None


def label(event: Event, name: str) -> str:
    if name == "priority_class":
        return "standard" if event["priority"] == 0 else "critical" if event["priority"] > 0 else "sheddable"
    value = event[name]
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
