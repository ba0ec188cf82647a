"""`burnline demo`: a day of a fleet's history at full speed, then an incident and its recovery in compressed time.

Everything goes the way of production: Avro through Kafka, a worker process, ClickHouse, alerts out of a topic.
"""

from jobs.demo.command import demo

__all__ = ["demo"]
