"""Real Kafka and ClickHouse servers out of Python packages, for the demo, tests and small sites.

Law: everything is bound to 127.0.0.1, keeps its data under one directory, goes on from it after a restart or
a kill, and dies with the process that started it. Servers know no topics, tables or settings; `site` does.
"""

from pipeline.embedded.clickhouse import EmbeddedClickHouse
from pipeline.embedded.kafka import EmbeddedKafka
from pipeline.embedded.kafka_security import SecuritySpec
from pipeline.embedded.lifeline import EmbeddedError

__all__ = ["EmbeddedClickHouse", "EmbeddedError", "EmbeddedKafka", "SecuritySpec"]
