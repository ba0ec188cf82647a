"""SLO files change under load, and nobody restarts anything: every event counts once, under one set of SLOs."""

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from jobs.event_sink import KafkaEventSink
from jobs.fleet import FleetSpec, Truth
from jobs.simulation import SimulationSpec, run
from pipeline.embedded.site import Site
from pipeline.spec import load
from tests.acceptance.harness import Pipeline, pipeline_on

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.timeout(300)]

RATE = 1_500.0
SLO = """\
apiVersion: burnline/v1
kind: SLO
metadata: {{name: reload-{name}, labels: {{team: x}}}}
spec:
  service: chat
  indicator: {{metric: e2e, op: lte, threshold: {threshold}}}
  target: {target}
  timeWindow: {{duration: {window}, isRolling: true}}
  alerting: {{pairs: [{{severity: critical, factor: 2, long: 1m, short: 10s}}]}}
"""
STEADY, EDITED, MOVED, COMING = (f"reload-{name}" for name in ("steady", "edited", "moved", "coming"))

Sums = tuple[int, int, int]  # good, bad, excluded


def write(home: Path, name: str, threshold: str = "15s", target: str = "0.9", window: str = "30d") -> None:
    """Replace a file as editors do: another one takes its name."""
    draft = home / f".{name}"
    draft.write_text(SLO.format(name=name, threshold=threshold, target=target, window=window))
    draft.replace(home / f"{name}.yaml")


@dataclass
class Load:
    """Events at a steady rate until told to stop, and the truth about them."""

    pipeline: Pipeline
    truth: Truth
    stop: threading.Event = field(default_factory=threading.Event)
    failed: int = -1

    def __enter__(self) -> "Load":
        self.thread = threading.Thread(target=self.produce)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join()

    def produce(self) -> None:
        start_us = time.time_ns() // 1000
        spec = SimulationSpec(FleetSpec(rate=RATE, tenants=3, zero_us=start_us), 11, start_us)
        with KafkaEventSink(self.pipeline.settings) as sink:
            self.failed = run(spec, sink, self.truth, stop=self.stop).failed


@dataclass
class Reloading:
    """A worker under load, and the directory it looks at."""

    pipeline: Pipeline
    home: Path
    address: str = ""

    def metric(self, name: str) -> float:
        lines = httpx.get(f"{self.address}/metrics", timeout=60).text.splitlines()
        return next(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))

    def is_ready(self) -> tuple[int, Any]:
        said = httpx.get(f"{self.address}/readyz", timeout=60)
        return said.status_code, said.json().get("notes", [])

    def wait_reloads(self, count: int) -> None:
        self.pipeline.wait_until(lambda: self.metric("burnline_slo_reloads_total") >= count, f"reload {count}")

    def events(self, slo: str) -> list[dict[str, Any]]:
        events = [alert for _, alert in self.pipeline.decoded("slo.alerts", "burn_rate_alert") if alert["slo"] == slo]
        return [alert for alert in events if alert["kind"] == "BURN_RATE"]


@pytest.fixture
def reloading(site: Site, tmp_path: Path) -> Iterator[Reloading]:
    write(tmp_path, "steady")
    write(tmp_path, "edited")
    write(tmp_path, "moved")
    write(tmp_path, "coming", threshold="1ms")
    with pipeline_on(site, "reload", tmp_path, slo_reload_s=1.0) as running:
        yield Reloading(running, tmp_path)


def units(pipeline: Pipeline) -> dict[int, dict[int, dict[tuple[str, str], Sums]]]:
    """Source partition -> first offset of a unit -> (SLO, revision) -> sums, out of slo.counts."""
    found: Any = defaultdict(lambda: defaultdict(lambda: defaultdict(Counter)))
    for block in pipeline.columns("slo.counts", "slo_counts"):
        unit = found[block["source_partition"]][block["first_offset"]]
        for i, which in enumerate(block["instance_index"].tolist()):
            sums = unit[block["slos"][which], block["revisions"][which]]
            sums.update({name: int(block[name][i]) for name in ("good", "bad", "excluded")})
    return {
        partition: {
            first: {key: (sums["good"], sums["bad"], sums["excluded"]) for key, sums in unit.items()}
            for first, unit in sorted(mine.items())
        }
        for partition, mine in found.items()
    }


def totals(found: dict[int, dict[int, dict[tuple[str, str], Sums]]]) -> dict[tuple[str, str], Sums]:
    added: dict[tuple[str, str], Sums] = {}
    for mine in found.values():
        for unit in mine.values():
            for key, sums in unit.items():
                good, bad, excluded = added.get(key, (0, 0, 0))
                added[key] = good + sums[0], bad + sums[1], excluded + sums[2]
    return added


def stored(pipeline: Pipeline) -> dict[tuple[str, str], Sums]:
    rows = pipeline.ask(
        "SELECT slo, revision, sum(good), sum(bad), sum(excluded) FROM slo_counts "
        "WHERE slo LIKE 'reload-%' GROUP BY slo, revision"
    )
    return {(slo, revision): (int(good), int(bad), int(excluded)) for slo, revision, good, bad, excluded in rows}


