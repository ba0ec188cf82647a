"""Forms: what each receiver is sent fits the rules that it has published, whatever an alert says."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.alerts import Severity
from pipeline.delivery import alertmanager, otel, pagerduty, slack, webhook
from pipeline.delivery.holding import Promised
from pipeline.delivery.incidents import GroupingSpec
from pipeline.delivery.notification import Action, AlertEvent, Notification, Words
from pipeline.delivery.receivers import TYPES
from pipeline.delivery.requests import Answer, Request, Sheet, Verdict, asked_us, cut
from pipeline.delivery.routes import Receiver
from pipeline.delivery.words import notification_of, words
from tests.delivery import rules
from tests.delivery.listening import Heard
from tests.delivery.told import FIRED_US, event, over

NOW_US = FIRED_US + 5_000_000
SECRETS = {"pagerduty": "e93facc04764012d7bfb002500d5d1a6", "webhook": rules.SECRET}
PROMISED = Promised({"chat-ttft": {"team": "serving", "odd.name": "x"}})
UGLY = st.text(max_size=60) | st.sampled_from(["<!channel>", "a&b", "x" * 5_000, "\n\t", "*bold* `code`", "<&>" * 900])


def sheet(kind: str, **changes: Any) -> Sheet:
    receiver = Receiver("it", kind, topic="alerts.json", **changes)
    return Sheet(receiver, "http://receiver.example", SECRETS.get(kind, ""), PROMISED)


def heard(request: Request) -> Heard:
    return Heard(request.url, dict(request.headers), request.body)


def said(alert: AlertEvent, was: Severity = Severity.NONE) -> Notification:
    made = notification_of(alert, was)
    return replace(made, words=words(made))


@pytest.mark.parametrize("kind", sorted(rules.ANSWERS))
@settings(max_examples=15)
@given(UGLY, UGLY, UGLY, st.sampled_from(list(Severity)), st.booleans())
def test_whatever_it_says_it_fits(
    kind: str, name: str, value: str, text: str, severity: Severity, is_open: bool
) -> None:
    alert = event(
        dedup_key=f"slo|{name}" + "k" * 300, labels={"region": value}, instance=f"region={value}", reason=text or "r",
        severity=severity.name, event="FIRED" if is_open else "RESOLVED", service=name or "s",
        runbook=f"https://runbooks.example/{value}",
    )  # fmt: skip
    made = notification_of(alert)
    notification = replace(made, words=Words(text or "t", text, text * 3))
    request = TYPES[kind].form(notification, sheet(kind), NOW_US)
    assert rules.ANSWERS[kind][0](heard(request)) == []


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        pytest.param("pagerduty", {"event_action": "trigger"}, id="PagerDuty"),
        pytest.param("slack", {"text": "x", "blocks": [{"type": "header"}]}, id="Slack"),
        pytest.param("alertmanager", [{"labels": {"severity": 1}, "startsAt": "2026-01-01T00:00:00Z",
                                       "endsAt": "2026-01-01T00:00:00Z"}], id="Alertmanager"),
        pytest.param("otel", {"resourceLogs": [{}]}, id="OTLP"),
    ],
)  # fmt: skip
def test_the_rules_refuse_what_does_not_fit(kind: str, body: Any) -> None:
    headers = {"content-type": "application/json"}
    assert rules.ANSWERS[kind][0](Heard("/", headers, json.dumps(body).encode()))


# -- Alertmanager
def alerts_of(request: Request) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(request.body)
    return found


def test_alertmanager_has_identity_in_labels_and_numbers_in_annotations() -> None:
    (alert,) = alerts_of(alertmanager.form(said(event()), sheet("alertmanager"), NOW_US))
    assert alert["labels"] == {
        "alertname": "BurnlineBurnRate", "instance": "region=eu", "kind": "burn-rate", "odd_name": "x",
        "region": "eu", "service": "chat", "severity": "critical", "slo": "chat-ttft", "team": "serving",
    }  # fmt: skip
    assert {"long_burn_rate", "budget_remaining_ratio", "summary", "description", "runbook_url"} <= set(
        alert["annotations"]
    )
    assert alert["startsAt"] == "2026-01-02T03:04:05.000Z"
    assert alert["endsAt"] == "2026-01-02T03:07:10.000Z"  # three intervals of a minute after now


def test_alertmanager_sees_no_other_alert_when_only_numbers_change() -> None:
    first, second = (
        alerts_of(alertmanager.form(said(event(long_bad=bad, sequence=bad)), sheet("alertmanager"), NOW_US))[0][
            "labels"
        ]
        for bad in (10, 11)
    )
    assert first == second


def test_an_open_alert_keeps_the_labels_it_was_told_with_in_alertmanager() -> None:
    known = {"chat-ttft|region=eu": {**PROMISED.labels_of(event()), "team": "former", "service": "former"}}
    for alert in (event(), event(event="UPDATED", severity="WARNING"), over("03:04:07", "it is")):
        (told,) = alerts_of(alertmanager.form(replace(said(alert), labels=known), sheet("alertmanager"), NOW_US))
        assert (told["labels"]["team"], told["labels"]["service"]) == ("former", "former")
        assert told["labels"]["severity"] == alert.severity.name.lower()
    former = alerts_of(alertmanager.form(replace(said(event(event="UPDATED"), Severity.WARNING), labels=known),
                                         sheet("alertmanager"), NOW_US))[-1]  # fmt: skip
    assert (former["labels"]["team"], former["labels"]["severity"]) == ("former", "warning")


def test_a_new_severity_ends_the_former_alert_in_alertmanager() -> None:
    new, former = alerts_of(
        alertmanager.form(said(event(event="UPDATED"), Severity.WARNING), sheet("alertmanager"), NOW_US)
    )
    assert (new["labels"]["severity"], former["labels"]["severity"]) == ("critical", "warning")
    assert former["endsAt"] == "2026-01-02T03:04:10.000Z" and new["endsAt"] > former["endsAt"]


def test_resolved_has_an_end_that_has_come() -> None:
    (alert,) = alerts_of(alertmanager.form(said(over("03:04:07", "it is")), sheet("alertmanager"), NOW_US))
    assert alert["endsAt"] == "2026-01-02T03:04:07.000Z"


def test_what_is_over_ends_as_what_it_was_told_to_be() -> None:
    notification = replace(said(over("03:04:07", "it is")), was=Severity.WARNING)
    (alert,) = alerts_of(alertmanager.form(notification, sheet("alertmanager"), NOW_US))
    assert alert["labels"]["severity"] == "warning"


def test_event_time_ahead_of_the_clock_does_not_keep_an_alert_open() -> None:
    (alert,) = alerts_of(alertmanager.form(said(over("04:00:00", "it is")), sheet("alertmanager"), NOW_US))
    assert alert["endsAt"] == "2026-01-02T03:04:10.000Z"


def test_what_is_open_is_said_again_in_pieces() -> None:
    told = sheet("alertmanager")
    one = alertmanager.alert(event(), told, NOW_US, Words("t", "s", "l"))
    requests = alertmanager.again([one] * (alertmanager.MOST + 1), told)
    assert [len(alerts_of(request)) for request in requests] == [alertmanager.MOST, 1]


# -- PagerDuty
def test_pagerduty_is_triggered_updated_and_resolved_with_one_key() -> None:
    bodies = [
        json.loads(pagerduty.form(replace(said(alert), action=action), sheet("pagerduty"), NOW_US).body)
        for action, alert in (
            (Action.TRIGGER, event()),
            (Action.UPDATE, event(event="UPDATED")),
            (Action.ACKNOWLEDGE, event()),
            (Action.RESOLVE, over("03:10:00", "it is")),
        )
    ]
    assert [body["event_action"] for body in bodies] == ["trigger", "trigger", "acknowledge", "resolve"]
    assert {body["dedup_key"] for body in bodies} == {"chat-ttft|region=eu"}
    assert bodies[0]["payload"]["severity"] == "critical"
    assert bodies[0]["payload"]["summary"].startswith("[CRITICAL]")


def test_keys_that_are_too_long_stay_apart() -> None:
    one, other = (pagerduty.dedup_key("k" * 300 + end) for end in "ab")
    assert one != other and len(one) <= 255 and pagerduty.dedup_key("short") == "short"


@pytest.mark.parametrize(
    ("body", "verdict"),
    [
        pytest.param(b'{"errors":["Length of \'routing_key\' is incorrect"]}', Verdict.LATER, id="a key to be mended"),
        pytest.param(b'{"errors":["\'payload\' is missing"]}', Verdict.REFUSED, id="an event that will never do"),
    ],
)
def test_a_wrong_routing_key_loses_no_page(body: bytes, verdict: Verdict) -> None:
    assert pagerduty.verdict(Answer(400, {}, body)) is verdict


# -- webhook
def test_a_webhooks_event_has_the_id_of_its_record_and_a_groups_event_its_own() -> None:
    alone, grouped = (
        said(event()),
        replace(said(event()), group=(("service", "chat"),), id="burnline|service=chat|trigger|1"),
    )
    assert json.loads(webhook.form(alone, sheet("webhook"), 0).body)["id"] == event().id
    assert json.loads(webhook.form(grouped, sheet("webhook"), 0).body)["id"] == "burnline|service=chat|trigger|1"


def test_a_webhook_sent_again_has_the_same_id_and_another_signature() -> None:
    first, again = (dict(webhook.form(said(event()), sheet("webhook"), at).headers) for at in (0, 60_000_000))
    assert first["webhook-id"] == again["webhook-id"] and first["idempotency-key"] == again["idempotency-key"]
    assert first["webhook-signature"] != again["webhook-signature"]


def test_a_signature_is_that_of_the_specification() -> None:
    """The example of github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md."""
    secret, body = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b'{"test": 2432232314}'
    found = webhook.signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body)
    assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_secret_that_is_no_base64_is_taken_as_it_stands() -> None:
    assert webhook.signature("whsec_§", "a", "1", b"") == webhook.signature("whsec_§", "a", "1", b"")
    assert webhook.signature("whsec_§", "a", "1", b"") != webhook.signature("whsec_", "a", "1", b"")


def test_a_webhook_without_a_secret_is_not_signed() -> None:
    unsigned = replace(sheet("webhook"), secret="")
    assert "webhook-signature" not in dict(webhook.form(said(event()), unsigned, 0).headers)


def test_a_mirror_is_keyed_as_slo_alerts_is() -> None:
    record = webhook.mirror(said(event()), sheet("topic"), 0)
    assert (record.url, record.key) == ("alerts.json", b"chat-ttft|region=eu")
    assert dict(record.headers)["content-type"].startswith("application/cloudevents+json")


# -- Slack, OpenTelemetry, answers
@given(UGLY, st.integers(1, 60))
def test_slack_text_is_cut_at_its_limit_and_never_inside_an_escape(text: str, most: int) -> None:
    made = slack.escaped(text, most)
    assert len(made) <= most
    whole = made.removesuffix("…").replace("&amp;", "").replace("&lt;", "").replace("&gt;", "")
    assert not set("&<>") & set(whole)


def test_slack_is_told_who_takes_care() -> None:
    notification = replace(said(event()), action=Action.ACKNOWLEDGE, who="anna <x>")
    request = slack.form(notification, sheet("slack"), 0)
    assert json.loads(request.body)["text"].startswith("👀 anna &lt;x&gt; takes care of [CRITICAL]")
    assert rules.slack(heard(request)) == []


def test_a_runbook_that_could_hide_a_link_is_no_link() -> None:
    request = slack.form(said(event(runbook="https://x|<!channel>")), sheet("slack"), 0)
    assert b"<https" not in request.body


def test_severity_numbers_are_those_of_the_data_model() -> None:
    bodies = [
        json.loads(otel.form(said(event(severity=name)), sheet("otel"), NOW_US).body)
        for name in ("INFO", "WARNING", "CRITICAL")
    ]
    records = [body["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0] for body in bodies]
    assert [(each["severityNumber"], each["severityText"]) for each in records] == [
        (9, "INFO"),
        (13, "WARN"),
        (17, "ERROR"),
    ]
    assert records[0]["eventName"] == "slo.burnrate.fired.v1"


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        pytest.param(200, b"{}", Verdict.TAKEN, id="taken"),
        pytest.param(200, b'{"partialSuccess":{"rejectedLogRecords":"1"}}', Verdict.REFUSED, id="thrown away"),
        pytest.param(200, b"[]", Verdict.TAKEN, id="no protobuf"),
        pytest.param(200, b"[" * 60_000, Verdict.TAKEN, id="nothing a parser can go down"),
        pytest.param(503, b"", Verdict.LATER, id="busy"),
        *(pytest.param(status, b"", Verdict.LATER, id=f"{status}") for status in (302, 405, 407, 408, 500)),
        pytest.param(400, b"", Verdict.REFUSED, id="wrong"),
    ],
)
def test_a_collectors_answer_is_judged_as_otlp_says(status: int, body: bytes, verdict: Verdict) -> None:
    assert otel.verdict(Answer(status, {}, body)) is verdict


@pytest.mark.parametrize(
    ("status", "verdict"),
    [*((status, Verdict.TAKEN) for status in (200, 202, 204)), *((s, Verdict.REFUSED) for s in (400, 413, 422)),
     *((status, Verdict.LATER) for status in (301, 308, 401, 403, 404, 408, 410, 425, 429, 500, 502, 503))],
)  # fmt: skip
def test_what_can_be_mended_is_tried_again(status: int, verdict: Verdict) -> None:
    assert TYPES["webhook"].verdict(Answer(status)) is verdict


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("7", 7_000_000, id="seconds"),
        pytest.param("Fri, 02 Jan 2026 03:04:40 GMT", 30_000_000, id="a date"),
        pytest.param("Fri, 02 Jan 2026 03:00:00 GMT", 0, id="a date that has passed"),
        pytest.param("soon", None, id="neither"),
        pytest.param("-1", None, id="less than nothing"),
        pytest.param("Fri, 02 Jan 2026 03:04:40", None, id="a date without a zone"),
    ],
)
def test_a_receiver_may_say_how_long_to_wait(text: str, expected: int | None) -> None:
    assert asked_us(Answer(429, {"retry-after": text}), NOW_US) == expected
    assert asked_us(Answer(429), NOW_US) is None


def test_no_secret_is_shown_of_a_sheet_or_a_request() -> None:
    told = sheet("pagerduty")
    request = pagerduty.form(said(event()), replace(told, address="https://x.example/secret"), NOW_US)
    assert told.secret not in repr(told) and "x.example" not in repr(request)


def test_people_are_told_of_a_service_and_machines_of_each_alert() -> None:
    assert {name for name, kind in TYPES.items() if kind.grouping != GroupingSpec()} == {"pagerduty", "slack"}
    assert cut("abcd", 3) == "ab…"
