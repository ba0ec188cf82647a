"""The control agent against a real ClickHouse: what is judged becomes signals; the topic is all the memory there is."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pipeline.agents.control import ControlFold, Specs
from pipeline.agents.parts import Parts
from pipeline.agents.signal_memory import FORGET_EVERY_US, FORGET_US
from pipeline.cli import app
from pipeline.controls.questions import Question, Rows
from pipeline.controls.signal import Signal
from pipeline.controls.table import CONTROLS, Control
from pipeline.embedded import EmbeddedClickHouse
from pipeline.framing import SINGLE_OBJECT
from pipeline.records import OutRecord, UnitFacts
from pipeline.settings import Settings
from pipeline.sinks.clickhouse import ClickHouse
from pipeline.spec import load
from tests.commands.test_gate import AHEAD_US, NOW_S, SLO
from tests.database import Database
from tests.recorded import Recorded, block_of
from tests.sinks.correcting import Site

pytestmark = pytest.mark.servers
TOPIC = "slo.signals"
EVERY_US, TTL_US = 30_000_000, 120_000_000  #: of the shipped file
GATE = tuple(control for control in CONTROLS if control.name == "gate")


@pytest.fixture(scope="module")
def database(clickhouse: EmbeddedClickHouse) -> Iterator[Database]:
    """Of these tests alone: the gate looks at how fresh all judgements are."""
    with Database(clickhouse) as made:
        yield made


@pytest.fixture
def settings(database: Database, tmp_path: Path) -> Settings:
    (tmp_path / "slo").mkdir()
    (tmp_path / "slo" / "slo.yaml").write_text(SLO.format(service="fresh"))
    return database.settings(tmp_path / "slo")


@pytest.fixture
def site(database: Database, settings: Settings) -> Iterator[Site]:
    sink = ClickHouse(settings)
    yield Site(database.server, sink)
    sink.close()


def fold_of(settings: Settings, controls: tuple[Control, ...] = GATE) -> ControlFold:
    parts = Parts(settings, load([settings.slo_dir]).checked(), SINGLE_OBJECT, {})
    return ControlFold(parts, Specs(parts), controls, begin=lambda work: work())


def fold(made: ControlFold, now_us: int, *records: OutRecord) -> list[OutRecord]:
    """What one unit writes, having read some records."""
    blocks = [block_of(TOPIC, 0, recorded(records))] if records else []
    return made.fold(blocks, UnitFacts(TOPIC, 0, 1, 0, len(records), now_us)).records


def recorded(records: Any) -> list[Recorded]:
    return [Recorded(i, each.value, each.key, (), int(time.time() * 1000)) for i, each in enumerate(records)]


def judged(site: Site, service: str, left: float, at_us: int = AHEAD_US) -> None:
    windows = {
        "windows_s": [300], "windows_good": [90], "windows_bad": [1], "windows_coverage_ratio": [1.0],
        "windows_burn_rate": [0.5],
    }  # fmt: skip
    said = {"judged_at": at_us, "window_end": at_us, "watermark": at_us, "service": service, "good": 99, "bad": 1}
    site.status(f"slo-of-{service}", "", 86_400, NOW_S, **said, budget_remaining_ratio=left, **windows)


def test_what_is_judged_becomes_a_signal_that_is_asked_for_everywhere(
    site: Site, settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_us = time.time_ns() // 1000
    judged(site, "chat", 0.9)
    first = fold_of(settings)
    told = fold(first, now_us)
    assert {record.key: record.partition for record in told} == {b"chat||gate": 0, b"fresh||gate": 0}
    assert {key: signal.state for key, signal in first.published.items()} == {
        "chat||gate": "open", "fresh||gate": "unknown",
    }  # fmt: skip
    site.store(TOPIC, recorded(told))

    monkeypatch.setenv("BURNLINE_CLICKHOUSE_URL", settings.clickhouse_url)
    monkeypatch.setenv("BURNLINE_CLICKHOUSE_PASSWORD_FILE", str(settings.clickhouse_password_file))
    asked = CliRunner().invoke(app, ["signals", "chat", "--json"])
    (row,) = json.loads(asked.stdout)
    assert (row["state"], row["value"], row["is_expired"], row["details"]["is_known"]) == ("open", 0.0, False, "true")
    shown = CliRunner().invoke(app, ["signals", "--name", "gate"]).stdout
    assert "nothing speaks against it" in shown and "it has never been judged" in shown
    assert CliRunner().invoke(app, ["signals", "--name", "mood"]).exit_code == 2

    # Nothing is news a moment later, and to nobody who takes over; it is when half of its life is over.
    assert fold(first, now_us + EVERY_US - 1) == []
    second = fold_of(settings)
    for record in told:
        assert record.key is not None
        second.restore(record.key, record.value)
    assert second.published == first.published
    assert fold(second, now_us + EVERY_US) == []
    assert len(fold(second, now_us + TTL_US // 2)) == 2

    judged(site, "chat", -0.1, AHEAD_US + 1)
    (news,) = fold(first, now_us + EVERY_US)
    site.store(TOPIC, recorded([news]))
    with database.client() as client:
        latest = client.execute("SELECT state, value FROM signals WHERE service = 'chat'")
        history = client.execute("SELECT state FROM signal_log WHERE service = 'chat' ORDER BY evaluated_at")
    assert latest == [("frozen", 2.0)] and history == [("open",), ("frozen",)]


@dataclass(frozen=True)
class Spec:
    """Of a control of the tests."""

    every_s: float = 10.0


def control_of(name: str, sql: str, step: Any) -> Control:
    return Control(name, Spec, lambda *_: [Question("rows", sql)], step)


def said(now_us: int, value: float, name: str = "scale", **changes: Any) -> Signal:
    told = {"service": "chat", "model": "m", "name": name, "scope": "", "state": "hold", "value": value, "unit": ""}
    return Signal(**{**told, "reason": "", "evaluated_at_us": now_us, "expires_at_us": now_us + TTL_US, **changes})


def counted(spec: Spec, previous: Mapping[str, Signal], rows: Rows, now_us: int) -> list[Signal]:
    """One more than was published last: state is what the topic holds."""
    last = previous.get("chat|m|scale")
    return [said(now_us, (last.value or 0.0 if last else 0.0) + len(rows["rows"]))]


def broken(spec: Spec, previous: Mapping[str, Signal], rows: Rows, now_us: int) -> list[Signal]:
    raise ValueError("a control of ours has a fault")


def with_sections(made: ControlFold, *names: str) -> ControlFold:
    made._specs.now = dict.fromkeys(names, Spec())
    return made


def test_state_is_what_was_published_whoever_published_it(settings: Settings) -> None:
    control, now_us = control_of("scale", "SELECT 1", counted), time.time_ns() // 1000
    made = with_sections(fold_of(settings, (control,)), "scale")
    (one,) = fold(made, now_us)
    (two,) = fold(made, now_us + 10_000_000)
    successor = with_sections(fold_of(settings, (control,)), "scale")
    successor.restore(b"chat|m|scale", two.value)
    (three,) = fold(successor, now_us + 20_000_000, one)  # an older record that is read again changes nothing
    assert successor.published["chat|m|scale"].value == 3.0
    job = said(now_us + 25_000_000, 70.0)
    other = with_sections(fold_of(settings, (control,)), "scale")
    (after,) = fold(other, now_us + 30_000_000, three, other._record(job))
    assert other.published["chat|m|scale"].value == 71.0 and after.key == b"chat|m|scale"


def test_what_a_clock_that_is_ahead_has_decided_is_not_in_force_now_nor_for_who_takes_over(settings: Settings) -> None:
    now_us = time.time_ns() // 1000
    made = fold_of(settings, ())
    ahead, near = said(now_us + 3_600_000_000, 70.0), said(now_us + 30_000_000, 7.0)
    fold(made, now_us, made._record(ahead), made._record(near))
    assert made.published["chat|m|scale"].value == 7.0
    successor = fold_of(settings, ())
    successor.restore(b"chat|m|scale", made._record(ahead).value)
    assert successor.published == {}
    assert (
        made.counters["burnline_signals_unreadable", ""] == successor.counters["burnline_signals_unreadable", ""] == 1
    )


def test_a_question_about_one_service_that_is_refused_leaves_others_their_signals(settings: Settings) -> None:
    parts = (Question("rows", "SELECT no_such_column", part="a"), Question("rows", "SELECT 1", part="b"))
    control = Control("scale", Spec, lambda *_: list(parts), counted)
    made, now_us = with_sections(fold_of(settings, (control,)), "scale"), time.time_ns() // 1000
    assert [record.key for record in fold(made, now_us)] == [b"chat|m|scale"]
    assert made.published["chat|m|scale"].value == 1.0
    assert made.counters["burnline_control_unanswered", "scale"] == 1


def test_a_question_that_is_not_needed_and_is_refused_leaves_the_others_their_say(settings: Settings) -> None:
    asked = (Question("rows", "SELECT 1"), Question("more", "SELECT no_such_column", is_needed=False))
    control = Control("scale", Spec, lambda *_: list(asked), counted)
    made, now_us = with_sections(fold_of(settings, (control,)), "scale"), time.time_ns() // 1000
    assert [record.key for record in fold(made, now_us)] == [b"chat|m|scale"]
    assert made.counters["burnline_control_unanswered", "scale"] == 1


def test_a_control_that_fails_or_has_no_answer_says_nothing_and_stops_no_other(settings: Settings) -> None:
    controls = (
        control_of("cost", "SELECT 1", broken), control_of("shed", "SELECT no_such_column", counted),
        control_of("scale", "SELECT 1", counted),
    )  # fmt: skip
    made, now_us = with_sections(fold_of(settings, controls), "cost", "shed", "scale"), time.time_ns() // 1000
    assert [record.key for record in fold(made, now_us)] == [b"chat|m|scale"]
    assert made.counters["burnline_control_failures", "cost"] == 1
    assert made.counters["burnline_control_unanswered", "shed"] == 1
    assert made.counters["burnline_signals_published", "scale"] == 1
    assert fold(made, now_us + 1) == []


def test_a_question_that_takes_long_holds_back_its_own_control_alone(settings: Settings) -> None:
    """The first is answered last, and the fifth is asked once there is room."""
    works: list[Callable[[], None]] = []
    names = ("cost", "shed", "scale", "quota", "frontier")
    parts = Parts(settings, load([settings.slo_dir]).checked(), SINGLE_OBJECT, {})

    def step_of(name: str) -> Any:
        return lambda spec, previous, rows, now_us: [said(now_us, float(len(rows["rows"])), name)]

    controls = tuple(control_of(name, "SELECT 1", step_of(name)) for name in names)
    made = with_sections(ControlFold(parts, Specs(parts), controls, begin=works.append), *names)
    assert fold(made, 1_000_000_000) == [] and len(works) == 3
    first, second, third = works
    second()
    assert [record.key for record in fold(made, 1_000_000_001)] == [b"chat|m|shed"]
    third()
    assert [record.key for record in fold(made, 1_000_000_002)] == [b"chat|m|scale"]
    assert fold(made, 1_000_000_003) == [] and len(works) == 5
    first()
    assert [record.key for record in fold(made, 1_000_000_004)] == [b"chat|m|cost"]


def test_a_control_may_publish_so_many_and_what_expired_long_ago_is_forgotten(settings: Settings) -> None:
    def many(spec: Spec, previous: Mapping[str, Signal], rows: Rows, now_us: int) -> list[Signal]:
        return [said(now_us, 1.0, scope=str(number)) for number in range(5)]

    few = settings.model_copy(update={"limit_signals": 3})
    made, now_us = with_sections(fold_of(few, (control_of("scale", "SELECT 1", many),)), "scale"), 1_000_000_000
    assert [record.key for record in fold(made, now_us)] == [b"chat|m|scale|0", b"chat|m|scale|1", b"chat|m|scale|2"]
    assert made.counters["burnline_signals_refused", "scale"] == 2
    made._controls = ()
    much_later = now_us + TTL_US + FORGET_US + FORGET_EVERY_US + 1
    gone = fold(made, much_later)
    assert {record.key for record in gone if record.value is None} == {f"chat|m|scale|{n}".encode() for n in range(3)}
    assert made.published == {}
    made.restore(b"odd", b"no signal")
    assert made.published == {} and made.counters["burnline_signals_unreadable", ""] == 1


def test_a_file_that_changed_is_in_force_and_one_that_cannot_be_used_is_not(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "controls.yaml"
    head = "apiVersion: burnline/v1\nkind: Controls\n"
    file.write_text(head + "gate: {every: 20s}\n")
    chosen = settings.model_copy(update={"controls_file": file})
    specs = Specs(Parts(chosen, load([settings.slo_dir]).checked(), SINGLE_OBJECT, {}))
    assert specs.now["gate"].every_s == 20.0
    file.write_text(head + "gate: {every: 40s, ttl: 200s}\n")
    specs.look(20_000_000)
    assert specs.now["gate"].every_s == 40.0
    file.write_text(head + "gate: {every: 4}\n")
    specs.look(40_000_000)
    assert specs.now["gate"].every_s == 40.0


def test_every_control_has_answers_where_there_is_next_to_nothing(site: Site, settings: Settings) -> None:
    judged(site, "chat", 0.9, AHEAD_US + 2)
    made, now_us = fold_of(settings, CONTROLS), time.time_ns() // 1000
    for moment in range(len(CONTROLS)):
        fold(made, now_us + moment)
    wrong = {"burnline_control_failures", "burnline_control_unanswered", "burnline_signals_refused"}
    assert [each for each, count in made.counters.items() if each[0] in wrong and count] == []
    assert {which for name, which in made.counters if name == "burnline_control_seconds"} == {
        control.name for control in CONTROLS
    }
