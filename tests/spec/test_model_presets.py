"""Thresholds by model: the shipped file against the published figures, and SLOs that use it."""

import pytest

from pipeline.spec import presets
from tests.spec.samples import SHORT, load_text, problems, spoiled

#: MLPerf Inference: TTFT and TPOT in milliseconds, server and interactive
PUBLISHED = {
    "llama2-70b": ((2000, 200), (450, 40)), "llama3.1-8b": ((2000, 100), (500, 30)),
    "llama3.1-405b": ((6000, 175), (4500, 80)), "deepseek-r1": ((2000, 80), (1500, 15)),
    "gpt-oss-120b": ((3000, 80), (2000, 15)),
}  # fmt: skip


def test_thresholds_are_those_that_are_published() -> None:
    shipped = {
        name: (made.thresholds_us["ttft"] // 1000, made.thresholds_us["tpot"] // 1000)
        for name, made in presets().models.items()
    }
    assert shipped == {
        f"{model}/{scenario}": limits
        for model, both in PUBLISHED.items()
        for scenario, limits in zip(("server", "interactive"), both, strict=True)
    }
    assert all("MLPerf" in made.source for made in presets().models.values())
    assert "20ms" in presets().models["gpt-oss-120b/interactive"].note


def with_indicator(indicator: str) -> str:
    return spoiled(("{metric: error_rate}", indicator), text=SHORT)


@pytest.mark.parametrize(("metric", "limit_us"), [("ttft", 450_000), ("tpot", 40_000)])
def test_a_preset_gives_op_and_threshold(metric: str, limit_us: int) -> None:
    (slo,) = load_text(with_indicator(f"{{metric: {metric}, preset: llama2-70b/interactive}}")).checked().slos
    indicator = slo.objective.indicator
    assert (indicator.metric, indicator.threshold, indicator.at_most) == (metric, limit_us, True)
    assert slo.model_preset == "llama2-70b/interactive"


def test_a_preset_counts_as_what_it_says() -> None:
    preset, plain = (
        load_text(with_indicator(text)).checked().objectives[0]
        for text in (
            "{metric: ttft, preset: llama2-70b/interactive}",
            "{metric: ttft, op: lte, threshold: 450ms}",
        )
    )
    assert preset == plain


KNOWN = ", ".join(presets().models)


@pytest.mark.parametrize(
    ("indicator", "expected"),
    [
        ("{metric: ttft, preset: llama2-70b/interactiv}",
         [f"preset  llama2-70b/interactiv  must be one of {KNOWN}  -> did you mean llama2-70b/interactive?"]),
        ("{metric: e2e, preset: llama2-70b/server}",
         ["preset  llama2-70b/server  has no threshold for e2e  -> write metric: ttft or tpot, or op and threshold"]),
        ("{metric: ttft, op: lte, threshold: 1s, preset: llama2-70b/server}",
         ["op  lte  is already said by preset  -> remove one of them",
          "threshold  1s  is already said by preset  -> remove one of them"]),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_preset(indicator: str, expected: list[str]) -> None:
    assert [each.partition("spec.indicator.")[2] for each in problems(with_indicator(indicator))] == expected


def test_a_matrix_makes_one_slo_for_each_metric_of_a_preset() -> None:
    text = with_indicator("{metric: $(metric), preset: llama2-70b/interactive}").replace("short", "$(metric)")
    found = load_text(f"matrix: {{metric: [ttft, tpot]}}\n{text}")
    assert [slo.objective.indicator.threshold for slo in found.checked().slos] == [450_000, 40_000]
