"""Live streams: what changes is sent, once, to whoever looks at it."""

import contextlib
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.embedded import EmbeddedClickHouse
from pipeline.settings import Settings
from pipeline.web import live
from pipeline.web.fleet import listed, row_of
from pipeline.web.live import View, difference, seen
from pipeline.web.parameters import FleetQuery
from tests.database import Database
from tests.web import story
from tests.web.fleets import NOW, instance, snapshot
from tests.web.gate import Gate
from tests.web.serving import Served, serving

STATES = st.dictionaries(st.sampled_from("abcdef"), st.sampled_from(["OK", "FIRING", "PENDING"]), max_size=6)


def view_of(states: dict[str, str], limit: int = 4) -> View:
    found = snapshot(*(instance(slo, state=state) for slo, state in states.items()))
    return View(found, listed(found, FleetQuery()), limit)


@given(st.lists(STATES, min_size=1, max_size=5))
def test_who_puts_changes_together_sees_what_is(history: list[dict[str, str]]) -> None:
    rows: dict[str, Any] = {}
    order: list[str] = []
    former = None
    for states in history:
        view = view_of(states)
        change = difference(former, view)
        if change is not None:
            order = order if change.order is None else change.order
            rows |= {row.id: row for row in change.rows}
            rows = {key: row for key, row in rows.items() if key in order}
        assert [rows[key] for key in order] == list(view.rows.values())
        former = view


def test_nothing_is_sent_when_nothing_can_be_seen_to_change() -> None:
    almost = {"compliance_ratio": 0.9990000001, "window_end": NOW + timedelta(seconds=1), "good": 999_001}
    before, after = instance("a", good=999_000), instance("a", **almost)
    same = [seen(row_of(snapshot(each), 0)) for each in (before, after)]
    assert same[0] == same[1]
    for name, value in {"state": "FIRING", "compliance_ratio": 0.9, "bad": 2, "revision": "r2", "late": 9}.items():
        assert seen(row_of(snapshot(before._replace(**{name: value})), 0)) != same[0], name


@pytest.fixture(scope="module")
def mine(clickhouse: EmbeddedClickHouse) -> Iterator[Database]:
    """A few instances, which only these tests change."""
    database = Database(clickhouse)
    with database.client() as client:
        story.tell_many(client, datetime.now(UTC), 12)
    yield database
    database.drop()


