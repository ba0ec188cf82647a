"""`burnline migrate` run twice does nothing the second time, and says what it did."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from jobs.migrate import command, in_words
from pipeline.embedded import EmbeddedClickHouse, EmbeddedKafka
from pipeline.sinks.migrations import load, load_views
from pipeline.topics import NAMES

pytestmark = pytest.mark.servers
app = typer.Typer()
app.command()(command)


@pytest.fixture
def environment(clickhouse: EmbeddedClickHouse, kafka: EmbeddedKafka, topic_prefix: str) -> Iterator[dict[str, str]]:
    """Variables that point at real servers, a database that does not exist and a prefix nobody has used."""
    database = f"m{uuid.uuid4().hex}"
    yield {
        "BURNLINE_CLICKHOUSE_URL": f"{clickhouse.admin_url.rpartition('/')[0]}/{database}",
        "BURNLINE_CLICKHOUSE_PASSWORD_FILE": str(clickhouse.admin_password_file),
        "BURNLINE_KAFKA_BROKERS": kafka.brokers,
        "BURNLINE_TOPIC_PREFIX": topic_prefix,
    }
    with clickhouse.client() as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {database} SYNC")


def run(environment: dict[str, str], *arguments: str) -> dict[str, Any]:
    result = CliRunner().invoke(app, ["--json", *arguments], env=environment)
    assert result.exit_code == 0, result.output
    said: dict[str, Any] = json.loads(result.stdout)
    return said


def test_the_first_run_creates_everything_and_the_second_nothing(environment: dict[str, str]) -> None:
    names = [each.name for each in (*load(), *load_views())]
    dry = run(environment, "--dry-run")
    assert dry == {"migrations": names, "kept": [], "dry_run": True}
    first = run(environment)
    assert first["migrations"] == names
    assert first["topics"] == [environment["BURNLINE_TOPIC_PREFIX"] + name for name in NAMES]
    nothing = {"migrations": [], "kept": [], "topics": [], "topic_differences": [], "dry_run": False}
    assert run(environment) == nothing
    shorter = environment | {"BURNLINE_TTL_EVENTS_D": "3", "BURNLINE_TTL_COUNTS_1H_D": "400"}
    differ = [
        {"table": "counts_1h", "found_d": 800, "wanted_d": 400},
        {"table": "event_records", "found_d": 7, "wanted_d": 3},
    ]
    assert run(shorter, "--dry-run")["kept"] == run(shorter, "--no-topics")["kept"] == differ
    assert run(shorter) == nothing
    assert [each["wanted_d"] for each in run(environment, "--no-topics")["kept"]] == [800, 7]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        pytest.param("clickhouse://burnline_writer@127.0.0.1:1/burnline", "is a server running", id="nobody there"),
        pytest.param(None, "Authentication failed", id="wrong password"),
    ],
)
def test_a_server_that_cannot_be_used_ends_it_with_1_and_a_reason(
    environment: dict[str, str], url: str | None, said: str, tmp_path: Any
) -> None:
    (tmp_path / "password").write_text("wrong-secret")
    changed = {"BURNLINE_CLICKHOUSE_PASSWORD_FILE": str(tmp_path / "password")}
    changed |= {"BURNLINE_CLICKHOUSE_URL": url} if url else {}
    result = CliRunner().invoke(app, ["--no-topics"], env={**environment, **changed})
    assert result.exit_code == 1
    assert said in result.stderr
    assert "wrong-secret" not in result.stderr
    assert result.stdout == ""


def test_what_differs_and_is_left_alone_is_said() -> None:
    difference = {"topic": "slo.counts", "setting": "partitions", "wanted": "4", "found": "8"}
    kept = [{"table": "counts_1h", "found_d": None, "wanted_d": 400}]
    done = {
        "migrations": [], "kept": kept, "topics": ["slo.state"], "topic_differences": [difference], "dry_run": False,
    }  # fmt: skip
    assert in_words(done).splitlines() == [
        "tables are up to date",
        "counts_1h keeps rows 400 days, not for ever",
        "created topic slo.state",
        "topic slo.counts: partitions is 8, wanted is 4; not altered",
    ]