def judged(pipeline: Pipeline) -> dict[str, tuple[str, int, int]]:
    rows = pipeline.ask("SELECT slo, revision, good, bad FROM compliance WHERE slo LIKE 'reload-%'")
    return {slo: (revision, int(good), int(bad)) for slo, revision, good, bad in rows}


def test_files_change_under_load_and_every_event_counts_once_under_one_set(reloading: Reloading) -> None:
    pipeline, home = reloading.pipeline, reloading.home
    before = load([home]).checked().by_name
    worker = pipeline.begin_worker()
    truth = Truth([before[STEADY].objective], latencies=False)
    with Load(pipeline, truth) as producing:
        reloading.address = worker.ready()["http"]
        pipeline.wait_until(lambda: bool(reloading.events(COMING)), "an alert of the SLO that goes")

        write(home, "edited", target="0.95", window="7d")
        write(home, "moved", threshold="1ms")
        (home / "coming.yaml").unlink()
        reloading.wait_reloads(1)
        pipeline.wait_until(lambda: COMING not in judged(pipeline), "no judgement of the SLO that went")

        write(home, "edited", target="95")
        pipeline.wait_until(lambda: reloading.metric("burnline_slo_reload_failed") == 1, "a refusal")
        code, notes = reloading.is_ready()
        assert code == 200 and "spec.target  95  must be a ratio" in notes[0]

        write(home, "edited", target="0.95", window="7d")
        write(home, "coming", threshold="1ms")
        reloading.wait_reloads(2)
        assert reloading.is_ready() == (200, [])
        pipeline.wait_until(lambda: COMING in judged(pipeline), "a judgement of the SLO that came back")
    assert producing.failed == 0 and worker.process.poll() is None
    after = load([home]).checked().by_name
    check(pipeline, truth, {name: (before[name].objective, after[name].objective) for name in before})
    fired, resolved = (reloading.events(COMING)[i] for i in (0, 1))
    assert (fired["event"], resolved["event"]) == ("FIRED", "RESOLVED")
    assert resolved["reason"] == "critical is over: the SLO was removed"
    assert reloading.metric("burnline_units_failed_total") == 0


def check(pipeline: Pipeline, truth: Truth, slos: dict[str, Any]) -> None:
    """Compare counts and judgements with the truth, once all of it has come through."""
    sums = tuple(truth.totals()[STEADY][""].values())
    steady, edited, moved, coming = (slos[name] for name in (STEADY, EDITED, MOVED, COMING))
    assert edited[0].indicator_revision == edited[1].indicator_revision == steady[0].indicator_revision
    assert moved[0].indicator_revision != moved[1].indicator_revision
    is_all = (STEADY, steady[0].indicator_revision), sums
    pipeline.wait_until(lambda: is_all in stored(pipeline).items(), "all events counted and stored")
    found = units(pipeline)  # read once: it is every unit there was
    assert is_all in totals(found).items()
    for partition, mine in found.items():
        busy = [unit for unit in mine.values() if sum(unit.get((STEADY, steady[0].indicator_revision), ())) > 0]
        for unit in busy:
            check_unit(unit, steady[0].indicator_revision, [each.indicator_revision for each in moved])
        turns = "".join("+" if (COMING, coming[0].indicator_revision) in unit else "-" for unit in busy)
        assert turns.strip("+").strip("-") == "" and turns[0] == turns[-1] == "+" and "-" in turns, (partition, turns)
    counted = totals(found)
    pipeline.becomes(lambda: stored(pipeline), counted)
    last = last_stretch(found, COMING)
    assert 0 < sum(last) < sum(counted[COMING, coming[0].indicator_revision])
    expected = {
        STEADY: (steady[1].revision, *sums[:2]), EDITED: (edited[1].revision, *sums[:2]),
        MOVED: (moved[1].revision, *counted[MOVED, moved[1].indicator_revision][:2]),
        COMING: (coming[1].revision, *last[:2]),
    }  # fmt: skip
    pipeline.becomes(lambda: judged(pipeline), expected)


def check_unit(unit: dict[tuple[str, str], Sums], same: str, moved: list[str]) -> None:
    """Every SLO of a unit has all of its events, under one revision."""
    sums = unit[STEADY, same]
    assert unit[EDITED, same] == sums
    [revision] = [revision for slo, revision in unit if slo == MOVED]
    if revision == moved[0]:
        assert unit[MOVED, revision] == sums
    else:
        assert (unit[MOVED, revision][0], sum(unit[MOVED, revision])) == (0, sum(sums))
    assert all(sum(unit[key]) == sum(sums) for key in unit if key[0] == COMING)


def last_stretch(found: dict[int, dict[int, dict[tuple[str, str], Sums]]], slo: str) -> Sums:
    """Sums of an SLO's units behind the last of each partition that does not count it, though it has events."""
    total = (0, 0, 0)
    for mine in found.values():
        tail: list[Sums] = []
        for unit in mine.values():
            sums = [counted for (name, _), counted in unit.items() if name == slo]
            tail = [*tail, *sums] if sums or not unit else []
        for counted in tail:
            total = total[0] + counted[0], total[1] + counted[1], total[2] + counted[2]
    return total
