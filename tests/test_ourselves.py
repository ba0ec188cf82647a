"""Alerts on Burnline itself: they begin when somebody says so, and end when all has been well for a while."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.alerts import OWN, Kind
from pipeline.blocks import decode, encode
from pipeline.delivery.notification import AlertEvent
from pipeline.framing import SINGLE_OBJECT
from pipeline.notices import alert_record, source_of
from pipeline.ourselves import SEVERITIES, Concern, Concerns

S = 1_000_000
LABELS = (("partition", "slo.counts/0"), ("step", "judge"))


def concern(says: str | None, kind: Kind = Kind.LAGGING) -> Concern:
    return Concern(kind, LABELS, says, "judge has caught up")


def told(concerns: Concerns, said: list[tuple[int, str | None]]) -> list[tuple[int, str]]:
    """What is told of (second, what is said) in turn, each event taken as written."""
    found = []
    for at, says in said:
        for event in concerns.due([concern(says)], at * S):
            concerns.note(event["dedup_key"], event)
            found.append((at, event["event"]))
    return found


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        pytest.param([(1, ""), (2, None)], [], id="all is well"),
        pytest.param([(1, "slow"), (2, "slower")], [(1, "FIRED")], id="once"),
        pytest.param([(1, "slow"), (5, ""), (64, ""), (65, "")], [(1, "FIRED"), (65, "RESOLVED")], id="over, held"),
        pytest.param([(1, "slow"), (5, ""), (30, "slow"), (70, ""), (129, ""), (130, "")],
                     [(1, "FIRED"), (130, "RESOLVED")], id="the hold begins anew"),
        pytest.param([(1, "slow"), (5, ""), (30, None), (70, ""), (100, "")], [(1, "FIRED")], id="nobody can say"),
        pytest.param([(1, "slow"), (2, ""), (62, ""), (63, "slow")],
                     [(1, "FIRED"), (62, "RESOLVED"), (63, "FIRED")], id="again"),
    ],
)  # fmt: skip
def test_an_alert_of_ours_begins_at_once_and_is_over_after_the_hold(
    said: list[tuple[int, str | None]], expected: list[tuple[int, str]]
) -> None:
    assert told(Concerns(), said) == expected


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(1, 90), st.sampled_from(["slow", "", None])), max_size=20))
def test_events_alternate_and_sequences_rise_whatever_is_said(steps: list[tuple[int, str | None]]) -> None:
    at, concerns, events = 0, Concerns(), list[dict[str, Any]]()
    for after, says in steps:
        at += after
        for event in concerns.due([concern(says)], at * S):
            concerns.note(event["dedup_key"], event)
            events.append(event)
    assert [each["event"] for each in events] == ["FIRED", "RESOLVED"] * (len(events) // 2) + ["FIRED"] * (
        len(events) % 2
    )
    sequences = [each["sequence"] for each in events]
    assert sequences == sorted(set(sequences))


def test_whoever_takes_over_goes_on_from_what_is_written() -> None:
    first, second = Concerns(), Concerns()
    (event,) = first.due([concern("slow")], S)
    second.note(event["dedup_key"], event)
    assert second.due([concern("slow")], 2 * S) == []
    assert second.due([concern("")], 3 * S) == []
    (end,) = second.due([concern("")], 63 * S)
    assert (end["event"], end["started_at"], end["dedup_key"]) == ("RESOLVED", S, event["dedup_key"])
    assert end["reason"] == "warning is over: judge has caught up"


def test_sequences_rise_though_the_clock_of_who_takes_over_is_behind() -> None:
    ahead, behind = Concerns(hold_us=0), Concerns(hold_us=0)
    for at, says in ((100, "slow"), (200, "")):
        (event,) = ahead.due([concern(says)], at * S)
        for each in (ahead, behind):
            each.note(event["dedup_key"], event)
    (again,) = behind.due([concern("slow")], 150 * S)
    assert (again["event"], again["sequence"]) == ("FIRED", 201)


def test_what_is_read_of_the_past_changes_nothing() -> None:
    concerns = Concerns(hold_us=0)
    (first,) = concerns.due([concern("slow")], S)
    concerns.note(first["dedup_key"], first)
    (last,) = concerns.due([concern("")], 2 * S)
    concerns.note(last["dedup_key"], last)
    concerns.note(first["dedup_key"], first)
    assert concerns.open == {}


def test_an_alert_that_is_over_is_forgotten_after_a_day() -> None:
    concerns, day = Concerns(hold_us=0), 86_400
    (event,) = concerns.due([concern("slow")], S)
    concerns.note(event["dedup_key"], event)
    assert concerns.forgettable([concern("")], 9 * day * S) == []
    (event,) = concerns.due([concern("")], 2 * S)
    concerns.note(event["dedup_key"], event)
    assert concerns.forgettable([concern("")], (day + 1) * S) == []
    assert concerns.forgettable([concern("slow")], (day + 2) * S) == []
    (key,) = concerns.forgettable([concern("")], (day + 2) * S)
    concerns.note(key, None)
    assert concerns.forgettable([concern("")], (day + 2) * S) == []


@pytest.mark.parametrize("kind", sorted(OWN))
def test_it_is_a_record_of_slo_alerts_like_any_other(kind: Kind) -> None:
    (columns,) = Concerns().due([concern("slow", kind)], 7 * S)
    record = alert_record("slo.alerts", columns, "burnline/worker", SINGLE_OBJECT)
    name = kind.name.lower().replace("_", "-")
    key = f"burnline|partition=slo.counts/0,step=judge|{name}"
    assert record.key == key.encode()
    headers = {header: value.decode() for header, value in record.headers}
    assert headers["ce_type"] == f"burnline.{kind.name.lower()}.fired.v1"
    assert headers["ce_id"] == f"{key}|{7:020d}" and headers["ce_subject"] == "burnline/burnline"
    event = AlertEvent.of(decode("burn_rate_alert", record.value or b"", SINGLE_OBJECT))
    assert (event.kind, event.severity, event.labels) == (kind, SEVERITIES[kind], dict(LABELS))
    assert encode("burn_rate_alert", event.columns) == record.value


def test_every_kind_that_is_told_here_has_a_severity() -> None:
    assert set(SEVERITIES) == OWN | {Kind.QUOTA}


def test_an_alert_of_a_quota_says_what_was_used_at_its_beginning_and_at_its_end() -> None:
    about = {"service": "chat", "metric": "tokens", "target": 100.0, "long_window_s": 86_400}
    over, kept = ({**about, "long_good": good, "long_bad": bad} for good, bad in ((100, 5), (3, 0)))
    labels, concerns, events = (("tenant_id", "acme"),), Concerns(hold_us=0), list[AlertEvent]()
    for at, says, figures in ((1, "the quota is exceeded", over), (2, "", kept)):
        concern = Concern(Kind.QUOTA, labels, says, "the quota is kept again", "tokens-a-day", figures)
        for columns in concerns.due([concern], at * S):
            concerns.note(columns["dedup_key"], columns)
            record = alert_record("slo.alerts", columns, source_of("", Kind.QUOTA), SINGLE_OBJECT)
            assert dict(record.headers)["ce_source"] == b"burnline/worker"
            events.append(AlertEvent.of(decode("burn_rate_alert", record.value or b"", SINGLE_OBJECT)))
    fired, resolved = events
    assert {fired.dedup_key, resolved.dedup_key} == {"tokens-a-day|tenant_id=acme|quota"}
    assert (fired.slo, fired.service, fired.metric, fired.target) == ("tokens-a-day", "chat", "tokens", 100.0)
    assert (fired.long_good, fired.long_bad, fired.reason) == (100, 5, "warning: the quota is exceeded")
    assert (resolved.long_good, resolved.long_bad) == (3, 0)
    assert resolved.reason == "warning is over: the quota is kept again"
