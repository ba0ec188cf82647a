"""`burnline slo correct`, `withdraw`, `corrections`: from files to what a reader sees, and back."""

import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from pipeline.commands.slo import app
from pipeline.embedded import EmbeddedClickHouse
from tests.spec.samples import SHORT, spoiled
from tests.spec.test_corrections import MOVE, SUNDAYS


def run(*words: str) -> Result:
    return CliRunner().invoke(app, words)


def as_json(*words: str) -> Any:
    result = run(*words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture
def slo_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BURNLINE_SLO_DIR", str(tmp_path / "slo"))
    (tmp_path / "slo").mkdir()
    (tmp_path / "slo" / "short.yaml").write_text(SHORT)
    return tmp_path / "slo"


@pytest.fixture
def server(clickhouse: EmbeddedClickHouse, monkeypatch: pytest.MonkeyPatch) -> EmbeddedClickHouse:
    monkeypatch.setenv("BURNLINE_CLICKHOUSE_URL", clickhouse.url)
    monkeypatch.setenv("BURNLINE_CLICKHOUSE_PASSWORD_FILE", str(clickhouse.password_file))
    return clickhouse


def named(text: str, slo: str = "short") -> tuple[str, str]:
    """Give a correction a name of its own, and an SLO that it is about."""
    name = f"c{uuid.uuid4().hex[:10]}"
    where = "{region: eu}" if "{region: eu}" in text else "where: all"
    text = spoiled(
        (where, where.replace("{region: eu}", f"{{slo: {slo}}}").replace("all", f"{{slo: {slo}}}")), text=text
    )
    return name, text.replace("move-of-the-database", name).replace("{name: sundays}", f"{{name: {name}}}")


def of(name: str, *words: str) -> list[dict[str, Any]]:
    return [row for row in as_json("corrections", *words) if row["correction"] == name]


@pytest.mark.servers
def test_a_correction_goes_in_force_is_listed_and_is_withdrawn_with_its_trace(
    server: EmbeddedClickHouse, slo_dir: Path
) -> None:
    name, text = named(MOVE)
    (slo_dir / "c.yaml").write_text(text)
    assert as_json("correct", "--dry-run") == [{"correction": name, "what": "applied", "version": 1, "ranges": 1}]
    assert of(name) == []
    assert run("correct").stdout.splitlines() == [f"{name} is in force", "1 correction: 1 version recorded"]
    assert as_json("correct") == [{"correction": name, "what": "unchanged", "version": None}]
    (row,) = of(name)
    assert (row["version"], row["who"], row["times"]) == (1, "anna@example.com", "2026-11-20 02:00 UTC for 2h30m")
    assert name in run("corrections").stdout
    assert as_json("withdraw", name, "--who", "ben", "--reason", "it was us") == [
        {"correction": name, "what": "withdrawn", "version": 2, "ranges": 1}
    ]
    assert of(name) == []
    assert [(row["version"], row["state"], row["who"]) for row in of(name, "--all")] == [
        (1, "APPLIED", "anna@example.com"), (2, "WITHDRAWN", "ben"),
    ]  # fmt: skip
    assert run("correct").stdout.startswith(f"{name} stays withdrawn: change its document")


@pytest.mark.servers
def test_withdrawing_what_is_not_in_force_says_what_is(server: EmbeddedClickHouse, slo_dir: Path) -> None:
    name, text = named(SUNDAYS)
    (slo_dir / "c.yaml").write_text(text)
    assert run("correct").exit_code == 0
    result = run("withdraw", f"{name}x", "--who", "ben", "--reason", "no")
    assert (result.exit_code, result.stderr) == (1, f"{name}x is no correction; did you mean {name}?\n")
    assert run("withdraw", name, "--who", "ben", "--reason", "no").exit_code == 0
    result = run("withdraw", name, "--who", "ben", "--reason", "no")
    assert (result.exit_code, result.stderr) == (1, f"{name} is withdrawn already\n")


@pytest.mark.servers
def test_files_that_are_named_are_checked_against_the_slos_of_the_site(
    server: EmbeddedClickHouse, slo_dir: Path, tmp_path: Path
) -> None:
    name, text = named(MOVE, "shrot")
    file = tmp_path / "c.yaml"
    file.write_text(text)
    result = run("correct", str(file))
    assert result.exit_code == 1
    assert "is the name of no SLO  -> did you mean short?" in result.stderr
    (slo_dir / "broken.yaml").write_text(MOVE.replace("who", "woh"))
    file.write_text(text.replace("shrot", "short"))
    assert run("correct", str(file)).exit_code == 0  # what is wrong elsewhere is not of this file
    assert len(of(name)) == 1


def test_problems_stop_everything_before_a_server_is_asked(slo_dir: Path) -> None:
    (slo_dir / "c.yaml").write_text(MOVE.replace("who", "woh"))
    result = run("correct")
    assert result.exit_code == 1
    assert "spec.woh  anna@example.com  is an unknown key  -> did you mean who?" in result.stderr


def test_without_a_server_it_says_so_in_a_line(slo_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BURNLINE_CLICKHOUSE_URL", "clickhouse://burnline_writer@127.0.0.1:1/burnline")
    (slo_dir / "c.yaml").write_text(named(MOVE)[1])
    result = run("correct")
    assert result.exit_code == 1
    assert result.stderr.startswith("ClickHouse cannot now")
    assert "Traceback" not in result.output


@pytest.mark.parametrize(("option", "text"), [("--who", " "), ("--reason", "two\nlines")])
def test_a_withdrawal_needs_a_name_and_a_reason(slo_dir: Path, option: str, text: str) -> None:
    given = {"--who": "ben", "--reason": "no", option: text}
    result = run("withdraw", "x", *(word for pair in given.items() for word in pair))
    assert result.exit_code == 2


def test_validate_counts_corrections(slo_dir: Path) -> None:
    (slo_dir / "c.yaml").write_text(named(MOVE)[1])
    assert run("validate").stdout == "1 good SLO in 2 files, 1 correction: no problems\n"
    assert [each["name"][0] for each in as_json("validate")["corrections"]] == ["c"]


def test_prune_takes_no_files_since_it_withdraws_what_is_in_none(slo_dir: Path) -> None:
    result = run("correct", "--prune", str(slo_dir))
    assert result.exit_code == 2
    assert "--prune" in result.stderr
