"""`burnline gate`: what ClickHouse knows of a service's SLOs, as an exit code and in words."""

import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from pipeline.blocks import encode
from pipeline.cli import app
from pipeline.commands.gate import waited
from pipeline.controls.gate import Decision, Reason, Verdict
from pipeline.embedded import EmbeddedClickHouse
from pipeline.sinks.clickhouse import ClickHouse, Unavailable
from tests.delivery.told import event
from tests.recorded import Recorded
from tests.sinks.correcting import Site
from tests.sinks.storing import settings_of

NOW_S = int(time.time())
RULES = """\
apiVersion: burnline/v1
kind: GatePolicy
source: a test
rules:
  - {name: night-work, verdict: frozen, reason: nobody is there, during: [Sun]}
  - {name: alerts, verdict: frozen, reason: mend it first, alertAtLeast: critical}
  - {name: half, verdict: caution, reason: half is spent, budgetAtMost: 0.5}
  - {name: otherwise, verdict: open, reason: go on}
"""
TUESDAY, SUNDAY = "2026-11-24T10:00Z", "2026-11-29T10:00Z"


class Service:
    """A service of its own, and judgements of its SLOs."""

    def __init__(self, site: Site, policy: Path) -> None:
        self.site, self.policy, self.name = site, policy, f"g{uuid.uuid4().hex[:10]}"

    def judged(self, region: str, left: float | None, burn: float | None = 0.1, **changes: Any) -> None:
        windows = {
            "windows_s": [300, 3600], "windows_good": [9, 90], "windows_bad": [1, 10],
            "windows_coverage_ratio": [1.0, 1.0], "windows_burn_rate": [burn, 0.1],
        }  # fmt: skip
        judged = {"judged_at": NOW_S * 1_000_000, "service": self.name, "budget_remaining_ratio": left,
                  "good": 99, "bad": 1}  # fmt: skip
        self.site.status(f"slo-of-{self.name}", region, 86_400, NOW_S, **{**judged, **windows, **changes})

    def fires(self, region: str) -> None:
        at = dict.fromkeys(("started_at", "window_end", "watermark"), NOW_S * 1_000_000)
        said = event(slo=f"slo-of-{self.name}", service=self.name, instance=f"region={region}", **at,
                     labels={"region": region}, dedup_key=f"slo-of-{self.name}|region={region}")  # fmt: skip
        self.site.store("slo.alerts", [Recorded(0, encode("burn_rate_alert", said.columns), b"k")])

    def gate(self, *words: str, at: str = TUESDAY, code: int = 0) -> Result:
        result = CliRunner().invoke(app, ["gate", self.name, "--policy", str(self.policy), "--at", at, *words])
        assert result.exit_code == code, result.output
        return result

    def decided(self, *words: str, at: str = TUESDAY, code: int = 0) -> tuple[str, list[tuple[str, str, str]]]:
        said = json.loads(self.gate("--json", *words, at=at, code=code).stdout)
        return said["verdict"], [(each["verdict"], each["instance"], each["rule"]) for each in said["reasons"]]


