"""The page is timed in a real browser, over a fleet that is there."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.embedded import EmbeddedClickHouse
from tests.bench import page
from tests.database import Database
from tests.web import story


@pytest.mark.servers
def test_paint_comes_before_rows_and_both_are_told(clickhouse: EmbeddedClickHouse, tmp_path: Path) -> None:
    with Database(clickhouse) as own:
        with own.client() as client:
            story.tell(client, datetime.now(UTC), story.write_files(tmp_path))
        found = page.measure(own.settings(tmp_path), repeats=2)
    assert 0 < found["first"]["paint_ms"] <= found["first"]["rows_ms"]
    assert 0 < found["median_paint_ms"] <= found["most_paint_ms"]
    assert found["median_rows_ms"] <= found["most_rows_ms"]
    assert f"first paint {found['median_paint_ms']:.0f} ms" in page.lines(found)[0]
