"""Compliance with and without corrections, in SQL of a real ClickHouse, against adding up event by event.

Corrections are of the whole server, so each test's are about its own SLOs.
"""

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.blocks import encode
from pipeline.embedded import EmbeddedClickHouse
from pipeline.sinks.clickhouse import ClickHouse
from pipeline.sinks.corrections import latest, record
from pipeline.spec import parse, presets
from pipeline.spec.correction_versions import withdrawn
from tests.naive import corrections as naive
from tests.recorded import Recorded
from tests.sinks.correcting import END_S, HOUR_S, NOW, Site, document
from tests.sinks.storing import settings_of

pytestmark = pytest.mark.servers
REGIONS = ("eu", "us")


@pytest.fixture(scope="module")
def site(clickhouse: EmbeddedClickHouse) -> Iterator[Site]:
    sink = ClickHouse(settings_of(clickhouse))
    yield Site(clickhouse, sink)
    sink.close()


def expected(
    counts: Sequence[tuple[int, int, int, int]], cuts: Sequence[naive.Cut], names: dict[str, str], window_s: int
) -> dict[str, Any]:
    since, until = naive.window(window_s, END_S)
    minutes = naive.left_out(cuts, names, since, until)
    whole, kept = naive.sums(counts, since, until), naive.sums(counts, since, until, minutes)
    return {
        "window_start": datetime.fromtimestamp(since, UTC), "window_end": datetime.fromtimestamp(until, UTC),
        "good": kept.good, "bad": kept.bad, "excluded": kept.excluded,
        "compliance_ratio": kept.good / (kept.good + kept.bad) if kept.good + kept.bad else None,
        "uncorrected_good": whole.good, "uncorrected_bad": whole.bad, "uncorrected_excluded": whole.excluded,
        "corrected_minutes": len(minutes), "corrections": sorted(set().union(*minutes.values())),
    }  # fmt: skip


