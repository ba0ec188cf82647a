"""kill -9 of a worker between sending and committing: nobody is paged a second time, and nothing is lost."""

import os
import signal
from pathlib import Path

import pytest

from pipeline.embedded.site import EXAMPLES, Site
from tests.acceptance.harness import Pipeline, pipeline_on
from tests.agents.delivering import write
from tests.delivery import rules
from tests.delivery.listening import Heard, Reply, listening
from tests.delivery.test_incidents import of
from tests.naive.incidents import pages

pytestmark = pytest.mark.servers
KEY = "e93facc04764012d7bfb002500d5d1a6"
ROUTES = """\
apiVersion: burnline/v1
kind: AlertRoutes
receivers:
  - name: pager
    pagerduty: {{routingKeyFile: {key}, url: "{url}"}}
    allow: [127.0.0.0/8]
routes:
  - receivers: [pager]
"""
DEADLY = {("trigger", "doomed"), ("resolve", "doomed")}  #: each the end of a worker, the first time


class Killing:
    """A PagerDuty in whose hands workers die: it has heard, and they never know."""

    def __init__(self) -> None:
        self.pid, self.deadly = 0, set(DEADLY)

    def __call__(self, heard: Heard) -> Reply:
        said = (heard.json["event_action"], heard.json["dedup_key"].rpartition("=")[2])
        if said in self.deadly:
            self.deadly.discard(said)
            os.kill(self.pid, signal.SIGKILL)
        return rules.judged("pagerduty", heard)


def test_a_worker_killed_between_sending_and_committing_pages_once(site: Site, tmp_path: Path) -> None:
    killing, key, routes = Killing(), tmp_path / "key", tmp_path / "routes.yaml"
    key.write_text(KEY)
    with listening(killing) as receiver:
        routes.write_text(ROUTES.format(key=key, url=receiver.url("/v2/enqueue")))
        settings = {"steps": "deliver", "alert_routes": routes, "session_timeout_s": 6.0}
        with pipeline_on(site, "deadly", EXAMPLES, **settings) as running:
            start(running, killing)
            events = [of(name, 1, service=name) for name in ("first", "doomed", "last")]
            write(running.settings, events)
            end_of(running)
            start(running, killing)
            receiver.until(lambda heard: len(pages(bodies(heard))) == 3)
            write(running.settings, [of(each.slo, 2, "RESOLVED", service=each.service) for each in events])
            end_of(running)
            start(running, killing)
            heard = receiver.until(lambda heard: not any(is_open for is_open, _ in pages(bodies(heard)).values()))
    assert killing.deadly == set()
    found = pages(bodies(heard))
    assert {key.rpartition("|")[2] for key in found} == {f"service={each.service}" for each in events}
    assert {count for _, count in found.values()} == {1}
    assert not [each for each in heard if rules.pagerduty(each)]


def start(running: Pipeline, killing: Killing) -> None:
    worker = running.start_worker()
    killing.pid = worker.process.pid


def end_of(running: Pipeline) -> None:
    assert running.workers[-1].process.wait(60) == -signal.SIGKILL


def bodies(heard: list[Heard]) -> list[dict[str, str]]:
    return [each.json for each in heard]
