"""`burnline gate`: what ClickHouse knows of a service's SLOs, as an exit code and in words."""

import json
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
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
from tests.database import Database
from tests.delivery.told import event
from tests.recorded import Recorded
from tests.sinks.correcting import Site

NOW_S = int(time.time())
AHEAD_US = (NOW_S + 9 * 3600) * 1_000_000  #: judged so far ahead that it does not grow stale while tests run
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
SLO = """\
apiVersion: burnline/v1
kind: SLO
metadata: {{name: promised}}
spec:
  service: {service}
  indicator: {{metric: error_rate}}
  target: 0.999
  timeWindow: {{duration: 30d, isRolling: true}}
"""
TUESDAY, SUNDAY = "2026-11-24T10:00Z", "2026-11-29T10:00Z"


class Service:
    """A service of its own, and judgements of its SLOs."""

    def __init__(self, site: Site, home: Path) -> None:
        self.site, self.home, self.name = site, home, f"g{uuid.uuid4().hex[:10]}"
        (home / "gate.yaml").write_text(RULES)

    def judged(self, region: str, left: float | None, burn: float | None = 0.1, **changes: Any) -> None:
        windows = {
            "windows_s": [300, 3600], "windows_good": [9, 90], "windows_bad": [1, 10],
            "windows_coverage_ratio": [1.0, 1.0], "windows_burn_rate": [burn, 0.1],
        }  # fmt: skip
        judged = {"judged_at": AHEAD_US, "window_end": AHEAD_US, "service": self.name, "budget_remaining_ratio": left,
                  "good": 99, "bad": 1}  # fmt: skip
        self.site.status(f"slo-of-{self.name}", region, 86_400, NOW_S, **{**judged, **windows, **changes})

    def fires(self, region: str, **changes: Any) -> None:
        at = dict.fromkeys(("started_at", "window_end", "watermark"), NOW_S * 1_000_000)
        said = event(slo=f"slo-of-{self.name}", service=self.name, instance=f"region={region}", **at,
                     labels={"region": region}, dedup_key=f"slo-of-{self.name}|region={region}",
                     **changes)  # fmt: skip
        self.site.store("slo.alerts", [Recorded(0, encode("burn_rate_alert", said.columns), b"k")])

    def gate(self, *words: str, at: str = TUESDAY, code: int = 0) -> Result:
        result = CliRunner().invoke(app, ["gate", self.name, "--policy", f"{self.home}/gate.yaml", "--at", at, *words])
        assert result.exit_code == code, result.output
        return result

    def decided(self, *words: str, at: str = TUESDAY, code: int = 0) -> tuple[str, list[tuple[str, str, str]]]:
        said = json.loads(self.gate("--json", *words, at=at, code=code).stdout)
        return said["verdict"], [(each["verdict"], each["instance"], each["rule"]) for each in said["reasons"]]


@pytest.fixture(scope="module")
def database(clickhouse: EmbeddedClickHouse) -> Iterator[Database]:
    """Of these tests alone: the gate looks at how fresh all judgements are."""
    with Database(clickhouse) as made:
        yield made


@contextmanager
def asking(database: Database, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    settings = database.settings(home / "slo")
    monkeypatch.setenv("BURNLINE_CLICKHOUSE_URL", settings.clickhouse_url)
    monkeypatch.setenv("BURNLINE_CLICKHOUSE_PASSWORD_FILE", str(settings.clickhouse_password_file))
    monkeypatch.setenv("BURNLINE_SLO_DIR", str(settings.slo_dir))
    sink = ClickHouse(settings)
    yield Service(Site(database.server, sink), home)
    sink.close()


@pytest.fixture
def service(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    with asking(database, tmp_path, monkeypatch) as made:
        yield made


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
    assert service.decided(code=1) == ("caution", [("caution", "region=eu", "unknown")])
    assert service.decided("--allow-unknown")[0] == "caution"
    assert service.decided("--allow-unknown", "--strict", code=1)[0] == "caution"
    assert text in service.gate(code=1).stdout


@pytest.mark.servers
def test_when_nothing_is_known_the_gate_fails_and_says_why(
    clickhouse: EmbeddedClickHouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was ever judged; then what is judged now is old; then the judge has been dead for days."""
    database = Database(clickhouse)
    with asking(database, tmp_path, monkeypatch) as service:
        assert "no SLO of it has ever been judged" in service.gate(code=1).stdout
        service.judged("eu", 0.9, window_end=(NOW_S - 3 * 3600) * 1_000_000)
        assert "what is judged now is 3 h" in service.gate(code=1).stdout
        three_days_ago = (NOW_S - 3 * 86_400) * 1_000_000
        service.judged("eu", 0.9, judged_at=three_days_ago, window_end=three_days_ago, watermark=NOW_S * 1_000_000 + 1)
        assert service.decided(code=1) == ("caution", [("caution", "region=eu", "unknown")])
        assert "nothing has been judged for 3 d" in service.gate(code=1).stdout
        assert service.decided("--allow-unknown")[0] == "caution"
    database.drop()


@pytest.mark.servers
def test_an_slo_of_the_service_that_was_never_judged_is_not_known(service: Service) -> None:
    (service.home / "slo").mkdir()
    (service.home / "slo" / "slo.yaml").write_text(SLO.format(service=service.name))
    assert service.decided(code=1) == ("caution", [("caution", "", "unknown")])
    service.judged("eu", 0.9)
    assert service.decided(code=1) == (
        "caution", [("caution", "", "unknown"), ("open", "region=eu", "otherwise")],
    )  # fmt: skip
    assert "promised" in service.gate(code=1).stdout
    (service.home / "slo" / "slo.yaml").write_text(SLO.format(service="another"))
    assert service.decided() == ("open", [("open", "region=eu", "otherwise")])


@pytest.mark.servers
def test_a_composite_is_about_the_services_of_all_its_members(service: Service) -> None:
    service.judged("eu", 0.4, service=f"another,{service.name}")
    assert service.decided() == ("caution", [("caution", "region=eu", "half")])
    service.name = service.name[1:]  # a name within it is another's
    service.gate(code=2)


@pytest.mark.servers
def test_an_alert_that_eased_is_as_severe_as_it_is_now(service: Service) -> None:
    service.judged("eu", 0.9)
    service.fires("eu")
    assert service.decided(code=1)[0] == "frozen"
    service.fires("eu", event="UPDATED", severity="WARNING", sequence=1 << 40)
    assert service.decided() == ("open", [("open", "region=eu", "otherwise")])


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
