"""What must have come of a schedule: every sum exact in every place, every refusal once, every alert under one id."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from faust.types import TP

from pipeline import blocks
from pipeline.judgement import JudgeFold
from pipeline.records import UnitFacts
from tests.ingest_reading import add_slices
from tests.naive import counts as naive
from tests.naive import store as naive_store
from tests.recorded import Recorded
from tests.simulation.pipeline_steps import PARTITIONS, judge_spec
from tests.simulation.pipeline_world import EVENTS, World

TIERS_S = {"10s": 10, "1m": 60, "1h": 3_600}
TALLIES = ("good", "bad", "excluded")


def problems(world: World) -> list[str]:
    """Say what is wrong, in words; nothing is."""
    found: list[str] = []
    written = written_totals(world)
    _compare(found, "slo.counts", _counts(world.truth), _counts(written))
    _compare(found, "slo.slices", _slices(world.truth), _slices(written))
    _compare(found, "sketches", _plain(world.truth.bins), _plain(written.bins))
    for tier, span_s in TIERS_S.items():
        _compare(found, f"counts_{tier}", _coarser(_counts(world.truth), span_s), stored_counts(world, tier))
        _compare(found, f"slices_{tier}", _coarser(_slices(world.truth), span_s), stored_slices(world, tier))
    _compare(found, "dead letters", world.refused, dead_letters(world))
    _alerts(found, world)
    return found


def _compare(found: list[str], what: str, expected: Mapping[Any, Any], seen: Mapping[Any, Any]) -> None:
    for key in expected.keys() | seen.keys():
        if expected.get(key) != seen.get(key):
            found.append(f"{what} {key}: {expected.get(key)} expected, {seen.get(key)} found")


def _plain(table: Mapping[Any, Counter[Any]]) -> dict[Any, Counter[Any]]:
    return {key: +counter for key, counter in table.items() if +counter}


def _counts(totals: naive.Totals) -> dict[Any, Counter[str]]:
    return _plain(totals.counts)


def _slices(totals: naive.Totals) -> dict[Any, Counter[str]]:
    return _plain(totals.slices)


def _coarser(table: Mapping[Any, Counter[str]], span_s: int) -> dict[Any, Counter[str]]:
    """Sums by longer slices; the start in seconds is the key's last part."""
    sums: dict[Any, Counter[str]] = defaultdict(Counter)
    for (*names, start_s), counter in table.items():
        sums[*names, start_s // span_s * span_s] += counter
    return dict(sums)


def committed(world: World, topic: str) -> Iterable[tuple[TP, Recorded]]:
    return ((tp, record) for tp in world.broker.of(topic) for record in world.broker.logs[tp].committed())


def written_totals(world: World) -> naive.Totals:
    """Sums of the derived topics."""
    totals = naive.Totals()
    for _, record in committed(world, "slo.counts"):
        block = blocks.decode("slo_counts", record.value or b"")
        names = list(zip(block["slos"], block["instances"], strict=True))
        for i, index in enumerate(block["instance_index"].tolist()):
            key = *names[index], int(block["slice_start_s"][i])
            totals.counts[key].update({name: int(block[name][i]) for name in TALLIES})
    for tp, record in committed(world, "slo.slices"):
        add_slices(totals, tp.partition, blocks.decode("slo_slice", record.value or b""))
    return totals


def stored_counts(world: World, tier: str) -> dict[Any, Counter[str]]:
    sums: dict[Any, Counter[str]] = defaultdict(Counter)
    for row in world.database.table(f"counts_{tier}"):
        key = row["slo"], row["instance"], row["slice_start"] // 1_000_000
        sums[key].update({name: row[name] for name in TALLIES})
    return _plain(sums)


def stored_slices(world: World, tier: str) -> dict[Any, Counter[str]]:
    sums: dict[Any, Counter[str]] = defaultdict(Counter)
    for row in world.database.table(f"slices_{tier}"):
        labels = tuple(row[name] for name in naive.BASE)
        sums[labels, row["slice_start"] // 1_000_000].update({name: row[name] for name in naive_store.SUMS})
    return _plain(sums)


def dead_letters(world: World) -> Counter[tuple[int, int]]:
    """(source partition, offset) of every letter; the same in the table."""
    letters: Counter[tuple[int, int]] = Counter()
    for _, record in committed(world, f"{EVENTS}.dlq"):
        about = dict(record.headers)
        letters[int(about["partition"]), int(about["offset"])] += 1
    rows = {(row["dlq_partition"], row["dlq_offset"]) for row in world.database.table("dead_letter_records")}
    assert len(rows) == sum(letters.values())
    return letters


def _alerts(found: list[str], world: World) -> None:
    """Compare with a judge that read the same log in one go; copies of one id must be equal."""
    told: dict[str, dict[str, Any]] = {}
    for _, record in committed(world, "slo.alerts"):
        name, alert = told_by(record.headers, record.value)
        if told.setdefault(name, alert) != alert:
            found.append(f"alert {name} says two things")
    _compare(found, "alert", expected_alerts(world), told)
    rows = {row["ce_id"].decode() for row in world.database.table("alert_events")}
    if rows != told.keys():
        found.append(f"alert_events has {len(rows)} of {len(told)} alerts")


def told_by(headers: Iterable[tuple[str, bytes | None]], value: bytes | None) -> tuple[str, dict[str, Any]]:
    """Id of an alert, and all it says but when it was said."""
    alert = blocks.decode("burn_rate_alert", value or b"")
    return (dict(headers)["ce_id"] or b"").decode(), {**alert, "evaluated_at": 0}


def expected_alerts(world: World) -> dict[str, dict[str, Any]]:
    expected: dict[str, dict[str, Any]] = {}
    for tp in world.broker.of("slo.counts"):
        log, fold = world.broker.logs[tp], JudgeFold(judge_spec())
        block = log.fetch(tp, 0, len(log.entries))
        if block is not None:
            facts = UnitFacts(tp.topic, tp.partition, PARTITIONS[tp.topic], 0, block.next_offset, 0)
            for record in fold.fold([block], facts).records:
                if record.topic == "slo.alerts":
                    expected.update([told_by(record.headers, record.value)])
    return expected
