"""Burnline: what was promised of inference, measured on the stream.

    inference.events ─► ingest ─► slo.counts ─► judge ─► slo.alerts, slo.status
                          └─────► slo.slices ─► store ─► ClickHouse

kernels     compiled loops over arrays          events, decoding, unit, ingest   bytes to counts and sketches
transport   Kafka blocks, exactly-once steps    windows, alerts, judgement       counts to alerts
sinks       ClickHouse                          store, rows                      counts to rows
spec        SLO files                           app                              puts a worker together
"""
