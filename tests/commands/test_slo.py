"""`burnline slo`: what is printed where, and exit codes."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import schemas
from pipeline.commands.slo import app
from pipeline.spec import load
from tests.spec.samples import GOOD, SHORT, spoiled

EXAMPLES = str(schemas.HOME / "slo")
FAULTY = spoiled(("target: 0.99", "target: 99"), ("threshold: 1s", "threshold: 1"))


def run(*words: str) -> Result:
    return CliRunner().invoke(app, words)


def as_json(result: Result) -> Any:
    return json.loads(result.stdout)


@pytest.fixture
def slo_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BURNLINE_SLO_DIR", str(tmp_path / "slo"))
    (tmp_path / "slo").mkdir()
    return tmp_path / "slo"


def test_validate_says_that_the_examples_are_good() -> None:
    result = run("validate", EXAMPLES)
    assert result.exit_code == 0
    assert result.stdout == "18 good SLOs in 11 files, 1 composite: no problems\n"


def test_validate_prints_every_problem_and_fails(slo_dir: Path) -> None:
    (slo_dir / "a.yaml").write_text(FAULTY)
    (slo_dir / "b.yaml").write_text(SHORT)
    result = run("validate")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        f"{slo_dir}/a.yaml:13:16  spec.indicator.threshold  1  must carry a unit  -> write 1ms or 1s",
        f"{slo_dir}/a.yaml:18:11  spec.target  99  must be a ratio in (0, 1)  -> write 0.99",
    ]
    assert result.stderr == "1 good SLO in 2 files: 2 problems\n"


def test_validate_prints_json_and_nothing_else(slo_dir: Path) -> None:
    (slo_dir / "a.yaml").write_text(FAULTY)
    result = run("validate", str(slo_dir), "--json")
    assert result.exit_code == 1
    assert result.stderr == ""
    told = as_json(result)
    assert (told["ok"], told["slos"], told["warnings"]) == (False, [], [])
    assert [(problem["line"], problem["path"]) for problem in told["problems"]] == [
        (13, "spec.indicator.threshold"),
        (18, "spec.target"),
    ]
    good = as_json(run("validate", EXAMPLES, "--json"))
    assert good["ok"]
    assert len(good["slos"]) == 19


@pytest.mark.parametrize(
    "words",
    [
        ("validate", "/no/such/place"),
        ("lint", "--wrong"),
        ("show", "--slo", "/no/such/place"),
        ("show", "--slo", EXAMPLES, "--error-ratio", "15"),
        ("show", "--slo", EXAMPLES, "--error-ratio", "0"),
        ("new", "Bad Name"),
        ("new", "a", "--metric", "latency"),
        ("new", "a", "--target", "99"),
        ("new", "a", "--metric", "ttft", "--threshold", "1"),
        ("new", "a", "--metric", "tpot", "--threshold", "2h"),
        ("new", "a", "--service", " "),
        ("nonsense",),
        ("test",),
        ("test", "/no/such/place"),
        ("diff", EXAMPLES),
        ("diff", EXAMPLES, "/no/such/place"),
    ],
)
def test_wrong_usage_is_exit_code_2(words: tuple[str, ...], slo_dir: Path) -> None:
    assert run(*words).exit_code == 2
    assert list(slo_dir.iterdir()) == []


def test_validate_of_an_empty_directory_fails_with_a_way_out(slo_dir: Path) -> None:
    result = run("validate")
    assert result.exit_code == 1
    assert "burnline slo new" in result.stdout


def test_lint_fails_on_warnings_and_marks_them(slo_dir: Path) -> None:
    (slo_dir / "a.yaml").write_text(SHORT)
    result = run("lint")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[0].startswith(f"warning: {slo_dir}/a.yaml:3:11  metadata.labels  names no owner")
    assert result.stderr == "1 good SLO in 1 file: no problems, 3 warnings\n"
    told = as_json(run("lint", "--json"))
    assert told["ok"]
    assert len(told["warnings"]) == 3
    assert run("lint", EXAMPLES).exit_code == 0


def test_show_tells_figures_that_follow_from_the_file() -> None:
    (told,) = as_json(run("show", "chat-errors", "--slo", EXAMPLES, "--json", "--error-ratio", "0.15"))
    assert told["target"] == 0.999
    assert told["window_s"] == 30 * 86_400
    assert told["budget_events_per_million"] == 1000
    assert told["budget_minutes"] == 43.2
    assert told["burn_rate_max"] == 1000
    assert told["indicator"]["group_by"] == ["request_model"]
    assert [(pair["factor"], pair["long_s"], pair["short_s"]) for pair in told["pairs"]] == [
        (10, 3_600, 300),
        (2, 86_400, 7_200),
    ]
    assert told["pairs"][0]["firing_error_ratio"] == 0.01
    assert told["timings"] == [{
        "error_ratio": 0.15, "detection_s": [240, 1152], "reset_s": [343, 7174], "burn_rate": 150.0,
        "time_to_exhaustion_s": 17_280,
    }]  # fmt: skip


def test_show_without_a_name_shows_every_slo() -> None:
    result = run("show", "--slo", EXAMPLES)
    assert result.exit_code == 0
    for slo in load([EXAMPLES]).told.values():
        assert slo.name in result.stdout
        assert slo.objective.revision in result.stdout
    assert len(as_json(run("show", "--slo", EXAMPLES, "--json"))) == 19


def test_show_tells_people_the_same_figures(slo_dir: Path) -> None:
    (slo_dir / "a.yaml").write_text(GOOD)
    printed = run("show", "chat-ttft").stdout
    for part in (
        "99 % of chat requests with operation chat and tenant_id zen or acme have ttft of at most 1s",
        "10,000.0 bad in a million requests, or 432.0 min of outage",
        "SLA: 95 %, or 10 % credit",
        ">= 14.4", "8m39s / ", "Window pairs, its own",
    ):  # fmt: skip
        assert part in " ".join(printed.split()), part


def test_show_of_an_unknown_name_offers_the_nearest() -> None:
    result = run("show", "chat-error", "--slo", EXAMPLES)
    assert result.exit_code == 1
    assert result.stderr == "no SLO is named chat-error; did you mean chat-errors?\n"


def test_show_of_a_faulty_file_prints_problems_on_stderr(slo_dir: Path) -> None:
    (slo_dir / "a.yaml").write_text(FAULTY)
    result = run("show", "--json")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "spec.target" in result.stderr


def test_new_writes_a_good_file_and_never_overwrites(slo_dir: Path) -> None:
    result = run("new", "my-slo", "--metric", "ttft", "--threshold", "750ms", "--team", "serving")
    assert result.exit_code == 0
    file = slo_dir / "my-slo.yaml"
    assert str(file) in result.stdout
    (slo,) = load([file]).checked().slos
    assert (slo.name, slo.owner, slo.objective.indicator.threshold) == ("my-slo", "serving", 750_000)
    before = file.read_text()
    again = run("new", "my-slo")
    assert again.exit_code == 1
    assert "was not written" in again.stderr
    assert file.read_text() == before


def test_new_tells_machines_where_it_wrote(slo_dir: Path) -> None:
    output = slo_dir / "deep" / "x.yaml"
    assert as_json(run("new", "x", "--output", str(output), "--json")) == {"file": str(output)}
    assert output.exists()


def test_new_prints_the_file_when_asked(slo_dir: Path) -> None:
    printed = run("new", "x", "--metric", "e2e", "--stdout").stdout
    assert printed.startswith("# e2e: ")
    assert as_json(run("new", "x", "--metric", "e2e", "--stdout", "--json")) == {"text": printed}
    assert list(slo_dir.iterdir()) == []


TESTS = str(schemas.HOME / "slo_tests" / "chat_errors.yaml")


def test_the_shipped_tests_of_slos_pass() -> None:
    result = run("test", TESTS)
    assert result.exit_code == 0, result.stdout
    assert result.stdout.splitlines()[-1] == "3 tests: no failures, no problems"
    told = as_json(run("test", TESTS, "--json"))
    assert told["ok"]
    assert [(each["at_s"], each["event"]) for each in told["tests"][0]["alerts"]] == [
        (840, "FIRED"),
        (1543, "RESOLVED"),
    ]
    assert told["tests"][0]["status"][0]["state"] == "FIRING"


@pytest.mark.parametrize(
    ("file", "tests"), [("chat_monthly", "1 test"), ("chat_overload", "4 tests"), ("chat_throughput", "3 tests")]
)
def test_the_shipped_tests_of_other_slos_pass(file: str, tests: str) -> None:
    """By the calendar; of goodput, shedding, concurrency and retries; of throughput and cost."""
    result = run("test", str(schemas.HOME / "slo_tests" / f"{file}.yaml"))
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (0, f"{tests}: no failures, no problems")


def test_a_failing_test_of_an_slo_says_what_differs_and_what_came(slo_dir: Path) -> None:
    (slo_dir / "a.yaml").write_text(SHORT)
    file = slo_dir.parent / "t.yaml"
    file.write_text("slo: short\nname: too soon\nhistory: 1d\nstream: [{for: 1m, rate: 100, bad: 100}]\nexpect: []\n")
    result = run("test", str(file))
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "FAIL  too soon",
        "      FIRED CRITICAL at 37s was not expected",
        "      what came: FIRED CRITICAL at 37s",
        "1 test: 1 failure, no problems",
    ]
    (told,) = as_json(run("test", str(file), "--json"))["tests"]
    assert (told["ok"], told["failures"]) == (False, ["FIRED CRITICAL at 37s was not expected"])


def test_a_faulty_file_of_tests_is_problems_and_exit_code_1(slo_dir: Path) -> None:
    (slo_dir / "a.yaml").write_text(SHORT)
    file = slo_dir.parent / "t.yaml"
    file.write_text("slo: shrt\nstream: [{for: 1m, rate: 100}]\nexpect: []\n")
    result = run("test", str(file), "--json")
    assert result.exit_code == 1
    assert [problem["remedy"] for problem in as_json(result)["problems"]] == ["did you mean short?"]


def test_diff_says_what_a_change_does(slo_dir: Path) -> None:
    old, new = slo_dir / "old.yaml", slo_dir / "new.yaml"
    old.write_text(SHORT)
    new.write_text(spoiled(("0.999", "0.995"), text=SHORT))
    result = run("diff", str(old), str(new))
    assert result.exit_code == 0
    assert "target: 99.9 % -> 99.5 % (5 times the budget" in result.stdout
    assert result.stdout.splitlines()[-1] == "1 SLO differs"
    (told,) = as_json(run("diff", str(old), str(new), "--json"))["differences"]
    assert (told["name"], told["kind"]) == ("short", "changed")
    assert run("diff", str(old), str(old)).stdout == "no SLOs differ\n"


def test_diff_of_faulty_files_prints_problems_on_stderr(slo_dir: Path) -> None:
    (slo_dir / "a.yaml").write_text(FAULTY)
    result = run("diff", str(slo_dir), EXAMPLES)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "spec.target" in result.stderr


def test_schema_prints_the_shipped_schema() -> None:
    assert run("schema").stdout == (schemas.HOME / "slo.schema.json").read_text(encoding="utf-8")
    assert as_json(run("schema", "--json"))["title"] == "SLO or Correction, burnline/v1"


def test_show_draws_how_long_each_pair_takes() -> None:
    printed = run("show", "chat-errors", "--slo", EXAMPLES).stdout
    for part in ("chat-errors: fires after, by share of bad requests", "** critical 10x 1h", "oo warning 2x 1d"):
        assert part in printed
    rows = {line.split("┤")[0].strip() for line in printed.splitlines() if "┤" in line}
    assert {"1m", "10m", "1h", "1d"} <= rows
    assert "\x1b" not in printed


def test_every_command_has_help() -> None:
    for command in ("validate", "lint", "show", "new", "test", "diff", "schema"):
        result = run(command, "--help")
        assert result.exit_code == 0
        assert "--json" in result.stdout


SLICED = "  budgetingMethod: Timeslices\n  timeSliceWindow: 1m\n  timeSliceTarget: 0.95\n"
MONTHLY = ("{duration: 30d}", "{duration: 1M, calendar: {startTime: 2026-01-01, timeZone: Europe/Berlin}}")


def test_show_says_what_is_promised_by_the_calendar_and_in_slices(slo_dir: Path) -> None:
    (slo_dir / "a.yaml").write_text(spoiled(MONTHLY, text=SHORT) + SLICED)
    shown = run("show", "short").stdout
    sentence = "in 99.9 % of slices of 1m 95 % of chat requests do not fail, over each month of Europe/Berlin, from"
    assert f"{sentence} 2026-01-01 on" in " ".join(shown.split())
    assert "1,000.0 bad in a million slices" in shown
    assert "fires on 30 slices, 1 bad" in shown
    (told,) = as_json(run("show", "short", "--json", "--error-ratio", "0.04"))
    assert told["timings"][0]["detection_s"] == [None, None], "all slices are good"
    (told,) = as_json(run("show", "short", "--json", "--error-ratio", "0.06"))
    assert told["timings"][0]["detection_s"] == [60, 180], "0.6 and 2.88 slices are bad"
    assert told["timings"][0]["burn_rate"] == 1_000
