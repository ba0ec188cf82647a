"""`burnline change compare`: what ClickHouse has of a change, counted and judged; and the gate that knows of it."""

import json
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.commands.status import question, rows
from pipeline.controls.comparison import ComparisonSpec, compared
from pipeline.embedded import EmbeddedClickHouse
from pipeline.sinks.clickhouse import ClickHouse
from tests.database import Database
from tests.sinks.correcting import Site

MINUTE, WEEK = 60, 7 * 86_400
NOW_S = int(time.time()) // MINUTE * MINUTE
AHEAD_US = (NOW_S + 9 * 3600) * 1_000_000  #: judged so far ahead that it does not grow stale while tests run
DEPLOY_S = NOW_S - 30 * MINUTE + 20  #: in the middle of a minute


class Story:
    """A service, its counts and its changes."""

    def __init__(self, database: Database, site: Site) -> None:
        self.database, self.site, self.name = database, site, f"c{uuid.uuid4().hex[:10]}"
        self.slo = f"slo-of-{self.name}"

    def judged(self, region: str, **more: Any) -> None:
        windows = {
            "windows_s": [300], "windows_good": [9], "windows_bad": [1], "windows_coverage_ratio": [1.0],
            "windows_burn_rate": [0.1],
        }  # fmt: skip
        judged = {"judged_at": AHEAD_US, "window_end": AHEAD_US, "service": self.name, "budget_remaining_ratio": 0.9,
                  "good": 990_000, "bad": 10_000, "target": 0.99}  # fmt: skip
        self.site.status(self.slo, region, 86_400, NOW_S, **{**judged, **windows, **more})

    def counts(self, region: str, at_s: int, minutes: int, good: int, bad: int, revision: str = "r1") -> None:
        rows = [(at_s + n * MINUTE, good, bad, 0) for n in range(minutes)]
        self.site.counts(self.slo, region, rows, revision)

    def change(self, name: str, at_s: int, kind: str = "DEPLOY", **scope: str) -> None:
        at = datetime.fromtimestamp(at_s, UTC)
        row = {
            "change_id": name, "at": at, "until": None, "kind": kind, "service": self.name, "title": f"the {name}",
            "request_model": "", "variant": "", "region": "", "before": {}, "after": {}, "actor": "", "url": None,
            "config_epoch": None, "appended_at": at, **scope,
        }  # fmt: skip
        with self.database.server.client(database=self.database.name) as client:
            client.execute(f"INSERT INTO change_records ({', '.join(row)}) VALUES", [tuple(row.values())])

    def run(self, *words: str, code: int = 0) -> str:
        result = CliRunner().invoke(app, [*words])
        assert result.exit_code == code, result.output
        return result.stdout

    def compared(self, *words: str) -> dict[tuple[str, str], dict[str, Any]]:
        found = json.loads(self.run("change", "compare", *words, "--service", self.name, "--json"))
        return {(row["change_id"], row["instance"]): row for row in found}


@pytest.fixture(scope="module")
def database(clickhouse: EmbeddedClickHouse) -> Iterator[Database]:
    with Database(clickhouse) as made:
        yield made


@pytest.fixture
def story(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Story]:
    settings = database.settings(tmp_path / "slo")
    monkeypatch.setenv("BURNLINE_CLICKHOUSE_URL", settings.clickhouse_url)
    monkeypatch.setenv("BURNLINE_CLICKHOUSE_PASSWORD_FILE", str(settings.clickhouse_password_file))
    monkeypatch.setenv("BURNLINE_SLO_DIR", str(settings.slo_dir))
    sink = ClickHouse(settings)
    yield Story(database, Site(database.server, sink))
    sink.close()


