-- Changes of services: deploys, knobs, maintenance, prices, as records of inference.changes tell them. A change is one by
-- its service and its change_id: of two records the one counts that the broker took later.

CREATE TABLE IF NOT EXISTS change_records (
    change_id String,
    at DateTime64(6, 'UTC'),
    until Nullable(DateTime64(6, 'UTC')),
    kind LowCardinality(String),
    service LowCardinality(String),
    title String,
    -- of the model, variant, region that it is limited to; empty: of all
    request_model LowCardinality(String),
    variant LowCardinality(String),
    region LowCardinality(String),
    before Map(String, String),
    after Map(String, String),
    actor String,
    url Nullable(String),
    config_epoch Nullable(String),
    appended_at DateTime64(6, 'UTC')
)
ENGINE = ReplacingMergeTree(appended_at)
ORDER BY (service, change_id)
TTL toDateTime(at) + INTERVAL 800 DAY
SETTINGS non_replicated_deduplication_window = 50000
COMMENT 'Changes of services; read them through config_changes';
