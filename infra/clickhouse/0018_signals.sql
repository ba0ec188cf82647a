-- What controls say (slo.signals), and how replicas of engines are (inference.snapshots).
-- Of a signal the newest record of a key is in force: signal_records keeps that, for a week behind its expiry, so that a
-- control that is gone is seen to be; signal_history keeps all of them.

CREATE TABLE IF NOT EXISTS signal_records (
    service LowCardinality(String),
    model LowCardinality(String),
    name LowCardinality(String),
    scope String,
    state LowCardinality(String),
    value Nullable(Float64),
    unit LowCardinality(String),
    reason String,
    confidence Nullable(Float64),
    samples Int64,
    inputs Map(LowCardinality(String), Float64),
    details Map(LowCardinality(String), String),
    evaluated_at DateTime64(6, 'UTC'),
    watermark Nullable(DateTime64(6, 'UTC')),
    window_s Int64,
    expires_at DateTime64(6, 'UTC'),
    appended_at DateTime64(6, 'UTC')
)
ENGINE = ReplacingMergeTree(evaluated_at)
ORDER BY (service, model, name, scope)
TTL toDateTime(expires_at) + INTERVAL 7 DAY
SETTINGS non_replicated_deduplication_window = 50000
COMMENT 'The newest of each signal; read it through signals';

CREATE TABLE IF NOT EXISTS signal_history (
    service LowCardinality(String),
    model LowCardinality(String),
    name LowCardinality(String),
    scope String,
    state LowCardinality(String) CODEC(ZSTD(1)),
    value Nullable(Float64) CODEC(ZSTD(1)),
    unit LowCardinality(String) CODEC(ZSTD(1)),
    reason String CODEC(ZSTD(1)),
    confidence Nullable(Float64) CODEC(ZSTD(1)),
    samples Int64 CODEC(ZSTD(1)),
    inputs Map(LowCardinality(String), Float64) CODEC(ZSTD(1)),
    details Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    evaluated_at DateTime64(6, 'UTC') CODEC(Delta(8), ZSTD(1)),
    watermark Nullable(DateTime64(6, 'UTC')) CODEC(ZSTD(1)),
    window_s Int64 CODEC(ZSTD(1)),
    expires_at DateTime64(6, 'UTC') CODEC(Delta(8), ZSTD(1)),
    appended_at DateTime64(6, 'UTC') CODEC(Delta(8), ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMMDD(evaluated_at)
ORDER BY (service, model, name, scope, evaluated_at)
TTL toDateTime(evaluated_at) + INTERVAL 40 DAY
SETTINGS non_replicated_deduplication_window = 50000, ttl_only_drop_parts = 1
COMMENT 'Every signal that was published; read it through signal_log';

CREATE TABLE IF NOT EXISTS snapshot_records (
    snapshot_at DateTime64(6, 'UTC') CODEC(Delta(8), ZSTD(1)),
    endpoint_id LowCardinality(String) CODEC(ZSTD(1)),
    service LowCardinality(String) CODEC(ZSTD(1)),
    model LowCardinality(String) CODEC(ZSTD(1)),
    engine LowCardinality(String) CODEC(ZSTD(1)),
    region LowCardinality(Nullable(String)) CODEC(ZSTD(1)),
    variant LowCardinality(Nullable(String)) CODEC(ZSTD(1)),
    accelerator LowCardinality(Nullable(String)) CODEC(ZSTD(1)),
    ready Bool CODEC(ZSTD(1)),
    running Nullable(Int64) CODEC(ZSTD(1)),
    waiting Nullable(Int64) CODEC(ZSTD(1)),
    kv_usage Nullable(Float64) CODEC(ZSTD(1)),
    oldest_inflight_ms Nullable(Int64) CODEC(ZSTD(1)),
    gpu_count Nullable(Int64) CODEC(ZSTD(1)),
    gpu_hour_picousd Nullable(Int64) CODEC(ZSTD(1)),
    started_at Nullable(DateTime64(6, 'UTC')) CODEC(ZSTD(1)),
    finished Nullable(Int64) CODEC(ZSTD(1)),
    output_tokens Nullable(Int64) CODEC(ZSTD(1)),
    error LowCardinality(String) CODEC(ZSTD(1)),
    appended_at DateTime64(6, 'UTC') CODEC(Delta(8), ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMMDD(snapshot_at)
ORDER BY (service, model, endpoint_id, snapshot_at)
TTL toDateTime(snapshot_at) + INTERVAL 7 DAY
SETTINGS non_replicated_deduplication_window = 50000, ttl_only_drop_parts = 1
COMMENT 'How replicas of engines were at each look; read it through snapshots';
