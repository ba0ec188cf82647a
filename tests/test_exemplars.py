"""Exemplars against all that ever came; in alerts, whatever the cut into units and however often the judge dies."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.exemplars import MOST_CHARACTERS, Exemplars
from tests.judging import QUICK, T0, Driver, counts, spec, steady, watched
from tests.naive.exemplars import exemplars as slow

#: how far the watermark goes on, then exemplars: seconds ahead of it, trace id
plan = st.lists(
    st.tuples(st.integers(0, 90), st.lists(st.tuples(st.integers(0, 200), st.integers(0, 40)), max_size=9)),
    max_size=25,
)


@settings(max_examples=300)
@given(plan, st.integers(10, 400), st.integers(0, 3))
def test_exemplars_are_those_of_somebody_who_keeps_all(steps, window_s, lag):
    """Judged seconds trail the watermark: what comes meanwhile changes nothing of what is asked."""
    found, known, watermarks = Exemplars(), [], [T0]
    for passes, more in steps:
        watermarks.append(watermarks[-1] + passes)
        judged = watermarks[max(len(watermarks) - 1 - lag, 0)]
        known += [(watermarks[-1] + ahead, f"t{number}") for ahead, number in more]
        for second, trace_id in known[len(known) - len(more) :]:
            found.add(7, second, trace_id, judged)
        assert found.of(7, judged - window_s, judged) == slow(known, judged - window_s, judged)
        again = Exemplars()
        again.restore(7, found.past(7, judged, judged - 400))
        for row, each in found.ahead(judged):
            again.restore(row, [each])
        found = again
    assert len(found.past(7, watermarks[-1] + 1_000, 0)) <= 25


def test_memory_is_bounded_in_number_and_in_length():
    found = Exemplars()
    for second in range(T0, T0 + 6_000):
        found.add(0, second, f"{second}", second)
        found.add(0, second, "x" * (MOST_CHARACTERS + 1), second)
        assert len(found._found[0]) <= 11
    assert len(found.of(0, T0, T0 + 6_000)) == 5
    found.forget(0)
    assert found.of(0, T0, T0 + 6_000) == ()


def stream():
    """A minute's block each, two labels; an outage of one of them after an hour and ten minutes."""
    blocks = []
    for minute in range(90):
        start = T0 + 60 * minute
        bad = 50 if 70 <= minute < 80 else 0
        entries = [
            *steady(start, start + 60, 100 - bad, bad, labels="m=a"),
            *steady(start, start + 60, 99, 1, labels="m=b"),
        ]
        exemplars = [("chat", "m=a", f"a{minute}-{i}") for i in range(2)] if bad or minute == 3 else []
        blocks.append(counts(entries, exemplars=[*exemplars, ("chat", "m=b", f"b{minute}")]))
    return blocks


def alerts_of(cut, crashes=()):
    driver = Driver(spec(watched(policy=QUICK, target="0.97"), snapshot_us=3_000_000))
    driver.send(*stream())
    units = 0
    while driver.position < len(driver.log):
        driver.unit(cut)
        units += 1
        if units in crashes:
            driver.crash()
    return [{**alert, "evaluated_at": 0} for alert in driver.alerts]


def test_alerts_carry_the_newest_traces_of_their_own_instance_within_the_long_window():
    fired, *others = [alert for alert in alerts_of(1) if alert["instance"] == "m=a"]
    second = fired["window_end"] // 1_000_000
    first_minutes = range(70, (second - T0) // 60)
    assert fired["event"] == "FIRED" and first_minutes
    newest = [f"a{minute}-{i}" for minute in reversed(first_minutes) for i in range(2)]
    assert fired["exemplar_trace_ids"] == newest[:5]
    assert others[-1]["event"] == "RESOLVED"
    assert others[-1]["exemplar_trace_ids"] == []


@settings(max_examples=20)
@given(st.sampled_from([1, 2, 3, 30]), st.sets(st.integers(1, 90), max_size=4))
@example(1, {75})
@example(2, {36, 38})
def test_whatever_the_cut_and_however_often_the_judge_dies_alerts_carry_the_same(cut, crashes):
    assert alerts_of(cut, crashes) == alerts_of(1)


def test_exemplars_of_late_seconds_are_not_kept():
    driver = Driver(spec(watched(policy=QUICK)))
    driver.feed(counts(steady(T0, T0 + 100, 100)))
    driver.feed(counts([("chat", "", T0 + 50, 0, 1, 0)], newest=None, exemplars=[("chat", "", "late")]))
    driver.feed(counts([("chat", "", T0 + 120, 1, 1, 0)], exemplars=[("chat", "", "now")]))
    assert driver.fold.judgement.instances.exemplars.of(0, T0, T0 + 200) == ("now",)
