"""Grafana's dashboards: whole and consistent, and every query in them is answered.

SQL runs in a real ClickHouse as the reader, after the macros of grafana-clickhouse-datasource were expanded as its
documentation says; PromQL is read by promtool, and its metrics are ours.
"""

import json
import re
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from ruamel.yaml import YAML

import infra
from pipeline.alerts import Severity, State
from pipeline.embedded import EmbeddedClickHouse
from pipeline.embedded.clickhouse_config import READER
from pipeline.metrics import CATALOGUE
from pipeline.standing import standing
from tests.database import insert
from tests.fleet_story import AHEAD, MINUTE, NOW, burning_fleet, judged
from tests.referee.promtool import PROMTOOL

GRAFANA, ROOT = infra.HOME / "grafana", infra.HOME.parent
YAML_FILES = YAML(typ="safe", pure=True)
DASHBOARDS: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text()) for path in sorted((GRAFANA / "dashboards").glob("*.json"))
}
SOURCES = {
    source["uid"]: source
    for source in YAML_FILES.load(GRAFANA / "provisioning" / "datasources" / "burnline.yaml")["datasources"]
}
SERVICES = YAML_FILES.load(ROOT / "docker-compose.yml")["services"]
SLO = "grafana-story"
VARIABLE = re.compile(r"\$(?:\{(?P<braced>\w+)(?::\w+)?\}|(?P<plain>\w+))")
UNITS = {
    "short", "none", "s", "ms", "µs", "percentunit", "reqps", "cps", "bytes", "suffix:x", "dateTimeAsIso",
}  # fmt: skip
MACROS = {"timeFilter", "fromTime", "toTime", "timeInterval", "interval_s", "conditionalAll", "rate_interval"}
every_dashboard = pytest.mark.parametrize("name", DASHBOARDS)


class Query(NamedTuple):
    """One query, and where it stands."""

    where: str
    sql: str
    format: int  # 0: time series, 1: table


def panels(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = DASHBOARDS[name]["panels"]
    return found


def variables(name: str) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in DASHBOARDS[name]["templating"]["list"]}


def queries() -> Iterator[Query]:
    """Every SQL query: of panels, of annotations, of variables."""
    for name, dashboard in DASHBOARDS.items():
        for panel in panels(name):
            for target in panel["targets"]:
                if "rawSql" in target:
                    yield Query(f"{name}: {panel['title']}", target["rawSql"], target["format"])
        for note in dashboard["annotations"]["list"]:
            assert note["rawQuery"] == note["target"]["rawSql"]
            yield Query(f"{name}: {note['name']}", note["rawQuery"], 1)
        for variable in variables(name).values():
            assert variable["definition"] == variable["query"]["rawSql"]
            yield Query(f"{name}: ${variable['name']}", variable["definition"], 1)


def expressions() -> dict[str, str]:
    """Every PromQL expression by where it stands, as Grafana sends it."""
    return {
        f"{name}: {panel['title']} {target['refId']}": target["expr"].replace("$__rate_interval", "5m")
        for name in DASHBOARDS
        for panel in panels(name)
        for target in panel["targets"]
        if "expr" in target
    }


def expanded(sql: str, is_all: bool, slo: str = SLO) -> str:
    """Write out macros and variables as the plugin and Grafana do."""
    start, end = int(NOW.timestamp()) - 7_200, int(NOW.timestamp()) + 60
    chosen = {"slo": f"'{slo}'", "instance": "'region=eu','region=us'", "service": f"'{slo}-service'"}
    condition = re.compile(r"\$__conditionalAll\((?P<condition>(?:[^()]|\([^()]*\))*), \$(?P<name>\w+)\)")
    sql = condition.sub(lambda m: "1=1" if is_all else m["condition"], sql)
    sql = re.sub(r"\$\{(\w+):singlequote\}", lambda m: chosen[m[1]], sql)
    column = r"\((?P<column>\w+)\)"
    times = rf"\g<column> >= toDateTime({start}) AND \g<column> <= toDateTime({end})"
    sql = re.sub(rf"\$__timeFilter{column}", times, sql)
    sql = re.sub(rf"\$__timeInterval{column}", r"toStartOfInterval(toDateTime(\g<column>), INTERVAL 60 second)", sql)
    for macro, value in (("fromTime", f"toDateTime({start})"), ("toTime", f"toDateTime({end})"), ("interval_s", "60")):
        sql = sql.replace(f"$__{macro}", value)
    return sql


QUERIES = list(queries())
#: SLO -> before the end of the tests, how long ago it was judged, and how far what was judged trails
A_DAY = timedelta(days=1)
UNKNOWN = {"grafana-unjudged": (A_DAY, timedelta()), "grafana-behind": (timedelta(), A_DAY)}
EDITED, EARLIER = "grafana-edited", MINUTE - timedelta(minutes=2)


