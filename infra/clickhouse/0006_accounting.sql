-- Input accounted for: what a dead letter says of its record, which letters were fed again, what a worker says of
-- itself, and where `burnline replay` recomputes.

ALTER TABLE dead_letter_records
    ADD COLUMN IF NOT EXISTS appended_at Nullable(DateTime64(6, 'UTC')),
    ADD COLUMN IF NOT EXISTS is_whole Bool DEFAULT true,
    ADD COLUMN IF NOT EXISTS headers Map(String, String) CODEC(ZSTD(1));

-- Ranges of offsets, both ends included; they never overlap, since a letter is fed again once.
CREATE TABLE IF NOT EXISTS redriven_letters (
    dlq_topic LowCardinality(String),
    dlq_partition Int32,
    first_offset Int64,
    last_offset Int64,
    redriven_at DateTime64(6, 'UTC')
)
ENGINE = ReplacingMergeTree
ORDER BY (dlq_topic, dlq_partition, first_offset)
TTL toDateTime(redriven_at) + INTERVAL 60 DAY
SETTINGS non_replicated_deduplication_window = 50000
COMMENT 'Dead letters that burnline drain-dead-letters fed again; read them through dead_letters';

CREATE TABLE IF NOT EXISTS worker_reports (
    worker String,
    step LowCardinality(String),
    reported_at DateTime64(6, 'UTC'),
    records Int64,
    dead_letters Int64,
    late Int64,
    watermark_lag_s Nullable(Float64),
    oldest_in_flight_s Float64,
    open_transaction_s Float64,
    backlog_records Int64,
    is_lagging Bool,
    reason String
)
ENGINE = ReplacingMergeTree(reported_at)
ORDER BY (worker, step)
TTL toDateTime(reported_at) + INTERVAL 1 DAY
SETTINGS non_replicated_deduplication_window = 1000
COMMENT 'What workers say of themselves, the latest; read it through pipeline_health';

