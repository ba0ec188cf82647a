"""Deploy gates over HTTP: one service, all services, and a policy that is read when it has changed."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from pipeline.web.asking import NoAnswer
from pipeline.web.gate import policy_of
from tests.web.serving import Served
from tests.web.story import HERO
from tests.web.test_api import get

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def client(page_server: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=page_server.address, timeout=60) as asking:
        yield asking


def test_the_gate_is_frozen_where_it_pages_and_says_why(client: httpx.Client) -> None:
    gate = get(client, "/api/v1/gate/chat")
    assert (gate["service"], gate["verdict"], gate["policy"]) == ("chat", "frozen", "default")
    assert not gate["is_known"]  # of one there is no data
    (hero,) = (each for each in gate["reasons"] if each["instance"] == HERO)
    assert (hero["slo"], hero["verdict"], hero["rule"]) == ("chat-ttft", "frozen", "critical-alert")
    assert hero["text"].startswith("what burns is mended first: a critical alert is open")
    assert {each["slo"] for each in gate["reasons"]} == {"chat-ttft", "chat-errors"}
    every = get(client, "/api/v1/gates")
    assert [(each["service"], each["verdict"]) for each in every["items"]] == [
        ("chat", "frozen"), ("embed", get(client, "/api/v1/gate/embed")["verdict"]),
    ]  # fmt: skip
    worst = [each for each in gate["reasons"] if each["verdict"] == "frozen"]
    assert every["items"][0]["reasons"] == worst[:4] and every["items"][0]["deciding"] == len(worst)
    assert (every["total"], every["policy"]) == (2, "default")
    refused = client.get("/api/v1/gate/chta")
    assert refused.status_code == 404 and "services are chat, embed" in refused.json()["detail"]


POLICY = """\
apiVersion: burnline/v1
kind: GatePolicy
source: us
unknown: caution
rules:
  - {name: all, verdict: open, reason: SOMETHING}
"""


def test_a_policy_is_read_again_when_it_was_written_again_and_only_then(tmp_path: Path) -> None:
    file = tmp_path / "gate.yaml"
    file.write_text(POLICY)
    first = policy_of(file)
    assert policy_of(file) is first
    file.write_text(POLICY.replace("SOMETHING", "something else"))
    assert policy_of(file).rules[-1].reason == "something else"
    file.write_text("rules: 7")
    for _ in range(2):
        with pytest.raises(NoAnswer, match="policy of the gate"):
            policy_of(file)
    assert policy_of(None) is policy_of(None)