def edited(client: Any) -> None:
    """An SLO that is counted by region since an edit, and was played again from a little earlier on."""
    for instance in ("region=eu", "region=us", ""):
        judged(client, EDITED, instance, 1, 0)
    before = EARLIER - timedelta(minutes=1)
    rows = [("z", "", before, 50, 50), ("z", "", EARLIER, 50, 50), ("a", "region=eu", EARLIER, 40, 10),
            ("a", "region=eu", MINUTE, 30, 20)]  # fmt: skip
    hours = [("z", "", NOW - timedelta(hours=2), 50, 50), ("a", "region=eu", NOW - timedelta(hours=2), 40, 10),
             ("a", "region=eu", NOW - timedelta(hours=1), 10, 10)]  # fmt: skip
    for tier, found in (("1m", rows), ("1h", hours)):
        for revision, instance, at, good, bad in found:
            row = {"slo": EDITED, "revision": revision, "instance": instance, "good": good, "bad": bad}
            insert(client, f"counts_{tier}", slice_start=at, **row)


@pytest.fixture(scope="module")
def reader(clickhouse: EmbeddedClickHouse) -> Iterator[Any]:
    """The user that the data source is."""
    with clickhouse.client() as client:
        burning_fleet(client, SLO)
        for slo, (judged_before, trails) in UNKNOWN.items():
            judged(client, slo, "", 1, 99, state="FIRING", severity="CRITICAL", judged_at=AHEAD - judged_before,
                   window_end=AHEAD - trails)  # fmt: skip
        edited(client)
    with clickhouse.client(READER) as client:
        yield client


@pytest.mark.servers
@pytest.mark.parametrize("is_all", [True, False], ids=["all", "chosen"])
@pytest.mark.parametrize("query", QUERIES, ids=[query.where for query in QUERIES])
def test_the_reader_is_answered_and_series_have_a_time(reader: Any, query: Query, is_all: bool) -> None:
    sql = expanded(query.sql, is_all)
    assert "$" not in sql
    _, columns = reader.execute(sql, with_column_types=True)
    names = [name for name, _ in columns]
    assert len(names) == len(set(names))
    if query.format == 0:
        assert names[0] == "time" and "DateTime" in columns[0][1]
        assert re.search(r"ORDER BY time", sql)


def ask(
    reader: Any, where: str, slo: str = SLO, world: str = "compliance", is_all: bool = False
) -> list[tuple[Any, ...]]:
    """Ask a panel; `world`: what compliance is."""
    (query,) = [each for each in QUERIES if each.where == where]
    sql = expanded(query.sql, is_all, slo).replace("FROM compliance", f"FROM {world}")
    found: list[tuple[Any, ...]] = reader.execute(sql)
    return found


@pytest.mark.servers
def test_the_fleet_is_shown_as_it_is(reader: Any) -> None:
    states = {row[2]: row[0] for row in ask(reader, "fleet: Fleet")}
    assert states == {"region=eu": "critical", "region=us": "ok", "region=ap": "no data"}
    assert [ask(reader, f"fleet: {title}")[0][0] for title in ("SLO instances", "Critical", "No data")] == [3, 1, 1]
    assert ask(reader, "fleet: Bad by SLO")[0][1:] == (SLO, 20)


@pytest.mark.servers
def test_a_state_is_the_word_that_terminal_and_page_say(clickhouse: EmbeddedClickHouse, reader: Any) -> None:
    """Those that are not known yet too."""
    told = list(product([*State.__members__, "OF_TOMORROW"], [*Severity.__members__, "OF_TOMORROW"], (0, 99), (0, 1)))
    with clickhouse.client() as client:
        for state, severity, good, bad in told:
            name = f"{state}|{severity}|{good}|{bad}"
            judged(client, "grafana-words", f"name={name}", good, bad, state=state, severity=severity)
    shown = {row[2]: row[0] for row in ask(reader, "fleet: Fleet", "grafana-words")}
    assert shown == {
        f"name={state}|{severity}|{good}|{bad}": standing(
            state, severity, good / (good + bad) if good + bad else None,
            1 - 100 * bad / (good + bad) if good + bad else None, is_stale=False,
        ).replace("_", " ")
        for state, severity, good, bad in told
    }  # fmt: skip


@pytest.mark.servers
def test_an_slo_is_shown_as_it_is(reader: Any) -> None:
    ((compliance,),) = ask(reader, "slo: Compliance")
    assert compliance == pytest.approx(1799 / 2000)
    ((left,),) = ask(reader, "slo: Budget left")
    assert left == pytest.approx(1 - 201 / 20)
    assert [row[1] for row in ask(reader, "slo: Burn rate")] == [pytest.approx(20.0)]