@pytest.fixture
def service(clickhouse: EmbeddedClickHouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    monkeypatch.setenv("BURNLINE_CLICKHOUSE_URL", clickhouse.url)
    monkeypatch.setenv("BURNLINE_CLICKHOUSE_PASSWORD_FILE", str(clickhouse.password_file))
    (tmp_path / "gate.yaml").write_text(RULES)
    sink = ClickHouse(settings_of(clickhouse))
    yield Service(Site(clickhouse, sink), tmp_path / "gate.yaml")
    sink.close()


@pytest.mark.servers
def test_the_worst_instance_decides_and_says_why(service: Service) -> None:
    service.judged("eu", 0.9)
    assert service.decided() == ("open", [("open", "region=eu", "otherwise")])
    assert service.decided(at=SUNDAY, code=1)[0] == "frozen"
    service.judged("us", 0.4, burn=2.5)
    cautious = ("caution", [("caution", "region=us", "half"), ("open", "region=eu", "otherwise")])
    assert service.decided() == cautious
    assert service.decided("--strict", code=1) == cautious
    service.fires("eu")
    frozen = service.decided(code=1)
    assert frozen == ("frozen", [("frozen", "region=eu", "alerts"), ("caution", "region=us", "half")])
    said = service.gate(code=1).stdout
    assert said.startswith(f"frozen: {service.name}") and "mend it first: a critical alert is open" in said
    assert "half is spent: 40 % of the budget left" in said


@pytest.mark.servers
@pytest.mark.parametrize(
    ("unknown", "text"),
    [
        pytest.param({"left": None}, "no data: nothing was eligible in its window", id="no data"),
        pytest.param({"left": 0.9, "state": "FROZEN"}, "too little data to judge it", id="too little to judge"),
        pytest.param(
            {"left": 0.9, "windows_good": [0, 90], "windows_bad": [0, 10], "windows_coverage_ratio": [0.0, 1.0]},
            "no data of the last 5 min", id="a silent source",
        ),
        pytest.param(
            {"left": 0.9, "windows_s": [], "windows_good": [], "windows_bad": [], "windows_burn_rate": [],
             "windows_coverage_ratio": []}, "no burn rate", id="no windows",
        ),
    ],
)  # fmt: skip
def test_what_is_unknown_is_caution(service: Service, unknown: dict[str, Any], text: str) -> None:
    service.judged("eu", **unknown)
    assert service.decided() == ("caution", [("caution", "region=eu", "unknown")])
    assert text in service.gate().stdout


@pytest.mark.servers
def test_a_service_that_no_slo_is_about_is_a_usage_error_that_names_what_is_near(service: Service) -> None:
    service.judged("eu", 0.9)
    known, service.name = service.name, f"{service.name[:-1]}?"
    said = " ".join(service.gate(code=2).output.replace("│", " ").split())
    assert f"did you mean {known}?" in said


def test_a_policy_that_cannot_be_used_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "gate.yaml").write_text(RULES.replace("budgetAtMost", "budget"))
    result = CliRunner().invoke(app, ["gate", "chat", "--policy", str(tmp_path / "gate.yaml")])
    assert result.exit_code == 2 and "gate.yaml:7:" in result.output
    result = CliRunner().invoke(app, ["gate", "chat", "--policy", str(tmp_path / "none.yaml")])
    assert result.exit_code == 2 and "cannot be read" in result.output


def decision(verdict: Verdict) -> Decision:
    return Decision(verdict, (Reason(verdict, "a", "", "r", "why"),))


class Looks:
    """What is seen, look by look; each pause takes ten seconds of a clock that nobody else reads."""

    def __init__(self, *seen: Verdict | Exception) -> None:
        self.seen, self.looks, self.now_s = seen, 0, 0.0

    def look(self) -> Decision:
        each = self.seen[min(self.looks, len(self.seen) - 1)]
        self.looks += 1
        if isinstance(each, Exception):
            raise each
        return decision(each)

    def pause(self) -> None:
        self.now_s += 10.0

    def waited(self, wait_s: float) -> Verdict:
        return waited(self.look, lambda found: found.verdict <= 1, self.pause, lambda: self.now_s, wait_s).verdict


AWAY = Unavailable("it is away")


@pytest.mark.parametrize(
    ("seen", "wait_s", "verdict", "looks"),
    [
        pytest.param((Verdict.FROZEN, Verdict.OPEN), 0, Verdict.FROZEN, 1, id="nobody waits"),
        pytest.param((Verdict.OPEN, Verdict.FROZEN), 60, Verdict.OPEN, 1, id="it is open at once"),
        pytest.param((Verdict.FROZEN, Verdict.FROZEN, Verdict.CAUTION), 60, Verdict.CAUTION, 3, id="it opens"),
        pytest.param((Verdict.FROZEN,), 30, Verdict.FROZEN, 4, id="it does not open in time"),
        pytest.param((AWAY, AWAY, Verdict.OPEN), 60, Verdict.OPEN, 3, id="the server comes back"),
        pytest.param((Verdict.FROZEN, AWAY, Verdict.OPEN), 60, Verdict.OPEN, 3, id="the server goes away in between"),
    ],
)
def test_waiting(seen: tuple[Verdict | Exception, ...], wait_s: float, verdict: Verdict, looks: int) -> None:
    looked = Looks(*seen)
    assert (looked.waited(wait_s), looked.looks) == (verdict, looks)


@pytest.mark.parametrize("seen", [(AWAY,), (Verdict.FROZEN, AWAY)], ids=["never there", "away at last"])
def test_without_an_answer_at_last_the_gate_does_not_open(seen: tuple[Verdict | Exception, ...]) -> None:
    with pytest.raises(typer.Exit) as ended:
        Looks(*seen).waited(30)
    assert ended.value.exit_code == 1
