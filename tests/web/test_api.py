"""The API against a real ClickHouse with a small story: each route, as a page would ask it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from openapi_spec_validator import validate
from pydantic import BaseModel

from pipeline.settings import Settings
from pipeline.standing import STANDINGS
from pipeline.web import answers, answers_events
from pipeline.web.gate import Gate
from pipeline.web.gates import Gates
from pipeline.web.signals import ModelSignals, Signals
from tests.web.serving import Served, serving
from tests.web.story import HERO, TRACES

pytestmark = pytest.mark.servers
TTFT = "/api/v1/slos/chat-ttft"
CHARTS = ("budget", "burn", "counts", "latency", "heatmap", "marks", "exemplars")


@pytest.fixture(scope="module")
def client(page_server: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=page_server.address, timeout=60) as asking:
        yield asking


def get(client: httpx.Client, path: str, **parameters: Any) -> Any:
    """Ask, and expect an answer."""
    response = client.get(path, params=parameters)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    return response.json()


def test_the_fleet_says_what_burns_first_and_counts_each_standing(client: httpx.Client) -> None:
    fleet = get(client, "/api/v1/slos")
    first = fleet["items"][0]
    assert (first["slo"], first["instance"], first["standing"]) == ("chat-ttft", HERO, "critical")
    assert [each["window_s"] for each in first["burn"]] == [300, 3600, 7200, 86_400]
    assert first["burn_rate"] == first["burn"][0]["burn_rate"] > 10
    assert (first["metric"], first["slo_labels"], first["target"]) == ("ttft", {"team": "serving"}, 0.99)
    assert fleet["total"] == fleet["matched"] == len(fleet["items"]) == 19
    counted = {name: sum(row["standing"] == name for row in fleet["items"]) for name in STANDINGS}
    assert fleet["summary"] == counted
    ranks = [STANDINGS.index(row["standing"]) for row in fleet["items"]]
    assert ranks == sorted(ranks)
    assert not fleet["stale"] and fleet["watermark"] is not None and fleet["next_cursor"] is None


def test_what_is_unknown_is_null_and_has_no_good_standing(client: httpx.Client) -> None:
    (silent,) = get(client, "/api/v1/slos", standing="no_data")["items"]
    assert (silent["compliance_ratio"], silent["budget_remaining_ratio"], silent["burn_rate"]) == (None, None, None)
    assert silent["trend"] is None or set(silent["trend"]) == {None}


def test_open_alerts_stand_beside_their_instances(client: httpx.Client) -> None:
    (hero,) = get(client, "/api/v1/slos", slo="chat-ttft", standing="critical")["items"]
    fleet = get(client, "/api/v1/slos", limit=1)
    if fleet["open_alerts"] is None:  # they are asked for apart, and nobody waits for them long
        deadline = datetime.now(UTC) + timedelta(seconds=90)
        while fleet["open_alerts"] is None and datetime.now(UTC) < deadline:
            fleet = get(client, "/api/v1/slos", limit=1)
        (hero,) = get(client, "/api/v1/slos", slo="chat-ttft", standing="critical")["items"]
    assert fleet["open_alerts"] == {"critical": 1, "warning": 2, "info": 0}
    assert [(alert["dedup_key"], alert["severity"]) for alert in hero["alerts"]] == [(f"chat-ttft|{HERO}", "CRITICAL")]


@pytest.mark.parametrize(
    ("parameters", "matched"),
    [
        ({"q": "EU-WEST llama"}, 1), ({"q": "team"}, 0), ({"q": "search"}, 4), ({"slo": "chat-errors"}, 3),
        ({"service": "embed"}, 4), ({"label": "region:ap-south"}, 5),
        ({"label": ["team:serving", "region:ap-south"]}, 5), ({"standing": "critical,warning"}, 3), ({"slo": "%"}, 0),
    ],
    ids=str,
)  # fmt: skip
def test_a_filter_narrows_the_fleet(client: httpx.Client, parameters: dict[str, Any], matched: int) -> None:
    fleet = get(client, "/api/v1/slos", **parameters)
    assert fleet["matched"] == len(fleet["items"]) == sum(fleet["summary"].values()) == matched
    assert fleet["total"] == 19


def test_groups_say_what_the_whole_of_them_holds_whatever_the_page(client: httpx.Client) -> None:
    fleet = get(client, "/api/v1/slos", group="label:team", limit=2)
    assert [(each["key"], each["instances"]) for each in fleet["groups"]] == [("serving", 15), ("search", 4)]
    assert fleet["groups"][0]["summary"]["critical"] == 1
    assert {row["slo_labels"]["team"] for row in fleet["items"]} == {"serving"}


@pytest.mark.parametrize("parameters", [{}, {"sort": "-budget"}, {"group": "service", "sort": "slo"}], ids=str)
def test_pages_hold_every_row_once(client: httpx.Client, parameters: dict[str, str]) -> None:
    whole = get(client, "/api/v1/slos", **parameters)
    seen, cursor = [], ""
    while cursor is not None:
        page = get(client, "/api/v1/slos", limit=4, cursor=cursor, **parameters)
        seen += page["items"]
        cursor = page["next_cursor"]
    assert [row["id"] for row in seen] == [row["id"] for row in whole["items"]]


def test_one_slo_is_told_with_its_definition_and_how_it_was_counted(client: httpx.Client) -> None:
    one = get(client, TTFT, instance=HERO)
    assert one["row"]["instance"] == HERO
    assert one["definition"]["sentence"].startswith("99 % of chat requests have ttft of at most 1s")
    assert one["definition"]["pairs"][0] == {"severity": "CRITICAL", "factor": 10.0, "long_s": 3600, "short_s": 300}
    assert (one["definition"]["owner"], one["definition"]["source"]) == ("serving", "fleet.yaml:1")
    assert [each["is_current"] for each in one["revisions"]] == [True]
    assert one["revisions"][0]["revision"] == one["definition"]["counts_revision"]
    assert one["instances_total"] == len(one["instances"]) == 12
    assert one["instances"][0]["instance"] == HERO


def test_one_of_several_instances_has_to_be_chosen(client: httpx.Client) -> None:
    assert get(client, TTFT)["row"] is None
    refused = client.get(f"{TTFT}/counts")
    assert (refused.status_code, refused.json()["parameter"]) == (400, "instance")


MISSING = [
    "/api/v1/slos/nobody", f"{TTFT}?instance=region%3Dmars", "/api/v1/slos/nobody/burn", "/api/v1/alerts/nobody",
    f"/api/v1/alerts/{quote(f'chat-ttft|{HERO}', safe='')}?fired_at=2020-01-01T00:00:00Z",
    "/api/v1/nothing", "/api/v2/slos", "/api/v1/slos/chat-ttft/nothing",
]  # fmt: skip


@pytest.mark.parametrize("path", MISSING)
def test_what_is_not_there_is_a_problem_that_says_so(client: httpx.Client, path: str) -> None:
    refused = client.get(path)
    assert (refused.status_code, refused.headers["content-type"].split(";")[0]) == (404, "application/problem+json")
    assert refused.json()["status"] == 404 and refused.json()["detail"]


def test_counts_are_those_of_each_minute_and_a_gap_is_null(client: httpx.Client) -> None:
    chart = get(client, f"{TTFT}/counts", instance=HERO, **{"from": "-1h"})
    assert chart["step_s"] == 60 and len(chart["t"]) == len(chart["good"]) in {60, 61, 62}
    known = [bad / (good + bad) for good, bad in zip(chart["good"], chart["bad"], strict=True) if good is not None]
    assert max(known[-5:]) > 0.1 and len(known) >= 58
    future = get(client, f"{TTFT}/counts", instance=HERO, **{"from": "now", "to": str(chart["to"] + 600)})
    assert future["good"][-1] is None and future["note"] is not None


def test_burn_rates_have_the_windows_of_the_rules_and_their_thresholds(client: httpx.Client) -> None:
    chart = get(client, f"{TTFT}/burn", instance=HERO, **{"from": "-2h"})
    assert [each["window_s"] for each in chart["windows"]] == [300, 3600, 7200, 86_400]
    assert {(pair["severity"], pair["factor"]) for pair in chart["thresholds"]} == {
        ("CRITICAL", 10.0),
        ("WARNING", 2.0),
    }
    short = [rate for rate in chart["windows"][0]["burn_rate"] if rate is not None]
    assert min(short) < 1 and max(short) > 20
    shown = get(client, "/api/v1/slos", q=HERO)["items"][0]["burn"]
    wide = get(client, f"{TTFT}/burn", instance=HERO, **{"from": "-16d"})
    assert wide["step_s"] == 3_600 and wide["from"] % 3_600 == wide["to"] % 3_600 == 0  # it is made of hours
    now = [next(rate for rate in reversed(each["burn_rate"]) if rate is not None) for each in chart["windows"]]
    assert now == pytest.approx([each["burn_rate"] for each in shown], rel=0.25)


def test_the_budget_burns_down_to_what_is_left(client: httpx.Client) -> None:
    chart = get(client, f"{TTFT}/budget", instance=HERO)
    row = get(client, TTFT, instance=HERO)["row"]
    assert chart["note"] is None
    assert chart["remaining_ratio"][-1] == pytest.approx(row["budget_remaining_ratio"], abs=1e-5)
    assert chart["remaining_ratio"][0] > 0.99
    assert chart["remaining_ratio"] == sorted(chart["remaining_ratio"], reverse=True)
    assert chart["t"] == sorted(chart["t"]) and len(chart["t"]) > 600


def test_percentiles_and_the_heat_map_come_from_the_same_sketches(client: httpx.Client) -> None:
    lines = get(client, f"{TTFT}/latency", instance=HERO, **{"from": "-3h"})
    assert (lines["metric"], lines["objective_us"], lines["is_shown_metric_judged"]) == ("ttft", 1_000_000, True)
    drawn = get(client, f"{TTFT}/heatmap", instance=HERO, **{"from": "-3h"})
    requests = sum(filter(None, lines["requests"]))
    assert requests > 300 * 170
    assert sum(sum(column) for column in drawn["counts"] if column) == pytest.approx(requests, rel=0.05)
    assert len(drawn["edges_us"]) <= 49
    place = next(i for i, column in enumerate(drawn["counts"]) if column and drawn["t"][i] in lines["t"])
    median = lines["p50_us"][lines["t"].index(drawn["t"][place])]
    below = sum(n for n, edge in zip(drawn["counts"][place], drawn["edges_us"][1:], strict=True) if edge <= median)
    assert 0.3 < below / sum(drawn["counts"][place]) < 0.55  # rows are coarse, and the column is two minutes


def test_without_a_sketch_of_its_own_an_slo_shows_the_whole_request(client: httpx.Client) -> None:
    chart = get(client, "/api/v1/slos/chat-errors/latency", instance="region=eu-west")
    assert (chart["metric"], chart["objective_us"], chart["is_shown_metric_judged"]) == ("e2e", None, False)


def test_marks_and_exemplars_are_those_of_the_time(client: httpx.Client) -> None:
    marks = get(client, f"{TTFT}/marks", instance=HERO, **{"from": "-2d"})["items"]
    assert [(each["kind"], each["severity"], each["until"] is None) for each in marks] == [
        ("alert", "WARNING", False), ("alert", "CRITICAL", True),
    ]  # fmt: skip
    found = get(client, f"{TTFT}/exemplars", instance=HERO, **{"from": "-1h"})["items"]
    assert {each["trace_id"] for each in found} == set(TRACES)
    assert get(client, f"{TTFT}/exemplars", instance=HERO, **{"from": "-30m"})["items"] == []
    before = get(client, f"{TTFT}/marks", instance=HERO, **{"from": "-2d", "to": "-1h"})["items"]
    assert [(each["kind"], each["severity"]) for each in before] == [("alert", "WARNING")]


@pytest.mark.parametrize("chart", CHARTS)
def test_the_sql_of_a_chart_runs_as_it_stands_and_says_the_same(client: httpx.Client, told: Any, chart: str) -> None:
    said = get(client, f"{TTFT}/{chart}", instance=HERO, **{"from": "-1h"})
    with told[0].client() as asking:
        rows = asking.execute(said["sql"])
    if chart == "counts":
        assert [row[1] for row in rows] == [each for each in said["good"] if each is not None]
    assert bool(rows) == bool(said.get("items", True))


def test_alerts_come_open_first_and_say_what_their_events_said(client: httpx.Client) -> None:
    alerts = get(client, "/api/v1/alerts")
    assert [alert["is_open"] for alert in alerts["items"]] == [True, True, True, False, False, False]
    fired = [alert["fired_at"] for alert in alerts["items"]]
    assert fired[:3] == sorted(fired[:3], reverse=True) and fired[3:] == sorted(fired[3:], reverse=True)
    over = alerts["items"][3]
    assert (over["slo"], over["severity"], over["duration_s"]) == ("chat-ttft", "WARNING", 4200.0)
    path = f"/api/v1/alerts/{quote(over['dedup_key'], safe='')}"
    one = get(client, path, fired_at=over["fired_at"])
    assert one["alert"] == over
    assert [event["event"] for event in one["events"]] == ["FIRED", "RESOLVED"]
    latest = get(client, path)
    assert latest["alert"]["severity"] == "CRITICAL"


@pytest.mark.parametrize(
    ("parameters", "number"),
    [
        ({"state": "open"}, 3), ({"state": "resolved"}, 3), ({"severity": "critical"}, 3), ({"slo": "chat-ttft"}, 3),
        ({"slo": "chat-ttft", "instance": HERO}, 2), ({"instance": ""}, 0), ({"service": "embed"}, 1),
        ({"kind": "NO_DATA"}, 0), ({"from": "-1d"}, 4), ({"from": "-1d", "to": "-19h"}, 1), ({"to": "-1d"}, 2),
        ({"from": "-1d", "to": "-4h"}, 2), ({"from": "-10m"}, 3),
    ],
    ids=str,
)  # fmt: skip
def test_alerts_are_those_asked_for_that_were_open_in_the_time(
    client: httpx.Client, parameters: dict[str, str], number: int
) -> None:
    assert len(get(client, "/api/v1/alerts", **parameters)["items"]) == number


@pytest.mark.parametrize("limit", [1, 2, 4])
def test_pages_of_alerts_hold_each_once(client: httpx.Client, limit: int) -> None:
    seen, cursor = [], ""
    while cursor is not None:
        page = get(client, "/api/v1/alerts", limit=limit, cursor=cursor)
        assert len(page["items"]) <= limit
        seen += [(each["dedup_key"], each["fired_at"]) for each in page["items"]]
        cursor = page["next_cursor"]
    assert seen == [(each["dedup_key"], each["fired_at"]) for each in get(client, "/api/v1/alerts")["items"]]


def test_a_model_that_nothing_is_published_of_has_no_numbers(client: httpx.Client) -> None:
    said = get(client, "/api/v1/signals/chat/nobody")
    assert [each["name"] for each in said["items"]] == ["gate"]  # of its service
    nothing = get(client, "/api/v1/signals/nobody/nobody")
    assert (nothing["values"], nothing["items"], nothing["note"]) == (
        {}, [], "No control has published a signal that fits",
    )  # fmt: skip


def test_signals_are_flat_numbers_and_what_is_expired_or_unknown_is_none(client: httpx.Client) -> None:
    said = get(client, f"/api/v1/signals/chat/{quote('llama-3.3-70b')}")
    assert said["values"] == {"gate": 2.0, "scale": 6.0}
    assert said["states"] == {"gate": "frozen", "scale": "out", "cost": "unknown"}
    assert said["scopes"] == {"capacity": {"h100-fp8": 24.0}, "shed": {"LOW": 0.5}}
    assert said["ttl_s"].keys() == said["states"].keys() and all(ttl_s > 0 for ttl_s in said["ttl_s"].values())
    assert [(each["name"], each["is_expired"]) for each in said["items"]] == [
        ("gate", False), ("capacity", False), ("cost", False), ("forecast", True), ("scale", False), ("shed", False),
    ]  # fmt: skip
    every = get(client, "/api/v1/signals")
    assert [(each["service"], each["name"]) for each in every["items"]][:2] == [("chat", "gate"), ("chat", "capacity")]
    assert [each["name"] for each in get(client, "/api/v1/signals", name="scale")["items"]] == ["scale"]
    assert get(client, "/api/v1/signals", service="embed")["items"] == []


def test_the_pipeline_says_how_far_it_is_and_what_could_not_be_used(client: httpx.Client) -> None:
    said = get(client, "/api/v1/pipeline")
    assert {stage["stage"] for stage in said["stages"]} == {"ingest", "judge", "store"}
    assert (said["summary"]["events"], said["summary"]["dead_letters"]) == (2 * 811_990, 3)
    assert (said["summary"]["is_lagging"], said["summary"]["backlog_records"]) == (None, None)  # no worker says so
    (letters,) = said["dead_letters"]
    assert (letters["reason"], letters["records"], letters["example"]) == (
        "unknown_schema", 3, "schema 77 is in no registry",
    )  # fmt: skip
    assert all(each["late"] > 0 for each in said["late_events"])


BAD = [
    ("/api/v1/slos", {"limit": "0"}, "limit"), ("/api/v1/slos", {"sort": "x"}, "sort"),
    ("/api/v1/slos", {"nope": "1"}, "nope"), ("/api/v1/slos", {"cursor": "WzFd"}, "cursor"),
    (TTFT, {"from": "-1h"}, "from"), (f"{TTFT}/burn", {"instance": HERO, "from": "x"}, "from"),
    (f"{TTFT}/burn", {"instance": HERO, "from": "now"}, "from"), ("/api/v1/alerts", {"kind": "x"}, "kind"),
    ("/api/v1/alerts/a", {"fired_at": "-1h"}, "fired_at"), ("/api/v1/pipeline", {"q": "x"}, "q"),
    ("/api/v1/signals", {"model": "x"}, "model"), ("/api/v1/live", {"limit": "501"}, "limit"),
    ("/api/v1/live", {"group": "slo"}, "group"), ("/api/v1/gate/chat", {"at": "now"}, "at"),
    ("/api/v1/signals/a%00b/m", {}, "service"), (f"/api/v1/signals/chat/{'m' * 1025}", {}, "model"),
    ("/api/v1/slos/%00", {}, "name"), ("/api/v1/alerts/%00", {}, "dedup_key"), ("/api/v1/gate/%00", {}, "service"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "parameters", "name"), BAD)
def test_a_bad_parameter_is_named(client: httpx.Client, path: str, parameters: dict[str, str], name: str) -> None:
    refused = client.get(path, params=parameters)
    assert (refused.status_code, refused.headers["content-type"]) == (400, "application/problem+json")
    assert refused.json()["parameter"] == name
    assert refused.headers["cache-control"] == "no-store"


HOSTILE = st.one_of(
    st.sampled_from([
        "' OR 1=1 --", "\\' OR 1=1 --", "'; DROP TABLE statuses; --", "{slo:String}", "$view", "${metric}", "%s", "\\",
        "a\nb", "\t", "'\\''", "\u2019", "\U0001f525", ")", "x' UNION ALL SELECT * FROM system.users --", "\\x27",
    ]),
    st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\x00"), max_size=30),
)  # fmt: skip


@examples(max_examples=12)
@given(HOSTILE, st.sampled_from(["slo", "service", "q", "instance"]))
def test_text_is_a_value_whatever_it_holds(client: httpx.Client, text: str, name: str) -> None:
    """Values that are nobody's find nothing: not everything, and no error of the server."""
    text += "\u2620"  # in no name there is
    if name != "instance":
        assert get(client, "/api/v1/slos", **{name: text})["matched"] == 0
    if name != "q":
        assert get(client, "/api/v1/alerts", **{name: text})["items"] == []
    for one in ("slos", "alerts", "gate"):
        assert client.get(f"/api/v1/{one}/{quote(text, safe='')}").status_code == 404
    assert client.get(f"{TTFT}/counts", params={"instance": text}).status_code == 404


