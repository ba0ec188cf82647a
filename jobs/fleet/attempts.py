"""One attempt after another: what a request is, how long its attempt takes, how it ends. All as columns.

Pure: randomness comes in as a generator. Durations are microseconds; only incidents know absolute time.
"""

from dataclasses import dataclass, fields
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from jobs.fleet import endings
from jobs.fleet.catalogue import INPUT_TOKENS_MAX, OUTPUT_TOKENS_MAX
from jobs.fleet.endings import Ending
from jobs.fleet.incidents import Incident
from jobs.fleet.load import Conditions, Layout, matches, severity
from pipeline.encoding import NULL

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

REJECT_RATIO, LIMIT_RATIO, UNKNOWN_RATIO = 0.002, 0.004, 0.00005
COLD_US = (2_000_000.0, 8_000_000.0)  # loading a model: from, and how much more at most
_OUTRIGHT = (Ending.REJECTED, Ending.RATE_LIMITED, Ending.SHED)  # ended before an engine saw them
_WORKLOAD_COLUMNS = (
    "input_median", "input_sigma", "output_median", "output_sigma", "stream_ratio", "cached_ratio",
    "patience_s", "deadline_s",
)  # fmt: skip
Some = TypeVar("Some", "Requests", "Attempts")


def choose(table: Some, rows: Any) -> Some:
    """Return the same columns, of some rows."""
    return type(table)(**{f.name: getattr(table, f.name)[rows] for f in fields(table)})


@dataclass(frozen=True)
class Requests:
    """What stays the same over the attempts of a request. Shapes: all (request,)."""

    pool: NDArray[np.int32]
    cell: NDArray[np.int64]  # pool x slots + slot: index into Conditions
    tenant: NDArray[np.int32]
    stream: Flags
    adapter: NDArray[np.int32]
    input_tokens: Ints
    cached_tokens: Ints
    output_tokens: Ints  # that it would get


@dataclass(frozen=True)
class Attempts:
    """What became of each attempt. Shapes: all (attempt,)."""

    ending: NDArray[np.int8]
    replica: NDArray[np.int32]
    cold: Flags
    e2e_us: Ints
    ttft_us: Ints
    ttfo_us: Ints
    queue_us: Ints
    prefill_us: Ints
    decode_us: Ints
    itl_max_us: Ints
    output_tokens: Ints
    reasoning_tokens: Ints


