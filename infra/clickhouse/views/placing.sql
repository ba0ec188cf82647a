-- Which configurations nobody beats, as workers counted it last by infra/clickhouse/refreshed/frontier_configs.sql: sketches
-- of two weeks take longer to merge than anybody waits, and change by the hour.

CREATE OR REPLACE VIEW config_frontier (
    service LowCardinality(String) COMMENT 'service',
    request_model LowCardinality(String) COMMENT 'model asked for',
    priority_class LowCardinality(String) COMMENT 'critical, standard or sheddable',
    variant LowCardinality(String) COMMENT 'hardware and configuration variant',
    config_epoch String COMMENT 'configuration that was in force, as changes name it; empty: none was ever named',
    accelerators Array(String) COMMENT 'hardware that served it, of the events that are kept',
    hours UInt64 COMMENT 'whole hours in which it served, of the last 14 days; hours in which a change came are left out',
    requests Int64 COMMENT 'requests in them',
    is_enough Bool COMMENT 'at least 1,000 requests in at least 3 hours: else it counts for nothing',
    compliance_ratio Nullable(Float64) COMMENT 'share of requests that no SLO counts as bad; null: not known',
    basis String COMMENT 'paid: cost is of replicas that were up, in the hours in which that is known, of every configuration it competes with; metered: of events',
    usd_per_1k_tokens Nullable(Float64) COMMENT 'cost of a thousand output tokens on this basis; null: there were none, or no cost',
    e2e_p99_us Nullable(Float64) COMMENT 'P99 of receipt to final token, 1 % relative error; null: no data',
    ttft_p99_us Nullable(Float64) COMMENT 'P99 of receipt to first token; null: no data',
    tpot_p99_us Nullable(Float64) COMMENT 'P99 of time per output token; null: no data',
    tokens_per_gpu_s Nullable(Float64) COMMENT 'output tokens for a second of an accelerator; null: no accelerator time is known',
    good_requests_per_gpu_s Nullable(Float64) COMMENT 'requests that no SLO counts as bad for a second of an accelerator; null: not known',
    last_hour DateTime64(6, 'UTC') COMMENT 'start of the last hour in which it served',
    is_running Bool COMMENT 'it served in the last two hours that are known of the model and class',
    on_frontier Nullable(Bool) COMMENT 'none that counts is nowhere worse and somewhere better in cost, P99 of e2e and tokens for a second of an accelerator; null: not enough traffic',
    refreshed_at DateTime64(6, 'UTC') COMMENT 'when this was counted'
) AS
SELECT
    m.service AS service,
    m.request_model AS request_model,
    m.priority_class AS priority_class,
    m.variant AS variant,
    m.config_epoch AS config_epoch,
    m.accelerators AS accelerators,
    m.hours AS hours,
    m.requests AS requests,
    m.is_enough AS is_enough,
    m.compliance_ratio AS compliance_ratio,
    m.basis AS basis,
    m.usd_per_1k_tokens AS usd_per_1k_tokens,
    m.e2e_p99_us AS e2e_p99_us,
    m.ttft_p99_us AS ttft_p99_us,
    m.tpot_p99_us AS tpot_p99_us,
    m.tokens_per_gpu_s AS tokens_per_gpu_s,
    m.good_requests_per_gpu_s AS good_requests_per_gpu_s,
    m.last_hour AS last_hour,
    m.is_running AS is_running,
    m.on_frontier AS on_frontier,
    m.refreshed_at AS refreshed_at
FROM frontier_configs AS m FINAL
COMMENT 'Configurations of the last 14 days and whether any beats them: one row is a model, a class, a variant and an epoch of its knobs';
