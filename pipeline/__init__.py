"""Burnline: what was promised of inference, measured on the stream.

    inference.events ─► ingest ─► slo.counts ─► judge ─► slo.alerts ─► deliver ─► receivers
                          └─────► slo.slices ─► store ─► ClickHouse ◄─ slo.status, slo.alerts

kernels     compiled loops over arrays          events, decoding, unit, ingest   bytes to counts and sketches
transport   Kafka blocks, exactly-once steps    windows, alerts, judgement       counts to alerts
sinks       ClickHouse, receivers over HTTP     store, rows                      counts to rows
spec        SLO files                           delivery                         alerts to notifications
app         puts a worker together
"""
