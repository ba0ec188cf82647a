"""The catalogue of metrics and its text."""

import pytest

from pipeline.metrics import CATALOGUE, Reading, render


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
