"""What `burnline status` shows: states in words, trends, what is unknown, what fits, and again until Ctrl-C."""

import io
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.commands import fleet
from pipeline.commands.children import environment
from pipeline.commands.screen import Screen
from pipeline.commands.status import Seen, watching
from pipeline.embedded import EmbeddedClickHouse
from pipeline.sinks.clickhouse import Unavailable
from pipeline.standing import Freshness
from tests.fleet_story import NOW, burning_fleet
from tests.sinks.storing import settings_of
from tests.web.gate import Gate

GREEN = "\x1b[32m"


def row(**changes: Any) -> dict[str, Any]:
    """An instance that is well."""
    known: dict[str, Any] = {
        "slo": "chat", "instance": "region=eu", "service": "chat", "labels": {"region": "eu"}, "alert_state": "OK",
        "severity": "NONE", "compliance_ratio": 0.995, "target": 0.99, "coverage_ratio": 1.0, "good": 995, "bad": 5,
        "budget_remaining_ratio": 0.5, "time_to_exhaustion_s": 86_400.0, "exhaustion_burn_rate": 0.5,
        "burn_rate": 0.5, "burn_window_s": 300, "window_end": NOW, "judged_at": NOW,
    }  # fmt: skip
    return known | changes


FRESH = Freshness(NOW + timedelta(seconds=3), NOW, NOW, "")
LONG_AGO = FRESH._replace(asked_at=NOW + timedelta(minutes=3))


def of(*rows: dict[str, Any], fresh: Freshness = FRESH) -> list[dict[str, Any]]:
    return fleet.with_trends(fleet.fleet(rows, fresh, bool(fresh.staleness(5))), [])


NOTHING = {"compliance_ratio": None, "budget_remaining_ratio": None, "burn_rate": None, "good": 0, "bad": 0}
PAGES = {"alert_state": "FIRING", "severity": "CRITICAL"}


@pytest.mark.parametrize(
    ("changes", "fresh", "state"),
    [
        pytest.param({}, FRESH, "ok", id="well"),
        pytest.param(PAGES, FRESH, "critical", id="pages"),
        pytest.param({**PAGES, "severity": "NONE"}, FRESH, "info", id="fires without a severity"),
        pytest.param(NOTHING, FRESH, "no data", id="nothing was eligible"),
        pytest.param(NOTHING | PAGES, FRESH, "critical", id="pages, and nothing is in its window"),
        pytest.param({"alert_state": "OF TOMORROW"}, FRESH, "frozen", id="a state that is not known yet"),
        pytest.param({"judged_at": NOW - timedelta(days=1)}, FRESH, "ok", id="silent, but others are judged"),
        pytest.param({}, LONG_AGO, "stale", id="nobody judges"),
    ],
)
def test_a_state_is_a_word_as_everywhere(changes: dict[str, Any], fresh: Freshness, state: str) -> None:
    (found,) = of(row(**changes), fresh=fresh)
    assert (found["state"], found["asked_at"]) == (state, fresh.asked_at)
    assert fleet.chosen([found], fleet.Choice()) == [found]


def printed(*rows: dict[str, Any], is_terminal: bool = False, fresh: Freshness = FRESH) -> str:
    out = io.StringIO()
    Screen(file=out, width=250, force_terminal=is_terminal, emoji=False).print(fleet.table(of(*rows, fresh=fresh)))
    return out.getvalue()


@pytest.mark.parametrize(
    ("changes", "fresh"),
    [(NOTHING, FRESH), ({}, LONG_AGO), ({"alert_state": "FROZEN"}, FRESH)],
    ids=["no data", "stale", "frozen"],
)
def test_what_is_unknown_is_never_green(changes: dict[str, Any], fresh: Freshness) -> None:
    assert GREEN in printed(row(), is_terminal=True)
    assert GREEN not in printed(row(**changes), is_terminal=True, fresh=fresh)


def test_what_has_no_data_says_so_and_what_fired_says_what_it_was() -> None:
    assert printed(row(**NOTHING)).count("no data") == 4
    assert "stale, was critical" in printed(row(**PAGES), fresh=LONG_AGO)