@pytest.fixture(scope="module")
def slos(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return story.write_files(tmp_path_factory.mktemp("slo"))


@pytest.fixture(scope="module")
def server(mine: Database, slos: Any) -> Iterator[Served]:
    with serving(mine.settings(slos)) as served:
        yield served


@pytest.fixture
def alone(mine: Database, slos: Any) -> Iterator[Served]:
    """A server to which no stream of a former test is open."""
    with serving(mine.settings(slos)) as served:
        yield served


class Stream:
    """A client of a stream."""

    def __init__(self, response: httpx.Response) -> None:
        self._lines = response.iter_lines()

    def next(self, name: str) -> tuple[str, Any]:
        """Wait for an event; return its id and what it says."""
        fields: dict[str, str] = {}
        for line in self._lines:
            key, _, value = line.partition(": ")
            fields[key] = value
            if not line:
                if fields.get("event") == name:
                    return fields.get("id", ""), json.loads(fields["data"])
                fields = {}
        raise AssertionError(f"the stream ended without {name}")

    def rows(self) -> tuple[str, Any]:
        """Wait for the first rows of which alerts are known too, which are asked for apart."""
        key, first = self.next("rows")
        while any(row["alerts"] is None for row in first["rows"]):
            key, more = self.next("rows")
            newer = {row["id"]: row for row in more["rows"]}
            first["rows"] = [newer.get(row["id"], row) for row in first["rows"]]
        return key, first


@contextlib.contextmanager
def stream(address: str, path: str = "/api/v1/live", **headers: str) -> Iterator[Stream]:
    with httpx.stream("GET", address + path, headers=headers, timeout=60) as response:
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/event-stream"
        yield Stream(response)


def burn(mine: Database, slo: str, severity: str) -> None:
    """One instance is judged anew."""
    with mine.client() as client:
        client.execute(
            "INSERT INTO statuses SELECT * REPLACE (now64(6) AS watermark, if(%(severity)s = 'NONE', 'OK', 'FIRING') "
            "AS state, %(severity)s AS severity) FROM statuses FINAL WHERE slo = %(slo)s",
            {"slo": slo, "severity": severity},
        )


@pytest.mark.servers
def test_a_change_is_sent_alone_and_comes_to_the_top(server: Served, mine: Database) -> None:
    with stream(server.address, "/api/v1/live?limit=5") as found:
        _, first = found.rows()
        assert (first["total"], len(first["rows"]), len(first["order"])) == (12, 5, 5)
        assert [row["id"] for row in first["rows"]] == first["order"]
        burn(mine, "many-9", "CRITICAL")
        _, change = found.next("rows")
        (row,) = change["rows"]
        assert (row["slo"], row["standing"], change["order"][0]) == ("many-9", "critical", row["id"])
        assert change["summary"]["critical"] == 1 and len(change["order"]) == 5
        burn(mine, "many-9", "NONE")
        _, last = found.next("rows")
        assert last["order"] == first["order"]


@pytest.mark.servers
def test_who_comes_back_having_missed_nothing_is_not_told_again(server: Served) -> None:
    with stream(server.address, "/api/v1/live?slo=many-1") as found:
        key, first = found.rows()
        assert [row["slo"] for row in first["rows"]] == ["many-1"]
    with stream(server.address, "/api/v1/live?slo=many-1", **{"Last-Event-ID": key}) as found:
        assert found.next("beat")[0] == key
    with stream(server.address, "/api/v1/live?slo=many-2", **{"Last-Event-ID": key}) as found:
        assert found.next("rows")[1]["rows"][0]["slo"] == "many-2"


@pytest.mark.servers
def test_clickhouse_may_go_and_come_back_while_somebody_looks(mine: Database, slos: Any) -> None:
    gate = Gate(mine.server.url)
    settings: Settings = mine.settings(slos)
    url = settings.clickhouse_url.replace(f":{mine.server.port}/", f":{gate.port}/")
    with serving(settings.model_copy(update={"clickhouse_url": url})) as served, stream(served.address) as found:
        _, first = found.next("rows")
        gate.shut()
        _, away = found.next("away")
        assert away["last_good_at"] >= first["as_of"] and "ClickHouse" in away["detail"]
        refused = httpx.get(f"{served.address}/api/v1/slos", timeout=60)
        assert (refused.status_code, refused.json()["last_good_at"]) == (503, away["last_good_at"])
        assert int(refused.headers["retry-after"]) >= 1
        assert httpx.get(f"{served.address}/healthz", timeout=60).status_code == 200
        gate.open()
        _, again = found.next("rows")
        assert len(again["rows"]) == len(first["rows"]) and again["as_of"] > away["last_good_at"]
    gate.close()


@pytest.mark.servers
def test_a_fault_of_ours_ends_a_stream_and_begins_no_second_answer_in_it(mine: Database, slos: Any) -> None:
    is_broken = threading.Event()

    def known() -> Any:
        if is_broken.is_set():
            raise RuntimeError("a fault")
        return {}

    with (
        serving(mine.settings(slos), slos=known) as served,
        httpx.stream("GET", f"{served.address}/api/v1/live", timeout=60) as response,
    ):
        told = []
        for line in response.iter_lines():  # which raises where what comes is no stream any more
            told.append(line)
            if line.startswith("event: rows"):
                is_broken.set()
        assert "event: rows" in told and not any("HTTP/" in line for line in told)


@pytest.mark.servers
def test_one_stream_too_many_is_refused(alone: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "STREAMS_MOST", 2)
    with stream(alone.address) as one, stream(alone.address) as other:
        one.next("rows")
        other.next("rows")
        refused = httpx.get(f"{alone.address}/api/v1/live", timeout=60)
        assert (refused.status_code, refused.headers["content-type"]) == (503, "application/problem+json")
        assert refused.headers["retry-after"] == "5"


@pytest.mark.servers
def test_what_is_looked_at_is_bounded_and_who_looks_at_the_same_is_let_in(
    alone: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "VIEWS_MOST", 1)
    same = "/api/v1/live?slo=many-1"
    with stream(alone.address, same) as one, stream(alone.address, same) as other:
        assert one.next("rows")[0] == other.next("rows")[0]
        refused = httpx.get(f"{alone.address}/api/v1/live?slo=many-2", timeout=60)
        assert refused.status_code == 503 and "live streams of different lists" in refused.json()["detail"]


@pytest.mark.servers
def test_streams_end_with_the_server(mine: Database, slos: Any) -> None:
    with serving(mine.settings(slos)) as served, stream(served.address) as found:
        found.next("rows")
        stopping = threading.Thread(target=served.stop)
        stopping.start()
        with contextlib.suppress(httpx.HTTPError, AssertionError):
            found.next("never")
        stopping.join(60)
        assert not stopping.is_alive()