STATS = ("Critical", "Warning", "No data", "Budget spent")


@pytest.mark.servers
@pytest.mark.parametrize("title", STATS)
def test_a_fleet_that_nobody_judges_or_that_is_not_there_has_no_numbers(reader: Any, title: str) -> None:
    where = f"fleet: {title}"
    assert ask(reader, where)[0][0] is not None
    for slo in (*UNKNOWN, "grafana-nothing"):
        only = f"(SELECT * FROM compliance WHERE slo = '{slo}')"
        assert ask(reader, where, slo, only) == [(None,)], slo


@pytest.mark.servers
@pytest.mark.parametrize("slo", UNKNOWN)
def test_a_fleet_that_nobody_judges_is_stale_whatever_fires(reader: Any, slo: str) -> None:
    only = f"(SELECT * FROM compliance WHERE slo = '{slo}')"
    assert [row[0] for row in ask(reader, "fleet: Fleet", slo, only)] == ["stale"]
    ((judged_s, event_time_s),) = ask(reader, "fleet: Judged", slo, only)
    assert [judged_s > 120, event_time_s > 300] == [age > timedelta() for age in UNKNOWN[slo]]


@pytest.mark.servers
def test_of_an_slo_that_was_edited_each_slice_counts_once(reader: Any) -> None:
    newest = {EARLIER: (40, 10), MINUTE: (30, 20)}  # by region, since the edit and replayed
    before = {EARLIER - timedelta(minutes=1): (50, 50)}
    good, bad = (sum(each) for each in zip(*(newest | before).values(), strict=True))
    found = {row[0]: row[1:] for row in ask(reader, "slo: Good and bad", EDITED, is_all=True)}
    by_minute = {at: found[at] for at in newest | before}
    assert by_minute == {at: (*count, 0) for at, count in (newest | before).items()}
    burns = {row[0]: row[1] for row in ask(reader, "slo: Burn rate", EDITED, is_all=True)}
    assert burns[EARLIER] == pytest.approx(10 / 50 / 0.01)
    assert ask(reader, "slo: Instances", EDITED, is_all=True) == [
        ("", 50, 50, pytest.approx(50 / bad)), ("region=eu", 70, 30, pytest.approx(30 / bad)),
    ]  # fmt: skip
    assert sum(row[2] for row in ask(reader, "fleet: Bad by SLO", EDITED)) == bad
    assert (good, bad) == (120, 80)
    left = [row[1] for row in ask(reader, "slo: Budget over the window", EDITED, is_all=True)]
    assert left[-1] == pytest.approx(1 - 20 / (0.01 * 70))


@pytest.mark.skipif(PROMTOOL is None, reason="there is no promtool: make promtool, on Debian")
def test_promtool_reads_every_expression(tmp_path: Path) -> None:
    rules = [{"record": f"panel:{at}", "expr": expr} for at, expr in enumerate(expressions().values())]
    (tmp_path / "rules.json").write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    command = [PROMTOOL or "", "check", "rules", str(tmp_path / "rules.json")]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def test_every_expression_reads_metrics_and_labels_that_we_have() -> None:
    ours = {name + "_total" * (spec.kind == "counter"): spec for name, spec in CATALOGUE.items()}
    for where, expr in expressions().items():
        read = re.findall(r"burnline_\w+", expr)
        assert read and set(read) <= set(ours), where
        for by in re.findall(r"by \((\w+)\)", expr):
            assert by == "instance" or all(by in ours[name].labels for name in read), where
        for name in re.findall(r"(?:rate|increase)\((\w+)", expr):
            assert ours[name].kind == "counter", where


@every_dashboard
def test_panels_are_whole_and_do_not_overlap(name: str) -> None:
    found = panels(name)
    assert len({panel["id"] for panel in found}) == len({panel["title"] for panel in found}) == len(found)
    cells: set[tuple[int, int]] = set()
    for panel in found:
        at = panel["gridPos"]
        mine = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24 and not mine & cells
        cells |= mine
        assert panel["description"].endswith(".") and panel["targets"]
        refs = [target["refId"] for target in panel["targets"]]
        assert len(refs) == len(set(refs))


@every_dashboard
def test_units_and_thresholds_are_said_and_what_is_unknown_has_a_word(name: str) -> None:
    for panel in panels(name):
        defaults, overrides = panel["fieldConfig"]["defaults"], panel["fieldConfig"]["overrides"]
        units = {p["value"] for each in overrides for p in each["properties"] if p["id"] == "unit"}
        assert {defaults["unit"], *units} <= UNITS, panel["title"]
        assert defaults["noValue"], panel["title"]
        for each in [defaults, *({p["id"]: p["value"] for p in o["properties"]} for o in overrides)]:
            steps = each.get("thresholds", {"steps": [{"value": None}]})["steps"]
            values = [step["value"] for step in steps[1:]]
            assert steps[0]["value"] is None and values == sorted(set(values))


