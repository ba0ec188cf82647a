"""Load and queueing: how busy each pool of replicas is at a time, and what that does to waiting and tokens.

Pure. A pool is one workload in one region. Little's law closes the loop of load and speed: n requests run on
a replica when x arrive a second and each takes S(n) = base + growth x n, so n = x base / (1 - x growth).
Waiting is Sakasegawa's approximation of an M/M/c queue: W = S rho^(sqrt(2(c+1)) - 1) / (c (1 - rho)).
Source: Sakasegawa, "An approximation formula L_q = alpha rho^beta / (1 - rho)", 1977.
"""

import math
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from jobs.fleet.catalogue import MODELS, REGIONS, TENANTS, WORKLOADS, Model, Region, Workload
from jobs.fleet.incidents import Incident

DAY_US = 86_400_000_000
BURST_US = 30_000_000  #: load is steady for so long, then drawn anew
BURST_SIGMA = 0.08
WAIT_US_MAX = 4_000_000.0  #: the gateway sheds rather than let anyone wait longer
STEADY_COLD_RATIO = 0.00005  #: replicas come and go all day

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class FleetSpec:
    """A fleet. `rate` is events a second, averaged over a day; incidents count from `zero_us`."""

    rate: float = 1000.0
    models: tuple[str, ...] = tuple(model.name for model in MODELS)
    tenants: int = len(TENANTS)
    incidents: tuple[Incident, ...] = ()
    zero_us: int = 0
    utilisation: float = 0.5  # replicas are bought so that the daily peak keeps them so busy
    day_amplitude: float = 0.35  # of the load, around its mean
    error_ratio: float = 0.00015
    retry_ratio: float = 0.3  # share of failures that the client tries again

    def __post_init__(self) -> None:
        known = {model.name for model in MODELS}
        unknown = [name for name in self.models if name not in known]
        if unknown or not self.models:
            raise ValueError(f"models: {', '.join(unknown) or 'none'}; the catalogue has {', '.join(sorted(known))}")
        if not self.rate > 0 or self.tenants < 1:
            raise ValueError("rate and tenants must be positive")


@dataclass(frozen=True)
class Pool:
    """One workload in one region, with the replicas bought for it."""

    workload: Workload
    model: Model
    region: Region
    share: float
    replicas: int


@dataclass(frozen=True)
class Conditions:
    """State of every pool in every slot. Shapes: all (pool, slot)."""

    arrivals: Floats  # a second
    running: Floats  # a replica
    waiting: Floats
    kv_ratio: Floats
    token_factor: Floats  # times the time of a token alone
    wait_us: Floats
    shed_ratio: Floats
    cold_ratio: Floats
    fail_ratio: Floats  # incidents' errors and outages, for the rate of retries