@pytest.mark.servers
def test_a_change_is_compared_with_what_was_before_it_and_the_gate_knows_who_is_to_blame(story: Story) -> None:
    whole = NOW_S - 30 * MINUTE  # the minute of the deploy
    for region, bad in (("eu", 50), ("us", 5)):
        story.judged(region)
        story.counts(region, whole - 60 * MINUTE, 60, 995, 5)
        story.counts(region, whole, 1, 0, 1_000_000)  # in it: of neither side
        story.counts(region, whole + MINUTE, 20, 1_000 - bad, bad)
        story.counts(region, whole + MINUTE - WEEK, 20, 994, 6)
        story.counts(region, whole + 200 * MINUTE - WEEK, 5, 0, 777)  # of no side
    story.counts("eu", whole - 5 * MINUTE, 1, 0, 9_999, revision="r0")  # of an indicator that is no more
    story.change("deploy", DEPLOY_S)
    story.change("price", DEPLOY_S + 60, "PRICE")
    found = story.compared()
    assert set(found) == {("deploy", "region=eu"), ("deploy", "region=us")}
    worse, same = found["deploy", "region=eu"], found["deploy", "region=us"]
    assert (worse["verdict"], worse["good"], worse["bad"]) == ("worse", 19_000, 1_000)
    sides = {each["baseline"]: (each["good"], each["bad"]) for each in worse["baselines"]}
    assert sides == {"before": (59_700, 300), "week": (19_880, 120)}
    week = worse["baselines"][1]
    assert week["difference"] == pytest.approx(0.044) and week["difference_within"][0] > 0.03
    assert worse["budget_excess_ratio"] == pytest.approx(880 / 10_000)  # of those that a million may have
    assert same["verdict"] != "worse" and worse["alpha"] == 0.005
    spec = ComparisonSpec()
    asked = spec.asked(story.name, "deploy", story.slo, "region=eu")  # as a page asks of one alone
    (alone,) = compared(spec, rows(question("comparison"), **asked))
    assert json.loads(json.dumps(alone.told, default=str))["baselines"] == worse["baselines"]
    assert (alone.verdict, alone.alpha, alone.reason) == ("worse", 0.005, worse["reason"])
    assert "5 % of 20,000 events bad after it, 0.5 % just before it; 0.6 % a week earlier" in worse["reason"]
    text = " ".join(story.run("change", "compare", "deploy").split())
    assert "the deploy, in force" in text and "worse" in text
    gate = json.loads(story.run("gate", story.name, "--at", "2026-11-24T10:00Z", "--json"))
    assert [(each["rule"], each["instance"]) for each in gate["reasons"]] == [
        ("bad-change", "region=eu"), ("otherwise", "region=us"),
    ]  # fmt: skip
    assert "'the deploy' made it worse" in gate["reasons"][0]["text"]
    story.change("rollback", NOW_S - 9 * MINUTE, "ROLLBACK")
    assert story.compared("deploy")["deploy", "region=eu"]["ended_at"] is not None
    gate = json.loads(story.run("gate", story.name, "--at", "2026-11-24T10:00Z", "--json"))
    assert {each["rule"] for each in gate["reasons"]} == {"otherwise"}


@pytest.mark.servers
def test_a_change_is_looked_at_between_its_neighbours_and_where_it_can_concern_anything(story: Story) -> None:
    for region in ("eu", "us"):
        story.judged(region)
        story.counts(region, NOW_S - 90 * MINUTE, 90, 99, 1)
    story.change("first", NOW_S - 80 * MINUTE, "KNOB", region="eu")
    story.change("elsewhere", NOW_S - 60 * MINUTE, region="us")
    story.change("second", NOW_S - 40 * MINUTE, region="eu")
    story.change("new", NOW_S - 2 * 86_400)  # long ago
    found = story.compared()
    assert set(found) == {("first", "region=eu"), ("elsewhere", "region=us"), ("second", "region=eu")}
    first, second = found["first", "region=eu"], found["second", "region=eu"]
    assert first["good"] + first["bad"] == 40 * 100 and first["ended_at"] is not None
    assert [each["good"] + each["bad"] for each in second["baselines"]] == [40 * 100]
    assert second["good"] + second["bad"] >= 40 * 100 and second["ended_at"] is None
    assert found["elsewhere", "region=us"]["ended_at"] is None
    short = story.compared("second", "--window", "10m")["second", "region=eu"]
    assert (short["good"] + short["bad"], short["verdict"]) == (1_000, "not_yet")
    assert story.compared("--since", "3d")["new", "region=eu"]["reason"] == "nothing was counted after it"
    assert "nothing to compare" in story.run("change", "compare", "no-such", "--service", story.name)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        pytest.param(["--against", "month"], "write before, week or both", id="no baseline"),
        pytest.param(["--alpha", "1"], "between 0 and 1", id="no probability"),
        pytest.param(["--window", "1y"], "write", id="no time"),
        pytest.param(["--margin", "much"], "write", id="no share"),
    ],
)
def test_what_cannot_be_asked_is_a_usage_error(words: list[str], says: str) -> None:
    result = CliRunner().invoke(app, ["change", "compare", *words])
    assert result.exit_code == 2 and says in " ".join(result.output.replace("│", " ").split())