@every_dashboard
def test_columns_that_are_dressed_are_asked_for(name: str) -> None:
    for panel in panels(name):
        dressed = [each["matcher"]["options"] for each in panel["fieldConfig"]["overrides"]]
        text = " ".join(target.get("rawSql", "") for target in panel["targets"])
        assert all(re.search(rf"\b{column}\b", text) for column in dressed), (panel["title"], dressed)


@every_dashboard
def test_data_sources_are_provisioned_and_of_their_type(name: str) -> None:
    dashboard = DASHBOARDS[name]
    named = [panel["datasource"] for panel in panels(name)]
    named += [target["datasource"] for panel in panels(name) for target in panel["targets"]]
    named += [each["datasource"] for each in dashboard["annotations"]["list"] + dashboard["templating"]["list"]]
    for each in named:
        assert SOURCES[each["uid"]]["type"] == each["type"]


@every_dashboard
def test_variables_that_are_used_exist_and_macros_are_known(name: str) -> None:
    used = {m["braced"] or m["plain"] for q in QUERIES if q.where.startswith(name) for m in VARIABLE.finditer(q.sql)}
    macros = {each.removeprefix("__") for each in used if each.startswith("__")}
    assert macros <= MACROS
    assert {each for each in used if not each.startswith("__")} == set(variables(name))


def test_links_lead_to_dashboards_and_variables_that_exist() -> None:
    by_uid = {dashboard["uid"]: name for name, dashboard in DASHBOARDS.items()}
    assert set(by_uid) == {"burnline-fleet", "burnline-slo", "burnline-pipeline"}
    links = re.findall(r"/d/([\w-]+)\?([^\"]*)", json.dumps(DASHBOARDS))
    assert links
    for uid, rest in links:
        assert set(re.findall(r"var-(\w+)=", rest)) <= set(variables(by_uid[uid]))


def test_compose_mounts_what_is_provisioned() -> None:
    grafana, prometheus = SERVICES["grafana"], SERVICES["prometheus"]
    mounted = {each["source"]: each["target"] for each in grafana["volumes"] if isinstance(each, dict)}
    assert mounted["./infra/grafana/provisioning"] == "/etc/grafana/provisioning"
    provider = YAML_FILES.load(GRAFANA / "provisioning" / "dashboards" / "burnline.yaml")["providers"][0]
    assert mounted["./infra/grafana/dashboards"] == provider["options"]["path"]
    home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home.removeprefix(provider["options"]["path"] + "/") in {f"{name}.json" for name in DASHBOARDS}
    assert SOURCES["burnline-prometheus"]["url"] == "http://prometheus:9090"
    assert all((ROOT / each["source"]).is_dir() for each in prometheus["volumes"] if isinstance(each, dict))


def test_grafana_asks_as_the_reader_and_within_its_limits() -> None:
    source = SOURCES["burnline-clickhouse"]
    said = source["jsonData"]
    assert (said["host"], said["port"], said["username"]) == ("clickhouse", 9000, READER)
    assert source["secureJsonData"]["password"].lstrip("$") in SERVICES["grafana"]["environment"]
    assert said["defaultDatabase"] == "burnline" and 0 < int(said["queryTimeout"]) <= 30


@pytest.mark.skipif(PROMTOOL is None, reason="there is no promtool: make promtool, on Debian")
def test_prometheus_scrapes_workers_where_they_listen_and_knows_the_token() -> None:
    file = infra.HOME / "prometheus" / "prometheus.yaml"
    run = subprocess.run(
        [PROMTOOL or "", "check", "config", "--syntax-only", str(file)], capture_output=True, check=False
    )
    assert run.returncode == 0, run.stderr
    said = YAML_FILES.load(file)
    (job,) = said["scrape_configs"]
    worker = SERVICES["worker"]
    (found,) = job["dns_sd_configs"]
    assert worker["environment"]["BURNLINE_HTTP_BIND"] == f"0.0.0.0:{found['port']}" and found["names"] == ["worker"]
    token = job["authorization"]["credentials_file"]
    assert token == worker["environment"]["BURNLINE_HTTP_TOKEN_FILE"]
    for service in (worker, SERVICES["prometheus"]):
        assert {"source": "http_token", "target": token} in service["configs"]
    assert said["global"]["scrape_interval"] == SOURCES["burnline-prometheus"]["jsonData"]["timeInterval"]
