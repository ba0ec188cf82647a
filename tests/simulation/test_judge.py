"""A seeded life of a judge partition: sources out of step, late events, silences, crashes, changed units.

Law: whatever happens to the worker, the alerts that reach slo.alerts are those of an undisturbed fold of the
same blocks, each once, and the counts are those of a dictionary of seconds.
"""

import os
import random
from dataclasses import replace
from datetime import datetime
from itertools import product

import pytest

from pipeline.alerts import AlertPolicy, Severity, WindowPair
from pipeline.periods import Calendar
from pipeline.slo import Ratio, Timeslices
from tests.judging import T0, Driver, counts, spec, watched
from tests.naive.windows import window_sum

SEEDS = [int(os.environ["SEED"])] if "SEED" in os.environ else range(12)
POLICY = AlertPolicy(
    (
        WindowPair(Severity.CRITICAL, Ratio(10, 1), 600_000_000, 60_000_000),
        WindowPair(Severity.WARNING, Ratio(2, 1), 3_600_000_000, 400_000_000),
    )
)
LABELS = ("m=a", "m=b", "m=c")


def life(random_: random.Random):
    """Blocks of three sources over two hours and more; sources stop and return, events come late."""
    clocks, blocks = [T0 + random_.randint(0, 5) for _ in range(3)], []
    weather = {label: 0.0 for label in LABELS}
    for _ in range(220):
        source = min(range(3), key=lambda s: clocks[s] + random_.randint(0, 60))
        if random_.random() < 0.02:
            clocks = [max(clocks) + 900] * 3
            facts = {"partitions": 3, "idle": 900, "flushed": clocks[0] - T0}
            blocks += [counts(partition=each, **facts) for each in range(3)]
            continue
        if random_.random() < 0.1:
            idle = random_.choice([1, 4, 30, 400])
            blocks.append(counts(partition=source, partitions=3, idle=idle, flushed=clocks[source] + idle - T0))
            clocks[source] += idle
            continue
        start, clocks[source] = clocks[source], clocks[source] + random_.randint(1, 90)
        weather[random_.choice(LABELS)] = random_.choice([0.0, 0.0, 0.003, 0.02, 0.5])
        entries, exemplars = [], []
        for label in random_.sample(LABELS, random_.randint(1, 3)):
            for second in range(start, clocks[source]):
                late = random_.choice([0] * 30 + [3, 50, 2_000])
                bad = int(100 * weather[label] + random_.random() / 2)
                entries.append(("chat", label, second - late, 100 - bad, bad, 1))
            exemplars += [("chat", label, f"{random_.getrandbits(24):06x}") for _ in range(random_.randint(0, 4))]
        facts = {"newest": clocks[source] - 0.5, "flushed": clocks[source] - T0, "exemplars": exemplars}
        blocks.append(counts(entries, partition=source, partitions=3, **facts))
    return blocks


def run(blocks, random_=None, **changes):
    """`changes`: of the objective."""
    slo = watched(policy=POLICY, window="20000s")
    slo = replace(slo, objective=replace(slo.objective, **changes))
    driver = Driver(spec(slo, snapshot_us=10_000_000))
    driver.send(*blocks)
    crashes = 0
    while driver.position < len(blocks):
        driver.unit(random_.randint(0, 9) if random_ else 1)
        if random_ and crashes < 15 and random_.random() < 0.2:
            driver.crash()
            crashes += 1
    return driver


@pytest.mark.parametrize("seed", SEEDS)
def test_a_disturbed_worker_tells_what_an_undisturbed_one_tells(seed):
    print(f"replay: SEED={seed} pytest {__file__}")
    random_ = random.Random(seed)
    blocks = life(random_)
    calm, disturbed = run(blocks), run(blocks, random_)
    told = [[{**alert, "evaluated_at": 0} for alert in driver.alerts] for driver in (calm, disturbed)]
    key = ("window_end", "dedup_key")
    assert sorted(told[0], key=lambda a: [a[k] for k in key]) == sorted(told[1], key=lambda a: [a[k] for k in key])
    judge = disturbed.fold.judgement
    for (_, label), row in judge.instances.rows.items():
        seconds = by_second(blocks, label)
        reading = judge.instances.reading(row, judge.coverage)
        expected = [window_sum(seconds, judge.judged_s, span)[:2] for span in reading.spans_s]
        assert reading.sums == expected


EVENING = Calendar(1, "d", datetime.fromisoformat("2023-11-14T23:00"), "UTC")  # some time after T0
BY_CALENDAR = {"calendar": EVENING, "window_us": EVENING.longest_us}


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param(BY_CALENDAR, id="a calendar"),
        pytest.param({"timeslices": Timeslices(60_000_000, Ratio(19, 20))}, id="slices"),
        pytest.param({"timeslices": Timeslices(300_000_000)} | BY_CALENDAR, id="ratios of slices by a calendar"),
    ],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_so_it_is_for_every_way_to_count(changes, seed):
    random_ = random.Random(seed)
    blocks = life(random_)
    calm, disturbed = run(blocks, **changes), run(blocks, random_, **changes)
    told = [{alert["dedup_key"] + str(alert["sequence"]): {**alert, "evaluated_at": 0} for alert in driver.alerts}
            for driver in (calm, disturbed)]  # fmt: skip
    assert told[0] == told[1] != {}
    assert len(disturbed.alerts) == len(told[1])
    judges = [driver.fold.judgement for driver in (calm, disturbed)]
    readings = [
        {key: judge.instances.reading(row, judge.coverage) for key, row in judge.instances.rows.items()}
        for judge in judges
    ]
    assert readings[0] == readings[1]


def by_second(blocks, label):
    seconds = {}
    for block in blocks:
        ids = [block["instances"][i] for i in block["instance_index"]]
        columns = (block[name].tolist() for name in ("slice_start_s", "good", "bad", "excluded"))
        for name, second, *three in zip(ids, *columns, strict=True):
            if name == label:
                known = seconds.get(second, (0, 0, 0))
                seconds[second] = tuple(a + b for a, b in zip(known, three, strict=True))
    return seconds


def test_lives_have_alerts_of_every_kind_with_exemplars():
    alerts = [alert for seed in range(3) for alert in run(life(random.Random(seed))).alerts]
    assert {(alert["kind"], alert["event"]) for alert in alerts} >= set(
        product(("BURN_RATE", "NO_DATA"), ("FIRED", "RESOLVED"))
    )
    assert max(len(alert["exemplar_trace_ids"]) for alert in alerts) == 5
