"""The whole pipeline on real servers: Kafka in, ClickHouse and alerts out, judged by independent oracles."""
