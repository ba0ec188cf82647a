"""Routes, inhibitions and silences: who is told of what, and why not."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.alerts import Kind, Severity
from pipeline.delivery.holding import Holding, Promised, Reason, Sources
from pipeline.delivery.matching import labels_of
from pipeline.delivery.notification import AlertEvent
from pipeline.delivery.routes import Inhibition, Receiver, Route, Routes
from pipeline.delivery.silences import COLUMNS, Silence, is_expired, may_explode, of_alertmanager, of_row, silencing
from pipeline.slo import Selector
from tests.delivery.told import event, ours

A, B, C = (Receiver(name, "webhook") for name in "abc")
CHAT = (("service", ("chat",)),)


def of(slo: str, severity: str = "CRITICAL", **changes: Any) -> AlertEvent:
    return event(**{"slo": slo, "dedup_key": slo, "severity": severity, "labels": {}, **changes})


def routed(routes: tuple[Route, ...], said: AlertEvent) -> tuple[str, ...]:
    return Routes((A, B, C), routes).of(labels_of(said, {}), said.severity, said.kind)


@pytest.mark.parametrize(
    ("routes", "expected"),
    [
        pytest.param((Route(("a",), CHAT), Route(("b",))), ("a",), id="the first that fits"),
        pytest.param((Route(("a",), CHAT, goes_on=True), Route(("b",))), ("a", "b"), id="and on"),
        pytest.param((Route(("a",), severities=(Severity.INFO,)), Route(("b",))), ("b",), id="by severity"),
        pytest.param((Route(("a",), kinds=(Kind.NO_DATA,)), Route(("b",))), ("b",), id="by kind"),
        pytest.param((Route(("a",), (("region", Selector(("eu",))),)), Route(("b",))), ("b",), id="by what it is not"),
        pytest.param((Route(("a", "b"), goes_on=True), Route(("b", "c"))), ("a", "b", "c"), id="each once"),
        pytest.param((Route(()),), (), id="nobody, on purpose"),
        pytest.param((Route(("a",), (("team", ("",)),)),), ("a",), id="a label that is not there is empty"),
    ],
)
def test_routes_are_asked_in_order(routes: tuple[Route, ...], expected: tuple[str, ...]) -> None:
    assert routed(routes, event()) == expected


def test_nobody_is_told_that_nobody_could_tell_it() -> None:
    down = ours("RECEIVER_DOWN", "critical: receiver a is down", {"receiver": "a"}, "CRITICAL")
    everybody = Routes((A, B), (Route(("a", "b")),))
    why = {
        (name, is_record): Holding(name, everybody, Sources((), Promised()), is_record=is_record).why(down, False, 0)
        for name in ("a", "b")
        for is_record in (False, True)
    }
    assert why == {("a", False): Reason.ROUTE, ("b", False): None, ("a", True): None, ("b", True): None}
    assert Holding("a", everybody, Sources((), Promised())).why(replace(down, kind=Kind.LAGGING), False, 0) is None


def test_an_alerts_own_labels_win_over_those_of_its_slos_file() -> None:
    labels = labels_of(event(), {"region": "file", "team": "serving", "severity": "mine"})
    assert (labels["region"], labels["team"], labels["severity"]) == ("eu", "serving", "critical")


def holding(
    routes: tuple[Route, ...] = (Route(("a",)),), inhibitions: tuple[Inhibition, ...] = (), **promised: Any
) -> Holding:
    return Holding("a", Routes((A,), routes), Sources(inhibitions, Promised(**promised)))


COMPOSITE = {"composites": {"ttft": frozenset({"journey"})}}


@pytest.mark.parametrize(
    ("source", "why"),
    [
        pytest.param(of("journey"), Reason.INHIBITION, id="by its composite"),
        pytest.param(of("journey", "WARNING"), None, id="not by one less severe"),
        pytest.param(of("journey", kind="BUDGET"), None, id="not by one of another kind"),
        pytest.param(of("journey", event="RESOLVED"), None, id="not by one that is over"),
        pytest.param(of("other"), None, id="not by a stranger"),
    ],
)
def test_an_instance_is_held_back_by_its_composite(source: AlertEvent, why: Reason | None) -> None:
    held = holding(**COMPOSITE)
    held.sources.note(source)
    assert held.why(of("ttft"), False, 0) is why


def test_a_composite_that_the_receiver_does_not_hear_of_holds_nothing_back() -> None:
    routes = (Route(("b",), (("slo", ("journey",)),)), Route(("a",)))
    held = holding(routes, **COMPOSITE)
    held.sources.note(of("journey"))
    assert held.why(of("ttft"), False, 0) is None
    held = holding(**COMPOSITE)
    held.sources.note(of("journey"))
    held.silences = (Silence("s", (("slo", ("journey",)),), 0, 10, "", ""),)
    assert held.why(of("ttft"), False, 0) is None


UPSTREAM = Inhibition((("slo", ("gateway",)),), CHAT, ("region",))


def test_an_upstream_holds_back_what_has_equal_labels_while_it_is_open() -> None:
    held = holding(inhibitions=(UPSTREAM,))
    held.sources.note(of("gateway", labels={"region": "eu"}, service="edge"))
    assert held.why(of("ttft", labels={"region": "eu"}), False, 0) is Reason.INHIBITION
    assert held.why(of("ttft", labels={"region": "us"}), False, 0) is None
    held.sources.note(of("gateway", labels={"region": "eu"}, service="edge", event="RESOLVED"))
    assert held.why(of("ttft", labels={"region": "eu"}), False, 0) is None


def test_an_alert_that_is_no_source_any_more_holds_nothing_back() -> None:
    critical = Inhibition((("slo", ("gateway",)), ("severity", ("critical",))), CHAT)
    held = holding(inhibitions=(critical,))
    held.sources.note(of("gateway", service="edge"))
    assert held.why(of("ttft", "WARNING"), False, 0) is Reason.INHIBITION
    held.sources.note(of("gateway", "WARNING", service="edge", event="UPDATED"))
    assert held.why(of("ttft", "WARNING"), False, 0) is None


def test_an_alert_never_holds_itself_back() -> None:
    held = holding(inhibitions=(Inhibition(CHAT, CHAT),))
    for name in ("x", "y"):
        held.sources.note(of(name))
    assert held.why(of("x"), False, 0) is None


ONE_EXPLAINS = [Inhibition((("slo", (a,)),), (("slo", (b,)),)) for a, b in ("xy", "yz", "zx")]
BOTH_WAYS = (ONE_EXPLAINS[0], Inhibition((("slo", ("y",)),), (("slo", ("x",)),)))


@pytest.mark.parametrize(
    ("inhibitions", "expected"),
    [
        pytest.param(BOTH_WAYS, {"x"}, id="two explain each other"),
        pytest.param(tuple(ONE_EXPLAINS), {"x"}, id="round in a circle"),
        pytest.param(tuple(ONE_EXPLAINS[:2]), {"x"}, id="what is explained explains on"),
        pytest.param((), {"x", "y", "z"}, id="nothing explains"),
    ],
)
def test_of_alerts_that_explain_each_other_one_is_told(inhibitions: tuple[Inhibition, ...], expected: set[str]) -> None:
    held = holding(inhibitions=inhibitions)
    alerts = [of(name) for name in ("xy" if inhibitions == BOTH_WAYS else "xyz")]
    for each in alerts:
        held.sources.note(each)
    assert {each.slo for each in alerts if held.why(each, False, 0) is None} == expected


@given(st.sets(st.tuples(st.integers(0, 5), st.integers(0, 5)).filter(lambda pair: pair[0] != pair[1])))
def test_what_is_explained_away_is_so_by_something_that_is_told(pairs: set[tuple[int, int]]) -> None:
    rules = tuple(Inhibition((("slo", (f"{a}",)),), (("slo", (f"{b}",)),)) for a, b in sorted(pairs))
    held, alerts = holding(inhibitions=rules), [of(f"{number}") for number in range(6)]
    for each in alerts:
        held.sources.note(each)
    reached = {int(each.slo) for each in alerts if held.why(each, False, 0) is None}
    for _ in alerts:
        reached |= {b for a, b in pairs if a in reached}
    assert reached == set(range(6))


def test_who_was_told_hears_on_though_the_route_leads_elsewhere() -> None:
    held = holding((Route(("b",)),))
    assert held.why(event(), False, 0) is Reason.ROUTE
    assert held.why(event(), True, 0) is None


# -- silences
def test_a_silence_is_in_force_from_its_start_until_before_its_end() -> None:
    silence = Silence("s", CHAT, 10, 20, "", "")
    found = [silencing([silence], {"service": "chat"}, at) is not None for at in (9, 10, 19, 20)]
    assert found == [False, True, True, False]
    assert silencing([silence], {"service": "search"}, 15) is None
    held = replace(holding(), silences=(silence,))
    assert held.why(event(), True, 15) is Reason.SILENCE


def test_a_record_is_of_everything_that_is_routed_to_it() -> None:
    record = replace(holding(**COMPOSITE), silences=(Silence("s", CHAT, 0, 100, "", ""),), is_record=True)
    record.sources.note(of("journey"))
    assert record.why(of("ttft"), False, 15) is None
    assert replace(record, receiver="b").why(of("ttft"), False, 15) is Reason.ROUTE


def test_a_row_is_a_silence() -> None:
    at = datetime(2026, 1, 2, tzinfo=UTC)
    row = [
        "s",
        at,
        at.replace(day=3),
        "moving",
        "anna",
        at,
        ["slo", "region"],
        [["a", "b"], []],
        [[], ["eu"]],
        [[], ["us-"]],
    ]
    silence = of_row(dict(zip(COLUMNS, row, strict=True)))
    assert silence.selects == (("slo", ("a", "b")), ("region", Selector(("eu",), ("us-",))))
    assert (silence.ends_us - silence.starts_us, silence.who) == (86_400_000_000, "anna")


def manager(matchers: list[dict[str, Any]], **changes: Any) -> dict[str, Any]:
    return {
        "id": "1", "status": {"state": "active"}, "comment": "c", "createdBy": "anna", "matchers": matchers,
        "startsAt": "2026-01-01T00:00:00.000Z", "endsAt": "2026-01-02T00:00:00.123456789Z", **changes,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("matcher", "holds", "fails"),
    [
        pytest.param({"value": "eu", "isRegex": False}, "eu", "us", id="equal, of an old Alertmanager"),
        pytest.param({"value": "eu", "isRegex": False, "isEqual": False}, "us", "eu", id="not equal"),
        pytest.param(
            {"value": "eu|us", "isRegex": True, "isEqual": True}, "us", "eus", id="a pattern of the whole value"
        ),
        pytest.param({"value": "e.*", "isRegex": True, "isEqual": False}, "us", "eu", id="not a pattern"),
    ],
)
def test_alertmanagers_matchers_are_understood(matcher: dict[str, Any], holds: str, fails: str) -> None:
    silence = of_alertmanager(manager([{"name": "region", **matcher}]))
    assert silence is not None
    at = silence.starts_us
    assert silencing([silence], {"region": holds}, at) is silence
    assert silencing([silence], {"region": fails}, at) is None


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(manager([{"name": "a", "value": "(.*,)*x", "isRegex": True}]), id="a pattern without end"),
        pytest.param(manager([{"name": "a", "value": "x{99999999999}", "isRegex": True}]), id="too many of them"),
        pytest.param(manager([{"name": "a", "value": "(", "isRegex": True}]), id="no pattern"),
        pytest.param(manager([{"name": "a", "value": "x" * 2_000, "isRegex": True}]), id="too long a pattern"),
        pytest.param(manager([]), id="everything"),
        pytest.param(manager([{"name": "a"}]), id="half a matcher"),
        pytest.param({}, id="nothing"),
    ],
)
def test_what_cannot_be_read_silences_nothing(said: dict[str, Any]) -> None:
    assert of_alertmanager(said) is None


def test_what_has_expired_is_no_silence() -> None:
    assert is_expired(manager([], status={"state": "expired"})) and not is_expired(manager([]))


@pytest.mark.parametrize(
    "pattern", ["(.*,)*x", "(a|a)+", "((a*)b?)*", ".*a.*b.*c.*", "(?:a+){9}", "(?i:(x|y))*", r"(\w+\s?)*"]
)
def test_a_pattern_that_may_take_for_ever_is_known(pattern: str) -> None:
    assert may_explode(pattern)


@pytest.mark.parametrize(
    "pattern",
    ["eu|us", "web.*|db.*|cache.*|queue.*|edge.*", "(eu|us)-.*", r"[(.*)*]+", r"\(a*\)*", "(ab)*", "(?i)a.*b.*"],
)
def test_a_pattern_that_ends_soon_is_fine(pattern: str) -> None:
    assert not may_explode(pattern)


@given(st.dictionaries(st.sampled_from("abc"), st.sampled_from("xy"), max_size=3))
def test_a_silence_without_conditions_is_about_everything(labels: dict[str, str]) -> None:
    assert silencing([Silence("s", (), 0, 1, "", "")], labels, 0) is not None
