"""What a worker says of itself reaches `pipeline_health`, and never stops anything."""

import asyncio
import time

import pytest
from structlog.testing import capture_logs

from pipeline.agents.reports import Reporter
from pipeline.embedded import EmbeddedClickHouse
from pipeline.health import StepFacts
from pipeline.metrics import CATALOGUE
from pipeline.settings import Settings
from pipeline.transport import Position
from tests.sinks.storing import settings_of

FACTS = StepFacts("store", 4, oldest_in_flight_s=45.0, open_transaction_s=2.0, backlog_records=12, records=99)


@pytest.mark.parametrize(
    ("looks", "told"),
    [
        pytest.param(
            [(10.0, 5, 9), (12.0, 5, 20), (13.0, 9, 30), (20.0, 10, 31)], [0, 2, 0, 7], id="until it is reached"
        ),
        pytest.param([(10.0, 5, 9), (20.0, 9, 19), (30.0, 19, 29), (40.0, 29, 39)], [0, 0, 0, 0], id="a steady load"),
        pytest.param([(10.0, 5, 5), (90.0, 5, 6), (91.0, 5, 6)], [0, 0, 1], id="nothing waited before"),
        pytest.param([(10.0, 5, 9), (50.0, 5, None), (60.0, 9, None)], [0, 40, 0], id="the broker is away"),
        pytest.param([(10.0, 5, 900), (50.0, 0, 9), (51.0, 9, 9)], [0, 0, 0], id="the log was made anew"),
    ],
)
def test_a_step_is_behind_since_the_end_was_told_that_it_has_not_reached(
    looks: list[tuple[float, int, int | None]], told: list[float]
) -> None:
    reporter = Reporter(Settings(steps="ingest"))
    assert [reporter.behind_s("ingest", {0: Position(folded, end)}, now_s) for now_s, folded, end in looks] == told


def test_a_step_is_as_far_behind_as_the_slowest_of_its_partitions() -> None:
    reporter, slow = Reporter(Settings(steps="ingest")), Position(5, 9)
    looks = [(10.0, {0: slow}), (20.0, {0: slow, 1: slow}), (30.0, {1: slow}), (40.0, {0: slow, 1: slow}), (50.0, {})]
    assert [reporter.behind_s("ingest", positions, now_s) for now_s, positions in looks] == [0, 10, 10, 30, 0]


def test_every_gauge_is_in_the_catalogue_and_a_lag_is_one() -> None:
    readings = {reading.name: reading.value for reading in Reporter(Settings(steps="ingest")).readings(FACTS)}
    assert readings.keys() <= CATALOGUE.keys()
    assert (readings["burnline_lagging"], readings["burnline_backlog_records"]) == (1, 12)


def test_the_log_says_once_that_the_pipeline_lags_and_once_that_it_does_no_longer() -> None:
    reporter = Reporter(Settings(steps="ingest"))
    with capture_logs() as said:
        for why in ("", "slow", "slower", "", ""):
            reporter._tell("judge", why)
    assert [(line["event"], line.get("why")) for line in said] == [
        ("the pipeline lags", "slow"),
        ("the pipeline lags no longer", None),
    ]


@pytest.mark.servers
def test_reports_are_rows_of_pipeline_health(clickhouse: EmbeddedClickHouse) -> None:
    reporter = Reporter(settings_of(clickhouse))
    reporter._worker = f"here/{time.time_ns()}"
    reporter._store([FACTS, StepFacts("judge", 1, watermark_lag_s=3.5)])
    reporter._store([StepFacts("store", 4, records=100)])
    ask = (
        "SELECT stage, records, backlog_records, watermark_lag_s, oldest_in_flight_s, open_transaction_s, is_lagging, "
        f"reason != '' FROM pipeline_health WHERE worker = '{reporter._worker}' ORDER BY stage"
    )
    with clickhouse.client() as client:
        assert client.execute(ask) == [
            ("worker judge", 0, 0, 3.5, 0.0, 0.0, False, 0),
            ("worker store", 100, 0, None, 0.0, 0.0, False, 0),
        ]


def test_a_server_that_is_away_stops_no_report() -> None:
    reporter = Reporter(Settings(clickhouse_url="clickhouse://burnline_writer@127.0.0.1:1/burnline"))

    async def main() -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(reporter._thread, reporter._store, [FACTS])

    asyncio.run(main())
