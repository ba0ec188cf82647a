"""The file that `slo new` writes is one that `slo validate` accepts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sli import METRICS
from pipeline.spec.template import STARTING_POINTS, template
from tests.spec.samples import load_text

LINE = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), min_size=1, max_size=40)


@pytest.mark.parametrize("metric", METRICS)
def test_a_new_file_is_good_for_every_metric(metric: str) -> None:
    found = load_text(template("a-name", metric, "chat"))
    assert found.problems == ()
    assert found.slos[0].objective.indicator.metric == metric


def test_starting_points_are_those_of_metrics() -> None:
    assert set(STARTING_POINTS) <= set(METRICS)


@given(
    LINE.filter(lambda text: text.strip() and text.isprintable()),
    LINE.filter(lambda text: text.strip() and text.isprintable()),
)
def test_any_service_and_team_are_read_back(service: str, team: str) -> None:
    (slo,) = load_text(template("a", "ttft", service, "0.95", "750ms", team)).slos
    assert (slo.objective.service, slo.owner) == (service, team)
    assert slo.objective.indicator.threshold == 750_000
    assert slo.description == f"95 % of {service} requests have ttft of at most 750ms"


@pytest.mark.parametrize("service", ["null", "no", "1", "it's", "a: b", "#x", "- x"])
def test_words_that_yaml_reads_otherwise_are_quoted(service: str) -> None:
    (slo,) = load_text(template("a", "error_rate", service)).slos
    assert slo.objective.service == service