@st.composite
def histories(draw: st.DrawFn) -> tuple[int, dict[str, list[tuple[int, int, int, int]]], list[naive.Cut]]:
    """A window, counts of two instances around it, and corrections that overlap, abut, miss, or are about others."""
    window_s = draw(st.sampled_from([30, 45, 90, 150, 7_500, 86_400, 4 * 86_400])) * draw(st.sampled_from([1, 60]))
    window_s = min(max(window_s, 600), 30 * 86_400)
    random = Random(draw(st.integers(0, 2**32)))
    reach = window_s + 2 * HOUR_S
    counts = {
        region: [
            (END_S + HOUR_S - random.randrange(reach), random.randrange(9), random.randrange(4), random.randrange(3))
            for _ in range(draw(st.integers(0, 120)))
        ]
        for region in REGIONS
    }
    cuts, end = [], 0
    for number in range(draw(st.integers(0, 5))):
        start = (END_S - draw(st.integers(-30, reach // 60 + 30)) * 60) // 60 * 60
        start = draw(st.sampled_from([start, end or start, (end or start) - 600]))  # anywhere, abutting, overlapping
        end = start + draw(st.integers(1, 200)) * 60
        regions = draw(st.sampled_from([("eu",), ("us",), ("eu", "us"), ("elsewhere",), ()]))
        cuts.append(naive.Cut(str(number), ((start, end),), {"region": regions} if regions else {}))
        for rows in counts.values():
            rows += [(edge, 3, 2, 1) for edge in (start - 1, start, end - 1, end)]
    return window_s, counts, cuts


@settings(max_examples=8)
@given(history=histories())
def test_compliance_with_and_without_is_what_adding_up_gives(
    site: Site, history: tuple[int, dict[str, list[tuple[int, int, int, int]]], list[naive.Cut]]
) -> None:
    window_s, counts, drawn = history
    slo = site.name()
    cuts = [naive.Cut(f"{slo}.{cut.name}", cut.ranges, {**cut.where, "slo": (slo,)}) for cut in drawn]
    for region, rows in counts.items():
        if rows:
            site.counts(slo, region, rows)
        site.status(slo, region, window_s)
    site.correct(cuts)
    found = site.ask("SELECT * FROM compliance_corrected WHERE slo = %(slo)s", slo=slo)
    assert {row["labels"]["region"] for row in found} == set(REGIONS)
    for row in found:
        names = {"slo": slo, "service": "chat", "region": row["labels"]["region"]}
        wanted = expected(counts[names["region"]], cuts, names, window_s)
        assert {name: row[name] for name in wanted} == wanted
    budgets = site.ask("SELECT * FROM error_budget_corrected WHERE slo = %(slo)s ORDER BY instance", slo=slo)
    for row, budget in zip(sorted(found, key=lambda each: each["instance"]), budgets, strict=True):
        check_budget(row, budget)


def check_budget(row: dict[str, Any], budget: dict[str, Any]) -> None:
    """Budgets follow from counts, exactly: (1 - target) x eligible."""
    for prefix in ("", "uncorrected_"):
        bad, eligible = row[f"{prefix}bad"], row[f"{prefix}eligible"]
        left = None if eligible == 0 else (eligible - 100 * bad) / eligible
        assert budget[f"{prefix}budget_remaining_ratio"] == left
        assert budget[f"{prefix}budget_events"] == eligible / 100
    minutes = (row["window_end"] - row["window_start"]) // timedelta(minutes=1) - row["corrected_minutes"]
    assert budget["budget_minutes"] == minutes / 100


def cut_of(slo: str, *hours_ago: int, name: str = "", **where: tuple[str, ...]) -> naive.Cut:
    """A correction of whole hours, counted back from the hour in which windows end."""
    first, last = (END_S // HOUR_S * HOUR_S - ago * HOUR_S for ago in hours_ago)
    return naive.Cut(name or slo, ((first, last),), {"slo": (slo,), **where})


def compliance(site: Site, slo: str) -> tuple[int, int, list[str]]:
    (row,) = site.ask("SELECT bad, uncorrected_bad, corrections FROM compliance_corrected WHERE slo = %(slo)s", slo=slo)
    return row["bad"], row["uncorrected_bad"], row["corrections"]


def one_bad_an_hour(site: Site, slo: str, hours: int = 6) -> None:
    site.counts(slo, "eu", [(END_S // HOUR_S * HOUR_S - ago * HOUR_S, 9, 1, 0) for ago in range(hours)])
    site.status(slo, "eu", 86_400)


def test_a_correction_is_applied_changed_and_withdrawn_and_every_version_stays(site: Site) -> None:
    slo = site.name()
    one_bad_an_hour(site, slo)
    assert compliance(site, slo) == (6, 6, [])
    assert site.correct([cut_of(slo, 3, 1)]) == ["applied"]
    assert site.correct([cut_of(slo, 3, 1)]) == ["unchanged"]
    assert compliance(site, slo) == (4, 6, [slo])
    assert site.correct([cut_of(slo, 4, 1)]) == ["changed"]
    assert compliance(site, slo) == (3, 6, [slo])
    with site.server.client() as client:
        step = withdrawn(latest(client)[slo], "ben", "it was us", NOW)
        assert step.row is not None
        record(client, [step.row])
    assert compliance(site, slo) == (6, 6, [])
    assert site.correct([cut_of(slo, 4, 1)]) == ["left withdrawn"]
    rows = site.ask("SELECT * FROM corrections WHERE correction = %(s)s ORDER BY version", s=slo)
    assert [(row["version"], row["state"], row["who"], row["reason"], row["is_in_force"]) for row in rows] == [
        (1, "APPLIED", "anna", "moved", False), (2, "APPLIED", "anna", "moved", False),
        (3, "WITHDRAWN", "ben", "it was us", False),
    ]  # fmt: skip
    assert site.correct([cut_of(slo, 2, 1)]) == ["applied"]
    assert compliance(site, slo) == (5, 6, [slo])


def test_no_count_is_changed_by_a_correction(site: Site) -> None:
    slo = site.name()
    one_bad_an_hour(site, slo)
    sql = "SELECT * FROM slo_counts WHERE slo = %(s)s ORDER BY slice_start"
    before = site.ask(sql, s=slo)
    site.correct([cut_of(slo, 5, 0)])
    assert compliance(site, slo)[0] == 1
    assert site.ask(sql, s=slo) == before


@pytest.mark.parametrize(
    ("where", "is_cut"),
    [
        ("region: eu", True), ("region: us", False), ("region: {not: eu}", False), ("region: {not: us}", True),
        ("region: {prefix: e}", True), ("region: {prefix: x}", False), ("region: {prefix: e, not: eu}", False),
        ("service: chat", True), ("service: [embed, chat]", True), ("service: embed", False),
        ("request_model: {not: x}", False),
    ],
)  # fmt: skip
def test_sql_selects_the_instances_that_the_file_selects(site: Site, where: str, is_cut: bool) -> None:
    slo = site.name()
    one_bad_an_hour(site, slo)
    text = document(cut_of(slo, 3, 1)).replace("}}\n", f", {where}}}}}\n")
    (correction,) = parse({"c.yaml": text.encode()}, presets()).corrections
    assert correction.selects(slo, "chat", {"region": "eu"}) == is_cut
    site.correct_by(text)
    assert compliance(site, slo)[:2] == (4 if is_cut else 6, 6)


def test_maintenance_that_recurs_is_cut_each_time_and_written_out_further_as_time_passes(site: Site) -> None:
    slo = site.name()
    day = END_S // 86_400 * 86_400
    site.counts(slo, "eu", [(day - ago * 86_400 + 2 * HOUR_S, 9, 1, 0) for ago in range(20)])
    site.status(slo, "eu", 30 * 86_400)
    start = datetime.fromtimestamp(day - 9 * 86_400 + 2 * HOUR_S, UTC)
    text = document(naive.Cut(slo, ((int(start.timestamp()), int(start.timestamp()) + 60),), {"slo": (slo,)}))
    text = text.replace("Z'", "'").replace("where:", "timeZone: UTC, rrule: FREQ=DAILY;INTERVAL=2, where:")
    assert site.correct_by(text) == ["applied"]
    bad, whole, names = compliance(site, slo)
    cut = sum(
        1 for ago in range(20) if ago <= 9 and (9 - ago) % 2 == 0 and day - ago * 86_400 + 2 * HOUR_S < END_S // 60 * 60
    )
    assert (whole - bad, names) == (cut, [slo])
    assert site.correct_by(text, NOW + timedelta(days=20)) == ["unchanged"]
    assert site.correct_by(text, NOW + timedelta(days=90)) == ["extended"]
    with site.server.client() as client:
        row = latest(client)[slo]
    assert (row.version, row.known_until) == (1, NOW + timedelta(days=490))
    assert compliance(site, slo) == (bad, whole, names)


def test_counts_are_of_the_indicator_that_is_judged(site: Site) -> None:
    """An edit that changes what is counted begins anew; what was counted before is not mixed in."""
    slo = site.name()
    end = END_S // 60 * 60
    site.counts(slo, "eu", [(end - ago * 600, 5, 5, 0) for ago in range(3, 100)], "former")
    site.counts(slo, "eu", [(end - ago * 600, 9, 1, 0) for ago in range(1, 3)], "present")
    site.status(slo, "eu", 30 * 86_400, counts_revision="present")
    site.correct([naive.Cut(slo, ((end - 900, end),), {"slo": (slo,)})])
    assert compliance(site, slo) == (1, 2, [slo])


def test_an_slo_that_does_not_count_requests_has_no_row(site: Site) -> None:
    """Slices and composites are no sums of stored counts."""
    slo = site.name()
    one_bad_an_hour(site, slo)
    site.status(slo, "eu", 86_400, END_S + 1, counts_revision=None)
    assert site.ask("SELECT * FROM compliance_corrected WHERE slo = %(slo)s", slo=slo) == []


def test_a_calendars_window_begins_where_its_period_does(site: Site) -> None:
    slo, end = site.name(), END_S // 60 * 60
    start = end - 5 * HOUR_S - 1_800 - end % HOUR_S  # half past an hour, as in Kolkata
    site.counts(slo, "eu", [(start - 60, 0, 1, 0), (start, 0, 1, 0), (end - 60, 0, 1, 0), (end, 0, 1, 0)])
    site.status(slo, "eu", 31 * 86_400, window_start=start * 1_000_000)
    assert compliance(site, slo) == (2, 2, [])


def alert(slo: str, event: str, second: int, started: int, long_s: int = HOUR_S) -> Recorded:
    now_us = second * 1_000_000
    columns = {
        "dedup_key": f"{slo}|", "sequence": second, "slo": slo, "revision": "r1", "instance": "region=eu",
        "service": "chat", "labels": {"region": "eu"}, "event": event, "severity": "WARNING", "metric": "e2e",
        "target": 0.99, "burn_rate_factor": 2.0, "long_window_s": long_s, "short_window_s": 300, "long_good": 90,
        "long_bad": 10, "short_good": 9, "short_bad": 1, "long_burn_rate": 10.0, "short_burn_rate": 10.0,
        "started_at": started * 1_000_000, "window_end": now_us, "watermark": now_us, "evaluated_at": now_us,
        "late_ratio": 0.0, "provisional": False, "exemplar_trace_ids": [], "runbook": None, "reason": event,
    }  # fmt: skip
    headers = (("ce_id", f"{slo}|{second}".encode()), ("ce_type", b"t"), ("ce_time", b"2026-01-01T00:00:00Z"))
    return Recorded(second, encode("burn_rate_alert", columns), slo.encode(), headers, now_us // 1000)


def test_alerts_say_which_corrections_they_fall_into_and_none_is_silenced(site: Site) -> None:
    """One alert was judged on corrected time, one was open while it passed, one came long after."""
    slo, base = site.name(), END_S // HOUR_S * HOUR_S - 20 * HOUR_S
    moments = [("FIRED", 2.5), ("RESOLVED", 2.7), ("FIRED", 0.5), ("RESOLVED", 5), ("FIRED", 6), ("RESOLVED", 7)]
    records = []
    for (event, hours), started in zip(moments, (2.5, 2.5, 0.5, 0.5, 6, 6), strict=True):
        second = base + int(hours * HOUR_S)
        records.append(alert(slo, event, second, base + int(started * HOUR_S)))
    site.store("slo.alerts", sorted(records, key=lambda each: each.offset))
    cut = naive.Cut(slo, ((base + HOUR_S, base + 2 * HOUR_S),), {"slo": (slo,), "region": ("eu",)})
    other = naive.Cut(f"{slo}-us", ((base, base + 9 * HOUR_S),), {"slo": (slo,), "region": ("us",)})
    site.correct([cut, other])
    events = site.ask("SELECT * FROM alerts WHERE slo = %(s)s ORDER BY sequence", s=slo)
    assert [(each["event"], each["corrections"]) for each in events] == [
        ("FIRED", [slo]), ("FIRED", [slo]), ("RESOLVED", [slo]), ("RESOLVED", []), ("FIRED", []), ("RESOLVED", []),
    ]  # fmt: skip
    log = site.ask("SELECT * FROM alert_log WHERE slo = %(s)s ORDER BY fired_at", s=slo)
    assert [each["corrections"] for each in log] == [[slo], [slo], []]
    site.correct_by(document(cut).replace("moved", "moved again"))
    with site.server.client() as client:
        step = withdrawn(latest(client)[slo], "ben", "no", NOW)
        record(client, [step.row] if step.row else [])
    log = site.ask("SELECT * FROM alert_log WHERE slo = %(s)s ORDER BY fired_at", s=slo)
    assert [each["corrections"] for each in log] == [[], [], []]


def test_an_alert_that_is_still_open_falls_into_what_comes_now(site: Site) -> None:
    slo, now = site.name(), int(time.time()) // 60 * 60
    site.store("slo.alerts", [alert(slo, "FIRED", now - 9_000, now - 9_000)])
    site.correct([naive.Cut(slo, ((now - 600, now + 600),), {"slo": (slo,)})])
    (row,) = site.ask("SELECT corrections FROM alert_log WHERE slo = %(slo)s", slo=slo)
    assert row["corrections"] == [slo]


HOUR = END_S // HOUR_S * HOUR_S - HOUR_S  #: the last whole hour of windows
DAY_S = 24 * HOUR_S


def made_of(*parts: str, weights: Sequence[int] = (1,), **more: Any) -> dict[str, Any]:
    """Columns of a judgement that is no sum of one SLO's events."""
    names = {"parts": list(parts), "part_revisions": ["r1"] * len(parts), "part_weights": list(weights)}
    return {"counts_revision": None, **names, **more}


def sliced(slice_s: int, target: float | None, **more: Any) -> dict[str, Any]:
    since_us = (END_S - DAY_S) * 1_000_000
    return {"slice_us": slice_s * 1_000_000, "slice_target": target, "counted_since": since_us, **more}


def left(site: Site, slo: str) -> dict[str, Any]:
    (row,) = site.ask("SELECT * FROM compliance_corrected WHERE slo = %(slo)s", slo=slo)
    return row


def minutes_out(slo: str, minutes: int, of: str | None = None) -> naive.Cut:
    return naive.Cut(f"{slo}.out", ((HOUR, HOUR + 60 * minutes),), {"slo": (of or slo,)})


def test_slices_that_are_left_out_take_their_verdicts_with_them(site: Site) -> None:
    slo = site.name()
    bad, good = ([(HOUR + 60 * i, 5, 5, 0) for i in range(10)], [(HOUR + 60 * i, 9, 1, 0) for i in range(10, 14)])
    site.counts(slo, "", [*bad, *good])
    site.status(slo, "", DAY_S, **made_of(slo, **sliced(60, 0.9, good=100, bad=20, excluded=5)))
    site.correct([minutes_out(slo, 13)])
    row = left(site, slo)
    assert (row["counts"], row["good"], row["bad"], row["excluded"]) == ("SLICES", 97, 10, 5)
    assert (row["uncorrected_good"], row["uncorrected_bad"], row["corrected_minutes"]) == (100, 20, 13)
    (budget,) = site.ask("SELECT * FROM error_budget_corrected WHERE slo = %(slo)s", slo=slo)
    check_budget(row, budget)


def test_a_slice_that_is_left_out_in_part_is_judged_by_the_rest(site: Site) -> None:
    """Five minutes, of whose first all failed: bad, and good without it. The next five are not touched."""
    slo = site.name()
    first = HOUR // 300 * 300
    rows = [(first, 0, 10, 0), *((first + 60 * i, 10, 0, 0) for i in range(1, 5)), (first + 300, 1, 9, 0)]
    site.counts(slo, "", rows)
    site.status(slo, "", DAY_S, **made_of(slo, **sliced(300, 0.9, good=100, bad=20)))
    site.correct([naive.Cut(f"{slo}.out", ((first, first + 60),), {"slo": (slo,)})])
    row = left(site, slo)
    assert (row["good"], row["bad"], row["uncorrected_good"], row["uncorrected_bad"]) == (101, 19, 100, 20)


def test_of_slices_by_their_ratio_their_parts_are_left_out(site: Site) -> None:
    slo = site.name()
    site.counts(slo, "", [(HOUR, 1, 2, 0), (HOUR + 60, 9, 1, 0)])
    site.status(slo, "", DAY_S, **made_of(slo, **sliced(60, None, good=100_000_000, bad=1_000_000)))
    site.correct([minutes_out(slo, 1)])
    row = left(site, slo)
    assert (row["good"], row["bad"]) == (100_000_000 - 333_333, 1_000_000 - 666_667)


def test_of_a_mean_a_member_is_left_out_with_the_slo_that_it_is_of(site: Site) -> None:
    slo, member = site.name(), site.name()
    site.counts(f"{slo}>{member}", "", [(HOUR, 50, 50, 1), (HOUR - HOUR_S, 90, 10, 0)])
    site.counts(f"{slo}>other", "", [(HOUR, 8, 2, 0), (HOUR - HOUR_S, 10, 0, 0)])
    site.status(slo, "", DAY_S, **made_of(f"{slo}>{member}", f"{slo}>other", weights=(3, 1)))
    site.correct([minutes_out(slo, 1, of=member)])
    row = left(site, slo)
    assert (row["counts"], row["good"], row["bad"], row["excluded"]) == ("MEAN", 108, 12, 0)
    assert (row["uncorrected_good"], row["uncorrected_bad"], row["uncorrected_excluded"]) == (158, 62, 1)
    assert row["uncorrected_compliance_ratio"] == pytest.approx((3 * 140 / 200 + 18 / 20) / 4)
    assert row["compliance_ratio"] == pytest.approx(0.9)
    (budget,) = site.ask("SELECT * FROM error_budget_corrected WHERE slo = %(slo)s", slo=slo)
    assert budget["budget_remaining_ratio"] == pytest.approx(1 - 0.1 / 0.01)
    site.correct([naive.Cut(f"{slo}.all", ((HOUR, HOUR + 60),), {"slo": (slo,)})])
    assert (left(site, slo)["good"], left(site, slo)["bad"]) == (100, 10)


def test_of_the_worst_of_several_a_slice_is_judged_by_the_members_that_are_left(site: Site) -> None:
    """Three minutes: one member fails in the first and third, the other in the third; the first member is left out."""
    slo, member = site.name(), site.name()
    site.counts(f"{slo}>{member}", "", [(HOUR, 5, 5, 0), (HOUR + 60, 10, 0, 0), (HOUR + 120, 5, 5, 0)])
    site.counts(f"{slo}>other", "", [(HOUR, 10, 0, 0), (HOUR + 60, 10, 0, 0), (HOUR + 120, 0, 10, 0)])
    parts = made_of(f"{slo}>{member}", f"{slo}>other", weights=(1, 1), **sliced(60, 0.9, good=1, bad=2))
    site.status(slo, "", DAY_S, **parts)
    site.correct([minutes_out(slo, 3, of=member)])
    row = left(site, slo)
    assert (row["good"], row["bad"], row["uncorrected_good"], row["uncorrected_bad"]) == (2, 1, 1, 2)


def test_slices_of_less_than_a_minute_are_not_told_of(site: Site) -> None:
    slo = site.name()
    site.status(slo, "", DAY_S, **made_of(slo, **sliced(20, 0.9)))
    assert site.ask("SELECT * FROM compliance_corrected WHERE slo = %(slo)s", slo=slo) == []
