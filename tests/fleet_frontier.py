"""Configurations of the simulated fleet: one model under other numbers of replicas, its two variants.

The fleet knows its own truth: what it served of a stretch, and how many replicas of each variant were paid for. A
stretch is of one burst of load, and stands for an hour.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from jobs.fleet import Fleet, FleetSpec
from jobs.fleet.catalogue import MODELS
from jobs.fleet.load import BURST_US, Layout
from pipeline.controls.cost import HOUR_US
from pipeline.controls.frontier import LEVELS, Config, History, Hour
from pipeline.controls.price_files import load
from pipeline.sli import OUTCOMES

SERVICE, MODEL = "assist", "qwen2.5-32b"
UTILISATIONS = (0.3, 0.45, 0.6, 0.8)
STRETCH_US = 10_000_000
ZERO_US = 1_764_000_000_000_000 // BURST_US * BURST_US
SERVED = OUTCOMES.index("SUCCESS")


def histories(
    stretches: int, seed: int, rate: float = 900.0, utilisations: Sequence[float] = UTILISATIONS
) -> list[History]:
    """What each configuration did in so many stretches."""
    return [each for share in utilisations for each in _of(share, stretches, seed, rate)]


def _of(utilisation: float, stretches: int, seed: int, rate: float) -> Iterator[History]:
    spec = FleetSpec(rate=rate, models=(MODEL,), utilisation=utilisation, day_amplitude=0.0)
    fleet, layout = Fleet(spec, seed), Layout(spec, seed)
    starts = [ZERO_US + (seed * 100_000 + number) * BURST_US for number in range(stretches)]
    cells = [fleet.events(start, start + STRETCH_US) for start in starts]
    (model,) = (each for each in MODELS if each.name == MODEL)
    for parity, variant in enumerate(model.variants):
        replicas = sum((p.replicas + 1 - parity) // 2 for p in layout.pools if p.workload.service == SERVICE)
        price = load(None).hour(variant.accelerator, 0)
        assert price is not None
        paid = replicas * variant.gpu_count * price * STRETCH_US // HOUR_US
        gpu_us = replicas * variant.gpu_count * STRETCH_US
        hours, latencies = [], []
        for number, events in enumerate(cells):
            names, codes = events["variant"].words, events["variant"].codes
            services = events["service"]
            mine = (codes == names.index(variant.name)) & (services.codes == services.words.index(SERVICE))
            mine &= events["endpoint_id"].codes >= 0
            e2e = events["e2e_us"][mine & (events["outcome"] == SERVED)]
            latencies.append(e2e)
            tokens = int(events["output_tokens"][mine].sum())
            p99 = float(np.quantile(e2e, 0.99))
            cost = int(events["cost_picousd"][mine].sum())
            hours.append(Hour(3_600 * number, int(mine.sum()), None, tokens, cost, gpu_us, paid, p99))
        quantiles = tuple(np.quantile(np.concatenate(latencies), LEVELS).tolist())
        yield History(
            Config(SERVICE, MODEL, "standard", variant.name, f"busy-{utilisation:g}"), tuple(hours), quantiles
        )
