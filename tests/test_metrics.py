"""The catalogue of metrics and its text: conventions checked by promtool, both forms parsed, labels bounded."""

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_plain

from pipeline.metrics import (
    CATALOGUE,
    OPENMETRICS,
    OTHER,
    PLAIN_TEXT,
    SERIES_MOST,
    Reading,
    content_type,
    render,
)
from tests.referee.promtool import PROMTOOL

EVERY = [Reading(name, at, tuple(f"{label}-{at}" for label in spec.labels)) for name, spec in CATALOGUE.items()
         for at in range(2 if spec.labels else 1) if name != "burnline_folded_series"]  # fmt: skip
ASKED = "application/openmetrics-text"


def test_every_metric_has_a_sentence_and_a_unit_in_its_name() -> None:
    for name, spec in CATALOGUE.items():
        assert name.startswith("burnline_")
        assert spec.help.endswith(".")


def test_a_reading_is_rendered_with_its_labels() -> None:
    text = render([Reading("burnline_records", 12, ("ingest",)), Reading("burnline_series", 3)]).decode()
    assert 'burnline_records_total{step="ingest"} 12.0' in text
    assert "burnline_series 3.0" in text


def test_a_metric_nobody_described_is_refused() -> None:
    with pytest.raises(KeyError):
        render([Reading("burnline_surprise", 1)])


def samples(text: str, is_open: bool) -> dict[tuple[str, tuple[str, ...]], float]:
    families = read_openmetrics(text) if is_open else read_plain(text)
    return {(s.name, tuple(sorted(s.labels.values()))): s.value for family in families for s in family.samples}


def test_both_forms_say_the_same() -> None:
    plain, opened = (samples(render(EVERY, accept).decode(), bool(accept)) for accept in ("", ASKED))
    assert plain == opened and len(plain) == len(EVERY) + 1


@pytest.mark.skipif(PROMTOOL is None, reason="there is no promtool: make promtool, on Debian")
def test_promtool_finds_nothing_against_our_names() -> None:
    run = subprocess.run([PROMTOOL or "", "check", "metrics"], input=render(EVERY), capture_output=True, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (0, b"", b"")


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        pytest.param("", PLAIN_TEXT, id="nothing asked"),
        pytest.param("*/*", PLAIN_TEXT, id="anything"),
        pytest.param("text/plain;version=0.0.4;q=0.9", PLAIN_TEXT, id="the plain form"),
        pytest.param("Application/OpenMetrics-Text; version=1.0.0; charset=utf-8", OPENMETRICS, id="OpenMetrics"),
        pytest.param(
            "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;q=0.3", OPENMETRICS, id="Prometheus'"
        ),
        pytest.param("application/openmetrics-text;q=0", PLAIN_TEXT, id="refused"),
        pytest.param("application/openmetrics-text-not", PLAIN_TEXT, id="another type"),
    ],
)
def test_the_form_is_that_of_the_accept_header(accept: str, kind: str) -> None:
    assert content_type(accept) == kind


@given(st.text())
def test_no_accept_header_is_repeated_or_refused(accept: str) -> None:
    assert content_type(accept) in {PLAIN_TEXT, OPENMETRICS}


@pytest.mark.parametrize(
    ("name", "folded"),
    [("burnline_dead_letters", sum(range(SERIES_MOST, 50_000))), ("burnline_watermark_seconds", 49_999)],
    ids=["a counter adds up", "of a gauge the greatest counts"],
)
def test_a_flood_of_labels_is_bounded_and_nothing_is_lost(name: str, folded: int) -> None:
    text = render(Reading(name, at, (f"label-{at}",)) for at in range(50_000)).decode()
    found = samples(text, is_open=False)
    assert len(found) == SERIES_MOST + 2
    written = name + "_total" * (CATALOGUE[name].kind == "counter")
    assert found[written, (OTHER,)] == folded
    assert found["burnline_folded_series", ()] == 50_000 - SERIES_MOST
