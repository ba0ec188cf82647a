-- One row a record: judgements, alert events, dead letters; and how far the store has come. Every row has an identity
-- that a repetition shares; reading FINAL keeps one of them.

CREATE TABLE IF NOT EXISTS statuses (
    slo LowCardinality(String),
    instance LowCardinality(String),
    revision LowCardinality(String),
    service LowCardinality(String),
    labels Map(LowCardinality(String), String),
    target Float64,
    window_us Int64,
    watermark DateTime64(6, 'UTC'),
    window_start DateTime64(6, 'UTC'),
    window_end DateTime64(6, 'UTC'),
    judged_at DateTime64(6, 'UTC'),
    state LowCardinality(String),
    severity LowCardinality(String),
    good Int64,
    bad Int64,
    excluded Int64,
    compliance_ratio Nullable(Float64),
    coverage_ratio Float64,
    budget_events Float64,
    budget_remaining_ratio Nullable(Float64),
    budget_minutes Float64,
    time_to_exhaustion_s Nullable(Float64),
    windows_s Array(Int64),
    windows_good Array(Int64),
    windows_bad Array(Int64),
    windows_coverage_ratio Array(Float64),
    windows_burn_rate Array(Nullable(Float64)),
    late Int64,
    is_deleted UInt8
)
ENGINE = ReplacingMergeTree(watermark)
ORDER BY (slo, instance)
SETTINGS non_replicated_deduplication_window = 50000
COMMENT 'Judgements, the latest per SLO instance once merged; read them through compliance, error_budget and burn_rate';

CREATE TABLE IF NOT EXISTS alert_events (
    slo LowCardinality(String),
    dedup_key String,
    sequence Int64,
    revision LowCardinality(String),
    instance LowCardinality(String),
    service LowCardinality(String),
    labels Map(LowCardinality(String), String),
    event LowCardinality(String),
    severity LowCardinality(String),
    metric LowCardinality(String),
    target Float64,
    burn_rate_factor Float64,
    long_window_s Int64,
    short_window_s Int64,
    long_good Int64,
    long_bad Int64,
    short_good Int64,
    short_bad Int64,
    long_burn_rate Nullable(Float64),
    short_burn_rate Nullable(Float64),
    budget_remaining_ratio Nullable(Float64),
    time_to_exhaustion_s Nullable(Float64),
    started_at DateTime64(6, 'UTC'),
    window_end DateTime64(6, 'UTC'),
    watermark DateTime64(6, 'UTC'),
    evaluated_at DateTime64(6, 'UTC'),
    late_ratio Float64,
    provisional Bool,
    exemplar_trace_ids Array(String),
    runbook Nullable(String),
    reason String,
    ce_id String,
    ce_type LowCardinality(String),
    ce_time Nullable(DateTime64(6, 'UTC')),
    -- a replay says the same again, later: the first time is kept, since only it tells the true delay
    version UInt64 MATERIALIZED toUInt64(9223372036854775807 - toUnixTimestamp64Micro(evaluated_at))
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (slo, dedup_key, sequence)
TTL toDateTime(window_end) + INTERVAL 800 DAY
SETTINGS non_replicated_deduplication_window = 50000
COMMENT 'Events of alerts; read them through alerts and alert_log';

CREATE TABLE IF NOT EXISTS dead_letter_records (
    dead_at DateTime64(6, 'UTC'),
    reason LowCardinality(String),
    detail String,
    topic LowCardinality(String),
    partition Int32,
    offset Int64,
    schema_id LowCardinality(String),
    key String,
    value String CODEC(ZSTD(1)),
    dlq_topic LowCardinality(String),
    dlq_partition Int32,
    dlq_offset Int64
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMMDD(dead_at)
ORDER BY (dlq_topic, dlq_partition, dlq_offset)
TTL toDateTime(dead_at) + INTERVAL 30 DAY
SETTINGS non_replicated_deduplication_window = 50000, ttl_only_drop_parts = 1
COMMENT 'Records nobody could use; read them through dead_letters';

-- Written last in every batch: what a mark covers is stored in every tier. The greatest last_offset of a partition is
-- where the store goes on.
CREATE TABLE IF NOT EXISTS marks (
    topic LowCardinality(String),
    partition Int32,
    source_topic LowCardinality(String),
    source_partition Int32,
    first_offset SimpleAggregateFunction(max, Int64),
    last_offset SimpleAggregateFunction(max, Int64),
    source_next_offset SimpleAggregateFunction(max, Int64),
    event_time_max SimpleAggregateFunction(max, Nullable(DateTime64(6, 'UTC'))),
    flushed_at SimpleAggregateFunction(max, DateTime64(6, 'UTC')),
    idle_us SimpleAggregateFunction(anyLast, Int64),
    counters SimpleAggregateFunction(sumMap, Map(String, Int64)),
    stored_at SimpleAggregateFunction(max, DateTime64(6, 'UTC'))
)
ENGINE = AggregatingMergeTree
ORDER BY (topic, partition, source_topic, source_partition)
SETTINGS non_replicated_deduplication_window = 50000
COMMENT 'How far each derived partition is stored, and from which source offsets; read it through pipeline_health';