@dataclass(frozen=True)
class Layout:
    """The spec, spelt out: pools and what stays the same all day."""

    spec: FleetSpec
    seed: int
    tenant_names: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        extra = (f"tenant-{n:03d}" for n in range(len(TENANTS), self.spec.tenants))
        object.__setattr__(self, "tenant_names", (*TENANTS[: self.spec.tenants], *extra))

    @cached_property
    def pools(self) -> tuple[Pool, ...]:
        models = {model.name: model for model in MODELS if model.name in self.spec.models}
        used = [workload for workload in WORKLOADS if workload.model in models]
        total = sum(workload.share for workload in used)
        return tuple(
            self._pool(workload, models[workload.model], region, workload.share / total * region.share)
            for workload in used
            for region in REGIONS
        )

    def _pool(self, workload: Workload, model: Model, region: Region, share: float) -> Pool:
        peak = self.spec.rate * share * (1 + self.spec.day_amplitude)
        full_s = (_base_us(workload, model) + _growth_us(workload, model) * model.batch_max) / 1e6
        replicas = math.ceil(peak * full_s / (model.batch_max * self.spec.utilisation))
        return Pool(workload, model, region, share, max(replicas, 2))

    @cached_property
    def _constants(self) -> dict[str, Floats]:
        """Per pool, as columns against slots."""
        rows = {
            "share": [p.share for p in self.pools],
            "phase": [p.region.peak_h / 24 for p in self.pools],
            "replicas": [p.replicas for p in self.pools],
            "batch": [p.model.batch_max for p in self.pools],
            "base": [_base_us(p.workload, p.model) for p in self.pools],
            "growth": [_growth_us(p.workload, p.model) for p in self.pools],
            "cost": [p.model.batching_cost for p in self.pools],
            "priority": [p.workload.priority for p in self.pools],
        }
        return {name: np.array(values, np.float64)[:, None] for name, values in rows.items()}

    def conditions(self, times_us: NDArray[np.int64]) -> Conditions:
        """Return the state of every pool at these times."""
        c = self._constants
        traffic, lost, failing, cold = self._incidents_at(times_us)
        day = 1 + self.spec.day_amplitude * np.cos(2 * np.pi * (times_us[None, :] / DAY_US - c["phase"]))
        arrivals = self.spec.rate * c["share"] * day * self._bursts(times_us) * traffic
        replicas = np.maximum(c["replicas"] * (1 - lost), 0.2)
        x = arrivals / replicas / 1e6
        full_us = c["base"] + c["growth"] * c["batch"]
        busy = x * full_us / c["batch"]  # offered over capacity
        slack = 1 - x * c["growth"]
        running = np.where(busy < 1, np.minimum(x * c["base"] / np.maximum(slack, 1e-9), c["batch"]), c["batch"])
        capped = np.minimum(busy, 0.995)
        servers = c["batch"] * replicas
        wait_us = full_us * capped ** (np.sqrt(2 * (servers + 1)) - 1) / (servers * (1 - capped))
        wait_us = np.minimum(np.where(busy < 1, wait_us, WAIT_US_MAX), WAIT_US_MAX)
        shed = np.clip((1 - 1 / np.maximum(busy, 1)) * (1 - 0.5 * c["priority"]), 0, 1)
        return Conditions(
            arrivals=arrivals,
            running=running,
            waiting=x * wait_us,
            kv_ratio=np.minimum(0.05 + 0.9 * busy, 0.99),
            token_factor=1 + c["cost"] * running / c["batch"],
            wait_us=wait_us,
            shed_ratio=shed,
            cold_ratio=cold,
            fail_ratio=failing,
        )

    def _bursts(self, times_us: NDArray[np.int64]) -> Floats:
        blocks = times_us // BURST_US
        known, where = np.unique(blocks, return_inverse=True)
        factors = np.stack([_burst(self.seed, int(block), len(self.pools)) for block in known], axis=1)
        return factors[:, where]

    def _incidents_at(self, times_us: NDArray[np.int64]) -> tuple[Floats, Floats, Floats, Floats]:
        """Return traffic factor, share of replicas lost, share failing, share served cold."""
        shape = (len(self.pools), len(times_us))
        traffic, lost, failing = np.ones(shape), np.zeros(shape), np.zeros(shape)
        cold = np.full(shape, STEADY_COLD_RATIO)
        for incident in self.spec.incidents:
            hit = np.array([matches(incident, p) for p in self.pools])[:, None]
            level = severity(incident, times_us - self.spec.zero_us)[None, :] * hit
            if incident.kind == "traffic":
                traffic *= np.where(level > 0, incident.amount, 1.0)
            elif incident.kind == "capacity":
                lost = np.maximum(lost, level)
            elif incident.kind in {"errors", "outage"}:
                failing = 1 - (1 - failing) * (1 - level)
                if incident.kind == "outage":
                    cold = np.maximum(cold, np.where(level < incident.amount, 0.5 * level, 0.0))
        return traffic, lost, failing, cold


def severity(incident: Incident, since_zero_us: NDArray[np.int64]) -> Floats:
    """Return the incident's amount at these times: all of it while it lasts, then falling for `recovers`."""
    during = (since_zero_us >= incident.start_us) & (since_zero_us < incident.end_us)
    level = np.where(during, incident.amount, 0.0)
    if incident.recovers_us:
        left = 1 - (since_zero_us - incident.end_us) / incident.recovers_us
        level = np.where((since_zero_us >= incident.end_us) & (left > 0), incident.amount * left, level)
    return level


def matches(incident: Incident, pool: Pool) -> bool:
    """Tell whether an incident can concern a pool; tenants and variants are looked at request by request."""
    own = {
        "service": pool.workload.service, "operation": pool.workload.operation,
        "request_model": pool.model.name, "region": pool.region.name,
    }  # fmt: skip
    return all(own[name] in accepted for name, accepted in incident.where if name in own)


def _base_us(workload: Workload, model: Model) -> float:
    """Return how long a typical request takes alone."""
    read = workload.input_median * math.exp(workload.input_sigma**2 / 2) * (1 - workload.cached_ratio)
    written = workload.output_median * math.exp(workload.output_sigma**2 / 2)
    return 15_000 + read * model.prefill_us_per_token + written * model.tpot_us


def _growth_us(workload: Workload, model: Model) -> float:
    """Return how much longer it takes for each other request in the batch."""
    return _base_us(workload, model) * model.batching_cost / model.batch_max


@lru_cache(maxsize=256)
def _burst(seed: int, block: int, pools: int) -> Floats:
    rng = np.random.Generator(np.random.SFC64(np.random.SeedSequence([seed, 3, block])))
    surge = np.where(rng.random(pools) < 0.02, 1.4, 1.0)
    return np.exp(BURST_SIGMA * rng.standard_normal(pools) - BURST_SIGMA**2 / 2) * surge