def test_a_row_says_how_fast_it_burns_and_how_long_its_budget_lasts() -> None:
    text = printed(row())
    for part in ("99.5 %", "99 %", "50 %", "0.5x in 5 min", "1 d at 0.5x", "995"):
        assert part in text


@pytest.mark.parametrize(
    ("rest", "rate", "said"),
    [(2.5 * 86_400, 1.43, "2 d 12 h at 1.4x"), (None, 0.0, "-"), (7_200, None, "2 h")],
    ids=["at a rate", "never", "from before the rate was kept"],
)
def test_a_time_to_exhaustion_comes_with_the_rate_it_assumes(rest: float | None, rate: float | None, said: str) -> None:
    assert fleet.exhausted_in({"time_to_exhaustion_s": rest, "exhaustion_burn_rate": rate}) == said


@given(st.lists(st.none() | st.floats(0, 1e6), max_size=12))
def test_a_trend_is_drawn_a_character_a_cell_and_more_is_never_lower(rates: list[float | None]) -> None:
    drawn = str(Screen(emoji=False).render_str(fleet.sparkline(rates)))
    assert len(drawn) == len(rates)
    assert all((rate is None) == (char == fleet.NOTHING) for rate, char in zip(rates, drawn, strict=True))
    known = sorted((rate, ord(char)) for rate, char in zip(rates, drawn, strict=True) if rate is not None)
    assert [char for _, char in known] == sorted(char for _, char in known)
    assert "green" not in fleet.sparkline(rates, is_known=False)


FLEET = (
    row(slo="a"), row(slo="b", alert_state="FIRING", severity="CRITICAL", burn_rate=20.0, budget_remaining_ratio=-1.0),
    row(slo="c", **NOTHING), row(slo="d", labels={"region": "us"}, budget_remaining_ratio=0.1, compliance_ratio=0.9),
)  # fmt: skip


@pytest.mark.parametrize(
    ("choice", "slos"),
    [
        pytest.param(fleet.Choice(), "bcda", id="the worst first, the unknown before what is well"),
        pytest.param(fleet.Choice(sort="budget"), "bdac", id="by budget, the unknown last"),
        pytest.param(fleet.Choice(sort="burn"), "badc", id="by burn rate"),
        pytest.param(fleet.Choice(sort="compliance"), "dabc", id="by compliance"),
        pytest.param(fleet.Choice(sort="slo"), "abcd", id="by name"),
        pytest.param(fleet.Choice((("region", "us"),)), "d", id="a label"),
        pytest.param(fleet.Choice(states=("ok", "no data")), "cda", id="two states"),
    ],
)
def test_rows_are_chosen_and_ordered(choice: fleet.Choice, slos: str) -> None:
    assert "".join(each["slo"] for each in fleet.chosen(of(*FLEET), choice)) == slos


def test_it_says_when_nobody_judges_any_more() -> None:
    assert "judged 3 s ago" in fleet.freshness(FRESH, "")
    assert "a backlog: nothing here says how it is now" in fleet.freshness(LONG_AGO, "a backlog")
    assert "nothing has ever been judged" in fleet.freshness(
        FRESH._replace(judged_at=None), "nothing has ever been judged"
    )


def test_watching_goes_on_while_the_server_is_away_and_ends_at_ctrl_c(capsys: pytest.CaptureFixture[str]) -> None:
    answers: Iterator[Any] = iter([Seen(of(row())), Unavailable("it is away"), Seen(of(row(slo="back")))])
    pauses = iter((None, None, KeyboardInterrupt()))

    watching(lambda: _or_raise(next(answers)), lambda: _or_raise(next(pauses)), as_json=False)
    told = capsys.readouterr().out
    assert told.count("chat") >= 2 and "it is away; what follows was seen before that" in told and "back" in told


def _or_raise(given: Any) -> Any:
    if isinstance(given, BaseException):
        raise given
    return given


def test_trends_of_many_are_asked_for_as_all() -> None:
    few, many = ([row(slo=f"slo-{at}") for at in range(count)] for count in (3, fleet.SOME_MOST + 1))
    assert json.loads(fleet.trend_question(few)[1]["pairs"]) == [[f"slo-{at}", "region=eu"] for at in range(3)]
    assert fleet.trend_question(many)[1] == {} and "pairs" not in fleet.trend_question(many)[0]


