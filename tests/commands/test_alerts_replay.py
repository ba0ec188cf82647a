"""`burnline alerts replay`: what would have paged, out of stored counts, weighed against marked incidents."""

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pipeline.commands.alerts import app
from pipeline.embedded import EmbeddedClickHouse
from pipeline.sinks.clickhouse import ClickHouse
from pipeline.spec import load
from tests.sinks.correcting import END_S, Site
from tests.sinks.storing import settings_of
from tests.spec.samples import SHORT, spoiled

pytestmark = pytest.mark.servers
UNTIL_S = END_S // 60 * 60  #: end of the last minute that has counts
HOURS = 4
BROKEN = range(UNTIL_S - 2 * 3_600, UNTIL_S - 2 * 3_600 + 1_500)  #: 25 minutes in which 6 % fail


def iso(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).isoformat()


@pytest.fixture
def definition(clickhouse: EmbeddedClickHouse, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """An SLO of 99.9 %, with four hours of counts: 100 requests each ten seconds, one incident."""
    monkeypatch.setenv("BURNLINE_CLICKHOUSE_URL", clickhouse.url)
    monkeypatch.setenv("BURNLINE_CLICKHOUSE_PASSWORD_FILE", str(clickhouse.password_file))
    sink = ClickHouse(settings_of(clickhouse))
    site = Site(clickhouse, sink)
    file = tmp_path / "slo.yaml"
    file.write_text(spoiled(("short", site.name()), text=SHORT))
    (slo,) = load([file]).checked().slos
    starts = range(UNTIL_S - HOURS * 3_600, UNTIL_S, 10)
    rows = [(at, 94, 6, 0) if at in BROKEN else (at, 100, 0, 0) for at in starts]
    site.counts(slo.name, "eu", rows, slo.objective.indicator_revision)
    yield file
    sink.close()


def replayed(definition: Path, *words: str) -> dict[str, Any]:
    (told,) = all_replayed(definition, *words)
    return told


def all_replayed(definition: Path, *words: str) -> list[dict[str, Any]]:
    since, until = iso(UNTIL_S - HOURS * 3_600), iso(UNTIL_S)
    result = CliRunner().invoke(
        app, ["replay", "--slo", str(definition), "--from", since, "--to", until, *words, "--json"]
    )
    assert result.exit_code == 0, result.output
    return list(json.loads(result.stdout))


def test_it_says_what_pages_what_of_that_is_right_and_how_soon(definition: Path, tmp_path: Path) -> None:
    marked = tmp_path / "incidents.csv"
    quiet = UNTIL_S - 3 * 3_600
    marked.write_text(
        f"name,start,end,slo\nerrors,{iso(BROKEN.start)},{iso(BROKEN.stop)},\n"
        f"unseen,{iso(quiet)},{iso(quiet + 60)},\nelsewhere,{iso(quiet)},{iso(quiet + 60)},another\n"
    )
    told = replayed(definition, "--incidents", str(marked))
    (alert,) = told["alerts"]
    assert (alert["severity"], alert["instance"], alert["is_right"]) == ("CRITICAL", "region=eu", True)
    assert (told["pages"], told["precision"], told["recall"]) == (1, 1.0, 0.5)
    found = {each["name"]: each["minutes_to_detect"] for each in told["incidents"]}
    assert found["unseen"] is None
    assert "elsewhere" not in found
    # 6 % burn at 60x: 10x over 1 h when a sixth of the hour has passed, and the windows move in steps
    assert found["errors"] == pytest.approx(10, abs=0.5)
    words = ["replay", "--slo", str(definition), "--from", iso(UNTIL_S - 14_400), "--to", iso(UNTIL_S)]
    printed = CliRunner().invoke(app, [*words, "--incidents", str(marked)])
    assert "nobody would have been paged for unseen" in printed.stdout
    assert "1 of 2" in printed.stdout


def test_with_a_laxer_definition_nobody_is_paged(definition: Path) -> None:
    definition.write_text(definition.read_text().replace("target: 0.999", "target: 0.95"))
    told = replayed(definition)
    assert (told["pages"], told["alerts"], told["precision"]) == (0, [], None)


def test_a_composite_is_played_by_what_was_counted_for_it_of_its_members(
    clickhouse: EmbeddedClickHouse, definition: Path
) -> None:
    name = load([definition]).slos[0].name
    file = definition.parent / "whole.yaml"
    file.write_text(
        "apiVersion: burnline/v1\nkind: SLO\n"
        f"metadata: {{name: {name}-whole}}\nspec:\n"
        f"  composite: {{rule: weightedMean, objectives: [{{ref: {name}}}, {{ref: {name}-two}}]}}\n"
        "  target: 0.999\n  timeWindow: {duration: 30d, isRolling: true}\n  alerting: {preset: default}\n"
        f"---\n{definition.read_text().replace(name, f'{name}-two')}"
    )
    whole = load([file, definition]).checked().composed[0]
    with closing(ClickHouse(settings_of(clickhouse))) as sink:
        starts = range(UNTIL_S - HOURS * 3_600, UNTIL_S, 10)
        rows = [(at, 94, 6, 0) if at in BROKEN else (at, 100, 0, 0) for at in starts]
        Site(clickhouse, sink).counts(whole.parts[0].name, "", rows, whole.parts[0].indicator_revision)
    told = {each["slo"]: each for each in all_replayed(definition.parent)}
    assert told[f"{name}-two"]["text"].startswith("nothing is stored of what it counts")
    (page,) = told[f"{name}-whole"]["alerts"]
    assert (page["instance"], page["severity"]) == ("", "CRITICAL")
    begins = datetime.fromisoformat(page["fired"]).timestamp()
    assert begins in BROKEN


def test_what_nobody_counts_cannot_be_played(definition: Path) -> None:
    definition.write_text(definition.read_text().replace("error_rate", "error_rate, where: {region: eu}"))
    assert replayed(definition)["text"].startswith("nothing is stored of what it counts")
