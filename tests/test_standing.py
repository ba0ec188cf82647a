"""One word for how an SLO instance is, for the terminal, the page and Grafana; and when nothing of it is of now."""

from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest

from pipeline.alerts import Severity, State
from pipeline.commands import fleet
from pipeline.embedded import EmbeddedClickHouse
from pipeline.standing import STANDINGS, Freshness, standing, trend
from pipeline.web.asking import sql_of
from tests.database import Database, insert
from tests.fleet_story import judged

NOW = datetime(2026, 11, 26, 5, 40, tzinfo=UTC)
WELL: dict[str, Any] = {
    "state": "OK", "severity": "NONE", "compliance_ratio": 0.995, "budget_remaining_ratio": 0.5, "is_stale": False
}  # fmt: skip
FIRING = {"state": "FIRING", "severity": "CRITICAL"}
STANDS = [
    pytest.param({}, "ok", id="well"),
    pytest.param({"budget_remaining_ratio": 0.0}, "spent", id="nothing left"),
    pytest.param({"budget_remaining_ratio": None}, "ok", id="a budget that nobody knows"),
    pytest.param(FIRING, "critical", id="pages"),
    pytest.param({**FIRING, "severity": "WARNING"}, "warning", id="warns"),
    pytest.param({**FIRING, "severity": "NONE"}, "info", id="fires without a severity"),
    pytest.param({**FIRING, "severity": "OF TOMORROW"}, "info", id="a severity that is not known yet"),
    pytest.param({"state": "PENDING"}, "pending", id="pending"),
    pytest.param({"state": "RECOVERING", "severity": "CRITICAL"}, "recovering", id="recovers"),
    pytest.param({"state": "FROZEN", "severity": "CRITICAL"}, "frozen", id="not measured"),
    pytest.param({"state": "OF TOMORROW"}, "frozen", id="a state that is not known yet"),
    pytest.param({"compliance_ratio": None}, "no_data", id="nothing was eligible"),
    pytest.param({**FIRING, "compliance_ratio": None}, "critical", id="pages, and nothing is in its window"),
    pytest.param({"is_stale": True}, "stale", id="nobody judges"),
    pytest.param({**FIRING, "is_stale": True}, "stale", id="paged, and nobody judges"),
]


@pytest.mark.parametrize(("changes", "word"), STANDS)
def test_how_an_instance_stands(changes: dict[str, Any], word: str) -> None:
    assert standing(**(WELL | changes)) == word


@pytest.mark.parametrize(("state", "severity"), product([*State.__members__, "ODD"], [*Severity.__members__, "ODD"]))
def test_every_state_has_a_word_which_everybody_knows(state: str, severity: str) -> None:
    for ratio, is_stale in product((None, 0.5), (True, False)):
        word = standing(state, severity, ratio, ratio, is_stale)
        assert word in STANDINGS and word.replace("_", " ") in fleet.COLOURS
    assert len(fleet.COLOURS) == len(STANDINGS)


FRESH = Freshness(NOW, NOW - timedelta(seconds=3), NOW - timedelta(seconds=8), "")


@pytest.mark.parametrize(
    ("fresh", "allowed_s", "said"),
    [
        pytest.param(FRESH, 5, "", id="of now"),
        pytest.param(FRESH._replace(judged_at=NOW - timedelta(seconds=120)), 5, "", id="judged two minutes ago"),
        pytest.param(
            FRESH._replace(judged_at=NOW - timedelta(days=3)), 5, "nothing has been judged for 3 d", id="nobody judges"
        ),
        pytest.param(FRESH._replace(judged_at=None), 5, "nothing has ever been judged", id="nobody ever has"),
        pytest.param(
            FRESH._replace(event_time=NOW - timedelta(hours=3)), 5, "what is judged now is 3 h old",
            id="a backlog is judged now",
        ),
        pytest.param(FRESH._replace(event_time=NOW - timedelta(seconds=125)), 5, "", id="as old as may be"),
        pytest.param(FRESH._replace(event_time=NOW - timedelta(hours=3)), 10_800, "", id="a grace of hours"),
        pytest.param(FRESH._replace(event_time=NOW + timedelta(hours=3)), 5, "", id="a clock that runs ahead"),
        pytest.param(FRESH._replace(lagging="judge of h/1: 12 wait"), 5, "behind: judge of h/1: 12 wait", id="a lag"),
    ],
)  # fmt: skip
def test_when_what_is_known_is_not_of_now(fresh: Freshness, allowed_s: float, said: str) -> None:
    assert fresh.staleness(allowed_s) == said


@pytest.mark.servers
def test_freshness_is_asked_of_judgements_and_of_what_workers_say_within_the_minute(
    clickhouse: EmbeddedClickHouse,
) -> None:
    database = Database(clickhouse)
    with database.client() as client:

        def asked() -> Freshness:
            rows, columns = client.execute(sql_of("freshness"), with_column_types=True)
            return Freshness(**dict(zip([name for name, _ in columns], rows[0], strict=True)))

        def says(step: str, ago: timedelta, reason: str) -> None:
            at = datetime.now(UTC) - ago
            numbers = dict.fromkeys(("records", "dead_letters", "late", "backlog_records", "oldest_in_flight_s"), 0)
            insert(
                client, "worker_reports", worker=f"h/{step}", step=step, reported_at=at, open_transaction_s=0.0,
                watermark_lag_s=None, is_lagging=bool(reason), reason=reason, **numbers,
            )  # fmt: skip

        assert asked()[1:] == (None, None, "")
        judged(client, "old", "", 1, 0, judged_at=NOW, window_end=NOW - timedelta(hours=3))
        judged(client, "older", "", 1, 0, judged_at=NOW - timedelta(days=1), window_end=NOW - timedelta(hours=9))
        for step, ago, reason in (
            ("ingest", timedelta(hours=-1), ""), ("store", timedelta(minutes=10), "12 wait"),
            ("deliver", timedelta(hours=-1), "a receiver is down"),
        ):  # fmt: skip
            says(step, ago, reason)
        found = asked()
        assert found[1:] == (NOW, NOW - timedelta(hours=3), "")
        assert abs(found.asked_at - datetime.now(UTC)) < timedelta(hours=1)
        says("judge", timedelta(hours=-1), "9 records wait")
        assert asked().lagging == "judge of h/judge: 9 records wait"
    database.drop()


def test_a_trend_has_a_burn_rate_a_cell_and_none_where_nothing_was_eligible() -> None:
    found = trend(0.99, ([0, 3, 11], [99, 0, 80], [1, 0, 20]), 12)
    assert found == [pytest.approx(1.0), *[None] * 10, pytest.approx(20.0)]
    assert trend(0.99, ((), (), ()), 36) == [None] * 36
