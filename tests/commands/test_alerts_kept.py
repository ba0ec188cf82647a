"""What `burnline alerts` keeps: silences, acknowledgements and notes, in one ClickHouse that all of them share."""

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from typer.testing import CliRunner

from pipeline.blocks import encode
from pipeline.commands.alerts import app
from pipeline.delivery.silences import of_row, silencing
from pipeline.embedded import EmbeddedClickHouse
from pipeline.embedded.clickhouse_config import READER
from pipeline.sinks.clickhouse import ClickHouse
from tests.delivery.told import FIRED_US, event
from tests.recorded import Recorded
from tests.sinks.correcting import Site
from tests.sinks.storing import settings_of

pytestmark = pytest.mark.servers


class Kept:
    """Commands against a server, and alerts of an SLO of its own."""

    def __init__(self, server: EmbeddedClickHouse) -> None:
        self.server, self.slo = server, f"a{uuid.uuid4().hex[:10]}"

    def run(self, *words: str, code: int = 0) -> Any:
        result = CliRunner().invoke(app, [*words])
        assert result.exit_code == code, result.output
        return result

    def json(self, *words: str) -> Any:
        return json.loads(self.run(*words, "--json").stdout)

    def happens(self, instance: str, *events: str, later_s: int = 0) -> None:
        """Store events of one alert."""
        sink = ClickHouse(settings_of(self.server))
        site = Site(self.server, sink)
        started = FIRED_US + later_s * 1_000_000
        records = []
        for number, name in enumerate(events):
            columns = event(
                slo=self.slo, instance=instance, labels=dict([instance.split("=")]), dedup_key=f"{self.slo}|{instance}",
                event=name, sequence=started // 1_000_000 + number, started_at=started,
                window_end=started + number * 60_000_000,
            ).columns  # fmt: skip
            records.append(Recorded(number, encode("burn_rate_alert", columns), b"k"))
        site.store("slo.alerts", records)
        sink.close()

    def log(self) -> dict[str, dict[str, Any]]:
        return {row["instance"]: row for row in self.json("--slo", self.slo)}


@pytest.fixture
def kept(clickhouse: EmbeddedClickHouse, monkeypatch: pytest.MonkeyPatch) -> Kept:
    monkeypatch.setenv("BURNLINE_CLICKHOUSE_URL", clickhouse.url)
    monkeypatch.setenv("BURNLINE_CLICKHOUSE_PASSWORD_FILE", str(clickhouse.password_file))
    return Kept(clickhouse)


def test_who_acknowledges_and_what_is_noted_stands_in_the_log(kept: Kept) -> None:
    kept.happens("region=eu", "FIRED")
    kept.happens("region=us", "FIRED", "RESOLVED")
    assert "several" not in kept.run("ack", kept.slo, "--who", "anna", "--note", "rolling back").stdout
    kept.run("note", kept.slo, "v2 had a bad cache key", "--who", "zoe")
    kept.run("note", f"{kept.slo}|region=us", "same cause", "--who", "zoe")
    rows = kept.log()
    assert list(rows) == ["region=eu", "region=us"], "what fires comes first"
    assert rows["region=eu"]["acknowledged_by"] == "anna"
    assert rows["region=eu"]["notes"] == ["anna: rolling back", "zoe: v2 had a bad cache key"]
    assert (rows["region=us"]["acknowledged_by"], rows["region=us"]["notes"]) == ("", ["zoe: same cause"])
    assert [row["instance"] for row in kept.json("--slo", kept.slo, "--firing")] == ["region=eu"]
    assert "anna (2" in kept.run("--slo", kept.slo).stdout
    with kept.server.client(READER) as reader:
        said = reader.execute(
            "SELECT what, who FROM alert_notes WHERE slo = %(slo)s ORDER BY written_at", {"slo": kept.slo}
        )
    assert said == [("ACK", "anna"), ("NOTE", "zoe"), ("NOTE", "zoe")]


def test_a_later_alert_of_the_same_key_is_not_acknowledged_by_the_last_one(kept: Kept) -> None:
    kept.happens("region=eu", "FIRED")
    kept.run("ack", kept.slo, "--who", "anna")
    kept.happens("region=eu", "FIRED", later_s=86_400)
    firing = kept.json("--slo", kept.slo)
    assert [row["acknowledged_by"] for row in firing] == ["", "anna"]


def test_which_alert_is_meant_must_be_clear(kept: Kept) -> None:
    assert f"no alert of {kept.slo}" in kept.run("ack", kept.slo, "--who", "anna", code=1).stderr
    kept.happens("region=eu", "FIRED")
    kept.happens("region=us", "FIRED")
    said = kept.run("ack", kept.slo, "--who", "anna", code=1).stderr
    assert f"{kept.slo}|region=eu" in said
    assert f"{kept.slo}|region=us" in said
    kept.run("ack", kept.slo, "--who", "anna", "--instance", "region=us")
    assert {name: row["acknowledged_by"] for name, row in kept.log().items()} == {"region=eu": "", "region=us": "anna"}


def test_a_silence_holds_back_what_fits_until_it_is_ended(kept: Kept) -> None:
    kept.happens("region=eu", "FIRED")
    words = ("silence", f"slo={kept.slo}", "region=e*", "--for", "2h", "--reason", "we know", "--who", "anna")
    (made,) = kept.json(*words)
    assert made["open"] == [{"slo": kept.slo, "instance": "region=eu", "kind": "BURN_RATE", "severity": "CRITICAL"}]
    name, now = made["silence"], datetime.now(UTC)
    (row,) = [row for row in kept.json("silences") if row["silence"] == name]
    assert row["is_in_force"]
    assert f"slo={kept.slo} region=e*" in kept.run("silences").stdout.replace("\n", " ")
    silence = of_row({**row, **{end: datetime.fromisoformat(row[end]) for end in ("starts_at", "ends_at")}})
    for region, later, held in (("eu", 1, True), ("us", 1, False), ("eu", 3, False)):
        at_us = round((now + timedelta(hours=later)).timestamp() * 1e6)
        assert bool(silencing([silence], {"slo": kept.slo, "region": region}, at_us)) is held
    kept.run("unsilence", name, "--who", "zoe")
    (row,) = [row for row in kept.json("silences", "--all") if row["silence"] == name]
    assert not row["is_in_force"]
    assert (row["who"], row["reason"]) == ("anna", "we know (ended by zoe)")
    assert "is over already" in kept.run("unsilence", name, "--who", "zoe", code=1).stderr
    assert "is no silence" in kept.run("unsilence", "nobody", "--who", "zoe", code=1).stderr


def test_a_silence_that_a_clock_ahead_of_ours_made_is_ended(kept: Kept) -> None:
    (made,) = kept.json("silence", f"slo={kept.slo}", "--for", "2h", "--reason", "we know", "--who", "anna")
    name = made["silence"]
    with kept.server.client() as client:
        client.execute(
            "INSERT INTO silence_versions SELECT * REPLACE (recorded_at + INTERVAL 1 HOUR AS recorded_at) "
            "FROM silence_versions WHERE silence = %(name)s",
            {"name": name},
        )
    kept.run("unsilence", name, "--who", "zoe")
    (row,) = [row for row in kept.json("silences", "--all") if row["silence"] == name]
    assert not row["is_in_force"]
