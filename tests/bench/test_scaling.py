"""The closed loop of autoscalers as a benchmark, on little: figures, who is tuned, what fails it, and the plot."""

import json
from pathlib import Path
from typing import Any

from jobs.loop import noisy, surge
from tests.bench import scaling


def before(seed: int) -> tuple[scaling.Rates, scaling.Rates]:
    return noisy(SHORT, 10 + seed), noisy(SHORT, 20 + seed)


SHORT = surge(from_s=300, for_s=300, seconds=900)
SHAPES = {"rush": scaling.Shape(lambda seed: noisy(SHORT, seed), before, seeds=1)}
POLICIES = [policy.__class__(policy.name, policy.knob, policy.settings[:2], policy.make) for policy in scaling.POLICIES]


def worth(policy: str, lost: float, hours: float, is_default: bool = False, flaps: float = 0.0) -> dict[str, Any]:
    means = {"minutes_lost": lost, "gpu_hours": hours, "flaps": flaps}
    return {"shape": "s", "policy": policy, "is_default": is_default, "minutes": 80, "means": means}


def test_every_policy_is_tried_told_of_and_drawn(tmp_path: Path) -> None:
    result = scaling.measure(SHAPES, POLICIES)
    json.dumps(result)
    assert [each["setting"] for each in result["worths"]] == [s for policy in POLICIES for s in policy.settings]
    told = scaling.rows(result)
    assert [row[1] for row in told] == [
        scaling.CPU, scaling.FLIGHT, scaling.CPU, scaling.FLIGHT, scaling.OURS, scaling.FORESEEN,
    ]  # fmt: skip
    assert all(row[3].endswith(" of 15") for row in told)
    scaling.plot(result, tmp_path / "scaling.png")
    assert 20_000 < (tmp_path / "scaling.png").stat().st_size < 400_000


def test_a_rival_is_tuned_to_lose_least_for_no_more_hours() -> None:
    ours = worth(scaling.OURS, 3, 28, is_default=True)
    some = [worth(scaling.CPU, 60, 15), worth(scaling.CPU, 5, 27), worth(scaling.CPU, 5, 26), worth(scaling.CPU, 0, 40)]
    assert scaling.tuned(some, ours) is some[2]
    assert scaling.tuned(some[3:], ours) is some[3], "all cost more: the cheapest"


def test_losing_more_than_who_measured_nothing_and_going_to_and_fro_fail_it() -> None:
    others = [worth(scaling.CPU, 60, 15, is_default=True), worth(scaling.FLIGHT, 40, 20, is_default=True)]
    assert scaling.wrong({"worths": [*others, worth(scaling.OURS, 3, 28, is_default=True)]}) == ""
    assert "40 minutes lost" in scaling.wrong({"worths": [*others, worth(scaling.OURS, 40, 28, is_default=True)]})
    turning = worth(scaling.OURS, 3, 28, is_default=True, flaps=2.0)
    assert "2.0 flaps" in scaling.wrong({"worths": [*others, turning]})
