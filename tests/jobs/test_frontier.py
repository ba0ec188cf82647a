"""The frontier of the simulated fleet is recovered from little, and nothing that is said for sure is wrong."""

import pytest

from pipeline.controls.frontier import DOMINATED, ON, SURE, FrontierSpec, placed
from tests.fleet_frontier import histories

SPEC = FrontierSpec()
#: of 2.0 million requests (`python -m tests.bench frontier`): USD for 1,000 tokens, P99 in s, whether on the frontier
TRUTH = {
    "mi300x-bf16-tp1@busy-0.8": (1.399e-4, 10.74, True),
    "mi300x-bf16-tp1@busy-0.6": (1.955e-4, 8.660, True),
    "mi300x-bf16-tp1@busy-0.45": (2.483e-4, 8.173, True),
    "mi300x-bf16-tp1@busy-0.3": (3.781e-4, 7.487, True),
    "h100-fp8-tp2@busy-0.8": (3.201e-4, 10.07, False),
    "h100-fp8-tp2@busy-0.6": (4.399e-4, 7.984, False),
    "h100-fp8-tp2@busy-0.45": (5.646e-4, 7.359, True),
    "h100-fp8-tp2@busy-0.3": (8.587e-4, 6.825, True),
}
NEAR = {"h100-fp8-tp2@busy-0.45"}  #: 1.7 % from being beaten: eight hours cannot tell


@pytest.mark.parametrize("seed", [1, 2])
def test_the_true_frontier_of_the_fleet_is_recovered(seed: int) -> None:
    found = {each.point.config.label: each for each in placed(histories(8, seed), SPEC)}
    assert set(found) == set(TRUTH)
    for name, (cost, p99_s, is_on) in TRUTH.items():
        each = found[name]
        assert each.point.cost and each.point.p99_us
        assert each.point.cost.value == pytest.approx(cost, rel=0.05)
        if "busy-0.8" not in name:  # one stretch in fifty has a surge that these cannot bear: eight seldom show one
            assert abs(each.point.p99_us.value / 1e6 - p99_s) <= 2 * SURE * each.point.p99_us.error / 1e6
        assert each.basis == "paid"
        if name not in NEAR:
            assert (each.state == ON) == is_on
        if each.state == DOMINATED:
            assert not is_on
        if each.state == ON and each.confidence >= SPEC.confidence_least_ratio:
            assert is_on
