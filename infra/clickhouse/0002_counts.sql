-- Counts: good, bad and excluded per SLO instance, in three tiers, from the 1 s entries of slo.counts.
-- Inserted as slices are (0001): each tier by the store, one block and one part an insert, with a token.

CREATE TABLE IF NOT EXISTS counts_10s (
    slo LowCardinality(String),
    revision LowCardinality(String),
    instance LowCardinality(String),
    slice_start DateTime64(6, 'UTC') CODEC(Delta(8), ZSTD(1)),
    good Int64 CODEC(ZSTD(1)),
    bad Int64 CODEC(ZSTD(1)),
    excluded Int64 CODEC(ZSTD(1))
)
ENGINE = SummingMergeTree((good, bad, excluded))
PARTITION BY toYYYYMMDD(slice_start)
ORDER BY (slo, instance, revision, slice_start)
TTL toDateTime(slice_start) + INTERVAL 40 DAY
SETTINGS non_replicated_deduplication_window = 50000, ttl_only_drop_parts = 1
COMMENT 'Additive counts of SLO instances, 10s; read them through the view slo_counts';

CREATE TABLE IF NOT EXISTS counts_1m (
    slo LowCardinality(String),
    revision LowCardinality(String),
    instance LowCardinality(String),
    slice_start DateTime64(6, 'UTC') CODEC(Delta(8), ZSTD(1)),
    good Int64 CODEC(ZSTD(1)),
    bad Int64 CODEC(ZSTD(1)),
    excluded Int64 CODEC(ZSTD(1))
)
ENGINE = SummingMergeTree((good, bad, excluded))
PARTITION BY toYYYYMM(slice_start)
ORDER BY (slo, instance, revision, slice_start)
TTL toDateTime(slice_start) + INTERVAL 120 DAY
SETTINGS non_replicated_deduplication_window = 50000, ttl_only_drop_parts = 1
COMMENT 'Additive counts of SLO instances, 1m; read them through the view slo_counts';

CREATE TABLE IF NOT EXISTS counts_1h (
    slo LowCardinality(String),
    revision LowCardinality(String),
    instance LowCardinality(String),
    slice_start DateTime64(6, 'UTC') CODEC(Delta(8), ZSTD(1)),
    good Int64 CODEC(ZSTD(1)),
    bad Int64 CODEC(ZSTD(1)),
    excluded Int64 CODEC(ZSTD(1))
)
ENGINE = SummingMergeTree((good, bad, excluded))
PARTITION BY toYYYYMM(slice_start)
ORDER BY (slo, instance, revision, slice_start)
TTL toDateTime(slice_start) + INTERVAL 800 DAY
SETTINGS non_replicated_deduplication_window = 50000, ttl_only_drop_parts = 1
COMMENT 'Additive counts of SLO instances, 1h; read them through the view slo_counts';
