"""Requests, attempts and times -> the columns of InferenceEvent. Gathers over tables; no decisions.

Pure. Vocabularies are built once and stay the same objects, so that an encoder writes each word once.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.fleet import endings
from jobs.fleet.attempts import Attempts, Requests, Tables
from jobs.fleet.catalogue import ADAPTERS, PRICE_VERSION, PROVIDER
from jobs.fleet.endings import Ending
from jobs.fleet.load import Conditions
from pipeline.encoding import NULL, EventColumns, Identifiers, Words
from pipeline.sli import VANTAGES

Ints = NDArray[np.int64]

USAGE = ("NONE", "PROVIDER", "ENGINE", "ESTIMATED")  # symbols of UsageSource and CostSource, in order
COST = ("NONE", "PROVIDER", "PRICE_TABLE", "GPU_TIME")


@dataclass(frozen=True)
class Times:
    """When each attempt was received, completed and told of, and which of its request it was."""

    received_at: Ints
    completed_at: Ints
    emitted_at: Ints
    attempt: Ints
    final: NDArray[np.bool_]


class Vocabulary:
    """Texts that pools, replicas and endings have, with each one's code."""

    def __init__(self, tables: Tables) -> None:
        pools = tables.layout.pools
        self._pools = pools
        self.tenants = tables.layout.tenant_names
        self.of_pool = {
            "service": _coded([p.workload.service for p in pools]),
            "operation": _coded([p.workload.operation for p in pools]),
            "request_model": _coded([p.model.name for p in pools]),
            "response_model": _coded([p.model.response_model for p in pools]),
            "objective": _coded([p.workload.objective for p in pools]),
            "region": _coded([p.region.name for p in pools]),
            "engine": _coded([p.model.engine for p in pools]),
        }
        variants = [v for p in pools for v in p.model.variants]  # pool x 2 + variant
        self.of_variant = {
            "variant": _coded([v.name for v in variants]),
            "accelerator": _coded([v.accelerator for v in variants]),
        }
        self.gpu_count = np.array([v.gpu_count for v in variants], np.int64)
        self.of_ending = {name: endings.words(name) for name in ("error_type", "drop_reason", "finish_reason")}
        self.first_replica = np.cumsum([0, *[p.replicas for p in pools]])[:-1].astype(np.int32)
        self.adapters = tuple(a for a in ADAPTERS if a)
        self.provider, self.price_version = (PROVIDER,), (PRICE_VERSION,)
        for name in ("priority", "slo_ttft_ms", "slo_tpot_ms"):
            setattr(self, name, np.array([getattr(p.workload, name) for p in pools], np.int64))
        for name in ("input_picousd", "cached_picousd", "output_picousd"):
            setattr(self, name, np.array([getattr(p.model, name) for p in pools], np.int64))

    priority: Ints
    slo_ttft_ms: Ints
    slo_tpot_ms: Ints
    input_picousd: Ints
    cached_picousd: Ints
    output_picousd: Ints

    @cached_property
    def endpoints(self) -> tuple[str, ...]:
        return tuple(
            f"{p.workload.service}-{p.model.name}-{p.region.name}-{n}" for p in self._pools for n in range(p.replicas)
        )


def _coded(texts: list[str]) -> tuple[tuple[str, ...], NDArray[np.int32]]:
    words = tuple(dict.fromkeys(texts))
    return words, np.array([words.index(text) for text in texts], np.int32)


