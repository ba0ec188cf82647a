"""What ClickHouse says came, and what `slo lint --seen` and `doctor` make of it."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.commands.doctor import check_seen
from pipeline.commands.seen import seen
from pipeline.commands.slo import app
from pipeline.embedded import EmbeddedClickHouse
from tests.sinks.storing import settings_of
from tests.spec.samples import SHORT, load_text

pytestmark = pytest.mark.servers

SERVICE = "seen-by-itself"
TTFT = SHORT.replace("error_rate", "ttft, op: lte, threshold: 1s").replace("service: chat", f"service: {SERVICE}")
ELSEWHERE = SHORT.replace("short", "elsewhere").replace("service: chat", f"service: {SERVICE}x")


def test_services_and_metrics_that_no_event_had_are_warned_of(
    clickhouse: EmbeddedClickHouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (objective,) = load_text(TTFT).checked().objectives
    ask = clickhouse.client().execute
    ask(f"INSERT INTO slices_1h (slice_start, service, success) SELECT now(), '{SERVICE}', 4")
    ask(
        "INSERT INTO counts_1h (slo, revision, slice_start, excluded) SELECT 'short', "
        f"'{objective.indicator_revision}', now(), 4"
    )
    ask(f"INSERT INTO slices_1h (slice_start, service, success) SELECT now() - INTERVAL 8 DAY, '{SERVICE}x', 4")
    came = seen(ask)
    assert came.requests[SERVICE, "", "", "", "", "", "", ""] == 4
    assert came.counts["short", objective.indicator_revision] == (0, 4)
    (tmp_path / "slos.yaml").write_text(f"{TTFT}---\n{ELSEWHERE}")
    settings = settings_of(clickhouse).model_copy(update={"slo_dir": tmp_path})
    found = check_seen(settings)
    assert found.ok and found.detail.startswith("2 warning(s), the first: ") and "lint --seen" in found.remedy
    monkeypatch.setenv("BURNLINE_CLICKHOUSE_URL", clickhouse.url)
    monkeypatch.setenv("BURNLINE_CLICKHOUSE_PASSWORD_FILE", str(clickhouse.password_file))
    told = CliRunner().invoke(app, ["lint", "--seen", str(tmp_path)]).stdout
    assert "spec.indicator.metric  ttft  judged none of 4 events" in told
    assert f"spec.service  {SERVICE}x  is the service of none of the" in told
    assert "judged none" not in CliRunner().invoke(app, ["lint", str(tmp_path)]).stdout
