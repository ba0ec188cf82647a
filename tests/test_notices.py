"""What leaves the judge: CloudEvents as the contract has them, statuses with every formula filled in."""

import json

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from pipeline.alerts import Kind, Notice
from pipeline.notices import CONTENT_TYPE, KINDS, data_schema, event_type
from schemas import avro_text
from tests.judging import T0, Driver, counts, preset, spec, steady, watched


@pytest.fixture(scope="module")
def driver():
    made = Driver(spec(watched(policy=preset("default"))))
    incident = [*steady(T0 - 90_000, T0, 90, labels="m=a"), *steady(T0, T0 + 300, 0, 90, labels="m=a")]
    made.feed(counts([*incident, *steady(T0 + 300, T0 + 12_000, 90, labels="m=a")]))
    assert [alert["event"] for alert in made.alerts] == ["FIRED", "UPDATED", "RESOLVED"]
    return made


def test_alerts_are_cloudevents_in_binary_mode(driver):
    for record in driver.alert_records:
        message = KafkaMessage(dict(record.headers), record.key, record.value)
        event = from_binary(message, JSONFormat())
        assert isinstance(event, CloudEvent)
        assert event.get_data() == record.value
        assert event.get_datacontenttype() == CONTENT_TYPE.decode()


def test_headers_are_those_of_the_contract(driver):
    record, alert = driver.alert_records[0], driver.alerts[0]
    headers = {name: value.decode() for name, value in record.headers}
    end = alert["window_end"] // 1_000_000
    assert headers == {
        "content-type": "application/avro",
        "ce_specversion": "1.0",
        "ce_type": "slo.burnrate.fired.v1",
        "ce_source": "burnline/judge",
        "ce_id": f"chat|m=a|{end:020d}",
        "ce_time": "2023-11-14T22:13:57.000000Z",
        "ce_subject": "svc/chat",
        "ce_dataschema": data_schema(),
        "ce_severitytext": "CRITICAL",
        "ce_sequence": f"{end:020d}",
        "ce_expirytime": "2023-11-14T23:13:57.000000Z",
    }
    assert record.key == b"chat|m=a"


def test_types_of_events(driver):
    types = [dict(record.headers)["ce_type"].decode() for record in driver.alert_records]
    assert types == [event_type(Kind.BURN_RATE, notice) for notice in Notice]


def test_every_kind_is_in_the_table_and_in_the_schema():
    fields = {field["name"]: field for field in json.loads(avro_text("burn_rate_alert"))["fields"]}
    assert fields["kind"]["type"]["symbols"] == [kind.name for kind in Kind]
    assert set(KINDS) == set(Kind)
    assert len({each.event for each in KINDS.values()}) == len({each.suffix for each in KINDS.values()}) == len(Kind)


def test_ids_ascend_in_text_and_differ(driver):
    ids = [dict(record.headers)["ce_id"] for record in driver.alert_records]
    assert ids == sorted(set(ids))


def test_an_alert_carries_what_it_was_judged_on(driver):
    alert = driver.alerts[0]
    assert (alert["long_window_s"], alert["short_window_s"], alert["burn_rate_factor"]) == (3_600, 300, 10.0)
    eligible, bad = alert["long_good"] + alert["long_bad"], alert["long_bad"]
    assert alert["long_burn_rate"] == pytest.approx(bad / eligible / 0.001)
    assert bad * 1000 >= 10 * eligible
    assert (bad - 90) * 1000 < 10 * eligible, "a second earlier it was not met"
    assert alert["labels"] == {"m": "a"}
    assert alert["runbook"] == "https://runbooks.example/chat"
    assert alert["watermark"] == alert["window_end"] == alert["started_at"]
    assert "10x" in alert["reason"]


def test_a_resolved_alert_says_what_is_over(driver):
    fired, updated, resolved = driver.alerts
    assert resolved["severity"] == updated["severity"] == "WARNING"
    assert resolved["started_at"] == fired["started_at"]
    assert resolved["long_window_s"] == 86_400
    assert "is over" in resolved["reason"]


def test_a_status_has_every_number(driver):
    status = driver.statuses["chat|m=a"]
    good, bad = status["good"], status["bad"]
    assert bad == 300 * 90
    assert status["compliance_ratio"] == pytest.approx(good / (good + bad))
    assert status["budget_events"] == pytest.approx((good + bad) / 1000)
    assert status["budget_remaining_ratio"] == pytest.approx(1 - bad / status["budget_events"])
    assert status["budget_minutes"] == pytest.approx(43.2)
    assert status["time_to_exhaustion_s"] == 0
    assert status["windows_s"].tolist() == [300, 3_600, 7_200, 86_400]
    assert status["windows_bad"].tolist() == [0, 0, 0, bad]
    assert status["windows_burn_rate"][3] == pytest.approx(bad / (bad + status["windows_good"][3]) / 0.001)
    assert status["window_end"] - status["window_start"] == status["window_us"]
    assert status["coverage_ratio"] == pytest.approx(102_000 / 2_592_000, rel=1e-3)


def test_no_data_is_null():
    made = Driver(spec(watched(policy=preset("default"))))
    made.feed(counts([("chat", "", T0, 0, 0, 7)], newest=T0 + 10))
    status = made.statuses["chat|"]
    assert status["excluded"] == 7
    for name in ("compliance_ratio", "budget_remaining_ratio", "time_to_exhaustion_s"):
        assert status[name] is None
    assert status["windows_burn_rate"] == [None] * 4


def test_an_idle_stretch_of_excluded_events_leaves_with_its_window():
    made = Driver(spec(watched(policy=preset("default"), window="1h")))
    made.feed(counts([("chat", "", T0, 1, 0, 7), *steady(T0 + 1, T0 + 7_000, 1)]))
    assert made.statuses["chat|"]["excluded"] == 0
