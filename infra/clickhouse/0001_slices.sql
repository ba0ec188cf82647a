-- Slices: additive counts and DDSketch states per series, in three tiers. One insert of the store is one day of one
-- batch: one block and one part in every tier, so a crash leaves a tier with all of it or nothing of it, and the
-- repetition with the same token fills in what is missing. The deduplication window is in inserts.
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

-- Rows go up a tier as they are, without GROUP BY: a batch holds a slice or two of a series, so there is nothing to
-- add up, and merging every state into an empty one took twice as long as the rest of the insert. The target merges.
CREATE MATERIALIZED VIEW IF NOT EXISTS slices_to_1m TO slices_1m AS
SELECT
    toStartOfMinute(s.slice_start) AS slice_start,
    s.service AS service,
    s.request_model AS request_model,
    s.tenant_id AS tenant_id,
    s.region AS region,
    s.operation AS operation,
    s.priority_class AS priority_class,
    s.variant AS variant,
    s.vantage AS vantage,
    s.success AS success,
    s.error AS error,
    s.timeout AS timeout,
    s.cancelled AS cancelled,
    s.shed AS shed,
    s.rate_limited AS rate_limited,
    s.rejected AS rejected,
    s.unknown AS unknown,
    s.retries AS retries,
    s.cold_starts AS cold_starts,
    s.input_tokens AS input_tokens,
    s.output_tokens AS output_tokens,
    s.cost_picousd AS cost_picousd,
    s.gpu_us AS gpu_us,
    s.e2e_state AS e2e_state,
    s.ttft_state AS ttft_state,
    s.tpot_state AS tpot_state
FROM slices_10s AS s;

CREATE MATERIALIZED VIEW IF NOT EXISTS slices_to_1h TO slices_1h AS
SELECT
    toStartOfHour(s.slice_start) AS slice_start,
    s.service AS service,
    s.request_model AS request_model,
    s.tenant_id AS tenant_id,
    s.region AS region,
    s.operation AS operation,
    s.priority_class AS priority_class,
    s.variant AS variant,
    s.vantage AS vantage,
    s.success AS success,
    s.error AS error,
    s.timeout AS timeout,
    s.cancelled AS cancelled,
    s.shed AS shed,
    s.rate_limited AS rate_limited,
    s.rejected AS rejected,
    s.unknown AS unknown,
    s.retries AS retries,
    s.cold_starts AS cold_starts,
    s.input_tokens AS input_tokens,
    s.output_tokens AS output_tokens,
    s.cost_picousd AS cost_picousd,
    s.gpu_us AS gpu_us,
    s.e2e_state AS e2e_state,
    s.ttft_state AS ttft_state,
    s.tpot_state AS tpot_state
FROM slices_10s AS s;