def assemble(
    v: Vocabulary,
    requests: Requests,
    attempts: Attempts,
    state: Conditions,
    times: Times,
    ids: NDArray[np.uint64],
) -> EventColumns:
    """Build the columns. Shapes: ids (6, attempt) random words: event, request and trace, two each."""
    pool, variant = requests.pool, 2 * requests.pool + (attempts.replica & 1)
    n = len(pool)
    admitted = attempts.queue_us != NULL
    zeros = np.zeros(n, np.int32)
    columns: dict[str, Any] = {
        "event_id": _uuid7(times.completed_at, ids[0], ids[1]),
        "request_id": _uuid4(ids[2], ids[3]),
        "attempt": times.attempt,
        "final_attempt": times.final,
        "vantage": np.full(n, VANTAGES.index("GATEWAY"), np.int32),
        "trace_id": Identifiers(ids[4], ids[5], dashed=False),
        "received_at": times.received_at,
        "completed_at": times.completed_at,
        "emitted_at": times.emitted_at,
        "tenant_id": Words(v.tenants, requests.tenant),
        "provider": Words(v.provider, zeros),
        "adapter": Words(v.adapters, requests.adapter - 1),
        "priority": v.priority[pool],
        "stream": requests.stream,
        "endpoint_id": Words(v.endpoints, np.where(admitted, v.first_replica[pool] + attempts.replica, -1)),
        "cold_start": attempts.cold,
        "outcome": endings.OUTCOME[attempts.ending],
        "failure_kind": endings.FAILURE_KIND[attempts.ending],
        "http_status": endings.HTTP_STATUS[attempts.ending],
        "slo_ttft_ms": _or_null(v.slo_ttft_ms[pool], requests.stream),
        "slo_tpot_ms": _or_null(v.slo_tpot_ms[pool], requests.stream),
    }
    columns |= {name: Words(words, codes[pool]) for name, (words, codes) in v.of_pool.items()}
    columns |= {name: Words(words, codes[variant]) for name, (words, codes) in v.of_variant.items()}
    columns |= {name: Words(words, codes[attempts.ending]) for name, (words, codes) in v.of_ending.items()}
    for name in ("e2e_us", "ttft_us", "ttfo_us", "queue_us", "prefill_us", "decode_us", "itl_max_us"):
        columns[name] = getattr(attempts, name)
    return EventColumns(
        columns | _admission(requests, state, admitted) | _usage(v, requests, attempts, variant, admitted)
    )


def _admission(requests: Requests, state: Conditions, admitted: NDArray[np.bool_]) -> dict[str, Any]:
    """What the gateway knew of the endpoint when it sent the request there."""
    cell = requests.cell
    kv = state.kv_ratio.ravel()[cell]
    return {
        "adm_running": _or_null(state.running.ravel().astype(np.int64)[cell], admitted),
        "adm_waiting": _or_null(state.waiting.ravel().astype(np.int64)[cell], admitted),
        "adm_kv_usage": np.where(admitted, kv, np.nan),
    }


def _usage(
    v: Vocabulary, requests: Requests, attempts: Attempts, variant: NDArray[Any], admitted: NDArray[np.bool_]
) -> dict[str, Any]:
    """Tokens, cost and accelerator time; a client that left leaves an estimate."""
    pool, written = requests.pool, attempts.output_tokens
    cancelled = attempts.ending == Ending.CANCELLED
    cached = np.where(admitted, requests.cached_tokens, 0)
    tokens = (requests.input_tokens - cached) * v.input_picousd[pool] + cached * v.cached_picousd[pool]
    cost = np.where(admitted, tokens + written * v.output_picousd[pool], 0)
    busy_us = np.minimum(attempts.e2e_us, 60_000_000) // 64  # a share of the batch it ran in
    source = np.where(admitted, np.where(cancelled, USAGE.index("ESTIMATED"), USAGE.index("ENGINE")), 0)
    return {
        "input_tokens": requests.input_tokens,
        "output_tokens": written,
        "cached_input_tokens": cached,
        "reasoning_output_tokens": attempts.reasoning_tokens,
        "usage_source": source.astype(np.int32),
        "cost_picousd": cost,
        "cost_source": np.where(admitted, COST.index("PRICE_TABLE"), 0).astype(np.int32),
        "price_version": Words(v.price_version, np.where(admitted, 0, -1).astype(np.int32)),
        "gpu_us": _or_null(busy_us * v.gpu_count[variant], admitted),
    }


def _or_null(values: Ints, when: NDArray[np.bool_]) -> Ints:
    return np.where(when, values, NULL)


def _uuid7(at_us: Ints, high: NDArray[np.uint64], low: NDArray[np.uint64]) -> Identifiers:
    """Put the millisecond in front: RFC 9562, version 7."""
    stamp = (at_us // 1000).astype(np.uint64) << np.uint64(16)
    return Identifiers(stamp | np.uint64(0x7000) | (high & np.uint64(0x0FFF)), _variant(low))


def _uuid4(high: NDArray[np.uint64], low: NDArray[np.uint64]) -> Identifiers:
    return Identifiers((high & ~np.uint64(0xF000)) | np.uint64(0x4000), _variant(low))


def _variant(low: NDArray[np.uint64]) -> NDArray[np.uint64]:
    return (low & np.uint64((1 << 62) - 1)) | np.uint64(1 << 63)
