"""Law: what models need of replicas that they share is rounded up once; what is not known keeps it as it was."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.controls.files import parse
from pipeline.controls.pooling import pools, step
from pipeline.controls.scaling import HELD, ScaleSpec, SharedSpec, recommend
from pipeline.controls.scaling_facts import SHARED, Facts, facts_of
from pipeline.controls.signal import Signal
from pipeline.controls.table import CONTROLS
from pipeline.spec.problems import Refused
from tests.controls.test_scaling import NOW_US, RPS, told
from tests.controls.test_scaling_facts import row

POOL = SharedSpec("gpu-a", ("chat/m", "search/n"), 1, 40)
SPEC = ScaleSpec(shared=(POOL,))


def facts(service: str, model: str, rps: float, **more: Any) -> Facts:
    known = {"ready": 3.0, "waiting": 0.0, "cold_start_s": 90.0, **more}
    return Facts(service, model, "", 3.0, NOW_US - 3_000_000, (rps,) * 30)._replace(**known)


def capacity(service: str, model: str) -> Signal:
    known = told("capacity", 20.0, inputs={"rps_per_endpoint": RPS}, confidence=0.9)
    return Signal(**{**{name: getattr(known, name) for name in Signal.__slots__}, "service": service, "model": model})


KNOWN = {each.key: each for each in (capacity("chat", "m"), capacity("search", "n"))}


def said(several: Sequence[Facts], value: float | None = None, went: str = "out", ago_s: float = 3_600) -> Signal:
    previous = dict(KNOWN)
    if value is not None:
        at = {"changed_at_us": str(NOW_US - round(ago_s * 1e6)), "went": went}
        last = told("scale", value, details=at)
        pool = Signal(**{**{n: getattr(last, n) for n in Signal.__slots__}, "service": POOL.name, "model": ""})
        previous[pool.key] = pool
    each = [recommend(SPEC, previous, one, NOW_US) for one in several]
    (found,) = pools(SPEC, previous, several, each, NOW_US)
    return found


@given(st.floats(0.0, 60.0), st.floats(0.0, 60.0))
def test_a_pool_needs_what_its_members_need_together_and_never_more_than_each_for_itself(a: float, b: float) -> None:
    several = [facts("chat", "m", a, ready=None), facts("search", "n", b, ready=None)]
    found, alone = said(several), [recommend(SPEC, KNOWN, each, NOW_US).value or 0.0 for each in several]
    assert found.value == min(max(math.ceil(1.2 * (a + b) / RPS - 1e-9), 1), 40)
    assert max(alone) <= (found.value or 0.0) or found.value == 40
    assert (found.value or 0.0) <= sum(alone)
    assert (found.service, found.model, found.scope) == ("gpu-a", "", "")


LOW, HIGH = facts("chat", "m", 4.0), facts("search", "n", 5.0)  # 1.2 and 1.5 replicas


@pytest.mark.parametrize(
    ("several", "before", "state", "value"),
    [
        pytest.param([LOW, HIGH], 2, "out", 3, id="apart they would need two and two, together three"),
        pytest.param([LOW, HIGH], 3, "steady", 3, id="enough"),
        pytest.param([LOW, HIGH], 12, "in", 6, id="far too many: half of them at once"),
        pytest.param([LOW._replace(burn_rate=3.0, burn_slo="ttft", burn_window_s=300, ready=6.0), HIGH], 6, "out", 8,
                     id="latency burns: a headroom more than serve all of them, and not once for each"),
        pytest.param([LOW._replace(waiting=60.0), HIGH], 12, "calming", 12, id="not in while requests of one wait"),
        pytest.param([LOW, HIGH._replace(age_s=61.0)], 4, HELD, 4, id="of one what is known is stale"),
        pytest.param([LOW, HIGH._replace(model="x")], 4, "in", 2, id="one has no traffic, or is no member"),
        pytest.param([LOW, HIGH._replace(loads=(900.0,) * 30)], 4, "out", 40, id="no more than the most"),
    ],
)  # fmt: skip
def test_what_is_recommended_for_a_pool(several: list[Facts], before: float, state: str, value: float) -> None:
    found = said(several, before)
    assert (found.state, found.value) == (state, value)
    assert f"{value} replicas" in found.reason and found.details["members"] == "chat/m, search/n"


BURNING = LOW._replace(burn_rate=3.0, burn_slo="ttft", burn_window_s=300)


def test_latency_asks_for_more_than_the_pool_has_and_waits_for_what_the_pool_asked_for() -> None:
    unseen = [BURNING._replace(ready=None), HIGH._replace(ready=None)]
    found = said(unseen, 6)
    assert found.value == 8, "where nobody looks at replicas, those that the pool was told of serve"
    assert "chat m 1.2, search n 1.5 add up to 2.7, but latency burns, and asks for 7.2" in found.reason
    assert said([BURNING._replace(ready=6.0), HIGH], 6, ago_s=60).value == 6, "the burn is of before they came"


def test_at_first_nothing_is_known_of_a_pool_of_whose_member_nothing_is() -> None:
    found = said([LOW, HIGH._replace(age_s=61.0)])
    assert (found.state, found.value) == ("unknown", None) and "search n" in found.reason
    assert pools(SPEC, KNOWN, [], [], NOW_US) == [], "no member had traffic"


def test_a_pool_is_not_told_of_at_first_while_a_question_has_no_answer_and_stays_later() -> None:
    blind = [each._replace(missing=("replicas",), ready=None) for each in (LOW, HIGH)]
    previous = {**KNOWN, **{each.key: each for each in (_scale("chat", "m"), _scale("search", "n"))}}
    each = [recommend(SPEC, previous, one, NOW_US) for one in blind]
    (found,) = pools(SPEC, previous, blind, each, NOW_US)
    assert (found.state, found.value) == ("unknown", None) and "replicas" in found.reason
    assert said(blind, 9.0).value == 9.0


def _scale(service: str, model: str) -> Signal:
    return replace(told("scale", 3.0), service=service, model=model)


def test_a_pool_goes_on_from_what_was_said_of_it() -> None:
    assert said([LOW, HIGH], 12, ago_s=60).state == "calming", "too soon after more were asked for"
    once = said([LOW, HIGH], 2)
    again = pools(SPEC, {**KNOWN, once.key: once}, [LOW, HIGH], [recommend(SPEC, KNOWN, each, NOW_US) for each in
                  (LOW, HIGH)], NOW_US + 1)  # fmt: skip
    assert [each.state for each in again] == ["steady"]


# -- sharing that nobody has told of
def test_a_model_whose_endpoints_serve_others_says_so_and_remembers_it() -> None:
    rows = {"scale": [row()], SHARED: [{"models": [("chat", "m"), ("search", "n")]}]}
    (found,) = facts_of(rows, {})
    assert found.shares_with == ("search/n",)
    first = recommend(SPEC, KNOWN, facts("chat", "m", 8.0, shares_with=found.shares_with), NOW_US)
    assert "its endpoints serve search/n too" in first.reason
    (later,) = facts_of({"scale": [row()]}, {first.key: first})
    assert later.shares_with == ("search/n",), "it is not asked for each time"
    (apart,) = facts_of({"scale": [row()], SHARED: []}, {first.key: first})
    assert apart.shares_with == ()


def test_a_step_tells_of_models_and_of_pools() -> None:
    both = [row(), {**row(), "service": "search", "model": "n"}]
    made = {(each.service, each.model) for each in step(SPEC, KNOWN, {"scale": both}, NOW_US)}
    assert made == {("chat", "m"), ("search", "n"), ("gpu-a", "")}


def test_pools_are_written_in_the_file_of_controls() -> None:
    text = (
        "apiVersion: burnline/v1\nkind: Controls\nscale:\n  shared:\n    - {name: gpu-a, members: [chat/m, search/n]}\n"
    )
    (scale,) = [each for each in CONTROLS if each.name == "scale"]
    found = parse("x", text.encode(), {"scale": scale.spec})["scale"]
    assert found.shared == (SharedSpec("gpu-a", ("chat/m", "search/n")),)
    for wrong in ({"name": "", "members": ("a/b", "c/d")}, {"name": "p", "members": ("a/b", "a/b")},
                  {"name": "p", "members": ("a", "b/c")}):  # fmt: skip
        with pytest.raises(Refused):
            SharedSpec(**wrong)
