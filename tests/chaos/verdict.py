"""What is missing and what is too much, in every place; and whether the alerts are an undisturbed judge's."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.judgement import JudgeFold, JudgeSpec
from pipeline.records import UnitFacts
from pipeline.settings import Settings
from pipeline.spec import load
from tests.chaos import readers
from tests.chaos.readers import Totals
from tests.recorded import Recorded, block_of

PLACES = ("counts", "slices", "counts_10s", "counts_1m", "counts_1h", "slices_10s", "slices_1m", "slices_1h")
TIER_OF = dict(zip(("10s", "1m", "1h"), readers.TIERS, strict=True))


@dataclass
class Difference:
    """Of one place."""

    missing: int = 0
    extra: int = 0


def difference(expected: Mapping[Any, int], found: Mapping[Any, int]) -> Difference:
    """Sum what is short and what is over, key by key: the one never makes up for the other."""
    over = {key: found.get(key, 0) - expected.get(key, 0) for key in expected.keys() | found.keys()}
    return Difference(-sum(n for n in over.values() if n < 0), sum(n for n in over.values() if n > 0))


@dataclass(frozen=True)
class Truth:
    """What the load says that it has sent."""

    events: int
    counts: Totals
    slices: Totals
    bursts: int
    rate: float  # events a second, by the wall

    @classmethod
    def of(cls, told: dict[str, Any]) -> "Truth":
        counts: Totals = {
            (slo, labels, name): sums[name]
            for slo, instances in told["totals"].items()
            for labels, sums in instances.items()
            for name in readers.TALLIES
        }
        slices: Totals = {(model,): requests for model, requests in told["requests"].items()}
        return cls(told["events"], counts, slices, told["bursts"], told["rate"])


def differences(truth: Truth, sums: readers.Sums, clickhouse: Any) -> dict[str, Difference]:
    """Compare every place with the truth."""
    sums.read()
    found: dict[str, Mapping[Any, int]] = {"counts": sums.counts, "slices": sums.slices}
    for tier, suffix in TIER_OF.items():
        found[f"counts_{tier}"] = readers.stored_counts(clickhouse, suffix)
        found[f"slices_{tier}"] = readers.stored_slices(clickhouse, suffix)
    return {
        place: difference(truth.counts if place.startswith("counts") else truth.slices, found[place])
        for place in PLACES
    }


@dataclass
class Alerts:
    """What was told against what should have been."""

    expected: int = 0
    fired: int = 0
    told: int = 0
    repeated: int = 0
    problems: list[str] = field(default_factory=list)


def judged_alone(settings: Settings, log: Mapping[int, list[Any]]) -> dict[str, dict[str, Any]]:
    """ce_id -> alert, of a judge that reads the whole log in one go and is never disturbed."""
    spec = JudgeSpec(
        load([settings.slo_dir]).checked().watched,
        grace_us=round(settings.grace_s * 1e6),
        source_idle_us=round(settings.source_idle_s * 1e6),
        source_silence_us=round(settings.source_silence_s * 1e6),
    )
    expected = {}
    for partition, messages in log.items():
        block = block_of("slo.counts", partition, [Recorded(m.offset(), m.value()) for m in messages])
        facts = UnitFacts("slo.counts", partition, len(log), 0, block.next_offset, 0)
        for record in JudgeFold(spec).fold([block], facts).records:
            if record.topic == "slo.alerts":
                alert = readers.read_value("burn_rate_alert", record.value or b"")
                expected[(dict(record.headers)["ce_id"] or b"").decode()] = {**alert, "evaluated_at": 0}
    return expected


def alerts_of(told: list[tuple[str, dict[str, Any]]], expected: dict[str, dict[str, Any]], stored: set[str]) -> Alerts:
    """Compare: each expected alert at least once, all copies of an id equal, none that nobody expects."""
    distinct = dict(told)
    result = Alerts(
        len(expected), sum(alert["event"] == "FIRED" for alert in expected.values()), len(distinct),
        len(told) - len(distinct),
    )  # fmt: skip
    if absent := expected.keys() - distinct.keys():
        result.problems.append(f"{len(absent)} alerts never came, such as {min(absent)}")
    if unknown := distinct.keys() - expected.keys():
        result.problems.append(f"{len(unknown)} alerts that nobody expects, such as {min(unknown)}")
    changed = {name for name, alert in told if name in expected and alert != expected[name]}
    if changed:
        result.problems.append(f"{len(changed)} alerts say something else, such as {min(changed)}")
    if stored != distinct.keys():
        result.problems.append(f"ClickHouse has {len(stored)} of {len(distinct)} alerts")
    return result
