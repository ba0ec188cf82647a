-- Answers that take too long to be counted whenever somebody asks. Workers that store count them anew, a part at a time, by
-- the questions in infra/clickhouse/refreshed; each row says when. What is no longer an answer is marked as deleted by a row
-- of the same key, so that a reader finds the old answer or the new one, and never neither.

CREATE TABLE IF NOT EXISTS corrected_windows (
    slo LowCardinality(String),
    revision LowCardinality(String),
    instance LowCardinality(String),
    service LowCardinality(String),
    labels Map(LowCardinality(String), String),
    target Float64,
    counts LowCardinality(String),
    window_start DateTime64(6, 'UTC'),
    window_end DateTime64(6, 'UTC'),
    good Int64,
    bad Int64,
    excluded Int64,
    compliance_ratio Nullable(Float64),
    uncorrected_good Int64,
    uncorrected_bad Int64,
    uncorrected_excluded Int64,
    uncorrected_compliance_ratio Nullable(Float64),
    corrected_minutes Int64,
    corrections Array(String),
    refreshed_at DateTime64(6, 'UTC'),
    is_deleted UInt8
)
ENGINE = ReplacingMergeTree(refreshed_at, is_deleted)
ORDER BY (slo, instance)
COMMENT 'Windows of SLO instances with and without corrections; read them through compliance_corrected and error_budget_corrected';

CREATE TABLE IF NOT EXISTS frontier_configs (
    service LowCardinality(String),
    request_model LowCardinality(String),
    priority_class LowCardinality(String),
    variant LowCardinality(String),
    config_epoch String,
    accelerators Array(String),
    hours UInt64,
    requests Int64,
    is_enough Bool,
    compliance_ratio Nullable(Float64),
    basis String,
    usd_per_1k_tokens Nullable(Float64),
    e2e_p99_us Nullable(Float64),
    ttft_p99_us Nullable(Float64),
    tpot_p99_us Nullable(Float64),
    tokens_per_gpu_s Nullable(Float64),
    good_requests_per_gpu_s Nullable(Float64),
    last_hour DateTime64(6, 'UTC'),
    is_running Bool,
    on_frontier Nullable(Bool),
    refreshed_at DateTime64(6, 'UTC'),
    is_deleted UInt8
)
ENGINE = ReplacingMergeTree(refreshed_at, is_deleted)
ORDER BY (service, request_model, priority_class, variant, config_epoch)
COMMENT 'Configurations of the last 14 days and whether any beats them; read them through config_frontier';