def test_the_description_is_valid_and_every_answer_is_as_it_says(client: httpx.Client) -> None:
    said = get(client, "/api/v1/openapi.json")
    validate(said)
    assert said["openapi"].startswith("3.1")
    most = {
        path: each["schema"]["maximum"]
        for path in ("/api/v1/slos", "/api/v1/live")
        for each in said["paths"][path]["get"]["parameters"]
        if each["name"] == "limit"
    }
    assert most == {"/api/v1/slos": 1000, "/api/v1/live": 500}
    asked: dict[str, tuple[str, type[BaseModel]]] = {
        "/slos": ("/api/v1/slos", answers.Fleet),
        "/slos/{name}": (TTFT, answers.OneSlo),
        "/pipeline": ("/api/v1/pipeline", answers_events.Pipeline),
        "/alerts": ("/api/v1/alerts", answers_events.Alerts),
        "/signals": ("/api/v1/signals", Signals),
        "/signals/{service}/{model}": ("/api/v1/signals/chat/x", ModelSignals),
        "/gate/{service}": ("/api/v1/gate/chat", Gate),
        "/gates": ("/api/v1/gates", Gates),
    }
    for path, (url, model) in asked.items():
        schema = said["paths"][f"/api/v1{path}"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        assert schema == {"$ref": f"#/components/schemas/{model.__name__}"}
        model.model_validate(get(client, url))


def test_an_answer_that_has_not_changed_is_not_sent_again(client: httpx.Client) -> None:
    for path in ("/api/v1/slos?trend=0", "/api/v1/signals", "/api/v1/openapi.json", f"{TTFT}?instance={quote(HERO)}"):
        first = client.get(path)
        tag = first.headers["etag"]
        assert tag.startswith('W/"') and first.headers["cache-control"] == "private, no-cache"
        for said in (tag, tag.removeprefix("W/"), f'"x", {tag}', "*"):
            again = client.get(path, headers={"If-None-Match": said})
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag), path
        assert client.get(path, headers={"If-None-Match": '"x"'}).status_code == 200
    assert client.get("/api/v1/slos").headers["burnline-as-of"].endswith("Z")


def test_an_answer_is_packed_for_who_can_unpack_it(client: httpx.Client) -> None:
    packed = client.get("/api/v1/slos", headers={"Accept-Encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip" and packed.json()["total"] == 19
    assert "content-encoding" not in client.get("/api/v1/slos", headers={"Accept-Encoding": "identity"}).headers


def test_only_who_has_the_token_is_told_and_the_page_holds_nothing_to_tell(reading: Settings) -> None:
    with serving(reading, "right") as served, httpx.Client(base_url=served.address, timeout=60) as asking:
        for path in ("/api/v1/slos", "/api/v1/live", "/api/v1/openapi.json", "/api/v1/nothing", TTFT):
            refused = asking.get(path)
            assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
            assert refused.headers["content-type"].startswith("application/problem+json")
        assert asking.get("/").status_code == 200
        assert asking.get("/api/v1/slos", headers={"Authorization": "Bearer right"}).json()["total"] == 19


def test_only_reading_is_answered(client: httpx.Client) -> None:
    assert client.head("/api/v1/slos").status_code == 200
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        assert client.request(method, "/api/v1/slos").status_code == 405
