"""`burnline alerts test-route`: says who would be told, tells them only when it is asked to, and marks it as a test."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from pipeline.commands.alerts_test_route import test_route as command
from tests.delivery.listening import Listening, Reply, listening

app = typer.Typer()
app.command()(command)
ROUTES = """\
apiVersion: burnline/v1
kind: AlertRoutes
receivers:
  - name: hook
    webhook: {{url: "{url}"}}
    allow: [127.0.0.0/8]
  - name: rest
    topic: {{name: alerts.json}}
routes:
  - match: {{team: serving}}
    severity: [critical]
    receivers: [hook]
    continue: true
  - match: {{region: test}}
    receivers: none
  - receivers: [rest]
"""
SLO = """\
apiVersion: burnline/v1
kind: SLO
metadata: {name: chat-errors, labels: {team: serving}}
spec:
  service: chat
  indicator: {metric: error_rate}
  target: 0.99
  timeWindow: {duration: 30d, isRolling: true}
"""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Listening]:
    (tmp_path / "slo").mkdir()
    (tmp_path / "slo" / "chat.yaml").write_text(SLO)
    monkeypatch.setenv("BURNLINE_SLO_DIR", str(tmp_path / "slo"))
    monkeypatch.setenv("BURNLINE_ALERT_ROUTES", str(tmp_path / "routes.yaml"))
    with listening() as made:
        (tmp_path / "routes.yaml").write_text(ROUTES.format(url=made.url("/it")))
        yield made


@pytest.mark.parametrize(
    ("arguments", "reached"),
    [
        pytest.param(["slo=chat-errors"], ["hook", "rest"], id="by the labels of the SLO's file"),
        pytest.param(["team=serving"], ["hook", "rest"], id="by labels that are given"),
        pytest.param(["team=serving", "--severity", "warning"], ["rest"], id="by severity"),
        pytest.param(["region=test"], [], id="nobody, on purpose"),
    ],
)
def test_it_says_who_would_be_told_and_tells_nobody(
    server: Listening, arguments: list[str], reached: list[str]
) -> None:
    done = CliRunner().invoke(app, [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    assert [row["receiver"] for row in json.loads(done.stdout)] == reached
    assert server.heard == []


def test_it_tells_them_that_it_is_a_test_and_that_it_is_over(server: Listening) -> None:
    done = CliRunner().invoke(app, ["slo=chat-errors", "--send", "--json"])
    hook, rest = json.loads(done.stdout)
    assert done.exit_code == 0 and hook["answer"] == "taken" and rest["answer"].startswith("left out")
    said = [heard.json["data"] for heard in server.heard]
    assert [each["action"] for each in said] == ["trigger", "resolve"]
    assert all(each["is_test"] and "TEST" in each["words"]["title"] for each in said)


def test_an_answer_that_is_no_is_a_failure(server: Listening) -> None:
    server.answer = lambda _: Reply(403, b"not you")
    done = CliRunner().invoke(app, ["slo=chat-errors", "--send"])
    assert done.exit_code == 1 and "403" in done.stdout


def test_without_receivers_it_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BURNLINE_ALERT_ROUTES", raising=False)
    done = CliRunner().invoke(app, ["slo=x"])
    assert done.exit_code == 1 and "BURNLINE_ALERT_ROUTES" in done.stderr


@pytest.mark.parametrize("wrong", [["nothing"], ["a=b", "--severity", "high"], ["a=b", "--kind", "x"]])
def test_what_is_no_label_severity_or_kind_is_a_usage_error(server: Listening, wrong: list[str]) -> None:
    assert CliRunner().invoke(app, wrong).exit_code == 2


def test_a_file_that_cannot_be_used_is_said_whole(server: Listening, tmp_path: Path) -> None:
    file = tmp_path / "routes.yaml"
    file.write_text(file.read_text().replace("[hook]", "[hok]"))
    done = CliRunner().invoke(app, ["slo=x"])
    assert done.exit_code == 1 and "did you mean hook?" in done.stderr
