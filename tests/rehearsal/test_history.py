"""Stored slices through the judge tell what seconds told, and other rules tell other alerts."""

import numpy as np
import pytest

from pipeline.alerts import Watched
from pipeline.rehearsal import history
from pipeline.rehearsal.history import Counted, Period, Sums
from pipeline.rehearsal.playing import Told, play
from pipeline.rehearsal.reading import Rehearsal
from pipeline.rehearsal.streams import Stream, together
from pipeline.spec import Slo
from schemas import HOME as SCHEMAS
from tests.rehearsal.test_composites import MEMBERS, WORST
from tests.spec.samples import SHORT, load_text, spoiled

FIRST = 1_790_000_040  #: a whole minute, and no whole hour
HOURS = 6
SHIPPED = (SCHEMAS / "slo" / "chat_journey.yaml").read_text()


def slo(*changes: tuple[str, str]) -> Slo:
    (found,) = load_text(spoiled(*changes, text=SHORT)).checked().slos
    return found


def watched(*changes: tuple[str, str]) -> Watched:
    (found,) = load_text(spoiled(*changes, text=SHORT)).checked().watched
    return found


def incident(bad_share: float, seed: int = 5) -> Stream:
    """Six hours by the second: a quiet one, half an hour of failures in the fourth."""
    rng, n = np.random.default_rng(seed), HOURS * 3_600
    total = rng.poisson(20, n)
    share = np.full(n, 0.0002)
    share[11_000:12_800] = bad_share
    bad = rng.binomial(total, share)
    return Stream(0, total - bad, bad, np.zeros(n, np.int64), np.arange(n), np.ones(n, np.bool_))


def stored(stream: Stream) -> Counted:
    """What the store keeps of it: slices of ten seconds, without the empty ones, in no order."""
    starts = (FIRST + stream.seconds) // 10 * 10
    slices = np.random.default_rng(0).permutation(np.unique(starts))
    good, bad = (np.array([column[starts == s].sum() for s in slices]) for column in (stream.good, stream.bad))
    return Counted("", slices, good, bad, np.zeros(len(slices), np.int64))


WHOLE = Period(FIRST, FIRST, FIRST + HOURS * 3_600)
MINUTES = np.arange(FIRST, FIRST + HOURS * 3_600, 60)


def events(told: tuple[Told, ...]) -> list[tuple[str, str]]:
    return [(each.event, each.severity) for each in told]


@pytest.mark.parametrize("bad_share", [0.03, 0.05, 0.6])
def test_the_rules_that_were_in_force_tell_the_alerts_that_were_told_within_a_slice(bad_share: float) -> None:
    stream = incident(bad_share)
    live = play(Rehearsal("", watched(), stream, None, (), FIRST)).told
    again = history.judged(watched(), stored(stream), MINUTES, WHOLE).alerts
    assert events(again) == events(live) != []
    assert all(abs(now.at_s - FIRST - then.at_s) <= 10 for now, then in zip(again, live, strict=True))


@pytest.mark.parametrize("text", [SHIPPED, WORST], ids=["weighted mean", "worst of"])
@pytest.mark.parametrize("bad_share", [0.2, 0.6])
def test_a_composite_is_judged_out_of_what_was_counted_for_it_of_each_member(text: str, bad_share: float) -> None:
    (composed,) = load_text(f"{text}\n---\n{MEMBERS}").checked().composed
    streams = (incident(bad_share), incident(0.0002, 6))
    live = play(Rehearsal("", composed.watched, together(streams), None, (), FIRST, composed, streams)).told
    burning = tuple(each for each in live if each.kind == "BURN_RATE")
    counted = [stored(each) for each in streams]
    again = history.judged_together(composed, counted, MINUTES, WHOLE).alerts
    assert events(again) == events(burning) != []
    assert all(abs(now.at_s - FIRST - then.at_s) <= 10 for now, then in zip(again, burning, strict=True))
    assert history.judged_together(composed, [history.nothing_of("")] * 2, MINUTES, WHOLE).alerts == ()


def test_a_laxer_target_tells_fewer_alerts_of_the_same_counts() -> None:
    counted = stored(incident(0.05))
    assert history.judged(watched(("0.999", "0.99")), counted, MINUTES, WHOLE).alerts == ()


def test_the_counts_of_the_window_are_those_that_are_stored() -> None:
    counted = stored(incident(0.05))
    assert history.judged(watched(), counted, MINUTES, WHOLE).sums == (counted.good.sum(), counted.bad.sum())


def test_only_the_period_is_told_and_what_is_before_it_is_judged_with() -> None:
    counted = stored(incident(0.6))
    fired = history.judged(watched(), counted, MINUTES, WHOLE).alerts[0].at_s
    later = history.judged(watched(), counted, MINUTES, WHOLE._replace(since=fired)).alerts
    assert later == history.judged(watched(), counted, MINUTES, WHOLE).alerts[1:]


def test_minutes_in_which_nothing_was_counted_at_all_are_silence_that_judges_nothing() -> None:
    """The failures are all there is, and then everything is silent: nothing clears what has fired."""
    counted, silent_from = stored(incident(0.6)), FIRST + 12_000
    told = history.judged(watched(), counted, MINUTES, WHOLE).alerts
    cut = Counted("", *(c[counted.slice_start_s < silent_from] for c in (counted.slice_start_s, counted.good,
                        counted.bad, counted.excluded)))  # fmt: skip
    silent = history.judged(watched(), cut, MINUTES[silent_from > MINUTES], WHOLE).alerts
    assert events(told)[-1][0] == "RESOLVED"
    assert "RESOLVED" not in [event for event, _ in events(silent)]


def test_no_history_tells_nothing() -> None:
    nothing = np.zeros(0, np.int64)
    assert history.judged(watched(), Counted("", *[nothing] * 4), nothing, WHOLE) == ((), (0, 0))


@pytest.mark.parametrize(
    ("good", "bad", "is_met", "left"),
    [(999, 1, True, 0.0), (1998, 2, True, 0.0), (998, 2, False, -1.0), (1000, 0, True, 1.0), (0, 0, None, None)],
)
def test_a_target_is_met_exactly_at_its_boundary(good: int, bad: int, is_met: bool | None, left: float | None) -> None:
    found = history.rules(slo(), Sums(good, bad), None)
    assert (found.is_met, found.budget_remaining_ratio) == (is_met, left)


def test_a_period_is_the_longest_window_with_its_lead_as_far_as_slices_are_kept() -> None:
    day = 86_400
    week = slo(("30d", "7d"))
    assert history.period_of((week,), 100 * day + 59) == Period(92 * day, 93 * day, 100 * day)
    assert history.period_of((slo(), week), 100 * day) == Period(69 * day, 70 * day, 100 * day)
    assert history.period_of((slo(("30d", "90d")),), 100 * day) == Period(64 * day, 65 * day, 100 * day)