class Tables:
    """The layout as arrays that rows are gathered from."""

    def __init__(self, layout: Layout) -> None:
        pools = layout.pools
        self.layout = layout
        for name in _WORKLOAD_COLUMNS:
            setattr(self, name, np.array([getattr(p.workload, name) for p in pools], np.float32))
        self.prefill = np.array([p.model.prefill_us_per_token for p in pools], np.float32)
        self.tpot = np.array([p.model.tpot_us for p in pools], np.float32)
        self.reasoning = np.array([p.model.reasoning_ratio for p in pools], np.float32)
        self.replicas = np.array([p.replicas for p in pools], np.float32)
        self.slowdown = np.array(
            [v.slowdown for p in pools for v in p.model.variants], np.float32
        )  # pool x 2 + variant
        weights = 1 / np.arange(1, len(layout.tenant_names) + 1) ** 0.8  # Zipf-like: some are large
        self.tenant_steps = (np.cumsum(weights) / weights.sum()).astype(np.float32)
        self.limit_ratio = np.full(len(weights), LIMIT_RATIO / 4, np.float32)
        self.limit_ratio[-max(len(weights) // 10, 1) :] = LIMIT_RATIO * 4  # the last ones live at their quota
        self.failure_steps = np.cumsum(endings.FAILURE_SHARES)[:-1].astype(np.float32)
        self.failures = np.array(endings.FAILURES, np.int8)

    input_median: Floats
    input_sigma: Floats
    output_median: Floats
    output_sigma: Floats
    stream_ratio: Floats
    cached_ratio: Floats
    patience_s: Floats
    deadline_s: Floats


def draw_requests(tables: Tables, rng: np.random.Generator, pool: NDArray[np.int32], cell: Ints) -> Requests:
    """Draw who asks for what."""
    n = len(pool)
    tenant = np.searchsorted(tables.tenant_steps[:-1], rng.random(n, np.float32)).astype(np.int32)
    u = rng.random((3, n), np.float32)
    adapter = np.where((tenant < 2) & (u[2] < 0.5), tenant + 1, 0).astype(np.int32)
    z = rng.standard_normal((2, n), np.float32)
    read = tables.input_median[pool] * np.exp(tables.input_sigma[pool] * z[0])
    written = tables.output_median[pool] * np.exp(tables.output_sigma[pool] * z[1])
    read = np.clip(read, 1, INPUT_TOKENS_MAX).astype(np.int64)
    written = np.clip(np.ceil(written), 0, OUTPUT_TOKENS_MAX).astype(np.int64)
    cached = (read * np.minimum(2 * u[1] * tables.cached_ratio[pool], 0.98)).astype(np.int64)
    return Requests(pool, cell, tenant, u[0] < tables.stream_ratio[pool], adapter, read, cached // 16 * 16, written)


def draw_attempts(
    tables: Tables,
    rng: np.random.Generator,
    requests: Requests,
    state: Conditions,
    at_us: Ints,
    failing: bool = False,
    longest_us: int = 1 << 50,
) -> Attempts:
    """Draw how long attempts take and how they end; what would take longer than `longest_us` is a timeout.

    With `failing`, each is one that its client will repeat: it ends with a failure before the stream began.
    """
    n = len(at_us)
    pool, cell = requests.pool, requests.cell
    u = rng.random((5, n), np.float32)
    z = rng.standard_normal((2, n), np.float32)
    replica = (u[0] * tables.replicas[pool]).astype(np.int32)
    variant = 2 * pool + (replica & 1)
    slow = _slowness(tables, requests, replica & 1, at_us)
    factor = _flat(state.token_factor)[cell] * tables.slowdown[variant] * slow
    cold = u[1] < _flat(state.cold_ratio)[cell]
    unread = (requests.input_tokens - requests.cached_tokens).astype(np.float32)
    prefill = (12_000 + unread * tables.prefill[pool]) * factor * np.exp(0.12 * z[0])
    token_us = tables.tpot[pool] * factor * np.exp(0.06 * z[1])
    decode = token_us * np.maximum(requests.output_tokens - 1, 0)
    # a new request waits for the running step of the batch, and in line when the pool is full
    queue = 300 + token_us * u[4] + _flat(state.wait_us)[cell] * rng.standard_exponential(n, np.float32) * slow
    queue[cold] += COLD_US[0] + COLD_US[1] * u[2][cold]
    patience = tables.patience_s[pool] * 1e6 * np.exp(1.2 * z[0] * z[1] + 0.4 * z[1])
    ending = _endings(tables, rng, requests, state, u[3])
    if failing:
        ending = _failures(tables, u[3])
        ending[ending == Ending.TRUNCATED] = Ending.UNAVAILABLE
    else:
        _incidents(tables, rng, requests, replica & 1, at_us, ending)
    ending[(ending == Ending.TRUNCATED) & (~requests.stream | (requests.output_tokens < 2))] = Ending.EXECUTION
    deadline = np.minimum(tables.deadline_s[pool] * np.float32(1e6), np.float32(longest_us))
    times = (queue, prefill, decode, token_us, patience, deadline)
    return _cut(requests, ending, replica, cold, times, u, tables.reasoning[pool])


def _flat(values: NDArray[np.float64]) -> Floats:
    return values.astype(np.float32).ravel()


def _hit(tables: Tables, incident: Incident, requests: Requests, variant: NDArray[np.int32], at_us: Ints) -> Any:
    """Return the incident's amount for each request, 0 where labels do not match; None: it hits nobody."""
    level = severity(incident, at_us - tables.layout.spec.zero_us)
    if not level.any():
        return None
    pools, where = tables.layout.pools, dict(incident.where)
    level *= np.array([matches(incident, p) for p in pools])[requests.pool]
    if "tenant_id" in where:
        level *= np.isin(tables.layout.tenant_names, where["tenant_id"])[requests.tenant]
    if "variant" in where:
        names = [v.name in where["variant"] for p in pools for v in p.model.variants]
        level *= np.array(names)[2 * requests.pool + variant]
    return level


def _slowness(tables: Tables, requests: Requests, variant: NDArray[np.int32], at_us: Ints) -> Floats:
    slow = np.ones(len(at_us), np.float32)
    for incident in tables.layout.spec.incidents:
        if incident.kind == "latency":
            level = _hit(tables, incident, requests, variant, at_us)
            if level is not None:
                slow[level > 0] *= incident.amount
    return slow


def _incidents(
    tables: Tables, rng: np.random.Generator, requests: Requests, variant: Any, at_us: Ints, ending: Any
) -> None:
    """Let errors and outages end what they hit, in place."""
    for incident in tables.layout.spec.incidents:
        if incident.kind in {"errors", "outage"}:
            level = _hit(tables, incident, requests, variant, at_us)
            if level is not None:
                kind = (
                    Ending.UNAVAILABLE if incident.kind == "outage" else endings.OF_FAILURE_KIND[incident.failure_kind]
                )
                ending[rng.random(len(level)) < level] = kind


def _failures(tables: Tables, u: Floats) -> NDArray[np.int8]:
    """Choose failures by their shares."""
    return tables.failures[np.searchsorted(tables.failure_steps, u)]


def _endings(
    tables: Tables, rng: np.random.Generator, requests: Requests, state: Conditions, u: Floats
) -> NDArray[np.int8]:
    """Choose how each attempt ends when no incident, deadline or impatience comes first."""
    ending = np.where(requests.output_tokens >= OUTPUT_TOKENS_MAX, Ending.LENGTH, Ending.STOP).astype(np.int8)
    ending[(u > 0.8) & (ending == Ending.STOP)] = Ending.TOOL_CALLS
    top = np.full(len(u), REJECT_RATIO, np.float32)
    ending[u < top] = Ending.REJECTED
    for kind, ratio in (
        (Ending.RATE_LIMITED, tables.limit_ratio[requests.tenant]),
        (Ending.SHED, _flat(state.shed_ratio)[requests.cell]),
        (Ending.UNKNOWN, np.float32(UNKNOWN_RATIO)),
    ):
        ending[(u >= top) & (u < top + ratio)] = kind
        top = top + ratio
    failed = np.flatnonzero((u >= top) & (u < top + tables.layout.spec.error_ratio))
    ending[failed] = _failures(tables, rng.random(len(failed), np.float32))
    return ending


def _cut(
    requests: Requests,
    ending: Any,
    replica: Any,
    cold: Flags,
    times: tuple[Floats, ...],
    u: Any,
    reasoning_ratio: Floats,
) -> Attempts:
    """Cut each attempt short where it ends before its last token, and say what was seen until then."""
    queue, prefill, decode, token_us, patience, deadline = times
    ttft = queue + prefill
    whole = ttft + decode
    limit = np.full(len(ending), np.inf, np.float32)
    limit[np.isin(ending, _OUTRIGHT)] = 1_500
    engine_died = (ending >= Ending.EXECUTION) & (ending <= Ending.OTHER) & (ending != Ending.TRUNCATED)
    limit[engine_died] = (1_000 + 0.8 * u[4] * np.minimum(ttft, 2e6))[engine_died]
    broken = ending == Ending.TRUNCATED
    limit[broken] = np.minimum(ttft + u[4] * decode, deadline)[broken]
    fair = (ending <= Ending.UNKNOWN) | (ending == Ending.TIMEOUT)
    late = fair & ((whole >= deadline) | (ending == Ending.TIMEOUT))
    ending[late], limit[late] = Ending.TIMEOUT, deadline[late]
    gone = fair & (patience < np.minimum(whole, deadline))
    ending[gone], limit[gone] = Ending.CANCELLED, patience[gone]
    return _shown(requests, ending, replica, cold, (queue, prefill, token_us, whole, limit), u, reasoning_ratio)


def _shown(
    requests: Requests,
    ending: Any,
    replica: Any,
    cold: Flags,
    times: tuple[Floats, ...],
    u: Any,
    reasoning_ratio: Floats,
) -> Attempts:
    queue, prefill, token_us, whole, limit = times
    ttft = (queue + prefill).astype(np.int64)
    is_cut = np.isfinite(limit)
    e2e = np.maximum(np.where(is_cut, limit, whole), 100).astype(np.int64)
    e2e = np.where(is_cut, e2e, np.maximum(e2e, ttft))
    seen = (e2e >= ttft) & (requests.output_tokens > 0)
    decode = np.where(seen, e2e - ttft, 0)
    written = np.minimum(requests.output_tokens, 1 + (decode / np.maximum(token_us, 1)).astype(np.int64))
    written = np.where(is_cut, np.where(seen, written, 0), requests.output_tokens)
    streamed = seen & requests.stream
    admitted = ~np.isin(ending, _OUTRIGHT)
    reasoning = (written * reasoning_ratio).astype(np.int64)
    ttfo = np.minimum(ttft + (reasoning * token_us).astype(np.int64), e2e)
    stall = (token_us * (1.3 + 2 * u[4])).astype(np.int64)
    return Attempts(
        ending=ending,
        replica=replica,
        cold=cold & admitted,
        e2e_us=e2e,
        ttft_us=_known(ttft, streamed),
        ttfo_us=_known(ttfo, streamed & (written > reasoning)),
        queue_us=_known(np.minimum(queue.astype(np.int64), e2e), admitted),
        prefill_us=_known(prefill.astype(np.int64), admitted & (seen | ~is_cut)),
        decode_us=_known(decode, streamed),
        itl_max_us=_known(np.minimum(stall, decode), streamed & (written > 1)),
        output_tokens=written,
        reasoning_tokens=reasoning,
    )


def _known(values: Ints, when: Flags) -> Ints:
    return np.where(when, values, NULL)
