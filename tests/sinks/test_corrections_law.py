"""Law: compliance with corrections, and after an edit, is the same out of stored counts and out of raw events.

Events go through the real ingest, the real judge and the real store into ClickHouse; the oracle adds the events up one
by one. An edit of the target keeps the counts; an edit of the indicator begins anew, and a replay of all events under
it brings its whole past.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

from pipeline.decoding import EventFold, FoldSpec
from pipeline.embedded import EmbeddedClickHouse
from pipeline.framing import SINGLE_OBJECT
from pipeline.ingest import IngestFold, IngestSpec
from pipeline.judgement import JudgeFold, JudgeSpec
from pipeline.records import UnitFacts
from pipeline.sinks.clickhouse import ClickHouse
from pipeline.spec import SloSet
from tests.compiled import KERNELS
from tests.event_samples import START_US, sample
from tests.ingest_reading import block_of, framed
from tests.naive import corrections as naive
from tests.naive import counts as naive_counts
from tests.recorded import Recorded
from tests.recorded import block_of as recorded_block
from tests.sinks.correcting import END_S, Site
from tests.sinks.storing import settings_of
from tests.spec.samples import SHORT, load_text, spoiled

pytestmark = pytest.mark.servers
SPAN_S = 5_400  #: of each part of the story
BEGIN_S = END_S - 4 * SPAN_S
WINDOW_S = 86_400
SPEC = IngestSpec("slo.counts", "slo.slices", "inference.events.dlq", 1, 1)
GROUPED = ("{metric: error_rate}", "{metric: error_rate, groupBy: [request_model], attempts: all}")


@pytest.fixture(scope="module")
def site(clickhouse: EmbeddedClickHouse) -> Iterator[Site]:
    sink = ClickHouse(settings_of(clickhouse))
    yield Site(clickhouse, sink)
    sink.close()


def slos(name: str, *changes: tuple[str, str]) -> SloSet:
    return load_text(spoiled(("short", name), ("duration: 30d", "duration: 1d"), *changes, text=SHORT)).checked()


def events(seed: int, part: int, count: int = 400) -> list[dict[str, Any]]:
    """Events of one part of the story, moved to yesterday."""
    random, found = Random(seed + part), []
    moved_us = (BEGIN_S + part * SPAN_S) * 1_000_000 - START_US
    for _ in range(count):
        event = sample(random, SPAN_S * 1_000_000)
        for name in ("received_at", "completed_at", "emitted_at"):
            event[name] += moved_us
        found.append(event)
    return found


class Story:
    """One SLO through the real pipeline."""

    def __init__(self, site: Site, cache_dir: Path, found: SloSet) -> None:
        self.site, self.cache_dir = site, cache_dir
        self.judge = JudgeFold(JudgeSpec(found.watched))
        self.offset = 0
        self.edit(found)

    def edit(self, found: SloSet) -> None:
        """Put other SLOs in force, as a worker does."""
        self.found, self.judge = found, self.judge.succeeded(JudgeSpec(found.watched))
        fold = EventFold(FoldSpec(), list(found.objectives), SINGLE_OBJECT, self.cache_dir)
        self.ingest = IngestFold(SPEC, fold)

    def run(self, taken: Sequence[dict[str, Any]]) -> None:
        """Fold events, judge them, and store all of it."""
        counts = [record.value for record in self.fold(taken) if record.topic == "slo.counts"]
        records = [Recorded(self.offset + i, value) for i, value in enumerate(counts)]
        self.offset += len(records)
        facts = UnitFacts("slo.counts", 0, 1, records[0].offset, self.offset, END_S * 1_000_000)
        told = self.judge.fold([recorded_block("slo.counts", 0, records)], facts).records
        statuses = [record for record in told if record.topic == "slo.status"]
        self.site.store("slo.status", [Recorded(i, r.value, r.key) for i, r in enumerate(statuses)])
        self.store(counts)

    def fold(self, taken: Sequence[dict[str, Any]]) -> list[Any]:
        append_ms = max(event["completed_at"] for event in taken) // 1000 + 1
        block = block_of(framed(taken), 0, append_ms)
        return self.ingest.fold([block], UnitFacts("inference.events", 0, 1, 0, len(taken), append_ms * 1000)).records

    def replay(self, taken: Sequence[dict[str, Any]]) -> None:
        """Count events again under what is in force, as a replay does; nothing is judged."""
        self.store([record.value for record in self.fold(taken) if record.topic == "slo.counts"])

    def store(self, counts: Sequence[bytes | None]) -> None:
        closing = self.fold([{**sample(Random(0)), "service": "none", "completed_at": END_S * 1_000_000}])[:1]
        values = [*counts, closing[0].value]
        self.site.store("slo.counts", [Recorded(i, value) for i, value in enumerate(values)])


def check(story: Story, cuts: Sequence[naive.Cut], taken: Sequence[dict[str, Any]]) -> int:
    """Compare every row with what its events add up to; return how many events corrections left out."""
    (objective,) = story.found.objectives
    totals = naive_counts.Totals()
    for event in taken:
        naive_counts.add(totals, event, -1, [objective])
    sql = "SELECT * FROM compliance_corrected WHERE slo = %(slo)s"
    rows = story.site.ask(sql, slo=objective.name)
    gone = 0
    assert {row["instance"] for row in rows} == {instance for _, instance, _ in totals.counts}
    for row in rows:
        since, until = int(row["window_start"].timestamp()), int(row["window_end"].timestamp())
        assert (since, until) == naive.window(WINDOW_S, until)
        names = {**row["labels"], "slo": objective.name, "service": "chat"}
        counts = [
            (second, counted["good"], counted["bad"], counted["excluded"])
            for (_, instance, second), counted in totals.counts.items()
            if instance == row["instance"]
        ]
        minutes = naive.left_out(cuts, names, since, until)
        kept, whole = naive.sums(counts, since, until, minutes), naive.sums(counts, since, until)
        assert (row["good"], row["bad"], row["excluded"]) == kept
        assert (row["uncorrected_good"], row["uncorrected_bad"], row["uncorrected_excluded"]) == whole
        assert row["target"] == float(objective.target)
        gone += sum(whole) - sum(kept)
    return gone


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_correction_and_revision_recompute_alike_from_counts_and_from_events(site: Site, seed: int) -> None:
    name, random = site.name(), Random(seed)
    story = Story(site, KERNELS, slos(name, GROUPED))
    first, second, third = (events(100 * seed, part) for part in range(3))
    starts = [(BEGIN_S + random.randrange(SPAN_S, 3 * SPAN_S)) // 60 * 60 for _ in range(3)]
    starts.insert(0, (BEGIN_S + SPAN_S) // 60 * 60 - 1_200)  # some events of two parts are left out for certain
    cuts = [
        naive.Cut(f"{name}.{i}", ((start, start + 60 * random.randrange(40, 90)),), {"slo": (name,), **where})
        for i, (start, where) in enumerate(
            zip(starts, ({}, {"request_model": ("m-a",)}, {}, {"region": ("eu",)}), strict=True)
        )
    ]
    story.run(first)
    site.correct(cuts)
    check(story, cuts, first)
    story.edit(slos(name, GROUPED, ("target: 0.999", "target: 0.9")))  # counts stay
    story.run(second)
    assert check(story, cuts, [*first, *second]) > 0
    indicator = ("{metric: error_rate}", "{metric: e2e, op: lte, threshold: 700ms, groupBy: [request_model]}")
    story.edit(slos(name, indicator))  # counts begin anew
    story.run(third)
    check(story, cuts, third)
    story.replay([*first, *second])
    assert check(story, cuts, [*first, *second, *third]) > 0