@pytest.fixture(scope="module")
def told(clickhouse: EmbeddedClickHouse) -> Iterator[dict[str, str]]:
    """The environment of a user of a ClickHouse that holds a fleet."""
    with clickhouse.client() as client:
        burning_fleet(client, "status-story")
    yield environment(settings_of(clickhouse))


def asked(env: dict[str, str], *arguments: str) -> Any:
    done = CliRunner().invoke(app, ["status", *arguments], env=env)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.servers
def test_a_fleet_is_asked_of_clickhouse(told: dict[str, str]) -> None:
    found = json.loads(asked(told, "--slo", "status-story", "--json"))
    assert [(each["instance"], each["state"]) for each in found] == [
        ("region=eu", "critical"), ("region=ap", "no data"), ("region=us", "ok"),
    ]  # fmt: skip
    (burning, nothing, well) = found
    assert (burning["burn_rate"], burning["burn_window_s"]) == (pytest.approx(20.0), 300)
    assert [rate for rate in burning["trend_burn_rate"] if rate is not None] == [pytest.approx(20.0)]
    assert (nothing["burn_rate"], nothing["compliance_ratio"], nothing["budget_remaining_ratio"]) == (None, None, None)
    assert well["trend_burn_rate"] == [None] * fleet.CELLS
    (again,) = json.loads(asked(told, "--service", "status-story-service", "--label", "region=us", "--json"))
    assert {**again, "asked_at": well["asked_at"]} == well


@pytest.mark.servers
def test_a_table_is_cut_and_says_so(told: dict[str, str]) -> None:
    text = asked(told, "--slo", "status-story", "--limit", "1")
    assert "2 more: --limit 0 shows all" in text and "critical" in text and "region=us" not in text
    assert "no SLO instance that fits" in asked(told, "--slo", "status-story", "--state", "pending")


@pytest.mark.servers
def test_all_that_a_command_asks_goes_over_one_connection(told: dict[str, str], clickhouse: EmbeddedClickHouse) -> None:
    gate = Gate(clickhouse.url)
    url = told["BURNLINE_CLICKHOUSE_URL"].replace(f":{clickhouse.port}/", f":{gate.port}/")
    assert json.loads(asked({**told, "BURNLINE_CLICKHOUSE_URL": url}, "--slo", "status-story", "--json"))
    assert gate.accepted == 1
    gate.close()


@pytest.mark.servers
def test_watching_ends_cleanly_at_an_interrupt(told: dict[str, str]) -> None:
    # a suite in the background of a script ignores interrupts, and its children inherit that
    heard = "signal.signal(signal.SIGINT, signal.default_int_handler)"
    inner = ["-c", f"import signal; from pipeline.cli import main; {heard}; main()"]
    command = [sys.executable, *inner, "status", "--slo", "status-story", "--watch", "--json"]
    with subprocess.Popen(command, env=told, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None and running.stderr is not None
        assert len(json.loads(running.stdout.readline())) == 3
        running.send_signal(signal.SIGINT)
        rest, said = running.communicate(timeout=60)
        assert (running.returncode, said) == (0, ""), rest


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--label", "region"], "write name=value"), (["--state", "green"], "none of critical"),
        (["--sort", "luck"], "none of state"),
    ],
    ids=["no label", "no state", "no order"],
)  # fmt: skip
def test_what_cannot_be_asked_is_a_usage_error(arguments: list[str], said: str) -> None:
    done = CliRunner().invoke(app, ["status", *arguments], env={"COLUMNS": "200"})
    assert done.exit_code == 2 and said in done.output


def test_without_a_server_it_fails_and_says_what_to_do() -> None:
    env = {"BURNLINE_CLICKHOUSE_URL": "clickhouse://nobody@127.0.0.1:1/burnline"}
    for arguments in (["status"], ["status", "--watch"]):
        done = CliRunner().invoke(app, arguments, env=env)
        assert done.exit_code == 1 and "burnline doctor" in done.output