CREATE TABLE IF NOT EXISTS slices_shadow (
    run UInt64,
    tier LowCardinality(String),
    slice_start DateTime64(6, 'UTC') CODEC(Delta(8), ZSTD(1)),
    service LowCardinality(String),
    request_model LowCardinality(String),
    tenant_id LowCardinality(String),
    region LowCardinality(String),
    operation LowCardinality(String),
    priority_class LowCardinality(String),
    variant LowCardinality(String),
    vantage LowCardinality(String),
    success SimpleAggregateFunction(sum, Int64) CODEC(ZSTD(1)),
    error SimpleAggregateFunction(sum, Int64) CODEC(ZSTD(1)),
    timeout SimpleAggregateFunction(sum, Int64) CODEC(ZSTD(1)),
    cancelled SimpleAggregateFunction(sum, Int64) CODEC(ZSTD(1)),
    shed SimpleAggregateFunction(sum, Int64) CODEC(ZSTD(1)),
    rate_limited SimpleAggregateFunction(sum, Int64) CODEC(ZSTD(1)),
    rejected SimpleAggregateFunction(sum, Int64) CODEC(ZSTD(1)),
    unknown SimpleAggregateFunction(sum, Int64) CODEC(ZSTD(1)),
    retries SimpleAggregateFunction(sum, Int64) CODEC(ZSTD(1)),
    cold_starts SimpleAggregateFunction(sum, Int64) CODEC(ZSTD(1)),
    input_tokens SimpleAggregateFunction(sum, Int64) CODEC(ZSTD(1)),
    output_tokens SimpleAggregateFunction(sum, Int64) CODEC(ZSTD(1)),
    cost_picousd SimpleAggregateFunction(sum, Int64) CODEC(ZSTD(1)),
    gpu_us SimpleAggregateFunction(sum, Int64) CODEC(ZSTD(1)),
    e2e_state AggregateFunction(quantilesDD(0.01, 0.5, 0.95, 0.99), Float64) CODEC(ZSTD(1)),
    ttft_state AggregateFunction(quantilesDD(0.01, 0.5, 0.95, 0.99), Float64) CODEC(ZSTD(1)),
    tpot_state AggregateFunction(quantilesDD(0.01, 0.5, 0.95, 0.99), Float64) CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
ORDER BY (run, tier, service, request_model, tenant_id, region, operation, priority_class, variant, vantage, slice_start)
TTL toDateTime(intDiv(run, 1000000)) + INTERVAL 2 DAY
SETTINGS non_replicated_deduplication_window = 50000
COMMENT 'Slices recomputed by burnline replay; a run is the time it began, in microseconds';

CREATE TABLE IF NOT EXISTS counts_shadow (
    run UInt64,
    tier LowCardinality(String),
    slo LowCardinality(String),
    revision LowCardinality(String),
    instance LowCardinality(String),
    slice_start DateTime64(6, 'UTC') CODEC(Delta(8), ZSTD(1)),
    good Int64 CODEC(ZSTD(1)),
    bad Int64 CODEC(ZSTD(1)),
    excluded Int64 CODEC(ZSTD(1))
)
ENGINE = SummingMergeTree((good, bad, excluded))
ORDER BY (run, tier, slo, instance, revision, slice_start)
TTL toDateTime(intDiv(run, 1000000)) + INTERVAL 2 DAY
SETTINGS non_replicated_deduplication_window = 50000
COMMENT 'Counts recomputed by burnline replay; a run is the time it began, in microseconds';

CREATE OR REPLACE VIEW dead_letters (
    dead_at DateTime64(6, 'UTC') COMMENT 'when it was put aside',
    reason LowCardinality(String) COMMENT 'why, as a short name',
    detail String COMMENT 'why, in words',
    topic LowCardinality(String) COMMENT 'where it came from',
    partition Int32 COMMENT 'where it came from',
    offset Int64 COMMENT 'where it came from',
    schema_id LowCardinality(String) COMMENT 'writer schema it named',
    key String COMMENT 'original key',
    value String COMMENT 'original bytes',
    dlq_topic LowCardinality(String) COMMENT 'where it lies now',
    dlq_partition Int32 COMMENT 'where it lies now',
    dlq_offset Int64 COMMENT 'where it lies now',
    appended_at Nullable(DateTime64(6, 'UTC')) COMMENT 'when the broker took the record; null: written by the first release',
    is_whole Bool COMMENT 'false: it was cut to what the broker takes, and cannot be fed again',
    headers Map(String, String) COMMENT 'original headers',
    redrives UInt8 COMMENT 'how many times it was fed again before it came here',
    redriven_at Nullable(DateTime64(6, 'UTC')) COMMENT 'when it was fed again from here; null: it was not'
) AS
SELECT
    d.dead_at AS dead_at,
    d.reason AS reason,
    d.detail AS detail,
    d.topic AS topic,
    d.partition AS partition,
    d.offset AS offset,
    d.schema_id AS schema_id,
    d.key AS key,
    d.value AS value,
    d.dlq_topic AS dlq_topic,
    d.dlq_partition AS dlq_partition,
    d.dlq_offset AS dlq_offset,
    d.appended_at AS appended_at,
    d.is_whole AS is_whole,
    d.headers AS headers,
    toUInt8(least(JSONExtractUInt(d.headers['x-burnline-redriven'], 'redrives'), 255)) AS redrives,
    if(m.last_offset >= d.dlq_offset, m.redriven_at, NULL) AS redriven_at
FROM dead_letter_records AS d FINAL
ASOF LEFT JOIN (SELECT dlq_topic, dlq_partition, first_offset, last_offset, toNullable(redriven_at) AS redriven_at FROM redriven_letters FINAL) AS m
ON d.dlq_topic = m.dlq_topic AND d.dlq_partition = m.dlq_partition AND d.dlq_offset >= m.first_offset
COMMENT 'Records nobody could use: one row is one record';

CREATE OR REPLACE VIEW pipeline_health (
    stage LowCardinality(String) COMMENT 'ingest: a source partition; judge: all of it; store: a partition the store reads; worker ingest, worker judge, worker store: a step of one worker, as it says itself',
    topic LowCardinality(String) COMMENT 'topic',
    partition Int32 COMMENT 'partition; -1: all',
    next_offset Nullable(Int64) COMMENT 'everything in front of it is stored',
    event_time_max Nullable(DateTime64(6, 'UTC')) COMMENT 'ingest: greatest event time seen; judge: the watermark',
    watermark_lag_s Nullable(Float64) COMMENT 'seconds from that to now',
    flushed_at Nullable(DateTime64(6, 'UTC')) COMMENT 'processing time of the newest stored unit',
    stored_at Nullable(DateTime64(6, 'UTC')) COMMENT 'when it was stored',
    idle_us Nullable(Int64) COMMENT 'how long the source was read to its end and silent',
    records Int64 COMMENT 'records read',
    events Int64 COMMENT 'events counted',
    bytes Int64 COMMENT 'bytes read',
    dead_letters Int64 COMMENT 'records put aside',
    clamped Int64 COMMENT 'events from the future, taken as now',
    late Int64 COMMENT 'events behind the watermark',
    series_overflow Int64 COMMENT 'events counted as series `other`',
    instances_refused Int64 COMMENT 'series of which an SLO instance was past the limit and became `other`',
    duplicates Int64 COMMENT 'events left out because their event_id had come before; 0 unless that is switched on',
    stored_lag_s Nullable(Float64) COMMENT 'store: seconds since the newest stored unit was made',
    worker String COMMENT 'which worker says so; empty: what is stored says so',
    oldest_in_flight_s Nullable(Float64) COMMENT 'worker: age of the oldest block read and not yet written',
    open_transaction_s Nullable(Float64) COMMENT 'worker: age of the oldest transaction or insert under way',
    backlog_records Nullable(Int64) COMMENT 'worker: offsets that lie in Kafka behind what it has written; of the store: its backlog',
    is_lagging Nullable(Bool) COMMENT 'worker: something waits, or event time trails, longer than BURNLINE_LIMIT_LAG_S',
    reason String COMMENT 'worker: why it lags, in words'
) AS
SELECT
    'ingest' AS stage,
    m.source_topic AS topic,
    m.source_partition AS partition,
    toNullable(max(m.source_next_offset)) AS next_offset,
    max(m.event_time_max) AS event_time_max,
    dateDiff('microsecond', max(m.event_time_max), now64(6, 'UTC')) / 1e6 AS watermark_lag_s,
    toNullable(max(m.flushed_at)) AS flushed_at,
    toNullable(max(m.stored_at)) AS stored_at,
    toNullable(argMax(m.idle_us, m.flushed_at)) AS idle_us,
    sum(m.counters['records']) AS records,
    sum(m.counters['events']) AS events,
    sum(m.counters['bytes']) AS bytes,
    sum(m.counters['dead_letters']) AS dead_letters,
    sum(m.counters['clamped']) AS clamped,
    toInt64(0) AS late,
    sum(m.counters['series_overflow']) AS series_overflow,
    sum(m.counters['instances_refused']) AS instances_refused,
    sum(m.counters['duplicates']) AS duplicates,
    NULL AS stored_lag_s,
    '' AS worker,
    NULL AS oldest_in_flight_s,
    NULL AS open_transaction_s,
    NULL AS backlog_records,
    NULL AS is_lagging,
    '' AS reason
FROM marks AS m FINAL
WHERE m.source_topic != ''
GROUP BY m.source_topic, m.source_partition
UNION ALL
SELECT
    'judge' AS stage,
    '' AS topic,
    -1 AS partition,
    NULL AS next_offset,
    maxOrNull(s.watermark) AS event_time_max,
    dateDiff('microsecond', maxOrNull(s.watermark), now64(6, 'UTC')) / 1e6 AS watermark_lag_s,
    maxOrNull(s.judged_at) AS flushed_at,
    NULL AS stored_at,
    NULL AS idle_us,
    toInt64(0) AS records,
    toInt64(0) AS events,
    toInt64(0) AS bytes,
    toInt64(0) AS dead_letters,
    toInt64(0) AS clamped,
    sum(s.late) AS late,
    toInt64(0) AS series_overflow,
    toInt64(0) AS instances_refused,
    toInt64(0) AS duplicates,
    NULL AS stored_lag_s,
    '' AS worker,
    NULL AS oldest_in_flight_s,
    NULL AS open_transaction_s,
    NULL AS backlog_records,
    NULL AS is_lagging,
    '' AS reason
FROM statuses AS s FINAL
WHERE s.is_deleted = 0
UNION ALL
SELECT
    'store' AS stage,
    m.topic AS topic,
    m.partition AS partition,
    toNullable(max(m.last_offset) + 1) AS next_offset,
    NULL AS event_time_max,
    NULL AS watermark_lag_s,
    toNullable(max(m.flushed_at)) AS flushed_at,
    toNullable(max(m.stored_at)) AS stored_at,
    NULL AS idle_us,
    sum(if(m.source_topic = '', m.counters['records'], 0)) AS records,
    toInt64(0) AS events,
    toInt64(0) AS bytes,
    toInt64(0) AS dead_letters,
    toInt64(0) AS clamped,
    toInt64(0) AS late,
    toInt64(0) AS series_overflow,
    toInt64(0) AS instances_refused,
    toInt64(0) AS duplicates,
    dateDiff('microsecond', max(m.flushed_at), now64(6, 'UTC')) / 1e6 AS stored_lag_s,
    '' AS worker,
    NULL AS oldest_in_flight_s,
    NULL AS open_transaction_s,
    NULL AS backlog_records,
    NULL AS is_lagging,
    '' AS reason
FROM marks AS m FINAL
GROUP BY m.topic, m.partition
UNION ALL
SELECT
    concat('worker ', w.step) AS stage,
    '' AS topic,
    -1 AS partition,
    NULL AS next_offset,
    NULL AS event_time_max,
    w.watermark_lag_s AS watermark_lag_s,
    toNullable(w.reported_at) AS flushed_at,
    NULL AS stored_at,
    NULL AS idle_us,
    w.records AS records,
    toInt64(0) AS events,
    toInt64(0) AS bytes,
    w.dead_letters AS dead_letters,
    toInt64(0) AS clamped,
    w.late AS late,
    toInt64(0) AS series_overflow,
    toInt64(0) AS instances_refused,
    toInt64(0) AS duplicates,
    NULL AS stored_lag_s,
    w.worker AS worker,
    toNullable(w.oldest_in_flight_s) AS oldest_in_flight_s,
    toNullable(w.open_transaction_s) AS open_transaction_s,
    toNullable(w.backlog_records) AS backlog_records,
    toNullable(w.is_lagging) AS is_lagging,
    w.reason AS reason
FROM worker_reports AS w FINAL
WHERE w.reported_at > now() - INTERVAL 1 HOUR
COMMENT 'How the pipeline is: one row is a stage and a partition';
