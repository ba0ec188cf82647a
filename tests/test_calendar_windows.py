"""Calendar windows judged: sums since the period began, on the days on which clocks change too; snapshots, lateness."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.alerts import Kind
from pipeline.judgement import PARTITION_KEY, Judgement
from pipeline.kernels import rings as k
from pipeline.periods import UNITS, Calendar
from pipeline.windows import layout, row_bytes
from tests.judging import LONG, QUICK, Driver, blocks_of, brought_back, counts, preset, spec, steady, steps, watched
from tests.naive.windows import period_of, sum_between, window_sum
from tests.test_windows import state_of

wall = datetime.fromisoformat
DAYS = (
    ("Europe/Berlin", "2026-03-29T00:00"), ("Europe/Berlin", "2026-10-25T00:00"), ("Europe/Berlin", "2024-02-29T00:00"),
    ("America/New_York", "2026-03-08T05:00"), ("America/New_York", "2026-11-01T05:00"),
    ("Australia/Lord_Howe", "2026-04-04T13:00"), ("Australia/Lord_Howe", "2026-10-03T13:00"),
    ("Asia/Kolkata", "2026-12-31T18:30"), ("UTC", "2026-01-31T23:00"),
)  # fmt: skip
BEGIN = ("2023-12-31T00:00", "2024-01-31T02:30", "2023-01-01T13:15:07")


def us(text: str) -> int:
    return int(wall(text).replace(tzinfo=UTC).timestamp())


def calendar_slo(calendar: Calendar, **more):
    each = watched(**more)
    return replace(each, objective=replace(each.objective, calendar=calendar, window_us=calendar.longest_us))


@st.composite
def lives(draw):
    """An SLO of a calendar, and blocks around a day on which something is special."""
    zone, day = draw(st.sampled_from(DAYS))
    unit = draw(st.sampled_from(("d", "w", "M")))
    calendar = Calendar(1, unit, wall(draw(st.sampled_from(BEGIN))), zone)
    begin = us(day) - draw(st.integers(0, 30_000))
    return calendar, blocks_of(draw(steps), begin)


def noted(seconds, block):
    """Add a block to a dictionary of seconds."""
    numbers = (block[name].tolist() for name in ("slice_start_s", "good", "bad", "excluded"))
    for second, *three in zip(*numbers, strict=True):
        known = seconds.get(second, (0, 0, 0))
        seconds[second] = tuple(a + b for a, b in zip(known, three, strict=True))


@settings(max_examples=25)
@given(lives())
def test_a_calendars_sums_are_those_of_its_period_so_far(life) -> None:
    calendar, blocks = life
    judge, seconds = Judgement(spec(calendar_slo(calendar, policy=LONG))), {}
    for block in blocks:
        judge.observe(block)
        judge.judge()
        noted(seconds, block)
        reading, at = judge.instances.reading(0, judge.coverage), judge.judged_s
        start, end = period_of(calendar.start, 1, calendar.unit, calendar.zone, at)
        assert (reading.period_s, reading.start_s, reading.whole_s) == ((start, end), start, end - start)
        if reading.first_s < 0:
            continue
        expected = [window_sum(seconds, at, span) for span in reading.spans_s[:-1]]
        expected.append(sum_between(seconds, start, at))
        assert reading.sums == [(good, bad) for good, bad, _ in expected]
        assert reading.excluded == expected[-1][2]


@settings(max_examples=40)
@given(lives(), st.integers(0, 11))
def test_snapshot_restore_continue_equals_continue_and_cuts_change_nothing(life, cut) -> None:
    calendar, blocks = life
    rules = spec(calendar_slo(calendar, policy=LONG))
    through, once = Judgement(rules), Judgement(rules)
    for block in blocks[:cut]:
        through.observe(block)
        through.judge()
        once.observe(block)
    through.judge()
    again = brought_back(through, rules)
    for judge in (through, again, once):
        for block in blocks[cut:]:
            judge.observe(block)
        judge.judge()
    assert state_of(again) == state_of(through)
    assert [told.reading for told in once.told] == [told.reading for told in through.told]
    assert once.instances.reading(0, once.coverage).sums == through.instances.reading(0, through.coverage).sums


MIDNIGHT = us("2026-03-28T23:00")  #: in Berlin; the day has 23 hours
BERLIN = Calendar(1, "d", wall("2026-01-01"), "Europe/Berlin")


@pytest.fixture
def driver() -> Driver:
    made = Driver(spec(calendar_slo(BERLIN, policy=QUICK), snapshot_us=0))
    made.feed(counts(steady(MIDNIGHT - 4_000, MIDNIGHT - 2, 99, 1), newest=MIDNIGHT + 1.5))
    return made


def test_a_new_period_begins_with_a_whole_budget(driver: Driver) -> None:
    before = driver.statuses["chat|"]
    assert (before["window_end"] // 10**6, before["window_start"] // 10**6) == (MIDNIGHT - 1, MIDNIGHT - 86_400)
    assert before["bad"] == 3_998
    assert before["budget_remaining_ratio"] == pytest.approx(-9)
    driver.feed(counts(steady(MIDNIGHT + 2, MIDNIGHT + 12, 100)))
    after = driver.statuses["chat|"]
    assert (after["window_start"] // 10**6, after["window_us"] // 10**6) == (MIDNIGHT, 23 * 3_600)
    assert (after["good"], after["bad"], after["budget_remaining_ratio"]) == (700, 0, 1)
    assert after["budget_minutes"] == pytest.approx(23 * 60 * 0.001)
    assert after["windows_bad"][-1] > 0, "windows that alert roll over the turn"
    assert (after["state"], after["severity"]) == ("FIRING", "CRITICAL")


def test_at_the_turn_itself_there_is_no_data(driver: Driver) -> None:
    driver.feed(counts(newest=MIDNIGHT + 2.5))
    status = driver.statuses["chat|"]
    assert status["window_start"] == status["window_end"] == MIDNIGHT * 10**6
    assert (status["good"], status["compliance_ratio"], status["budget_remaining_ratio"]) == (0, None, None)
    assert status["coverage_ratio"] == 1


def test_what_comes_late_amends_its_own_period_only(driver: Driver) -> None:
    driver.feed(counts(steady(MIDNIGHT + 2, MIDNIGHT + 32, 100)))
    late = [("chat", "", MIDNIGHT - 1, 0, 5, 0), ("chat", "", MIDNIGHT, 0, 7, 2)]
    driver.feed(counts(late, newest=MIDNIGHT + 40))
    status = driver.statuses["chat|"]
    assert (status["bad"], status["excluded"], status["late"]) == (7, 2, 14)
    assert status["windows_bad"][-1] > 12


def test_an_alert_of_the_turn_itself_has_the_budget_of_the_new_period() -> None:
    judge = Judgement(spec(calendar_slo(BERLIN, policy=QUICK)))
    calm, outage = steady(MIDNIGHT - 700, MIDNIGHT - 6, 100), steady(MIDNIGHT - 6, MIDNIGHT + 3, 0, 100)
    judge.observe(counts([*calm, *outage]))
    judge.judge()
    fired = next(told for told in judge.told if told.kind is Kind.BURN_RATE).reading
    assert (fired.second, fired.sums[2], fired.sums[-1]) == (MIDNIGHT, (59_400, 600), (0, 0))
    assert (fired.start_s, fired.whole_s, fired.measured[-1]) == (MIDNIGHT, 23 * 3_600, (0, 0))


def test_an_entry_of_the_last_period_is_not_taken_for_one_of_this() -> None:
    driver = Driver(spec(calendar_slo(BERLIN, policy=QUICK), snapshot_us=0))
    both = [entry for each in "ab" for entry in steady(MIDNIGHT - 100, MIDNIGHT - 50, 1, labels=f"m={each}")]
    driver.feed(counts(both, newest=MIDNIGHT - 10))
    old = driver.state[b"chat|m=b"]
    driver.feed(counts(steady(MIDNIGHT, MIDNIGHT + 50, 1, labels="m=a")))
    assert driver.state[b"chat|m=b"] == old, "nothing came for it"
    driver.crash()
    driver.feed(counts(steady(MIDNIGHT + 50, MIDNIGHT + 60, 1, labels="m=a")))
    assert (driver.statuses["chat|m=a"]["good"], driver.statuses["chat|m=b"]["good"]) == (57, 0)
    assert not driver.fold.judgement.instances.bank.rows.words[:, k.KNOWN].any(), "all is known: nothing came"


def test_after_a_turn_while_nobody_was_there_the_budget_is_whole(driver: Driver) -> None:
    driver.feed(counts(newest=MIDNIGHT + 1.9))
    driver.crash()
    driver.feed(counts(steady(MIDNIGHT + 90_000, MIDNIGHT + 90_010, 100)))
    assert (driver.statuses["chat|"]["good"], driver.statuses["chat|"]["bad"]) == (700, 0)


def test_an_instance_that_was_silent_for_longer_than_its_alerts_reach_keeps_its_budget_for_the_period() -> None:
    driver = Driver(spec(calendar_slo(Calendar(1, "M", wall("2026-01-01"), "UTC"), policy=QUICK), snapshot_us=0))
    begin = us("2026-03-02T00:00")
    driver.feed(counts(steady(begin, begin + 100, 9_999, 1, labels="m=a")))
    driver.feed(counts(steady(begin + 20_000, begin + 20_010, 1, labels="m=b")))
    driver.feed(counts(steady(begin + 90_000, begin + 90_010, 1, labels="m=a")))
    assert driver.statuses["chat|m=a"]["bad"] == 100
    instances = driver.fold.judgement.instances
    assert min(instances.reading(row, driver.fold.judgement.coverage).first_s for row in instances.known) == begin
    april = us("2026-04-01T00:00")
    driver.feed(counts(steady(april - 5, april + 20_000, 1, labels="m=b")))
    assert set(driver.state) == {b"chat|m=b", PARTITION_KEY.encode()}


# -- when the file changes


def changed(driver: Driver, each):
    driver.spec = spec(replace(each, objective=replace(each.objective, revision="r2")), snapshot_us=0)
    driver.crash()
    driver.feed(counts(steady(MIDNIGHT, MIDNIGHT + 3, 0), newest=MIDNIGHT + 60))
    return driver.statuses["chat|"]


def test_a_longer_period_keeps_what_the_shorter_one_counted(driver: Driver) -> None:
    driver.feed(counts(steady(MIDNIGHT + 2, MIDNIGHT + 12, 98, 2)))
    status = changed(driver, calendar_slo(Calendar(1, "M", wall("2026-01-01"), "Europe/Berlin"), policy=QUICK))
    assert (status["good"], status["bad"]) == (98 * 10, 20)


def test_a_shorter_period_begins_anew_as_nobody_knows_when_the_longer_one_was_spent(driver: Driver) -> None:
    status = changed(driver, calendar_slo(Calendar(1, "d", wall("2026-01-01T23:59"), "UTC"), policy=QUICK))
    assert status["bad"] in {0, 3_998}


@pytest.mark.parametrize(
    ("unit", "other", "starts", "at", "since"),
    [
        pytest.param("M", "d", "00:00", 1, 1, id="sums began earlier: nothing is known"),
        pytest.param("d", "M", "00:00", -100, -86_400, id="sums began later: what they hold"),
        pytest.param("7200s", "M", "00:00", 1, -7_200, id="after a rolling window: as far as its cells reach"),
        pytest.param("7200s", "d", "00:00", 1, 0, id="after a rolling window that reaches farther"),
        pytest.param("7200s", "d", "23:59:57", 4, 0, id="the first cell that is whole"),
        pytest.param("30d", "d", "23:20", -100, -100, id="no cell is whole: nothing is known"),
        pytest.param("d", "d", "00:00", 1, 0, id="the same"),
    ],
)
def test_a_period_is_lived_through_as_far_as_its_events_are_known(unit, other, starts, at, since) -> None:
    def each(name):
        if name not in UNITS:
            return watched(policy=QUICK, window=name)
        return calendar_slo(Calendar(1, name, wall(f"2026-01-01T{starts}"), "Europe/Berlin"), policy=QUICK)

    driver, begin = Driver(spec(each(unit), snapshot_us=0)), MIDNIGHT - 200_000
    entries = [("chat", "", second, 1, 0, 0) for second in range(begin, MIDNIGHT + at, 1_000)]
    driver.feed(counts(entries, newest=MIDNIGHT + at + 2.5))
    changed(driver, each(other))
    judgement = driver.fold.judgement
    reading = judgement.instances.reading(0, judgement.coverage)
    assert reading.first_s == begin
    assert judgement.judged_s - reading.lived(-1) == MIDNIGHT + since


def test_a_handful_of_events_does_not_spend_a_period_that_began_before_they_were_counted() -> None:
    month, week = (Calendar(1, unit, wall("2026-01-05"), "Europe/Berlin") for unit in "Mw")
    driver = Driver(spec(calendar_slo(month, policy=QUICK, target="0.99"), snapshot_us=0))
    driver.feed(counts(steady(MIDNIGHT - 300_000, MIDNIGHT, 10)))
    driver.spec = spec(calendar_slo(week, policy=QUICK, target="0.99", revision="r2"), snapshot_us=0)
    driver.crash()
    driver.feed(counts([*steady(MIDNIGHT, MIDNIGHT + 57, 1), *steady(MIDNIGHT + 57, MIDNIGHT + 60, 0, 1)]))
    driver.feed(counts(newest=MIDNIGHT + 65))
    assert driver.told_of("BUDGET") == []
    status = driver.statuses["chat|"]
    assert (status["good"], status["bad"]) == (57 + 30, 3), "three seconds waited for the watermark"


@pytest.mark.parametrize(("unit", "bad"), [("M", 4_000), ("d", 30)], ids=["all of it", "since midnight"])
def test_a_calendar_after_a_rolling_window_counts_the_cells_of_its_period(unit: str, bad: int) -> None:
    driver = Driver(spec(watched(policy=QUICK), snapshot_us=0))
    driver.feed(counts(steady(MIDNIGHT - 3_970, MIDNIGHT + 30, 99, 1), newest=MIDNIGHT + 50))
    status = changed(driver, calendar_slo(Calendar(1, unit, wall("2026-01-01"), "Europe/Berlin"), policy=QUICK))
    assert status["bad"] == bad


@pytest.mark.parametrize(("name", "most"), [("default", 10_900), ("workbook", 15_500)])
def test_an_instance_stays_under_its_stated_memory(name: str, most: int) -> None:
    spans = [us // 1_000_000 for pair in preset(name).pairs for us in (pair.long_us, pair.short_us)]
    rings = layout(spans, 366 * 86_400, is_calendar=True)
    assert rings.compliance_cells == 0
    assert row_bytes(rings) < most


def test_without_alerts_there_are_no_cells_and_the_period_is_counted_all_the_same() -> None:
    each = calendar_slo(BERLIN)
    driver = Driver(spec(replace(each, policy=replace(each.policy, pairs=())), snapshot_us=0))
    driver.feed(counts(steady(MIDNIGHT - 100, MIDNIGHT + 50, 9, 1)))
    assert driver.fold.judgement.instances.bank.rows.cells.shape[1] == 1
    assert driver.fold.judgement.instances.bank.rows.words[0, k.FIRST] > 0
    assert driver.statuses["chat|"]["bad"] == 47
