-- Slices: additive counts and DDSketch states per series, in three tiers, each filled by the store itself: a batch that
-- covers much event time has few rows in the coarse tiers, where a materialized view would write every row three times.
-- One insert is a piece of one day of one batch: one block and one part, all or nothing under a crash, and repeated
-- with the same token it counts once. The deduplication window is in inserts.
-- The relative error of a state, 0.01, is not part of its type: the server would re-bin other states without a word.

CREATE TABLE IF NOT EXISTS slices_10s (
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
PARTITION BY toYYYYMMDD(slice_start)
ORDER BY (service, toStartOfHour(slice_start), request_model, tenant_id, region, operation, priority_class, variant, vantage, slice_start)
TTL toDateTime(slice_start) + INTERVAL 8 DAY
SETTINGS non_replicated_deduplication_window = 50000, ttl_only_drop_parts = 1
COMMENT 'Additive slices of series, 10s; read them through the view sli';

CREATE TABLE IF NOT EXISTS slices_1m (
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
PARTITION BY toYYYYMM(slice_start)
ORDER BY (service, toStartOfHour(slice_start), request_model, tenant_id, region, operation, priority_class, variant, vantage, slice_start)
TTL toDateTime(slice_start) + INTERVAL 40 DAY
SETTINGS non_replicated_deduplication_window = 50000, ttl_only_drop_parts = 1
COMMENT 'Additive slices of series, 1m; read them through the view sli';

CREATE TABLE IF NOT EXISTS slices_1h (
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
PARTITION BY toYYYYMM(slice_start)
ORDER BY (service, toStartOfHour(slice_start), request_model, tenant_id, region, operation, priority_class, variant, vantage, slice_start)
TTL toDateTime(slice_start) + INTERVAL 800 DAY
SETTINGS non_replicated_deduplication_window = 50000, ttl_only_drop_parts = 1
COMMENT 'Additive slices of series, 1h; read them through the view sli';
