"""`burnline slo diff --history`: stored counts under old and new rules, and what they cannot answer."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pipeline.commands.slo import app
from pipeline.embedded import EmbeddedClickHouse
from pipeline.sinks.clickhouse import ClickHouse
from pipeline.spec import load
from tests.sinks.correcting import END_S, Site
from tests.sinks.storing import settings_of
from tests.spec.samples import SHORT, spoiled

pytestmark = pytest.mark.servers
HOURS = 8
UNTIL_S = END_S // 60 * 60  #: end of the last minute that has counts
BROKEN = range(UNTIL_S - 5 * 3_600, UNTIL_S - 5 * 3_600 + 1_500)  #: 25 minutes in which 6 % fail


@pytest.fixture
def site(clickhouse: EmbeddedClickHouse, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("BURNLINE_CLICKHOUSE_URL", clickhouse.url)
    monkeypatch.setenv("BURNLINE_CLICKHOUSE_PASSWORD_FILE", str(clickhouse.password_file))
    sink = ClickHouse(settings_of(clickhouse))
    yield Site(clickhouse, sink)
    sink.close()


@pytest.fixture
def slo(site: Site, tmp_path: Path) -> str:
    """An SLO of 99.9 % over 7 d, with 8 hours of counts: 100 requests each ten seconds, one incident."""
    name = site.name()
    (tmp_path / "old.yaml").write_text(spoiled(("short", name), ("30d", "7d"), text=SHORT))
    (found,) = load([tmp_path / "old.yaml"]).checked().slos
    starts = range(UNTIL_S - HOURS * 3_600, UNTIL_S, 10)
    rows = [(at, 94, 6, 0) if at in BROKEN else (at, 100, 0, 0) for at in starts]
    site.counts(name, "eu", rows, found.objective.indicator_revision)
    return name


def history(tmp_path: Path, *changes: tuple[str, str]) -> Any:
    (tmp_path / "new.yaml").write_text(spoiled(*changes, text=(tmp_path / "old.yaml").read_text()))
    words = ["diff", str(tmp_path / "old.yaml"), str(tmp_path / "new.yaml"), "--history"]
    result = CliRunner().invoke(app, [*words, "--json"])
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)["history"]
    printed = CliRunner().invoke(app, words)
    assert printed.exit_code == 0, printed.output
    return told[0], printed.stdout


def test_a_laxer_target_is_judged_by_both_out_of_stored_counts(slo: str, tmp_path: Path) -> None:
    told, printed = history(tmp_path, ("target: 0.999", "target: 0.99"))
    assert told["text"] == "judged by both rules, out of stored counts"
    (instance,) = told["instances"]
    bad, all_ = 6 * len(BROKEN) // 10, HOURS * 360 * 100
    for side, target in (("old", 0.999), ("new", 0.99)):
        judged = instance[side]
        assert (judged["good"], judged["bad"]) == (all_ - bad, bad)
        assert judged["compliance_ratio"] == (all_ - bad) / all_
        assert judged["budget_remaining_ratio"] == pytest.approx(1 - bad / ((1 - target) * all_))
        assert judged["is_met"] == (bad <= round((1 - target) * all_))
    fired = [each for each in instance["old"]["alerts"] if each["event"] == "FIRED"]
    assert [each["severity"] for each in fired] == ["CRITICAL"]
    assert instance["new"]["alerts"] == []
    assert f"{fired[0]['at']}  region=eu  CRITICAL fires no more" in printed
    assert "99.688% " in printed.replace("│", " ")


def test_a_changed_threshold_or_filter_is_what_history_cannot_answer(slo: str, tmp_path: Path) -> None:
    told, printed = history(tmp_path, ("metric: error_rate", "metric: error_rate, where: {region: eu}"))
    assert told["text"].startswith("history cannot answer: what is counted changes")
    assert "`burnline replay`" in printed
    assert told["instances"] == []


def test_what_is_not_judged_otherwise_needs_no_history(slo: str, tmp_path: Path) -> None:
    told, _ = history(tmp_path, ("service: chat", "service: chat\n  description: chat works"))
    assert told["text"] == "nothing is judged otherwise, so history is as it was"


def test_an_slo_without_counts_says_so(site: Site, tmp_path: Path) -> None:
    (tmp_path / "old.yaml").write_text(spoiled(("short", site.name()), text=SHORT))
    assert history(tmp_path, ("0.999", "0.99"))[0]["text"] == "history cannot answer: no counts are stored of it"


def test_a_new_slo_has_no_history(slo: str, tmp_path: Path) -> None:
    told, _ = history(tmp_path, (slo, f"{slo}-b"), ("target: 0.999", "target: 0.99"))
    assert told["text"].startswith(("history cannot answer: nothing was counted", "its history stays readable"))
