"""`burnline slo` on OpenSLO files, alone and among ours."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import schemas
from pipeline.commands.slo import app
from tests.spec.openslo_samples import ELSEWHERE, EXAMPLES, SERVICE, THRESHOLD

NOTE = "is valid OpenSLO, and not measured by Burnline: its metric source is Prometheus"


def run(*words: object) -> Result:
    return CliRunner().invoke(app, list(map(str, words)))


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """A directory with OpenSLO that Burnline measures, OpenSLO that others do, and ours."""
    (tmp_path / "a.yaml").write_text(THRESHOLD)
    (tmp_path / "b.yaml").write_text(ELSEWHERE)
    (tmp_path / "c.yaml").write_text((schemas.HOME / "slo" / "batch.yaml").read_text())
    return tmp_path


def test_validate_tells_what_is_judged_and_what_is_not(mixed: Path) -> None:
    result = run("validate", mixed)
    assert result.exit_code == 0
    note, summary = result.stdout.splitlines()
    assert note.startswith("note: ")
    assert NOTE in note
    assert summary.endswith("good SLOs in 3 files: no problems")
    told = json.loads(run("validate", mixed, "--json").stdout)
    assert told["ok"]
    assert [each["value"] for each in told["unmeasured"]] == ["errors"]
    assert "chat" in [slo["name"] for slo in told["slos"]]


def test_validate_of_the_examples_is_good() -> None:
    result = run("validate", EXAMPLES)
    assert (result.exit_code, result.stdout) == (0, "3 good SLOs in 2 files, 6 other OpenSLO objects: no problems\n")


def test_a_file_of_other_objects_is_valid_and_says_that_it_holds_no_slo(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(SERVICE)
    result = run("validate", tmp_path)
    assert result.exit_code == 0
    assert "holds OpenSLO, but no SLO" in result.stdout


def test_show_explains_what_is_judged(mixed: Path) -> None:
    result = run("show", "chat", "--slo", mixed)
    assert result.exit_code == 0
    assert "99 % of chat requests with operation chat have ttft of at most 1s, over 30d" in result.stdout


def test_show_says_why_an_slo_is_not_judged(mixed: Path) -> None:
    result = run("show", "errors", "--slo", mixed)
    assert result.exit_code == 1
    assert NOTE in result.stderr
    assert NOTE in run("show", "--slo", mixed).stderr
