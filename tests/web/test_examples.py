"""The example consumers of infra/examples do what they say, against the API as it is served."""

import json
import re
import socketserver
import subprocess
import sys
import threading
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from pydantic import SecretStr
from ruamel.yaml import YAML
from typer.main import get_command

import infra
from pipeline import changes
from pipeline.cli import app
from pipeline.controls.signal import NAMES
from pipeline.embedded import EmbeddedClickHouse, EmbeddedKafka
from pipeline.embedded.clickhouse_config import READER
from pipeline.settings import Settings
from pipeline.topics import CHANGES
from schemas import avro_text
from tests.agents.delivering import make_topic
from tests.jobs.consumed import consumed
from tests.web.serving import Served, serving

EXAMPLES = infra.HOME / "examples"
MODEL = "llama-3.3-70b"


def loaded(name: str) -> list[Any]:
    return list(YAML(typ="safe", pure=True).load_all((EXAMPLES / name).read_text()))


def example(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A script, imported as it stands."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return __import__(name)


def run(script: str, *words: str) -> Any:
    done = subprocess.run([sys.executable, EXAMPLES / script, *words], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def get(server: Served, url: str) -> Any:
    """Ask what an example asks; its host is the cluster's own."""
    return httpx.get(server.address + urlsplit(url).path, timeout=60).json()


@pytest.mark.servers
def test_keda_reads_the_replicas_and_holds_when_they_are_not_known(page_server: Served) -> None:
    scaled, login = loaded("keda-scaledobject.yaml")
    (trigger,) = scaled["spec"]["triggers"]
    said = trigger["metadata"]
    answer = get(page_server, said["url"])
    first, second = said["valueLocation"].split(".")
    assert answer[first][second] / float(said["targetValue"]) == 6.0
    assert all(isinstance(each, str) for each in said.values())  # KEDA takes no others
    assert "forecast" not in answer["values"], "what is expired is no number, so that KEDA falls back"
    assert scaled["spec"]["fallback"]["behavior"] == "currentReplicasIfHigher"
    assert trigger["authenticationRef"]["name"] == login["metadata"]["name"]
    assert login["spec"]["secretTargetRef"][0]["parameter"] == "token"


@pytest.mark.servers
def test_a_rollout_is_aborted_where_the_gate_is_frozen(page_server: Served) -> None:
    (template,) = loaded("argo-analysis-template.yaml")
    (metric,) = template["spec"]["metrics"]
    web = metric["provider"]["web"]
    path = re.fullmatch(r"\{\$\.(\w+)\}", web["jsonPath"])
    assert path is not None
    verdict = get(page_server, web["url"].replace("{{args.service}}", "chat"))[path[1]]
    words = {name: re.fullmatch(r'result == "(\w+)"', metric[f"{name}Condition"]) for name in ("success", "failure")}
    assert {name: found and found[1] for name, found in words.items()} == {"success": "open", "failure": "frozen"}
    assert verdict == "frozen"
    used = set(re.findall(r"\{\{args\.(\w+)\}\}", json.dumps(web)))
    assert used == {each["name"] for each in template["spec"]["args"]}


@pytest.mark.servers
def test_a_router_shares_by_what_each_variant_bears_and_holds_when_that_is_not_known(page_server: Served) -> None:
    asked = (page_server.address, "chat", MODEL)
    assert run("router_weights.py", *asked, "h100-fp8=4") == {"h100-fp8": 1.0}
    before = {"h100-fp8": 0.7, "a100": 0.3}
    given = ("h100-fp8=4", "a100=6", "--before", *(f"{name}={share}" for name, share in before.items()))
    assert run("router_weights.py", *asked, *given) == before
    assert run("router_weights.py", "http://127.0.0.1:1", "chat", MODEL, *given) == before


def test_weights_are_what_variants_bear(monkeypatch: pytest.MonkeyPatch) -> None:
    router = example("router_weights", monkeypatch)
    shares = router.weights({"a": 24.0, "b": 8.0}, {"a": 2, "b": 2}, {})
    assert shares == {"a": 0.75, "b": 0.25}
    assert router.weights({"a": 24.0}, {"a": 1, "b": 3}, {}) == {"a": 0.25, "b": 0.75}


@pytest.mark.parametrize(
    "said", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", b"no HTTP\r\n"], ids=["nothing", "half", "other"]
)
def test_a_server_that_cuts_an_answer_off_is_no_answer(said: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    class Cuts(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.connection.recv(1 << 16)
            self.wfile.write(said)

    asking = example("asking", monkeypatch)
    with socketserver.TCPServer(("127.0.0.1", 0), Cuts) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}"
        assert asking.in_force(address, "chat", MODEL) == asking.NOTHING
        assert asking.tell(address, {"title": "router weights"}) is None
        server.shutdown()


@pytest.mark.servers
def test_what_a_router_decides_comes_back_as_a_change(
    kafka: EmbeddedKafka, reading: Settings, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_topic(Settings(kafka_brokers=kafka.brokers), f"{topic_prefix}inference.changes")
    told = {"kafka_brokers": kafka.brokers, "topic_prefix": topic_prefix, "http_write_token": SecretStr("sesame")}
    words = ("router_weights.py", "chat", MODEL, "h100-fp8=4", "--before", "h100-fp8=0.7", "a100=0.3", "--tell")
    with serving(reading.model_copy(update=told)) as served:
        words = (words[0], served.address, *words[1:])
        assert run(*words) == {"h100-fp8": 1.0}, "a router that may not tell goes on"
        monkeypatch.setenv("BURNLINE_HTTP_WRITE_TOKEN", "sesame")
        run(*words)
    (record,) = consumed(Settings(kafka_brokers=kafka.brokers, topic_prefix=topic_prefix), CHANGES)
    columns = changes.read(record.value, -1)
    assert record.key == b"chat" and (columns["request_model"], columns["kind"]) == (MODEL, "KNOB")
    assert columns["before"] == {"weight.h100-fp8": "0.7", "weight.a100": "0.3"}
    assert columns["after"] == {"weight.h100-fp8": "1.0"} and columns["config_epoch"] is not None


@pytest.mark.servers
def test_classes_that_are_to_be_shed_are_below_zero_for_llm_d(page_server: Served) -> None:
    usual = ("CRITICAL=10", "HIGH_FAST=5", "LOW=0", "NO_SLO=-1")
    said = run("llmd_objectives.py", page_server.address, "chat", MODEL, "--pool", "chat", *usual)
    found = {each["metadata"]["name"]: each["spec"]["priority"] for each in said["items"]}
    assert found == {"critical": 10, "high-fast": 5, "low": -10, "no-slo": -1}
    assert {each["kind"] for each in said["items"]} == {"InferenceObjective"}
    assert all(each["spec"]["poolRef"] == {"name": "chat"} for each in said["items"])
    nobody = run("llmd_objectives.py", "http://127.0.0.1:1", "chat", MODEL, "--pool", "chat", *usual)
    assert [each["spec"]["priority"] for each in nobody["items"]] == [10, 5, 0, -1]


def test_dynamo_s_planner_is_warmed_by_a_trace_that_there_is_a_command_for() -> None:
    (planner,) = loaded("dynamo-planner.yaml")
    said = re.search(r"burnline export-trace (\S+) (.*)", (EXAMPLES / "dynamo-planner.yaml").read_text())
    assert said is not None and said[1] == planner["load_predictor_warmup_trace"]
    command = get_command(app).commands["export-trace"]  # type: ignore[attr-defined]
    assert set(re.findall(r"--[a-z-]+", said[2])) <= {name for each in command.params for name in each.opts}


TOLD = (infra.HOME.parent / "docs" / "signals.md").read_text()


def test_every_example_and_every_field_and_name_is_told_of() -> None:
    fields = {each["name"] for each in json.loads(avro_text("control_signal"))["fields"]}
    table = TOLD[TOLD.index("| field |") : TOLD.index("A signal is published")]
    assert set(re.findall(r"`(\w+)`", table)) - {"unknown"} == fields
    assert set(re.findall(r"^\| `(\w+)` \| [^|]+\| `", TOLD, re.MULTILINE)) == set(NAMES)
    names = {path.name for path in EXAMPLES.iterdir() if path.is_file()} - {"asking.py"}
    assert {name for name in names if f"infra/examples/{name}" not in TOLD} == set()


@pytest.mark.servers
def test_the_sql_that_is_told_of_answers_one_row_whatever_is_known(clickhouse: EmbeddedClickHouse) -> None:
    for sql in re.findall(r"```sql\n(.*?)```", TOLD, re.DOTALL):
        assert clickhouse.client(READER).execute(sql) == [(6.0,)]
