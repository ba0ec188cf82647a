"""Seeded lives of the whole pure core, from events to tables, against sums that were made one event at a time.

    events ─► ingest folds ─► slo.counts, slo.slices, dead letters ─► judge folds, snapshots ─► alerts
                                        └───────────────────────────► store's cut, tokens ─► tables

Law: whatever dies, sleeps, comes late or comes again, each event is counted once in every place, each useless record is
one dead letter, and the alerts are those of an undisturbed judge of the same log, each under one id.
"""

import os
from collections import Counter
from functools import cache
from typing import Any

import pytest

from tests.compiled import KERNELS
from tests.simulation.pipeline_oracle import problems
from tests.simulation.pipeline_steps import Member
from tests.simulation.pipeline_world import EVENTS, World

SEEDS = range(200)
GROUPS = 8  #: tests; each lives through every eighth seed


def lived(seed: int) -> World:
    world = World(seed, KERNELS)
    world.run()
    return world


@cache
def outcome(seed: int) -> tuple[list[str], Counter[str]]:
    """What is wrong at the end of a schedule, and how often what happened in it."""
    world = lived(seed)
    found, done = problems(world), world.done.copy()
    done["events"] = sum(len(world.broker.logs[tp].entries) for tp in world.broker.of(EVENTS))
    done["refused"], done["clamped"] = sum(world.refused.values()), world.truth.clamped
    done["alerts"] = len({row["ce_id"] for row in world.database.table("alert_events")})
    return found, done


def replay(seed: int) -> str:
    return f"python -m tests.simulation --schedules 1 --seed {seed}"


@pytest.mark.parametrize("group", range(GROUPS))
def test_every_schedule_counts_each_event_once_everywhere(group: int) -> None:
    seeds = [int(os.environ["SEED"])] if "SEED" in os.environ else SEEDS[group::GROUPS]
    for seed in seeds:
        found, _ = outcome(seed)
        assert not found, f"{replay(seed)}\n" + "\n".join(found[:5])


def test_schedules_are_not_idle() -> None:
    """Enough of each accident happens, and there is something to count and to tell."""
    done = sum((outcome(seed)[1] for seed in SEEDS[:25]), Counter[str]())
    least = {
        "events": 2_000, "refused": 30, "clamped": 100, "alerts": 50, "fenced": 5, "kill": 40, "rebalance": 80,
        "sleep": 40, "stale_block": 40, "step_clock": 20, "before the commit": 1, "behind the commit": 1,
    }  # fmt: skip
    assert {name: done[name] for name, count in least.items() if done[name] < count} == {}


def test_the_same_seed_lives_the_same_life() -> None:
    one, other = lived(7), lived(7)
    assert one.done == other.done
    assert one.database.inserted == other.database.inserted


def _unfenced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever lost a partition writes on."""
    monkeypatch.setattr("tests.simulation.pipeline_broker.Broker._check", lambda *_: None)


def _offset_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """The offset goes ahead of the transaction's records."""

    def send_offset(self: Any, transactional_id: str, epoch: int, group: str, tp: Any, offset: int) -> None:
        self._check(transactional_id, epoch)
        self.offsets[group, tp] = offset

    monkeypatch.setattr("tests.simulation.pipeline_broker.Broker.send_offset", send_offset)


def _dirty_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Readers see what was never committed."""
    log = "tests.simulation.pipeline_broker.Log"
    monkeypatch.setattr(f"{log}.stable_end", property(lambda self: len(self.entries)))


def _no_expectation(monkeypatch: pytest.MonkeyPatch) -> None:
    """A block counts wherever it begins."""

    def accept(self: Any, block: Any, now_s: float) -> Any:
        self.blocks.append(block)
        self.expected = block.next_offset
        return block

    monkeypatch.setattr("pipeline.transport.owned.Owned.accept", accept)


def _tokens_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every insert counts."""

    def insert(self: Any, rows: Any, token: str) -> None:
        self.inserted[f"{token} {len(self.inserted)}"] = rows

    monkeypatch.setattr("tests.simulation.pipeline_broker.Database.insert", insert)


@pytest.mark.parametrize("breaks", [_unfenced, _offset_apart, _dirty_reads, _no_expectation, _tokens_forgotten])
def test_a_broken_law_is_found(breaks: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    breaks(monkeypatch)
    assert any(_fails(seed) for seed in SEEDS[:40])


def _fails(seed: int) -> bool:
    try:
        return bool(problems(lived(seed)))
    except Exception:  # a broken law may stop a schedule half way
        return True


def test_a_worker_that_forgets_its_state_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = Member._taken

    def without_state(self: Member, tp: Any) -> Any:
        work = taken(self, tp)
        if self.step == "judge":
            work.owned.fold = self._fold(tp)
        return work

    monkeypatch.setattr(Member, "_taken", without_state)
    assert any(_fails(seed) for seed in SEEDS[:40])
