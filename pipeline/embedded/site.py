"""A small site on one directory: both servers, topics and tables, and the Settings for workers on them.

Law: entering it twice on the same directory, one after the other, goes on from the first time's data. Starts
no workers: that is the command's work.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import schemas
from pipeline import topics
from pipeline.embedded.clickhouse import EmbeddedClickHouse
from pipeline.embedded.clickhouse_config import ADMIN
from pipeline.embedded.kafka import EmbeddedKafka
from pipeline.settings import Settings

EXAMPLES = Path(schemas.__file__).parent / "slo"


class Site:
    """Kafka and ClickHouse under `data_dir`, from `start` to `stop`; a context manager."""

    def __init__(self, data_dir: Path | str, slo_dir: Path | None = None) -> None:
        """Prepare; `slo_dir` unset: BURNLINE_SLO_DIR, and without that the shipped examples."""
        self.data_dir = Path(data_dir).resolve()
        self.kafka = EmbeddedKafka(self.data_dir / "kafka")
        self.clickhouse = EmbeddedClickHouse(self.data_dir / "clickhouse")
        self._slo_dir = slo_dir

    @property
    def settings(self) -> Settings:
        """What workers need; everything that is not about these servers comes from the environment."""
        given: dict[str, Any] = {
            "kafka_brokers": self.kafka.brokers,
            "kafka_security_protocol": "PLAINTEXT",
            "kafka_sasl_username": None,
            "kafka_sasl_token_file": None,
            "clickhouse_url": self.clickhouse.url,
            "clickhouse_password": None,
            "clickhouse_admin_password": None,
            "clickhouse_password_file": self.clickhouse.password_file,
            "clickhouse_admin_username": ADMIN,
            "clickhouse_admin_password_file": self.clickhouse.admin_password_file,
            "data_dir": self.data_dir,
        }
        settings = Settings(**given)
        if self._slo_dir or "slo_dir" not in settings.model_fields_set:
            settings = settings.model_copy(update={"slo_dir": (self._slo_dir or EXAMPLES).resolve()})
        return settings

    @property
    def addresses(self) -> dict[str, str]:
        """Every address and the files that hold the passwords; no secret itself."""
        return {
            "kafka_brokers": self.kafka.brokers,
            "clickhouse_url": self.clickhouse.url,
            "clickhouse_password_file": str(self.clickhouse.password_file),
            "clickhouse_reader_url": self.clickhouse.reader_url,
            "clickhouse_reader_password_file": str(self.clickhouse.reader_password_file),
            "clickhouse_http_url": self.clickhouse.http_url,
            "data_dir": str(self.data_dir),
            "slo_dir": str(self.settings.slo_dir),
        }

    def start(self) -> Self:
        """Start both servers at once, then create topics and tables.

        Raises: EmbeddedError when a server does not start; nothing is left running then.
        """
        try:
            _at_once(self.kafka.start, self.clickhouse.start)
            _at_once(self._create_topics, self._migrate)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Shut both servers down in order. Idempotent."""
        _at_once(self.kafka.stop, self.clickhouse.stop)

    def _create_topics(self) -> None:
        topics.create_topics(self.settings)

    def _migrate(self) -> None:
        from pipeline.sinks.migrations import migrate
        from pipeline.sinks.retention import keep

        migrate(self.settings)
        keep(self.settings)

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.stop()


def _at_once(*actions: Callable[[], object]) -> None:
    """Run actions in threads, wait for all of them, then raise the first error of any."""
    with ThreadPoolExecutor(len(actions)) as pool:
        running = [pool.submit(action) for action in actions]
    for done in running:
        done.result()
