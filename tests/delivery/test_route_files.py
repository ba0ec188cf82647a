"""Route files: read whole, or refused with every problem, its place and what to do."""

from pathlib import Path

import pytest

import schemas
from pipeline.alerts import Kind, Severity
from pipeline.delivery.incidents import GroupingSpec
from pipeline.delivery.receivers import INSIDE, TYPES
from pipeline.delivery.route_files import parse
from pipeline.delivery.routes import Inhibition, Receiver, Route, Routes
from pipeline.slo import Selector
from pipeline.spec.problems import SpecError

HEAD = "apiVersion: burnline/v1\nkind: AlertRoutes\n"
GOOD = (
    HEAD
    + """\
receivers:
  - name: pager
    pagerduty: {routingKeyFile: /run/secrets/pagerduty}
    groupBy: [service, region]
    groupWait: 10s
  - name: am
    alertmanager: {url: "http://alertmanager:9093", resend: 30s}
    allow: [10.1.0.0/16]
  - name: mirror
    topic: {name: slo.alerts.json}
routes:
  - receivers: [am, mirror]
    continue: true
  - match: {team: serving, region: {not: [test]}}
    severity: [critical, warning]
    kind: burn-rate
    receivers: [pager]
  - receivers: none
inhibit:
  - source: {slo: gateway}
    target: {service: chat}
    equal: [region]
"""
)


def test_a_file_is_read_whole() -> None:
    minute = 60_000_000
    assert parse("routes.yaml", GOOD.encode()) == Routes(
        (
            Receiver(
                "pager", "pagerduty", "https://events.pagerduty.com/v2/enqueue",
                secret_file=Path("/run/secrets/pagerduty"),
                grouping=GroupingSpec(("service", "region"), 10_000_000, minute),
            ),
            Receiver(
                "am", "alertmanager", "http://alertmanager:9093", resend_us=minute // 2,
                allow=(*INSIDE, "10.1.0.0/16"),
            ),
            Receiver("mirror", "topic", topic="slo.alerts.json"),
        ),
        (
            Route(("am", "mirror"), goes_on=True),
            Route(
                ("pager",), (("region", Selector(("test",))), ("team", ("serving",))),
                (Severity.CRITICAL, Severity.WARNING), (Kind.BURN_RATE,),
            ),
            Route(()),
        ),
        (Inhibition((("slo", ("gateway",)),), (("service", ("chat",)),), ("region",)),),
    )  # fmt: skip


HOOK = "receivers:\n  - name: hook\n    webhook: {url: https://hooks.example}\n"
ROUTE = "routes:\n  - receivers: [hook]\n"
MANAGER = "receivers:\n  - name: hook\n    alertmanager: {url: http://am}\n"


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        pytest.param(HOOK + ROUTE.replace("hook", "hok"), "7:17", "did you mean hook?", id="an unknown receiver"),
        pytest.param(HOOK + ROUTE + "    match: {a: b}\n", "7:5", "must take what is left", id="a last of some"),
        pytest.param(HOOK + ROUTE + "  - receivers: none\n", "7:5", "no route behind it", id="one not reached"),
        pytest.param(HOOK + ROUTE.replace("[hook]", "none"), "4:11", "is in no route", id="a receiver without alerts"),
        pytest.param(HOOK.replace("https", "ftp") + ROUTE, "5:20", "write https://host/path", id="another protocol"),
        pytest.param(HOOK + "    slack: {urlFile: x}\n" + ROUTE, "4:5", "exactly one of", id="two receivers in one"),
        pytest.param(HOOK.replace("url: https://hooks.example", "") + ROUTE, "5:14", "has no address", id="no address"),
        pytest.param(HOOK + HOOK.partition("\n")[2] + ROUTE, "6:11", "is taken", id="a name twice"),
        pytest.param(HOOK + "    allow: [10.0.0.1/8]\n" + ROUTE, "6:13", "must be a network", id="no network"),
        pytest.param(MANAGER + "    groupBy: [service]\n" + ROUTE, "6:14", "by itself", id="a group for Alertmanager"),
        pytest.param(HOOK + ROUTE + "    severity: high\n  - receivers: [hook]\n", "8:15",
                     "one of info, warning, critical", id="an unknown severity"),
    ],
)  # fmt: skip
def test_a_problem_has_its_place_and_a_remedy(text: str, place: str, words: str) -> None:
    with pytest.raises(SpecError) as refused:
        parse("routes.yaml", (HEAD + text).encode())
    (problem,) = refused.value.problems
    assert str(problem).startswith(f"routes.yaml:{place}  ") and words in str(problem)


def test_all_problems_are_said_at_once() -> None:
    wrong = GOOD.replace("[am, mirror]", "[alertmanager, mirror]").replace("30s", "30").replace("burn-rate", "burnrate")
    with pytest.raises(SpecError) as refused:
        parse("routes.yaml", wrong.encode())
    assert len(refused.value.problems) == 3


def test_a_password_in_an_address_is_refused_and_not_shown() -> None:
    with pytest.raises(SpecError) as refused:
        parse("r.yaml", GOOD.replace("http://", "http://anna:secret@").encode())
    assert "secret@" not in str(refused.value) and "must hold no user or password" in str(refused.value)


def test_an_address_that_is_a_secret_belongs_into_a_file() -> None:
    with pytest.raises(SpecError) as refused:
        parse("r.yaml", (HEAD + HOOK.replace("webhook", "slack") + ROUTE).encode())
    assert "write urlFile:" in str(refused.value) and "hooks.example" not in str(refused.value)


@pytest.mark.parametrize("data", [b"\xff\xfe", b"", b"---\na: b\n---\nc: d\n"], ids=["no text", "nothing", "two"])
def test_what_is_no_one_document_is_a_problem(data: bytes) -> None:
    with pytest.raises(SpecError):
        parse("r.yaml", data)


def test_the_shipped_example_can_be_used() -> None:
    file = schemas.HOME / "alert_routes" / "example.yaml"
    assert {each.type for each in parse(file.name, file.read_bytes()).receivers} == set(TYPES)
