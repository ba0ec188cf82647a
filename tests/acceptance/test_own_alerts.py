"""A worker that lags says so to the people who hear of everything else."""

import threading
from pathlib import Path

import pytest

from pipeline.embedded.site import EXAMPLES, Site
from tests.acceptance.harness import pipeline_on
from tests.agents.delivering import write
from tests.agents.test_deliver import said
from tests.delivery.listening import listening
from tests.delivery.test_incidents import of

pytestmark = pytest.mark.servers
ROUTES = """\
apiVersion: burnline/v1
kind: AlertRoutes
receivers:
  - name: hook
    webhook: {{url: "{url}"}}
    allow: [127.0.0.0/8]
routes:
  - {{receivers: [hook], kind: [lagging]}}
  - {{receivers: none}}
"""


def test_a_step_that_lags_is_an_alert_of_the_worker_itself(site: Site, tmp_path: Path) -> None:
    """What a worker may lag is so little here that any load is too much."""
    routes, is_heard = tmp_path / "routes.yaml", threading.Event()
    with listening() as receiver:
        routes.write_text(ROUTES.format(url=receiver.url()))
        settings = {"steps": "store,deliver", "alert_routes": routes, "limit_lag_s": 0.01}
        with pipeline_on(site, "lagging", EXAMPLES, **settings) as running:
            running.start_worker()

            def load() -> None:
                at = 0
                while not is_heard.wait(0.05):
                    at += 1
                    write(running.settings, [of("a", at)])

            loading = threading.Thread(target=load, daemon=True)
            loading.start()
            try:
                heard = receiver.until(lambda heard: bool(said(heard)), 120.0)
            finally:
                is_heard.set()
                loading.join()
    assert said(heard)[0] == ("burnline", "trigger")
    told = heard[0].json
    assert (told["type"], told["source"]) == (
        "burnline.lagging.fired.v1", f"burnline/{running.settings.topic_prefix}worker",
    )  # fmt: skip
    assert told["data"]["labels"]["step"] == "store" and "store lags: " in told["data"]["words"]["title"]
